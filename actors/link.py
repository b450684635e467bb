"""The actor that decides for a link, in any process: accept a message, switch the link.

It holds the link's state as the log has it (`Followed` brings what other processes committed) and
never acts on the wire: that is `link_session`, in the one process that holds the lease.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from typing_extensions import override

from signalbox.actors.runtime import Actor
from signalbox.domain import link as links
from signalbox.domain import message as messages
from signalbox.domain.errors import Refused
from signalbox.eventstore import metrics
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.journal import Append, Write
from signalbox.eventstore.recorder import InboxRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from gevent.event import AsyncResult

    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.mapper import Recorded


@dataclass(slots=True)
class Accept:
    """Decide on a message; `reply` gets its position in the log, or what went wrong.

    `accepted` is set before the reply.
    """

    stream_id: str
    command: messages.AcceptMessage
    by: str
    request_id: str
    reply: AsyncResult
    accepted: messages.MessageAccepted | None = None
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Decide:
    """Decide on a command for the link itself; `reply` gets the link as it is then."""

    command: links.Command
    by: str
    request_id: str
    reply: AsyncResult


@dataclass(frozen=True, slots=True)
class Decided:
    """The journal is done with what was decided upon `ask`: stored, or not."""

    ask: Decide
    link: links.Link
    version: int
    result: AsyncResult


@dataclass(frozen=True, slots=True)
class Followed:
    """The log has a new event of this link."""

    recorded: Recorded


class LinkActor(Actor):
    """Decides for one link; see `receive` for what it is told."""

    def __init__(
        self,
        link_id: int,
        log: EventLog,
        journal: Journal,
        published: Callable[[links.Link], None],
        require_room: Callable[[], None],
    ) -> None:
        super().__init__(links.stream_of(link_id), log.pool)
        self._link_id = link_id
        self._log = log
        self._journal = journal
        self._published = published
        self._require_room = require_room

    @override
    def restore(self) -> None:
        history = self._log.read(self.name)
        self._link, self._version = links.Link(self._link_id), 0
        for recorded in history:
            self._apply(recorded)
        self._published(self._link)

    @override
    def receive(self, message: object) -> None:
        match message:
            case Accept():
                self._accept(message)
            case Decide():
                self._decide(message)
            case Decided():
                self._decided(message)
            case Followed(recorded) if recorded.version == self._version + 1:
                self._apply(recorded)
                self._published(self._link)
            case Followed(recorded) if recorded.version > self._version:
                self.restore()

    def _apply(self, recorded: Recorded) -> None:
        assert isinstance(recorded.event, links.Event), recorded
        self._link = links.evolve(self._link, recorded.event)
        self._version = recorded.version

    def _accept(self, ask: Accept) -> None:
        try:
            events = messages.accept(self._link, ask.command)
            (ask.accepted,) = events
            tenant_id = f"app-{ask.command.app_id}"
            append = Append(
                writes=(Write(ask.stream_id, 1, events, tenant_id),),
                by=ask.by,
                request_id=ask.request_id,
                traceparent=ask.traceparent,
                inbox=(InboxRow(self.name, "submit", ask.stream_id),),
                wait_s=self._journal.wait_s_max,
            )
            self._journal.append(append, into=ask.reply)
        except (Refused, Unavailable) as refusal:
            ask.reply.set_exception(refusal)
        else:
            metrics.ACCEPTED.labels(str(self._link_id)).inc()

    def _decide(self, ask: Decide) -> None:
        try:
            events = links.decide(self._link, ask.command)
            if not events:
                self.restore()  # "Nothing to do" must not come from a state that is behind.
                events = links.decide(self._link, ask.command)
            if not events:
                ask.reply.set(self._link)
                return
            if any(isinstance(one, links.LinkToggled) and one.enabled for one in events):
                self._require_room()
            append = Append(
                writes=(Write(self.name, self._version + 1, events),),
                by=ask.by,
                request_id=ask.request_id,
                wait_s=self._journal.wait_s_max,
            )
            result = self._journal.append(append)
        except (Refused, Unavailable) as refusal:
            ask.reply.set_exception(refusal)
            return
        link = reduce(links.evolve, events, self._link)
        version = self._version + len(events)
        result.rawlink(lambda done: self._tell_self(Decided(ask, link, version, done)))

    def _decided(self, decided: Decided) -> None:
        """Answer once this actor decides by it too: the next message must not meet the old link."""
        if not decided.result.successful():
            decided.ask.reply.set_exception(decided.result.exception)
            return
        if self._version < decided.version:
            self._link, self._version = decided.link, decided.version
            self._published(self._link)
        decided.ask.reply.set(self._link)
