"""What this surface needs of the gateway; the composition root of the web process provides it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signalbox.actors.accounts import Identity, Registered
    from signalbox.actors.sending import SendRequest, Sent
    from signalbox.domain.account import App
    from signalbox.domain.link import Link
    from signalbox.projections.dashboard import Figures
    from signalbox.projections.links import LinkRow
    from signalbox.projections.messages import MessageInfo

# The methods are those of signalbox.actors.{accounts,sending,links} and signalbox.projections.
# ruff: noqa: D102


class Accounts(Protocol):
    """Who may call."""

    def register(
        self,
        email: str,
        password: str,
        app_name: str,
        app_secret: str,
        *,
        by: str,
        request_id: str,
    ) -> Registered: ...

    def log_in(self, email: str, password: str, app_id: int, *, peer: str) -> str: ...

    def app(self, app_id: int) -> App | None: ...

    def authenticate(self, token: str, app_id: int) -> Identity | None: ...


class Sending(Protocol):
    """Sends a message and waits for its outcome."""

    def send(self, request: SendRequest) -> Sent: ...


class Links(Protocol):
    """Switches links."""

    def toggle(
        self,
        link_id: int,
        enabled: bool,  # noqa: FBT001
        reason: str,
        *,
        by: str,
        request_id: str = "",
    ) -> Link: ...


class Reads(Protocol):
    """The read models, as far as this process has seen the log."""

    def message(self, message_id: str, *, app_id: int, link_id: int) -> MessageInfo | None: ...

    def links(self) -> Sequence[LinkRow]: ...

    def figures(self) -> Figures: ...
