"""What the queue of an owner's messages is made of, and what it is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gevent.event import AsyncResult

    from signalbox.actors.phone_feeder import PhoneFeeder, Tracked
    from signalbox.actors.phone_line import HeldLine
    from signalbox.actors.phone_pace import Buckets
    from signalbox.actors.phone_registry import Registry
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.mapper import Recorded


@dataclass(frozen=True, slots=True)
class Parts:
    """What all queues of a process share.

    `patience_s`: how long a message is left to another process's line. After `confirm_s` without a
    phone's word its message no longer keeps others from it.
    """

    journal: Journal
    feeder: PhoneFeeder
    registry: Registry
    buckets: Buckets
    fail: Callable[[HeldLine], None]
    patience_s: float
    confirm_s: float


@dataclass(frozen=True, slots=True)
class News:
    """Somebody put messages into the owner's inbox."""


@dataclass(frozen=True, slots=True)
class LinesChanged:
    """A line came, went, became ready or told its SIMs, here or elsewhere."""


@dataclass(frozen=True, slots=True)
class Followed:
    """The log has a new event of one of the owner's messages."""

    recorded: Recorded


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """The journal is done with what was decided on a message: stored, or not."""

    tracked: Tracked
    held: HeldLine
    result: AsyncResult


@dataclass(frozen=True, slots=True)
class Pump:
    """A token, a second push or the end of some patience is due."""


@dataclass(frozen=True, slots=True)
class Retry:
    """It is time to read anew what could not be stored."""
