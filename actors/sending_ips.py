"""All addresses that are warmed up: configured, held, and slowed down, in any process.

What an operator does is decided by the log as it is then, and stored on return. What the gate asks
for is what this process knows; the follower brings what others committed (`follow`), a few
milliseconds later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

from signalbox.actors.streams import Streams
from signalbox.domain import sending_ip as domain
from signalbox.domain.names import names_of

if TYPE_CHECKING:
    from signalbox.domain.names import Event
    from signalbox.domain.ramp import Schedule
    from signalbox.domain.sending_ip import SendingIp
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.mapper import Recorded

SENDING_IP_EVENTS: Final = names_of(*get_args(domain.Event))


class SendingIps:
    """Every address, by its canonical text (`domain.sending_ip.canonical_ip`).

    Its methods raise `Unavailable`, and what `domain.sending_ip.decide` refuses with.
    """

    def __init__(self, log: EventLog, journal: Journal) -> None:
        self._now = journal.now
        self._streams: Streams[SendingIp | None] = Streams(log, journal, None, _evolve)

    def add(
        self, ip: str, schedules: tuple[Schedule, ...], *, by: str, request_id: str = ""
    ) -> None:
        """Warm an address up. Raises: `IpExists`, `GroupingExists`."""
        self._change(ip, domain.AddIp(schedules), by=by, request_id=request_id)

    def replace(
        self,
        ip: str,
        schedules: tuple[Schedule, ...],
        flags_kept: frozenset[str] = frozenset(),
        *,
        by: str,
        request_id: str = "",
    ) -> None:
        """Give an address other ramps. Raises: `UnknownIp`, `GroupingExists`."""
        command = domain.ReplaceIp(schedules, flags_kept)
        self._change(ip, command, by=by, request_id=request_id)

    def remove(self, ip: str, *, by: str, request_id: str = "") -> None:
        """Warm an address up no more. Raises: `UnknownIp`."""
        self._change(ip, domain.RemoveIp(), by=by, request_id=request_id)

    def remove_grouping(self, ip: str, grouping: str, *, by: str, request_id: str = "") -> None:
        """Take one ramp away. Raises: `UnknownIp`, `UnknownGrouping`."""
        self._change(ip, domain.RemoveGrouping(grouping), by=by, request_id=request_id)

    def pause(self, ip: str, grouping: str | None = None, *, by: str, request_id: str = "") -> None:
        """Hold one grouping, or all (None). Raises: `UnknownIp`, `UnknownGrouping`."""
        self._change(ip, domain.Pause(grouping), by=by, request_id=request_id)

    def resume(
        self, ip: str, grouping: str | None = None, *, by: str, request_id: str = ""
    ) -> None:
        """Let one grouping go on, or all (None). Raises: `UnknownIp`, `UnknownGrouping`."""
        self._change(ip, domain.Resume(grouping), by=by, request_id=request_id)

    def tell(self, ip: str, news: domain.JudgeResults | domain.FinishGrouping) -> None:
        """Decide on what came by itself; the log is asked only where something follows from it."""
        if domain.decide(self.find(ip), news, self._now().timestamp()):
            self._change(ip, news, by="gateway", request_id="")

    def knows(self, ip: str) -> bool:
        """Tell whether an address is warmed up, by what any process has committed."""
        return self._streams.newest(domain.stream_of(ip)) is not None

    def find(self, ip: str) -> SendingIp | None:
        """Return an address as this process knows it; None when it is not warmed up."""
        return self._streams.remembered(domain.stream_of(ip))

    def follow(self, recorded: Recorded) -> None:
        """Take what the log has of an address."""
        self._streams.follow(recorded)

    def _change(self, ip: str, command: domain.Command, *, by: str, request_id: str) -> None:
        self._streams.change(
            domain.stream_of(ip),
            lambda state, now_s: domain.decide(state, command, now_s),
            by=by,
            request_id=request_id,
        )


def _evolve(state: SendingIp | None, event: Event, at_s: float) -> SendingIp | None:
    assert isinstance(event, domain.Event), event
    return domain.evolve(state, event, at_s)
