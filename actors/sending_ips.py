"""All addresses that are warmed up: configured, held, and slowed down, in any process.

What an operator does is decided by the address's actor, by the log as it is then, and stored on
return. What the gate asks for is what this process knows; the follower brings what others committed
(`follow`), a few milliseconds later. To look at an address starts no actor, nor does a command for
one that is not warmed up.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, get_args

import gevent
from gevent.event import AsyncResult
from gevent.lock import BoundedSemaphore

from signalbox.actors.runtime import listens
from signalbox.actors.sending_ip import Decide, Followed, SendingIpActor
from signalbox.actors.streams import Streams
from signalbox.domain import sending_ip as domain
from signalbox.domain.names import names_of
from signalbox.eventstore.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pykka

    from signalbox.domain.names import Event
    from signalbox.domain.ramp import Schedule
    from signalbox.domain.sending_ip import SendingIp
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.mapper import Recorded

SENDING_IP_EVENTS: Final = names_of(*get_args(domain.Event))
ACTORS_MAX: Final = 1_000  # beyond it the one that was asked longest ago stops
ANSWER_S_MAX: Final = 10.0


class SendingIps:
    """Every address, by its canonical text (`domain.sending_ip.canonical_ip`).

    Its methods raise `Unavailable`, and what `domain.sending_ip.decide` refuses with.
    """

    def __init__(self, log: EventLog, journal: Journal) -> None:
        self._log = log
        self._journal = journal
        self._known: Streams[SendingIp | None] = Streams(log, journal, None, _evolve)
        self._actors: OrderedDict[str, pykka.ActorRef[SendingIpActor]] = OrderedDict()
        self._starting = BoundedSemaphore()
        self._asking: Counter[str] = Counter()

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
        if domain.decide(self.find(ip), news, self._now_s()):
            self._change(ip, news, by="gateway", request_id="")

    def knows(self, ip: str) -> bool:
        """Tell whether an address is warmed up, by what any process has committed."""
        return self._known.newest(domain.stream_of(ip)) is not None

    def find(self, ip: str) -> SendingIp | None:
        """Return an address as this process knows it; None when it is not warmed up."""
        return self._known.remembered(domain.stream_of(ip))

    def follow(self, recorded: Recorded) -> None:
        """Take what the log has of an address."""
        self._known.follow(recorded)
        ref = self._actors.get(domain.ip_of(recorded.stream_id))
        if ref is not None and listens(ref):
            with suppress(Unavailable):  # A full inbox: it reads what is new before it decides.
                ref.tell(Followed(recorded))

    def _change(self, ip: str, command: domain.Command, *, by: str, request_id: str) -> None:
        if not isinstance(command, domain.AddIp) and not self.knows(ip):
            domain.decide(None, command, self._now_s())  # It refuses, or nothing follows.
            return
        ask = Decide(command, by, request_id, AsyncResult())
        with self._asked(ip) as ref:
            ref.tell(ask)
            version = _answer(ask)
        self._known.expect(domain.stream_of(ip), version)

    @contextmanager
    def _asked(self, ip: str) -> Iterator[pykka.ActorRef[SendingIpActor]]:
        """Find or start an actor, and keep it for as long as somebody waits for its answer."""
        self._asking[ip] += 1
        try:
            yield self._actor(ip)
        finally:
            self._asking[ip] -= 1
            if not self._asking[ip]:
                del self._asking[ip]

    def _actor(self, ip: str) -> pykka.ActorRef[SendingIpActor]:
        ref = self._actors.get(ip)
        if ref is None or not listens(ref):
            ref = self._start(ip)
        self._actors.move_to_end(ip)
        return ref

    def _start(self, ip: str) -> pykka.ActorRef[SendingIpActor]:
        with self._starting:  # To start an actor lets others run: of two one would be lost.
            ref = self._actors.get(ip)
            if ref is None or not listens(ref):
                self._make_room(ip)
                ref = self._actors[ip] = SendingIpActor.start(ip, self._log, self._journal)
        return ref

    def _make_room(self, ip: str) -> None:
        """Let go of the actor that was asked longest ago, if there is no room for another."""
        if ip in self._actors or len(self._actors) < ACTORS_MAX:
            return
        idle = next((one for one in self._actors if one not in self._asking), None)
        if idle is None:
            raise Unavailable("too many addresses are changed at once")
        self._actors.pop(idle).stop(block=False)

    def _now_s(self) -> float:
        return self._journal.now().timestamp()


def _answer(ask: Decide) -> int:
    try:
        version: int = ask.reply.get(timeout=ANSWER_S_MAX)
    except gevent.Timeout:
        gave_up = Unavailable("address is busy")
        ask.reply.set_exception(gave_up)
        raise gave_up from None
    return version


def _evolve(state: SendingIp | None, event: Event, at_s: float) -> SendingIp | None:
    assert isinstance(event, domain.Event), event
    return domain.evolve(state, event, at_s)
