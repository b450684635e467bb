"""Keys that phones and programs show.

    IssueKey ──▶ ApiKeyIssued ──▶ ApiKeyRevoked

A key is random and long, so a plain SHA-256 of it can stand in the log, and names its stream. Only
an account's own key is kept, too, sealed: its owner may look at it again.
"""

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final, Literal, assert_never

Kind = Literal["live", "device"]

PREFIXES: Final[dict[Kind, str]] = {"live": "sh_live_", "device": "sh_device_"}
SHOWN_CHARACTERS: Final = 4  # behind the prefix: enough to tell keys apart, nothing to guess by


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueKey:
    """A key is given out. The fields are the event's."""

    account_id: str
    kind: Kind
    key: str
    phone_id: str = ""
    sealed: str = ""


@dataclass(frozen=True, slots=True)
class RevokeKey:
    """A key is worth nothing from now on."""


Command = IssueKey | RevokeKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyIssued:
    """A key was given out: for one phone, or with no `phone_id` for the whole account."""

    account_id: str
    kind: Kind
    shown_prefix: str
    phone_id: str = ""
    sealed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyRevoked:
    """A key is worth nothing any more."""

    account_id: str
    phone_id: str = ""


Event = ApiKeyIssued | ApiKeyRevoked


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as decisions see it."""

    account_id: str
    phone_id: str
    kind: Kind
    sealed: str
    is_revoked: bool = False


def id_of(key: str) -> str:
    """Return the id of a key: its SHA-256 (64 hex digits)."""
    return sha256(key.encode(errors="surrogatepass")).hexdigest()


def stream_of(key_id: str) -> str:
    """Name a key's stream."""
    return f"api_key-{key_id}"


def key_id_in(stream_id: str) -> str:
    """Return the id of the key that has a stream."""
    return stream_id.removeprefix("api_key-")


def decide(key: ApiKey | None, command: Command) -> tuple[Event, ...]:
    """Decide on a key; nothing to tell means that it is so already."""
    match command:
        case IssueKey():
            assert key is None, "a random key came twice"
            return (_issued(command),)
        case RevokeKey():
            assert key is not None, "no such key"
            if key.is_revoked:
                return ()
            return (ApiKeyRevoked(account_id=key.account_id, phone_id=key.phone_id),)
        case _:
            assert_never(command)


def evolve(key: ApiKey | None, event: Event) -> ApiKey:
    """Apply one event."""
    match event:
        case ApiKeyIssued():
            return ApiKey(
                account_id=event.account_id,
                phone_id=event.phone_id,
                kind=event.kind,
                sealed=event.sealed,
            )
        case ApiKeyRevoked():
            assert key is not None, event
            return replace(key, is_revoked=True)
        case _:
            assert_never(event)


def _issued(command: IssueKey) -> ApiKeyIssued:
    shown = len(PREFIXES[command.kind]) + SHOWN_CHARACTERS
    return ApiKeyIssued(
        account_id=command.account_id,
        kind=command.kind,
        shown_prefix=command.key[:shown],
        phone_id=command.phone_id,
        sealed=command.sealed,
    )
