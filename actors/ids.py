"""Ids made outside the domain: time-ordered UUIDs, job numbers drawn in blocks, random words."""

from __future__ import annotations

import os
import secrets
import string
from time import time_ns
from typing import TYPE_CHECKING, Final
from uuid import UUID

from gevent.lock import BoundedSemaphore

if TYPE_CHECKING:
    from collections.abc import Callable

BASE62: Final = string.digits + string.ascii_letters
BLOCK: Final = 1000  # the increment of the sequence the blocks come from


def uuid7() -> UUID:
    """Return a UUID whose first 48 bits are the Unix time in ms (RFC 9562, 5.7)."""
    octets = bytearray((time_ns() // 1_000_000).to_bytes(6) + os.urandom(10))
    octets[6] = 0x70 | (octets[6] & 0x0F)
    octets[8] = 0x80 | (octets[8] & 0x3F)
    return UUID(bytes=bytes(octets))


def base62(characters: int) -> str:
    """Return random letters and digits that nobody can guess, nearly 6 bits in each."""
    return "".join(secrets.choice(BASE62) for _ in range(characters))


class Numbers:
    """Unique growing numbers; one trip to the database per thousand."""

    def __init__(self, draw: Callable[[], int]) -> None:
        self._draw = draw
        self._next = self._end = 0
        self._lock = BoundedSemaphore()

    def take(self) -> int:
        """Return the next number."""
        with self._lock:
            if self._next >= self._end:
                self._next = self._draw()
                self._end = self._next + BLOCK
            self._next += 1
            return self._next - 1
