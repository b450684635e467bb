"""Accounts with phones: opened with an invite, recognised by keys and tokens, their phones paired.

register ──▶ EmailClaimed, PhoneAccountOpened, ApiKeyIssued, InviteRedeemed: all or none
log_in ──▶ tokens        authenticate ──▶ who shows a key or a token
pair ──▶ PhonePaired     unpair ──▶ PhoneUnpaired, and its key is revoked with it
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from signalbox.actors.attempts import Attempts
from signalbox.actors.ids import base62
from signalbox.actors.invites import Invites
from signalbox.actors.phone_callers import PhoneCallers
from signalbox.actors.phone_directory import PhoneDirectory
from signalbox.actors.phone_sessions import FailuresMax, PhoneSessions
from signalbox.actors.phone_tokens import SessionTokens
from signalbox.domain import api_key
from signalbox.domain import phone_account as domain
from signalbox.domain.entered import normal_email, require_name, require_password
from signalbox.domain.errors import EmailTaken, InvalidInvite

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from psycopg.rows import TupleRow

    from signalbox.actors.passwords import Passwords
    from signalbox.actors.phone_callers import Caller, Revoked
    from signalbox.actors.phone_sessions import Session
    from signalbox.actors.phone_tokens import Access
    from signalbox.domain.phone_account import PairedPhone, PhoneAccount
    from signalbox.eventstore.journal import Journal, Write
    from signalbox.eventstore.log import EventLog

ID_CHARACTERS: Final = 26  # 154 bits: never twice
KEY_CHARACTERS: Final = 32  # 190 bits: never guessed


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneAccountLimits:
    """How long tokens live, and how much may be tried and paired."""

    access_token_ttl_s: int = 7_776_000
    refresh_token_ttl_s: int = 15_552_000
    session_age_s_max: int = 31_536_000
    login_failures_max: int = 5
    login_failures_per_ip_max: int = 100
    login_window_s: int = 900
    bad_keys_max: int = 20
    bad_keys_window_s: int = 300
    phones_max: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Who has an account; address and name read `ERASED` once the tenant was erased."""

    account_id: str
    email: str
    name: str
    role: str
    opened_at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPhone:
    """A phone that is to be paired: a `dev` gets a key of its own, a `gw` uses the account's."""

    kind: Literal["dev", "gw"]
    name: str
    model: str = ""
    os_version: str = ""


@dataclass(frozen=True, slots=True)
class Paired:
    """A phone that was paired, and its key, which is never shown again; empty for a `gw`."""

    phone: PairedPhone
    key: str


