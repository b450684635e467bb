"""Numbers of an owner's messages: 1, 2, 3, … without a gap, visible in their order.

Whoever takes a number appends `NumberTaken` beside the message itself. The number is the event's
place in streams of `STREAM_NUMBERS` each, so the store's own rules (a version exists once, and only
behind its predecessor) see to it that nobody sees a number before all smaller ones.
"""

from dataclasses import dataclass
from typing import Final

STREAM_NUMBERS: Final = 1_000


@dataclass(frozen=True, slots=True)
class NumberTaken:
    """The next number is the one of this stream."""

    stream_id: str


def stream_of(owner: str, chunk: int) -> str:
    """Return the stream of the numbers from `chunk * STREAM_NUMBERS + 1` on."""
    return f"numbers-{owner}-{chunk}"


def place_of(number: int, stream_numbers: int = STREAM_NUMBERS) -> tuple[int, int]:
    """Return the chunk and the version in its stream that a number (from 1) has."""
    chunk, offset = divmod(number - 1, stream_numbers)
    return chunk, offset + 1


def number_at(stream_id: str, version: int, stream_numbers: int = STREAM_NUMBERS) -> int:
    """Return the number whose place this is."""
    return int(stream_id.rpartition("-")[2]) * stream_numbers + version


def owner_of(stream_id: str) -> str:
    """Return whose numbers a stream holds."""
    return stream_id.removeprefix("numbers-").rpartition("-")[0]
