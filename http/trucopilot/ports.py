"""What this surface needs of the gateway; the composition root of the web process provides it.

Owners are organisations (`org_<OrgId>`); keys of messages are their numbers. Whatever reads or
writes raises `Unavailable` while the store is away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from signalbox.actors.phone_line import Line
    from signalbox.actors.phone_messages import InboundRequest, OutboundRequest, Received
    from signalbox.actors.webhooks import Configured
    from signalbox.domain.phone import Lost, SimCard
    from signalbox.domain.phone_message import ReportStatus
    from signalbox.domain.webhook import Webhook
    from signalbox.projections.phone_views import NumberQuery, PhoneMessageView

# The methods are those of signalbox.actors.{orgs,phone_messages,phone_lines,webhooks} and of
# signalbox.ops.reads.
# ruff: noqa: D102


class Orgs(Protocol):
    """Who may act for an organisation."""

    def authenticate(self, org_id: str, secret: str, *, peer: str) -> str | None: ...

    def claim(self, org_id: str, secret: str, *, peer: str, request_id: str = "") -> str: ...


class Messages(Protocol):
    """Texts on their way through phones."""

    def queue(
        self,
        owner: str,
        requests: Sequence[OutboundRequest],
        *,
        by: str,
        request_id: str = "",
        idempotency_key: str = "",
    ) -> list[str]: ...

    def receive(
        self, owner: str, inbound: Sequence[InboundRequest], *, by: str, request_id: str = ""
    ) -> Sequence[Received]: ...

    def report(
        self, owner: str, key: str, report: ReportStatus, *, by: str, request_id: str = ""
    ) -> None: ...

    def wait_pushed(
        self, owner: str, keys: Collection[str], timeout_s: float
    ) -> Collection[str]: ...


class LiveLine(Protocol):
    """A connection of a phone, as the gateway knows it."""

    def report_sims(self, sims: Sequence[SimCard]) -> None: ...

    def heard(self) -> None: ...

    def ready(self) -> None: ...

    def disconnect(self, reason: Lost) -> None: ...


class OnlineLine(Protocol):
    """A phone that is connected, to whichever process."""

    @property
    def phone_id(self) -> str: ...

    @property
    def connection(self) -> int: ...

    @property
    def sims(self) -> tuple[SimCard, ...] | None: ...


class Lines(Protocol):
    """The connections of phones."""

    def connect(
        self,
        owner: str,
        phone_id: str,
        line: Line,
        *,
        anonymous: bool = False,
        by: str = "",
        request_id: str = "",
    ) -> LiveLine: ...

    def online(self, owner: str) -> Sequence[OnlineLine]: ...


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


class Webhooks(Protocol):
    """Where organisations want to be told what happens."""

    def configure(
        self,
        owner: str,
        url: str,
        kinds: Iterable[str] = ...,
        *,
        new_secret: bool = False,
        by: str = "",
        request_id: str = "",
    ) -> Configured: ...

    def show(self, owner: str) -> Webhook | None: ...

    def remove(self, owner: str, *, by: str = "", request_id: str = "") -> None: ...
