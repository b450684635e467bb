"""What this surface needs of the gateway; the composition root of the web process provides it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signalbox.actors.accounts import Identity
    from signalbox.actors.licenses import Terms
    from signalbox.actors.sending import SendRequest, Sent
    from signalbox.actors.users import NewApp, Registered
    from signalbox.domain.account import App
    from signalbox.domain.link import Link
    from signalbox.projections.accounts import UserRow
    from signalbox.projections.campaigns import Campaigns
    from signalbox.projections.dashboard import Figures, Statistics
    from signalbox.projections.links import LinkRow
    from signalbox.projections.messages import MessageInfo


@dataclass(frozen=True, slots=True)
class SystemLoad:
    """How busy this machine is, in percent with one decimal."""

    cpu: float = 0.0
    ram: float = 0.0
    disk: float = 0.0


# The methods are those of signalbox.actors.{accounts,users,licenses,sending,links} and of
# signalbox.projections.
# ruff: noqa: D102


class Accounts(Protocol):
    """Who calls."""

    def log_in(
        self, email: str, password: str, app_id: int, *, peer: str, request_id: str
    ) -> str: ...

    def app(self, app_id: int) -> App | None: ...

    def authenticate(self, token: str, app_id: int) -> Identity | None: ...


class Users(Protocol):
    """Who may call."""

    def register(
        self, email: str, password: str, app: NewApp | None = None, *, by: str, request_id: str
    ) -> Registered: ...

    def remove(self, user_id: int, *, admins_too: bool, by: str, request_id: str) -> None: ...

    def toggle_admin(self, user_id: int, *, by: str, request_id: str) -> bool: ...

    def is_admin(self, user_id: int) -> bool: ...


class Licenses(Protocol):
    """What the gateway may do, and a new licence."""

    @property
    def terms(self) -> Terms: ...

    def upload(self, octets: bytes, *, by: str, request_id: str) -> Terms: ...


class Sending(Protocol):
    """Sends a message and waits for its outcome."""

    def send(self, request: SendRequest) -> Sent: ...


class Links(Protocol):
    """Knows and switches links."""

    @property
    def configured(self) -> Sequence[Link]: ...

    def toggle(
        self,
        link_id: int,
        enabled: bool,  # noqa: FBT001
        reason: str,
        *,
        by: str,
        request_id: str = "",
    ) -> Link: ...


class PoolRow(Protocol):
    """Links that stand in for each other, by name."""

    @property
    def name(self) -> str: ...

    @property
    def links(self) -> Sequence[str]: ...


class Reads(Protocol):
    """The read models, as far as this process has seen the log."""

    def message(self, message_id: str, *, app_id: int, link_id: int) -> MessageInfo | None: ...

    def links(self) -> Sequence[LinkRow]: ...

    def figures(self) -> Figures: ...

    def statistics(self) -> Statistics: ...

    def campaigns(self, offset: int, limit: int) -> Campaigns: ...

    def users(self) -> Sequence[UserRow]: ...
