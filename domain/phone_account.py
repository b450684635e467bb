"""Accounts whose phones send and receive for them.

    OpenAccount ──▶ PhoneAccountOpened ──▶ PhonePaired, PhoneUnpaired, PhoneAccountKeyReplaced, …

The account's stream is named after its id. Who has an e-mail address is told by a stream of the
address (its digest): the first event there claims it, and there is never a second one.
"""

from dataclasses import dataclass, replace
from typing import Literal, assert_never

from signalbox.domain.entered import PHONE_CHARACTERS_MAX, normal_email, require_name, require_text
from signalbox.domain.errors import TooManyPhones, UnknownPhone
from signalbox.domain.personal import Personal

Role = Literal["user", "admin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAccount:
    """Somebody opens an account. `password_hash` is an argon2 string, `key_id` its first key."""

    account_id: str
    email: str
    name: str
    password_hash: str
    key_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PairPhone:
    """A phone is to send for the account; `key_id` is empty when it uses the account's key."""

    phone_id: str
    name: str
    phones_max: int
    model: str = ""
    os_version: str = ""
    key_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpairPhone:
    """A phone no longer belongs to the account."""

    phone_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePassword:
    """A new password: whoever was logged in has to do so again."""

    password_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RehashPassword:
    """The password behind `old_hash` is hashed as new ones are."""

    old_hash: str
    password_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceKey:
    """The account gets another key."""

    key_id: str


Command = OpenAccount | PairPhone | UnpairPhone | ChangePassword | RehashPassword | ReplaceKey


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneAccountOpened:
    """Somebody opened an account."""

    account_id: str
    email: Personal
    name: Personal
    password_hash: str
    key_id: str
    role: Role = "user"


@dataclass(frozen=True, slots=True, kw_only=True)
class PhonePaired:
    """A phone belongs to the account from now on."""

    phone_id: str
    name: str
    model: str = ""
    os_version: str = ""
    key_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneUnpaired:
    """A phone does not belong to the account any more."""

    phone_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneAccountPasswordChanged:
    """The account has another password; tokens given before are worth nothing."""

    password_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneAccountPasswordRehashed:
    """The password is the same, but harder to guess from its hash."""

    password_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneAccountKeyReplaced:
    """The account has another key; the one before was revoked with it."""

    key_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailClaimed:
    """An e-mail address belongs to an account from now on."""

    account_id: str


Event = (
    PhoneAccountOpened
    | PhonePaired
    | PhoneUnpaired
    | PhoneAccountPasswordChanged
    | PhoneAccountPasswordRehashed
    | PhoneAccountKeyReplaced
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedPhone:
    """A phone of an account; `key_id` is empty when it uses the account's key."""

    phone_id: str
    name: str
    model: str
    os_version: str
    paired_at_s: float
    key_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneAccount:
    """An account as decisions see it; its address and name stay in the log.

    `generation` counts the passwords it has had, `phones` come in the order they were paired.
    """

    account_id: str
    role: Role
    password_hash: str
    key_id: str
    opened_at_s: float
    generation: int = 1
    phones: tuple[PairedPhone, ...] = ()

    def phone(self, phone_id: str) -> PairedPhone | None:
        """Return one of its phones."""
        return next((phone for phone in self.phones if phone.phone_id == phone_id), None)


def stream_of(account_id: str) -> str:
    """Name an account's stream."""
    return f"phone_account-{account_id}"


def email_stream_of(email_digest: str) -> str:
    """Name the stream of an e-mail address by the digest of its normal form."""
    return f"email-{email_digest}"


def decide(account: PhoneAccount | None, command: Command) -> tuple[Event, ...]:
    """Decide on an account; nothing to tell means that it is so already.

    Raises: `InvalidField`, `TooManyPhones`, `UnknownPhone`.
    """
    match command:
        case OpenAccount():
            assert account is None, account
            return (_opened(command),)
    assert account is not None, command
    match command:
        case PairPhone():
            return _pair(account, command)
        case UnpairPhone(phone_id=phone_id):
            if account.phone(phone_id) is None:
                raise UnknownPhone(phone_id)
            return (PhoneUnpaired(phone_id=phone_id),)
        case ChangePassword(password_hash=password_hash):
            return (PhoneAccountPasswordChanged(password_hash=password_hash),)
        case RehashPassword():
            return _rehash(account, command)
        case ReplaceKey(key_id=key_id):
            return (PhoneAccountKeyReplaced(key_id=key_id),)
        case _:
            assert_never(command)


def evolve(account: PhoneAccount | None, event: Event, at_s: float) -> PhoneAccount:
    """Apply one event that happened at `at_s` (Unix seconds)."""
    if isinstance(event, PhoneAccountOpened):
        return PhoneAccount(
            account_id=event.account_id,
            role=event.role,
            password_hash=event.password_hash,
            key_id=event.key_id,
            opened_at_s=at_s,
        )
    assert account is not None, event
    match event:
        case PhonePaired():
            return replace(account, phones=(*account.phones, _paired(event, at_s)))
        case PhoneUnpaired(phone_id=phone_id):
            return replace(
                account, phones=tuple(one for one in account.phones if one.phone_id != phone_id)
            )
        case PhoneAccountPasswordChanged(password_hash=password_hash):
            return replace(account, password_hash=password_hash, generation=account.generation + 1)
        case PhoneAccountPasswordRehashed(password_hash=password_hash):
            return replace(account, password_hash=password_hash)
        case PhoneAccountKeyReplaced(key_id=key_id):
            return replace(account, key_id=key_id)
        case _:
            assert_never(event)


def _opened(command: OpenAccount) -> PhoneAccountOpened:
    normal_email(command.email)
    require_name(command.name)
    return PhoneAccountOpened(
        account_id=command.account_id,
        email=command.email,
        name=command.name,
        password_hash=command.password_hash,
        key_id=command.key_id,
    )


def _pair(account: PhoneAccount, command: PairPhone) -> tuple[PhonePaired]:
    require_text("name", command.name, 1, PHONE_CHARACTERS_MAX)
    require_text("model", command.model, 0, PHONE_CHARACTERS_MAX)
    require_text("os_version", command.os_version, 0, PHONE_CHARACTERS_MAX)
    if len(account.phones) >= command.phones_max:
        raise TooManyPhones(command.phones_max)
    paired = PhonePaired(
        phone_id=command.phone_id,
        name=command.name,
        model=command.model,
        os_version=command.os_version,
        key_id=command.key_id,
    )
    return (paired,)


def _rehash(account: PhoneAccount, command: RehashPassword) -> tuple[Event, ...]:
    if account.password_hash != command.old_hash:
        return ()  # Changed meanwhile, or another log-in was first.
    return (PhoneAccountPasswordRehashed(password_hash=command.password_hash),)


def _paired(event: PhonePaired, at_s: float) -> PairedPhone:
    return PairedPhone(
        phone_id=event.phone_id,
        name=event.name,
        model=event.model,
        os_version=event.os_version,
        paired_at_s=at_s,
        key_id=event.key_id,
    )
