"""Users and applications: registered, logged in, recognised by their tokens.

    register ──▶ UserRegistered + AppRegistered, together or not at all
    log_in   ──▶ a token, signed with the application's own key (HS256, RFC 7519)
    authenticate ──▶ who that token was given to

Streams here have one event, so no actor keeps them: the log is read on demand, and what was found
stays in mind until the follower says that it changed (`forget`).
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from eventsourcing.persistence import InterfaceError, OperationalError

from signalbox.actors.attempts import Attempts
from signalbox.actors.memory import Memory
from signalbox.actors.passwords import Passwords
from signalbox.actors.tokens import Claims, Tokens
from signalbox.domain import account as domain
from signalbox.domain.errors import (
    InvalidField,
    UnknownApplication,
    UserExists,
    WrongCredentials,
)
from signalbox.domain.names import names_of
from signalbox.eventstore.errors import Conflict, Unavailable
from signalbox.eventstore.journal import Append, Write
from signalbox.eventstore.postgres import Broken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog

ACCOUNT_EVENTS: Final = names_of(domain.UserRegistered, domain.AppRegistered)
REMEMBERED_MAX: Final = 10_000
ABSENCE_S: Final = 1.0  # how long "not there" is believed without asking again


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
class Registered:
    """The numbers a new user and its application got."""

    user_id: int
    app_id: int


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
    """Everything about who may call. One per process, after gevent's patching."""

    def __init__(
        self,
        log: EventLog,
        journal: Journal,
        limits: AccountLimits,
        now: Callable[[], datetime],
    ) -> None:
        self._log = log
        self._journal = journal
        self._limits = limits
        self._now = now
        self._passwords = Passwords(limits.hash_threads, limits.hash_queue_max)
        self._tokens = Tokens(log.secrets, limits.token_ttl_s)
        self._attempts = Attempts(log.pool, limits.login_window_s)
        self._users: Memory[str, domain.User] = Memory(REMEMBERED_MAX, ABSENCE_S)
        self._apps: Memory[str, domain.App] = Memory(REMEMBERED_MAX, ABSENCE_S)
        self._verified: Memory[bytes, _Verified] = Memory(REMEMBERED_MAX, ABSENCE_S)

    def register(
        self,
        email: str,
        password: str,
        app_name: str,
        app_secret: str,
        *,
        by: str,
        request_id: str,
    ) -> Registered:
        """Make a user and its application; durable on return.

        Raises:
            InvalidField: no address, or a password that is empty or too long.
            UserExists: the address is taken, whatever its case.
            Unavailable: the store or the hashing is too busy.
        """
        self._require_password(password)
        user_stream = self._user_stream(email)
        user = self._read_user(user_stream)
        with _store():
            given = Registered(self._log.next_number("user_ids"), self._log.next_number("app_ids"))
        register_user = domain.RegisterUser(
            user_id=given.user_id,
            email=email,
            password_hash=self._passwords.hash(password),
            app_id=given.app_id,
        )
        secrets = self._log.secrets
        register_app = domain.RegisterApp(
            name=app_name,
            secret_sealed=secrets.seal(app_secret),
            secret_fingerprint=secrets.digest("app secret", app_secret),
        )
        app_stream = domain.app_stream_of(given.app_id)
        writes = (
            Write(user_stream, 1, domain.decide_user(user, register_user), tenant_id=app_stream),
            Write(app_stream, 1, domain.decide_app(None, register_app)),
        )
        self._append(Append(writes=writes, by=by, request_id=request_id))
        self.forget(user_stream)
        self.forget(app_stream)
        return given

    def log_in(self, email: str, password: str, app_id: int, *, peer: str) -> str:
        """Return a token for the application. `peer` is the caller's IP address.

        Raises:
            InvalidField: a password that is empty or too long.
            UnknownApplication: no such application, or the user has another one of its own.
            WrongCredentials: no such user, or another password; both take the same time.
            TooManyAttempts: too many failures with this address, or from this peer.
            Unavailable: the store or the hashing is too busy.
        """
        self._require_password(password)
        app = self.app(app_id)
        if app is None:
            raise UnknownApplication
        user = self._checked(self._user_stream(email), password, peer)
        if user.app_id not in {0, app_id}:
            raise UnknownApplication
        now_s = int(self._now().timestamp())
        return self._tokens.give(app, app_id, user_id=user.user_id, email=email, now_s=now_s)

    def app(self, app_id: int) -> domain.App | None:
        """Return an application, None when there is none of that number. Raises: `Unavailable`."""
        stream = domain.app_stream_of(app_id)
        return self._apps.get(stream, lambda: self._read_app(stream))

    def authenticate(self, token: str, app_id: int) -> Identity | None:
        """Return whom the token was given to; None when it is not valid for this application now.

        Raises: `Unavailable`.
        """
        digest = hashlib.sha256(f"{app_id}\0{token}".encode()).digest()
        verified = self._verified.get(digest, lambda: self._verify(token, app_id))
        if verified is None or verified.claims.exp <= self._now().timestamp():
            return None
        user = self._user(verified.user_stream)
        if user is None or user.user_id != verified.claims.uid:
            return None
        return Identity(user.user_id, app_id, user.is_admin)

    def forget(self, stream_id: str) -> None:
        """The log has news of a user or an application."""
        self._users.forget(stream_id)
        if self._apps.forget(stream_id):
            self._verified.clear()

    def close(self) -> None:
        """Stop the hashing threads."""
        self._passwords.close()

    def _verify(self, token: str, app_id: int) -> _Verified | None:
        app = self.app(app_id)
        claims = self._tokens.read(app, app_id, token) if app else None
        return _Verified(claims, self._user_stream(claims.email)) if claims else None

    def _checked(self, user_stream: str, password: str, peer: str) -> domain.User:
        account = user_stream
        source = self._log.secrets.digest("peer", peer)
        failures_max = {
            account: self._limits.login_failures_max,
            source: self._limits.login_failures_per_ip_max,
        }
        with _store():
            self._attempts.refuse_beyond(failures_max)
            user = self._user(user_stream)
        matched = self._passwords.matches(password, user.password_hash if user else None)
        with _store():
            if not matched or user is None:
                self._attempts.count(failures_max)
                raise WrongCredentials
            # Guesses that ran at the same time as this one may have used up the attempts.
            self._attempts.refuse_beyond(failures_max)
            self._attempts.clear(account)
        return user

    def _append(self, append: Append) -> None:
        try:
            self._journal.write(append)
        except Conflict:
            raise UserExists from None

    def _require_password(self, password: str) -> None:
        if not 0 < len(password.encode()) <= self._limits.password_octets_max:
            octets_max = self._limits.password_octets_max
            raise InvalidField("password", f"expected 1 to {octets_max} bytes")

    def _user_stream(self, email: str) -> str:
        return domain.user_stream_of(self._log.secrets.digest("email", email.casefold()))

    def _user(self, stream: str) -> domain.User | None:
        return self._users.get(stream, lambda: self._read_user(stream))

    def _read_user(self, stream: str) -> domain.User | None:
        user = None
        with _store():
            for recorded in self._log.read(stream):
                assert isinstance(recorded.event, domain.UserRegistered), recorded
                user = domain.evolve_user(user, recorded.event)
        return user

    def _read_app(self, stream: str) -> domain.App | None:
        app = None
        with _store():
            for recorded in self._log.read(stream):
                assert isinstance(recorded.event, domain.AppRegistered), recorded
                app = domain.evolve_app(app, recorded.event)
        return app


@contextmanager
def _store() -> Iterator[None]:
    """Turn a store that is away into `Unavailable`."""
    try:
        yield
    except (*Broken, OperationalError, InterfaceError) as error:
        raise Unavailable("store does not answer") from error
