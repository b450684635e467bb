"""What this surface needs of the gateway beside `phone_ports`; the web process's root provides it.

Owners are organisations (`org_<OrgId>`); keys of messages are their numbers. Whatever reads or
writes raises `Unavailable` while the store is away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from signalbox.http import phone_ports

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from signalbox.domain.phone import SimCard
    from signalbox.projections.phone_views import NumberQuery, PhoneMessageView

# The methods are those of signalbox.actors.{orgs,phone_messages} and of signalbox.ops.reads.
# ruff: noqa: D102


class Orgs(Protocol):
    """Who may act for an organisation."""

    def authenticate(self, org_id: str, secret: str, *, peer: str) -> str | None: ...

    def claim(self, org_id: str, secret: str, *, peer: str, request_id: str = "") -> str: ...


class Messages(phone_ports.Messages, Protocol):
    """Texts on their way through phones."""

    def wait_pushed(
        self, owner: str, keys: Collection[str], timeout_s: float
    ) -> Collection[str]: ...


class SimsView(Protocol):
    """The SIMs of an organisation's phones."""

    @property
    def online_lines(self) -> int: ...

    @property
    def live(self) -> Sequence[SimCard]: ...

    @property
    def known(self) -> Sequence[tuple[SimCard, float]]: ...


class Reads(Protocol):
    """The read models; they have all that this process has committed."""

    def numbered(self, owner: str, query: NumberQuery) -> Sequence[PhoneMessageView]: ...

    def sims(self, owner: str) -> SimsView: ...
