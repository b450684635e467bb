"""Accounts with phones on a test's own log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from signalbox.actors.invites import Invites
from signalbox.actors.passwords import Passwords
from signalbox.actors.phone_accounts import PhoneAccountLimits, PhoneAccounts
from signalbox.actors.phone_directory import PhoneDirectory

if TYPE_CHECKING:
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog

EMAIL: Final = "Ada@Example.com"
PASSWORD: Final = "a strong password"
PEER: Final = "192.0.2.1"
LIMITS: Final = PhoneAccountLimits(
    login_failures_max=3, login_failures_per_ip_max=6, bad_keys_max=3, phones_max=2
)


class Clock:
    """The time, and how far it is put forward."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        """Tell it."""
        return datetime.now(UTC) + self.ahead


class CountingPasswords(Passwords):
    """Counts how often it hashes."""

    def __init__(self) -> None:
        super().__init__(threads=2, queue_max=16, octets_max=128)
        self.hashed = 0
        self.outdated = False

    @override
    def hash(self, password: str) -> str:
        self.hashed += 1
        return super().hash(password)

    @override
    def matches(self, password: str, password_hash: str | None) -> bool:
        self.hashed += 1
        return super().matches(password, password_hash)

    @override
    def is_outdated(self, password_hash: str) -> bool:
        return self.outdated


class Box:
    """What one process has of accounts with phones."""

    def __init__(
        self,
        log: EventLog,
        journal: Journal,
        limits: PhoneAccountLimits = LIMITS,
        passwords: CountingPasswords | None = None,
    ) -> None:
        self.log = log
        self.clock = Clock()
        self.passwords = passwords or CountingPasswords()
        self.accounts = PhoneAccounts(log, journal, limits, self.clock, passwords=self.passwords)
        self.invites = Invites(PhoneDirectory(log, journal), self.clock)

    def invite(self, uses: int = 1, days: int = 30) -> str:
        """Return the code of a new invite."""
        return self.invites.make(uses_max=uses, days=days, by="test")

    def register(
        self, email: str = EMAIL, code: str | None = None, *, password: str = PASSWORD
    ) -> str:
        """Return the id of a new account."""
        code = self.invite() if code is None else code
        return self.accounts.register(email, password, "Ada", code, peer=PEER, request_id="req-1")

    def key_caller_is_known(self, key: str) -> bool:
        """Tell whether a key opens anything."""
        return self.accounts.authenticate(key, peer=PEER) is not None
