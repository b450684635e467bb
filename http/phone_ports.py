"""What all surfaces of phones need of the gateway; each adds its own in its `ports`.

Owners are whoever the surface lets in, and keys of messages are what it spells them. Whatever reads
or writes raises `Unavailable` while the store is away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from signalbox.actors.phone_line import Line
    from signalbox.actors.phone_messages import InboundRequest, OutboundRequest, Received
    from signalbox.actors.webhooks import Configured
    from signalbox.domain.phone import Lost, SimCard
    from signalbox.domain.phone_message import ReportStatus
    from signalbox.domain.webhook import Webhook

# The methods are those of signalbox.actors.{phone_messages,phone_lines,webhooks}.
# ruff: noqa: D102


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


class LiveLine(Protocol):
    """A connection of a phone, as the gateway knows it."""

    def report_sims(self, sims: Sequence[SimCard]) -> None: ...

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

    @property
    def seen_at_s(self) -> float: ...


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


class Webhooks(Protocol):
    """Where owners want to be told what happens."""

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