class PhoneAccounts:
    """Everything about accounts with phones. One per process; its methods raise `Unavailable`.

    `passwords` are shared with whoever else hashes in this process.
    """

    def __init__(
        self,
        event_log: EventLog,
        journal: Journal,
        limits: PhoneAccountLimits,
        now: Callable[[], datetime],
        *,
        passwords: Passwords,
    ) -> None:
        self._log = event_log
        self._limits = limits
        self._passwords = passwords
        self._directory = directory = PhoneDirectory(event_log, journal)
        self._invites = Invites(directory, now)
        self._guesses = Attempts(event_log.pool, limits.bad_keys_window_s)
        tokens = SessionTokens(
            event_log.secrets,
            {"access": limits.access_token_ttl_s, "refresh": limits.refresh_token_ttl_s},
            limits.session_age_s_max,
        )
        self._callers = PhoneCallers(directory, tokens, self._guesses, limits.bad_keys_max)
        attempts = Attempts(event_log.pool, limits.login_window_s)
        failures_max = FailuresMax(limits.login_failures_max, limits.login_failures_per_ip_max)
        self._sessions = PhoneSessions(directory, passwords, tokens, attempts, failures_max, now)

    def register(
        self,
        email: str,
        password: str,
        name: str,
        invite_code: str,
        *,
        peer: str,
        request_id: str = "",
    ) -> str:
        """Open an account and return its id; durable on return. `peer` is the caller's IP address.

        Raises, in this order:
            InvalidField: no address, no name, a password that is too short or too long.
            TooManyAttempts: too many registrations from this peer were refused.
            InvalidInvite: nobody was given that code, or it is used up, past or revoked.
            EmailTaken: the address has an account already; the invite is as it was.
        """
        normal_email(email)
        require_name(name)
        require_password(password)
        source = {self._directory.secrets.digest("registration", peer): self._limits.bad_keys_max}
        self._guesses.refuse_beyond(source)
        account_id = f"usr_{base62(ID_CHARACTERS)}"
        stream = self._directory.email_stream(email)

        def enter() -> tuple[Write, Write]:
            invite = self._invites.redeem(invite_code, account_id)
            return invite, self._directory.claim(stream, account_id)

        try:
            enter()  # Refused before the password is hashed, which is dear.
            opened = self._opened(account_id, email, name, password)
            self._directory.change(
                lambda: (*enter(), *opened), by=account_id, request_id=request_id
            )
        except (InvalidInvite, EmailTaken):
            self._guesses.count(source)
            raise
        return account_id

    def log_in(self, email: str, password: str, *, peer: str, request_id: str = "") -> Session:
        """Return tokens. Raises: `WrongCredentials`, `TooManyAttempts`."""
        return self._sessions.log_in(email, password, peer=peer, request_id=request_id)

    def refresh(self, token: str) -> Access | None:
        """Return a new access token; None when `token` is not valid now."""
        return self._sessions.refresh(token)

    def authenticate(self, credential: str, *, peer: str) -> Caller | None:
        """Return who shows a key or a token, None if not valid now. Raises: `TooManyAttempts`."""
        return self._callers.authenticate(credential, peer=peer)

    def account(self, account_id: str) -> PhoneAccount:
        """Return the account of somebody who was authenticated."""
        account = self._directory.account(account_id)
        assert account is not None, account_id
        return account

    def profile(self, account_id: str) -> Profile:
        """Return whose account it is; read from the log, since it is personal."""
        first, *_ = self._directory.read(domain.stream_of(account_id))
        opened = first.event
        assert isinstance(opened, domain.PhoneAccountOpened), first
        return Profile(
            account_id=account_id,
            email=opened.email,
            name=opened.name,
            role=opened.role,
            opened_at_s=first.at_s,
        )

    def live_key(self, account_id: str) -> str:
        """Return the account's own key, in clear."""
        key = self._directory.key(self.account(account_id).key_id)
        assert key is not None, account_id
        return self._directory.secrets.open(key.sealed)

    def pair(self, account_id: str, phone: NewPhone, *, by: str, request_id: str) -> Paired:
        """Make a phone the account's; durable on return.

        Raises:
            InvalidField: a name, model or version that is too long or no text.
            TooManyPhones: the account has as many as it may have.
        """
        phone_id = f"{phone.kind}_{base62(ID_CHARACTERS)}"
        key = _new_key("device") if phone.kind == "dev" else ""
        command = domain.PairPhone(
            phone_id=phone_id,
            name=phone.name,
            model=phone.model,
            os_version=phone.os_version,
            key_id=api_key.id_of(key) if key else "",
            phones_max=self._limits.phones_max,
        )

        def plan() -> tuple[Write, ...]:
            paired = self._directory.on_account(account_id, command)
            issue = api_key.IssueKey(
                account_id=account_id, kind="device", key=key, phone_id=phone_id
            )
            return (
                (paired, self._directory.on_key(account_id, command.key_id, issue))
                if key
                else (paired,)
            )

        self._directory.change(plan, by=by, request_id=request_id)
        paired = self.account(account_id).phone(phone_id)
        assert paired is not None, phone_id
        return Paired(paired, key)

    def unpair(self, account_id: str, phone_id: str, *, by: str, request_id: str) -> None:
        """Part a phone from its account, and make its key worthless. Raises: `UnknownPhone`."""
        command = domain.UnpairPhone(phone_id=phone_id)

        def plan() -> tuple[Write, ...]:
            phone = self._directory.existing(account_id).phone(phone_id)
            unpaired = self._directory.on_account(account_id, command)
            if phone is None or not phone.key_id:
                return (unpaired,)
            return unpaired, self._directory.on_key(account_id, phone.key_id, api_key.RevokeKey())

        self._directory.change(plan, by=by, request_id=request_id)

    def replace_key(self, account_id: str, *, by: str, request_id: str) -> str:
        """Give the account another key and return it; the one before is worthless from then on."""
        key = _new_key("live")
        command = domain.ReplaceKey(key_id=api_key.id_of(key))

        def plan() -> tuple[Write, ...]:
            return (
                self._directory.on_account(account_id, command),
                self._directory.on_key(
                    account_id, self._directory.existing(account_id).key_id, api_key.RevokeKey()
                ),
                self._directory.on_key(account_id, command.key_id, self._live(account_id, key)),
            )

        self._directory.change(plan, by=by, request_id=request_id)
        return key

    def change_password(self, account_id: str, password: str, *, by: str, request_id: str) -> None:
        """Set another password, and make all tokens worthless. Raises: `InvalidField`."""
        require_password(password)
        command = domain.ChangePassword(password_hash=self._passwords.hash(password))
        self._directory.change(
            lambda: (self._directory.on_account(account_id, command),),
            by=by,
            request_id=request_id,
        )

    def on_revoked(self, watch: Callable[[Revoked], None]) -> None:
        """Have `watch` called, by the follower, for every right that ends; it must not block."""
        self._callers.on_revoked(watch)

    def follow(self, row: TupleRow) -> None:
        """Take what the log has of an account or a key."""
        self._callers.follow(self._log, row)

    def _opened(self, account_id: str, email: str, name: str, password: str) -> tuple[Write, Write]:
        """Return the writes of a new account and its key."""
        key = _new_key("live")
        command = domain.OpenAccount(
            account_id=account_id,
            email=email,
            name=name,
            password_hash=self._passwords.hash(password),
            key_id=api_key.id_of(key),
        )
        return (
            self._directory.on_account(account_id, command),
            self._directory.on_key(account_id, command.key_id, self._live(account_id, key)),
        )

    def _live(self, account_id: str, key: str) -> api_key.IssueKey:
        sealed = self._directory.secrets.seal(key)
        return api_key.IssueKey(account_id=account_id, kind="live", key=key, sealed=sealed)


def _new_key(kind: api_key.Kind) -> str:
    return api_key.PREFIXES[kind] + base62(KEY_CHARACTERS)
