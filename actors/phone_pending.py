"""How many messages of an owner wait for a phone, and whether there is room for more."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

from signalbox.actors.memory import Memory
from signalbox.actors.streams import REMEMBERED_MAX
from signalbox.actors.turns import Turns
from signalbox.domain import phone_message as domain
from signalbox.domain.errors import QueueFull
from signalbox.eventstore.postgres import borrowed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from signalbox.eventstore.log import EventLog

KIND: Final = "push"
COUNTED_S: Final = 1.0  # how long a count is good, with what this process added since
_COUNT: Final = """
    SELECT count(*) AS waiting FROM (
        SELECT FROM signalbox.inbox WHERE actor_id = %s AND kind = %s LIMIT %s) AS rows
"""


@dataclass(slots=True)
class _Count:
    """What the store counted is `base`, less what this process had `stored` by then."""

    base: int = 0
    stored: int = 0
    under_way: int = 0
    counted_s: float = float("-inf")

    @property
    def waiting(self) -> int:
        return self.base + self.stored + self.under_way

    @property
    def is_old(self) -> bool:
        return monotonic() - self.counted_s > COUNTED_S


class Pending:
    """The limit on what waits. Several processes may exceed it by what each adds in `COUNTED_S`.

    What is stored in the moment in which the store counts may count twice, for as long.
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._turns: Turns[str] = Turns()
        self._counts: Memory[str, _Count] = Memory(REMEMBERED_MAX, 0.0)

    @contextmanager
    def room(self, owner: str, messages: int, pending_max: int) -> Iterator[None]:
        """Keep room for messages, for good when the caller leaves without an error.

        Raises: `QueueFull`, `Unavailable`.
        """
        count = self._counts.get(owner, _Count)
        assert count is not None, owner
        if count.is_old:
            self._recount(count, owner, pending_max)
        if count.waiting + messages > pending_max:
            raise QueueFull(pending_max)
        count.under_way += messages
        try:
            yield
            count.stored += messages
        finally:
            count.under_way -= messages

    def _recount(self, count: _Count, owner: str, rows_max: int) -> None:
        with self._turns.of(owner), self._log.turns:
            if not count.is_old:
                return
            stored = count.stored  # What is stored while the store counts is added to that.
            count.base = self._waiting(owner, rows_max) - stored
            count.counted_s = monotonic()

    def _waiting(self, owner: str, rows_max: int) -> int:
        with borrowed(self._log.pool) as connection:
            row = connection.execute(_COUNT, (domain.inbox_of(owner), KIND, rows_max)).fetchone()
        assert row is not None
        return int(row["waiting"])
