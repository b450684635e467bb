"""What callbacks tell: which events they are about, and in which words.

The words come from whoever knows the events; here is only their shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from signalbox.eventstore.mapper import Recorded


@dataclass(frozen=True, slots=True)
class Told:
    """What a receiver reads: a type such as "message.received", and what belongs to it."""

    type: str
    data: Mapping[str, object]


def _nothing(_: Recorded) -> Collection[str]:
    return ()


@dataclass(frozen=True, slots=True)
class Topic:
    """An event class owners may be told of, under one of `domain.webhook.KINDS`.

    `tell` gets the event's stream up to it, and its version, and makes what is told of it. Before
    that stream it gets what the streams named by `beside` had when the event was stored.
    """

    kind: str
    tell: Callable[[Sequence[Recorded], int], Told]
    beside: Callable[[Recorded], Collection[str]] = _nothing
