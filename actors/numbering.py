"""The next numbers of an owner, handed out without waiting for a commit.

    append with 7 ◀── relies on ── append with 8, 9 ◀── relies on ── append with 10
          ✗ somebody else took 7            ✗                              ✗

Whoever appends next relies on the append before (`Journal.append`), so a number is stored only
behind all smaller ones, and what follows a failure fails with it: then the log tells how far the
owner is. Only the first number of a stream has nothing before it there to rely on: it waits until
the last one of the stream before is stored.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING

from gevent.lock import Semaphore

from signalbox.actors.memory import Memory
from signalbox.actors.streams import REMEMBERED_MAX
from signalbox.domain import numbering as domain
from signalbox.domain import phone_message
from signalbox.domain.numbering import STREAM_NUMBERS, NumberTaken
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.journal import Append, Write

if TYPE_CHECKING:
    from collections.abc import Callable

    from gevent.event import AsyncResult

    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog


@dataclass(slots=True, eq=False)
class _Owner:
    """How far an owner is: `next_number` is 0 until the log was asked, then it was at `chunk`."""

    next_number: int = 0
    chunk: int = 0
    newest: AsyncResult | None = None
    """What becomes of the newest append from here."""
    turn: Semaphore = field(default_factory=Semaphore)

    @property
    def has_failed(self) -> bool:
        return self.newest is not None and self.newest.ready() and not self.newest.successful()


class Numbering:
    """Numbers of all owners, `stream_numbers` to a stream."""

    def __init__(
        self, log: EventLog, journal: Journal, *, stream_numbers: int = STREAM_NUMBERS
    ) -> None:
        self._log = log
        self._journal = journal
        self._stream_numbers = stream_numbers
        self._owners: Memory[str, _Owner] = Memory(REMEMBERED_MAX, 0.0)

    def append(self, owner: str, count: int, make: Callable[[range], Append]) -> AsyncResult:
        """Append what `make` returns for the next `count` numbers, and the numbers with it.

        The result is the journal's. `Conflict` there means that others took these numbers: it may
        be tried again.

        Raises: `Unavailable`, and what `Journal.append` raises.
        """
        whose = self._owner(owner)
        patience_s = self._journal.wait_s_max + 1
        if not whose.turn.acquire(timeout=patience_s):
            raise Unavailable(f"too many number their messages for {owner}")
        try:
            first = self._first(owner, whose, patience_s)
            numbers = range(first, first + count)
            append = make(numbers)
            places = self._places(owner, numbers)
            newest = self._journal.append(replace(append, writes=(*places, *append.writes)))
            whose.newest, whose.next_number = newest, numbers.stop
        finally:
            whose.turn.release()
        return newest

    def follow(self, stream_id: str, version: int) -> None:
        """Know that somebody took a number, in whichever process."""
        whose = self._owners.get(domain.owner_of(stream_id), lambda: None)
        number = domain.number_at(stream_id, version, self._stream_numbers)
        if whose is not None and 0 < whose.next_number <= number:
            whose.next_number = number + 1

    def _owner(self, owner: str) -> _Owner:
        whose = self._owners.get(owner, _Owner)
        assert whose is not None, owner
        return whose

    def _first(self, owner: str, whose: _Owner, patience_s: float) -> int:
        _, version = domain.place_of(max(whose.next_number, 1), self._stream_numbers)
        if version == 1 and whose.newest is not None:
            whose.newest.wait(patience_s)
            if not whose.newest.ready():
                raise Unavailable("store does not answer")
        if not whose.next_number or whose.has_failed:
            whose.chunk, last = self._head(owner, whose.chunk)
            whose.next_number = whose.chunk * self._stream_numbers + last + 1
            whose.newest = None
        return whose.next_number

    def _places(self, owner: str, numbers: range) -> list[Write]:
        writes = []
        by_chunk = groupby(numbers, lambda one: domain.place_of(one, self._stream_numbers)[0])
        for chunk, group in by_chunk:
            inside = list(group)
            _, version = domain.place_of(inside[0], self._stream_numbers)
            streams = [phone_message.stream_of(owner, str(number)) for number in inside]
            taken = [NumberTaken(stream) for stream in streams]
            writes.append(Write(domain.stream_of(owner, chunk), version, taken, owner))
        return writes

    def _head(self, owner: str, low: int) -> tuple[int, int]:
        """Return the first chunk from `low` on that is not full, and the last version in it.

        They are filled one after the other: ever longer steps find one that is not full, halving
        what lies between finds the first such.
        """
        step = 1
        while self._is_full(owner, low + step - 1):
            low, step = low + step, 2 * step
        between = range(low, low + step - 1)
        chunk = low + bisect_left(between, x=True, key=lambda one: not self._is_full(owner, one))
        return chunk, self._last(owner, chunk)

    def _is_full(self, owner: str, chunk: int) -> bool:
        return self._last(owner, chunk) == self._stream_numbers

    def _last(self, owner: str, chunk: int) -> int:
        with self._log.turns:
            return self._log.last_version(domain.stream_of(owner, chunk))
