"""Passwords: hashed and checked on a few threads, so that a flood of log-ins stops nothing else.

The parameters are the least OWASP recommends for argon2id: 19 MiB, 2 passes, 1 lane.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from gevent.threadpool import ThreadPool

from signalbox.actors.threads import in_thread
from signalbox.domain.errors import InvalidField
from signalbox.eventstore.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

PASSES: Final = 2
MEMORY_KIB: Final = 19_456
LANES: Final = 1

P = ParamSpec("P")
R = TypeVar("R")


class Passwords:
    """Hashes on `threads` threads; at most `queue_max` more may wait for one."""

    def __init__(self, threads: int, queue_max: int, octets_max: int) -> None:
        self._octets_max = octets_max
        self._hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)
        self._threads = ThreadPool(threads)
        self._room = threads + queue_max
        self._nobodys_hash = self._hasher.hash(secrets.token_hex())

    def require_length(self, password: str) -> None:
        """Raise `InvalidField` for a password that is empty or too long."""
        if not 0 < len(password.encode()) <= self._octets_max:
            raise InvalidField("password", f"expected 1 to {self._octets_max} bytes")

    def is_outdated(self, password_hash: str) -> bool:
        """Tell whether a new hash of the same password would be made in another way."""
        return self._hasher.check_needs_rehash(password_hash)

    def hash(self, password: str) -> str:
        """Return an argon2 string. Raises: `Unavailable` when too many wait."""
        return self._run(self._hasher.hash, password)

    def matches(self, password: str, password_hash: str | None) -> bool:
        """Compare; without a hash it takes as long and is never true.

        Raises: `Unavailable` when too many wait.
        """
        matched = self._run(self._verify, password_hash or self._nobodys_hash, password)
        return matched and password_hash is not None

    def close(self) -> None:
        """Stop the threads."""
        self._threads.kill()

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except VerifyMismatchError:
            return False

    def _run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        if self._room <= 0:
            raise Unavailable("too many passwords wait to be checked")
        self._room -= 1
        try:
            return in_thread(lambda: work(*args, **kwargs), self._threads)
        finally:
            self._room += 1
