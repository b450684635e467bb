"""Streams decided by whoever is asked, in any process: the newest state, a decision, its events.

    change ──▶ read what is new ──▶ decide ──▶ append ──▶ done
                    ▲                             │ another process was first
                    └─────────────────────────────┘

No actor keeps them: the expected version alone sees to it that nobody decides by an old state. What
was read stays in mind, so that only the new end of a stream is read again.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import gevent
from gevent.lock import Semaphore

from signalbox.eventstore.errors import Conflict, Unavailable
from signalbox.eventstore.journal import Append, Write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from signalbox.domain.names import Event
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.mapper import Recorded
    from signalbox.eventstore.recorder import InboxRow, LineRow

REMEMBERED_MAX: Final = 10_000
DECIDE_TRIES: Final = 100
CONFLICT_PAUSE_S: Final = 0.005  # on average, after the first conflict; it grows with each
CONFLICT_PAUSE_S_MAX: Final = 0.05
BUSY_S_MAX: Final = 10.0  # how long a caller waits for those of its own process before it

S = TypeVar("S")
T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Held(Generic[S]):
    """A stream up to a version; `seen` is the latest that anybody told of."""

    state: S
    version: int = 0
    seen: int = 0
    was_read: bool = False
    turn: Semaphore = field(default_factory=Semaphore)

    @property
    def is_behind(self) -> bool:
        """True when the log may have more than this."""
        return not self.was_read or self.version < self.seen


@dataclass(frozen=True, slots=True)
class Beside:
    """What is stored together with a decision, or not at all."""

    writes: tuple[Write, ...] = ()
    inbox: tuple[InboxRow, ...] = ()
    lines: tuple[LineRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose stream it is, who wants it changed, and what is stored beside the events."""

    tenant_id: str
    by: str
    request_id: str
    beside: Callable[[Sequence[Event]], Beside] = lambda _: Beside()


class Streams(Generic[S]):
    """Streams of one kind. The clock is the journal's: events are dated by what decided on them.

    A stream whose state `is_open` waits in an inbox; what closes it takes it from there.
    """

    def __init__(
        self,
        log: EventLog,
        journal: Journal,
        initial: S,
        evolve: Callable[[S, Event, float], S],
        is_open: Callable[[S], bool] = lambda _: False,
    ) -> None:
        self._log = log
        self._journal = journal
        self._initial = initial
        self._evolve = evolve
        self._is_open = is_open
        self._held: OrderedDict[str, _Held[S]] = OrderedDict()

    def remembered(self, stream_id: str) -> S:
        """Return the state as this process knows it; it asks the log only the first time.

        Raises: `Unavailable`.
        """
        held = self._find(stream_id)
        if held.is_behind:
            self._catch_up(stream_id, held)
        return held.state

    def newest(self, stream_id: str) -> S:
        """Return the state as the log has it. Raises: `Unavailable`."""
        held = self._find(stream_id)
        self._catch_up(stream_id, held)
        return held.state

    def change(
        self,
        stream_id: str,
        decide: Callable[[S, float], Sequence[Event]],
        *,
        tenant_id: str | Callable[[S], str] = "",
        by: str = "",
        request_id: str = "",
        beside: Callable[[Sequence[Event]], Beside] = lambda _: Beside(),
    ) -> Sequence[Event]:
        """Decide until nobody comes between; return what was stored.

        `decide` gets the newest state and the time (Unix seconds). It may be called many times, and
        only its last answer counts. `beside` says what goes with the events; whose
        they are, `tenant_id`, may depend on the state.

        Raises: what `decide` refuses with, and `Unavailable`.
        """
        held = self._find(stream_id)

        def attempt() -> Sequence[Event]:
            self._catch_up(stream_id, held)
            owner = tenant_id if isinstance(tenant_id, str) else tenant_id(held.state)
            asked = Asked(owner, by, request_id, beside)
            return self._decide(stream_id, held, decide, asked)

        if not held.turn.acquire(timeout=BUSY_S_MAX):
            raise Unavailable(f"too many decide on {stream_id}")
        try:
            return until_stored(attempt, stream_id)
        finally:
            held.turn.release()

    def follow(self, recorded: Recorded) -> None:
        """Take what the log has of a stream, if this process ever asked for it."""
        held = self._held.get(recorded.stream_id)
        if held is not None:
            self._take(held, recorded.version, recorded.event, recorded.at_s)
            held.seen = max(held.seen, recorded.version)

    def expect(self, stream_id: str, version: int) -> None:
        """Know that the log has a version, so that whoever asks next reads up to it."""
        held = self._held.get(stream_id)
        if held is not None:
            held.seen = max(held.seen, version)

    def _decide(
        self,
        stream_id: str,
        held: _Held[S],
        decide: Callable[[S, float], Sequence[Event]],
        asked: Asked,
    ) -> Sequence[Event]:
        at_s = self._journal.now().timestamp()
        events = decide(held.state, at_s)
        if not events:
            return events
        last_version = held.version + len(events)
        wait_s = self._journal.wait_s_max
        beside = asked.beside(events)
        append = Append(
            writes=(
                Write(stream_id, held.version + 1, events, asked.tenant_id),
                *beside.writes,
            ),
            by=asked.by,
            request_id=asked.request_id,
            inbox=beside.inbox,
            lines=beside.lines,
            done=(stream_id,) if self._closes(held.state, events, at_s) else (),
            wait_s=wait_s,
        )
        try:
            self._journal.append(append).get(timeout=wait_s + 1)
        except gevent.Timeout:
            raise Unavailable("store does not answer") from None
        held.seen = max(held.seen, last_version)
        return events

    def _closes(self, state: S, events: Sequence[Event], at_s: float) -> bool:
        if not self._is_open(state):
            return False
        for event in events:
            state = self._evolve(state, event, at_s)
        return not self._is_open(state)

    def _find(self, stream_id: str) -> _Held[S]:
        held = self._held.get(stream_id)
        if held is None:
            held = self._held[stream_id] = _Held(self._initial)
            if len(self._held) > REMEMBERED_MAX:
                self._held.popitem(last=False)
        self._held.move_to_end(stream_id)
        return held

    def _catch_up(self, stream_id: str, held: _Held[S]) -> None:
        with self._log.turns:
            news = self._log.read(stream_id, after=held.version)
        for recorded in news:
            self._take(held, recorded.version, recorded.event, recorded.at_s)
        held.was_read = True

    def _take(self, held: _Held[S], version: int, event: Event, at_s: float) -> None:
        """Apply an event that is the next one; it may have come another way before."""
        if version == held.version + 1:
            held.state = self._evolve(held.state, event, at_s)
            held.version = version


def until_stored(attempt: Callable[[], T], what: str) -> T:
    """Return what `attempt` does, which looks again each time that somebody was first.

    Raises: `Unavailable` when that never ends, and whatever `attempt` raises.
    """
    for failed in range(DECIDE_TRIES):
        try:
            return attempt()
        except Conflict:
            gevent.sleep(pause_s(failed))
    raise Unavailable(f"{what} changes all the time")


def pause_s(failed: int) -> float:
    """Return a pause unlike that of whoever met the same conflict, longer after each failure."""
    average_s = min(CONFLICT_PAUSE_S * (failed + 1), CONFLICT_PAUSE_S_MAX)
    return random.uniform(0, 2 * average_s)  # noqa: S311  nothing to guess
