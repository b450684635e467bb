"""Who calls: users logged in, and recognised by their tokens.

log_in ──▶ a token, signed with the application's own key (HS256, RFC 7519)
authenticate ──▶ who that token was given to
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from signalbox.actors.attempts import Attempts
from signalbox.actors.directory import ABSENCE_S, REMEMBERED_MAX, Directory
from signalbox.actors.memory import Memory
from signalbox.actors.passwords import Passwords
from signalbox.actors.tokens import Claims, Tokens
from signalbox.domain.account import RehashPassword
from signalbox.domain.errors import UnknownApplication
from signalbox.eventstore.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from signalbox.domain.account import App, User
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLimits:
    """How long a token lives, and how many passwords may be tried."""

    token_ttl_s: int = 86_400
    password_octets_max: int = 128
    login_failures_max: int = 5
    login_failures_per_ip_max: int = 20
    login_window_s: int = 900
    hash_threads: int = 2
    hash_queue_max: int = 16


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls, for which application."""

    user_id: int
    app_id: int
    is_admin: bool

    @property
    def by(self) -> str:
        """The caller as events name it."""
        return f"user-{self.user_id}"


@dataclass(frozen=True, slots=True)
class _Verified:
    claims: Claims
    user_stream: str


class Accounts:
    """Everything about who calls. One per process, after gevent's patching."""

    def __init__(
        self,
        event_log: EventLog,
        journal: Journal,
        limits: AccountLimits,
        now: Callable[[], datetime],
    ) -> None:
        self.directory = Directory(event_log, journal)
        self.passwords = Passwords(
            limits.hash_threads, limits.hash_queue_max, limits.password_octets_max
        )
        self._limits = limits
        self._now = now
        self._tokens = Tokens(event_log.secrets, limits.token_ttl_s)
        self._attempts = Attempts(event_log.pool, limits.login_window_s)
        self._verified: Memory[bytes, _Verified] = Memory(REMEMBERED_MAX, ABSENCE_S)

    def log_in(
        self, email: str, password: str, app_id: int, *, peer: str, request_id: str = ""
    ) -> str:
        """Return a token for the application. `peer` is the caller's IP address.

        Raises:
            InvalidField: a password that is empty or too long.
            UnknownApplication: no such application, or the user has another one of its own.
            WrongCredentials: no such user, or another password; both take the same time.
            TooManyAttempts: too many failures with this address, or from this peer.
            Unavailable: the store or the hashing is too busy.
        """
        self.passwords.require_length(password)
        app = self.app(app_id)
        if app is None:
            raise UnknownApplication
        stream = self.directory.stream_of(email)
        user = self._checked(stream, password, peer)
        if user.app_id not in {0, app_id}:
            raise UnknownApplication
        if self.passwords.is_outdated(user.password_hash):
            self._rehash(stream, user, password, request_id)
        now_s = int(self._now().timestamp())
        return self._tokens.give(app, app_id, user_id=user.user_id, email=email, now_s=now_s)

    def app(self, app_id: int) -> App | None:
        """Return an application, None when there is none of that number. Raises: `Unavailable`."""
        return self.directory.app(app_id)

    def authenticate(self, token: str, app_id: int) -> Identity | None:
        """Return whom the token was given to; None when it is not valid for this application now.

        Raises: `Unavailable`.
        """
        digest = hashlib.sha256(f"{app_id}\0{token}".encode()).digest()
        verified = self._verified.get(digest, lambda: self._verify(token, app_id))
        if verified is None or verified.claims.exp <= self._now().timestamp():
            return None
        user = self.directory.user(verified.user_stream)
        if user is None or user.user_id != verified.claims.uid:
            return None
        return Identity(user.user_id, app_id, user.is_admin)

    def forget(self, stream_id: str) -> None:
        """The log has news of a user or an application."""
        if self.directory.forget(stream_id):
            self._verified.clear()

    def close(self) -> None:
        """Stop the hashing threads."""
        self.passwords.close()

    def _verify(self, token: str, app_id: int) -> _Verified | None:
        app = self.app(app_id)
        claims = self._tokens.read(app, app_id, token) if app else None
        return _Verified(claims, self.directory.stream_of(claims.email)) if claims else None

    def _checked(self, user_stream: str, password: str, peer: str) -> User:
        account = user_stream
        source = self.directory.secrets.digest("peer", peer)
        failures_max = {
            account: self._limits.login_failures_max,
            source: self._limits.login_failures_per_ip_max,
        }

        def check() -> User | None:
            user = self.directory.user(user_stream)
            matched = self.passwords.matches(password, user.password_hash if user else None)
            return user if matched else None

        return self._attempts.log_in(failures_max, account, check)

    def _rehash(self, stream: str, user: User, password: str, request_id: str) -> None:
        """Hash a password as new ones are; when that can't be now, the next log-in does it."""
        try:
            command = RehashPassword(
                old_hash=user.password_hash, password_hash=self.passwords.hash(password)
            )
            self.directory.change(stream, command, by=f"user-{user.user_id}", request_id=request_id)
        except Unavailable as error:
            log.warning("password not hashed anew", extra={"reason": str(error)})
