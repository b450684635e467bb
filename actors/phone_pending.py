"""How many messages of an owner wait for a phone, and whether there is room for more."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

from signalbox.actors.memory import Memory
from signalbox.actors.streams import REMEMBERED_MAX
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
    waiting: int = 0
    counted_s: float = float("-inf")


class Pending:
    """The limit on what waits. Several processes may exceed it by what each adds in `COUNTED_S`."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._counts: Memory[str, _Count] = Memory(REMEMBERED_MAX, 0.0)

    @contextmanager
    def room(self, owner: str, messages: int, pending_max: int) -> Iterator[None]:
        """Keep room for messages, for good when the caller leaves without an error.

        Raises: `QueueFull`, `Unavailable`.
        """
        count = self._counts.get(owner, _Count)
        assert count is not None, owner
        if monotonic() - count.counted_s > COUNTED_S:
            count.waiting = self._waiting(owner, pending_max)
            count.counted_s = monotonic()
        if count.waiting + messages > pending_max:
            raise QueueFull(pending_max)
        count.waiting += messages
        try:
            yield
        except BaseException:
            count.waiting -= messages
            raise

    def _waiting(self, owner: str, rows_max: int) -> int:
        inbox = domain.inbox_of(owner)
        with self._log.turns, borrowed(self._log.pool) as connection:
            row = connection.execute(_COUNT, (inbox, KIND, rows_max)).fetchone()
        assert row is not None
        return int(row["waiting"])
