"""What this surface needs of the gateway beside `phone_ports`; the web process's root provides it.

Owners are accounts (`usr_…`); keys of messages are 32 hexadecimal digits. Whatever reads or writes
raises `Unavailable` while the store is away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from signalbox.http import phone_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from signalbox.actors.phone_accounts import NewPhone, Paired, Profile
    from signalbox.actors.phone_callers import Caller, Revoked
    from signalbox.actors.phone_sessions import Session
    from signalbox.actors.phone_tokens import Access
    from signalbox.domain.phone_account import PhoneAccount
    from signalbox.domain.phone_message import Direction, PhoneMessage
    from signalbox.projections.phone_views import MessageQuery, PhoneMessageView

# The methods are those of signalbox.actors.{phone_accounts,phone_messages} and of
# signalbox.ops.reads.
# ruff: noqa: D102


class Accounts(Protocol):
    """Who calls, and which phones are whose."""

    def register(
        self,
        email: str,
        password: str,
        name: str,
        invite_code: str,
        *,
        peer: str,
        request_id: str,
    ) -> str: ...

    def log_in(self, email: str, password: str, *, peer: str, request_id: str = "") -> Session: ...

    def refresh(self, token: str) -> Access | None: ...

    def authenticate(self, credential: str, *, peer: str) -> Caller | None: ...

    def account(self, account_id: str) -> PhoneAccount: ...

    def profile(self, account_id: str) -> Profile: ...

    def live_key(self, account_id: str) -> str: ...

    def pair(self, account_id: str, phone: NewPhone, *, by: str, request_id: str) -> Paired: ...

    def unpair(self, account_id: str, phone_id: str, *, by: str, request_id: str) -> None: ...

    def replace_key(self, account_id: str, *, by: str, request_id: str) -> str: ...

    def on_revoked(self, watch: Callable[[Revoked], None]) -> None: ...


class Messages(phone_ports.Messages, Protocol):
    """Texts on their way through phones."""

    def archive(self, owner: str, key: str, *, by: str, request_id: str = "") -> None: ...

    def find(self, owner: str, key: str) -> PhoneMessage | None: ...


class PhoneRow(Protocol):
    """What is known of a phone that was connected once."""

    @property
    def phone_id(self) -> str: ...

    @property
    def last_seen_at_s(self) -> float | None: ...

    @property
    def number(self) -> str: ...


class Traffic(Protocol):
    """How many messages came and went in some time."""

    @property
    def received(self) -> int: ...

    @property
    def sent(self) -> int: ...


class Stats(Protocol):
    """How many messages an account has."""

    @property
    def total_received(self) -> int: ...

    @property
    def total_sent(self) -> int: ...

    @property
    def by_status(self) -> Mapping[str, int]: ...

    @property
    def last_24h(self) -> Traffic: ...

    @property
    def last_7d(self) -> Traffic: ...


class Reads(Protocol):
    """The read models; they have all that this process has committed."""

    def messages(
        self, owner: str, query: MessageQuery
    ) -> tuple[Sequence[PhoneMessageView], bool]: ...

    def stats(self, owner: str) -> Stats: ...

    def phones(self, owner: str) -> Sequence[PhoneRow]: ...


class Message(Protocol):
    """What a message of the log and one of a read model have in common."""

    @property
    def direction(self) -> Direction: ...

    @property
    def peer(self) -> str: ...

    @property
    def text(self) -> str: ...

    @property
    def accepted_at_s(self) -> float: ...

    @property
    def received_at_s(self) -> float: ...

    @property
    def phone_id(self) -> str: ...

    @property
    def sim_number(self) -> str: ...

    @property
    def archived(self) -> bool: ...
