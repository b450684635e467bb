"""What a link session tells the log of its wire: a stream a day (`domain.session`)."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Final

from signalbox.domain import session as domain
from signalbox.eventstore.journal import Write

if TYPE_CHECKING:
    from collections.abc import Callable

    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog

DAY_LETTERS: Final = 10  # yyyy-mm-dd


class WireLog:
    """Decides on top of what is being stored; made anew when that fails."""

    def __init__(
        self,
        link_id: int,
        log_: EventLog,
        journal: Journal,
        append: Callable[[Write], None],
    ) -> None:
        self._link_id = link_id
        self._log = log_
        self._journal = journal
        self._append = append
        self._stream_id = ""
        self._version = 0
        self._session = domain.Session()

    def tell(self, command: domain.Command) -> None:
        """Append the events of a command, if there are any."""
        stream_id = domain.stream_of(self._link_id, self._journal.now().isoformat()[:DAY_LETTERS])
        if stream_id != self._stream_id:
            self._begin(stream_id)
        events = domain.decide(self._session, command)
        if not events:
            return
        self._append(Write(stream_id, self._version + 1, events))
        self._session = reduce(domain.evolve, events, self._session)
        self._version += len(events)

    def _begin(self, stream_id: str) -> None:
        session, version = domain.Session(), 0
        for recorded in self._log.read(stream_id):
            assert isinstance(recorded.event, domain.Event), recorded
            session, version = domain.evolve(session, recorded.event), recorded.version
        self._stream_id, self._session, self._version = stream_id, session, version
