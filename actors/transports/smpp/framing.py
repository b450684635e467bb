"""Cutting the byte stream of an SMPP session into PDUs (SMPP 3.4, 3.2)."""

from collections.abc import Sequence
from struct import Struct
from typing import Final, NamedTuple

HEADER: Final = Struct(">IIII")  # command_length, command_id, command_status, sequence_number
FRAME_OCTETS_MAX: Final = 65536


class Frame(NamedTuple):
    """One PDU, its body not yet looked into."""

    command_id: int
    status: int
    sequence: int
    body: bytes


class ProtocolError(ValueError):
    """The peer sent what SMPP does not allow."""


class FramingError(ProtocolError):
    """A command_length that cannot be: where the next PDU begins is unknown, the session must end.

    `frames` are the good ones that came before it in the same read.
    """

    def __init__(self, length: int, frames: Sequence[Frame] = ()) -> None:
        super().__init__(f"command_length {length}")
        self.length = length
        self.frames = tuple(frames)


class Framer:
    """Collects what a socket delivers, in pieces of any size, and returns the complete PDUs."""

    __slots__ = ("_frame_octets_max", "_waiting")

    def __init__(self, frame_octets_max: int = FRAME_OCTETS_MAX) -> None:
        self._frame_octets_max = frame_octets_max
        self._waiting = bytearray()

    @property
    def partial(self) -> bool:
        """Whether the beginning of a PDU waits for its rest."""
        return bool(self._waiting)

    def feed(self, data: bytes) -> list[Frame]:
        """Return the PDUs that `data` completes, in order.

        Raises:
            FramingError: A PDU claims to be shorter than its header or longer than allowed.
        """
        self._waiting += data
        frames: list[Frame] = []
        with memoryview(self._waiting) as view:
            consumed = self._cut(view, frames)
        del self._waiting[:consumed]
        return frames

    def _cut(self, view: memoryview, frames: list[Frame]) -> int:
        """Append the complete PDUs to `frames` and return how many octets they took."""
        start = 0
        while start + HEADER.size <= len(view):
            length, command_id, status, sequence = HEADER.unpack_from(view, start)
            if not HEADER.size <= length <= self._frame_octets_max:
                raise FramingError(length, frames)
            end = start + length
            if end > len(view):
                break
            body = bytes(view[start + HEADER.size : end])
            frames.append(Frame(command_id, status, sequence, body))
            start = end
        return start
