"""What a tenant's own server is told, and what it answers: `POST {client_base_url}{sync path}`.

    {"reports": [{"tenant_id", "id", "pk", "sent_ts", "recipient_email"}, …]}      as documented
    {"delivery_report": [{"id", "sent_ts"}, …]}                                   as the original is

    {"ok": true, "queued": 2, "next_sync_after": 1706003600}                      all of it optional

A report is of one event, so a mail may have several. A server that is told what is documented is
left alone until `next_sync_after`; the original calls it even then when there is something to tell.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, Protocol, assert_never

import msgspec
from msgspec import UNSET, UnsetType

from signalbox.actors.mail_calls import Wish
from signalbox.actors.transports.smtp import addresses
from signalbox.domain.personal import ERASED
from signalbox.http.context import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from signalbox.domain.mail_content import MailContent
    from signalbox.domain.tenant import Tenant
    from signalbox.projections.mail_views import ReportEvent

DOCUMENTED: Final = "reports"
ORIGINAL: Final = "delivery_report"
MOMENT_S_MAX: Final = 1e11
FEW: Final = 10
MANY: Final = 80
ENOUGH_CHARACTERS: Final = 1_000_000

Moment = int | float | UnsetType
Text = str | UnsetType


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to one mail; moments are Unix seconds."""

    tenant_id: Text = UNSET
    id: str
    pk: Text = UNSET
    sent_ts: Moment = UNSET
    error_ts: Moment = UNSET
    error: Text = UNSET
    deferred_ts: Moment = UNSET
    deferred_reason: str | UnsetType | None = UNSET
    bounce_ts: Moment = UNSET
    bounce_type: Text = UNSET
    bounce_code: Text = UNSET
    bounce_reason: Text = UNSET
    pec_event: Text = UNSET
    pec_ts: Moment = UNSET
    pec_details: Text = UNSET
    recipient_email: Text = UNSET


class DocumentedReports(msgspec.Struct, frozen=True):
    """The body of a call."""

    reports: list[Report]


class OriginalReports(msgspec.Struct, frozen=True):
    """The body of a call to a server that expects what the original says."""

    delivery_report: list[Report]


class Contents(Protocol):
    """What is in mails, and whom what became of them concerns. Its methods raise `Unavailable`."""

    def contents(self, pks: Sequence[str]) -> Mapping[str, MailContent]:
        """Return what the log has."""

    def concerned(self, pks: Sequence[str]) -> Mapping[int, str | int]:
        """Return the address, or the place in the envelope, by the events' positions."""


class SyncWording:
    """Writes reports in the way a tenant wants them, or else `default`."""

    def __init__(self, contents: Contents, default: str) -> None:
        self._contents = contents
        self._default = default

    def rest_goes_first(self, tenant: Tenant) -> bool:
        """True when the tenant's server is not told anything while it rests."""
        return self._format_of(tenant) == DOCUMENTED

    def body(self, tenant: Tenant, reports: Sequence[ReportEvent]) -> bytes:
        """Return the body of a call. Raises: `Unavailable`."""
        if self._format_of(tenant) == ORIGINAL:
            return encode(OriginalReports([_original(one) for one in reports]))
        recipients = self._recipients(reports)
        return encode(DocumentedReports([_documented(one, recipients) for one in reports]))

    def read(self, answer: bytes) -> Wish:
        """Return what an answer asks for; what makes no sense asks for nothing."""
        try:
            said: Any = msgspec.json.decode(answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Wish()
        if not isinstance(said, dict):
            return Wish()
        return Wish(
            has_more=_number(said.get("queued")) > 0,
            rest_until_s=_number(said.get("next_sync_after")),
        )

    def _format_of(self, tenant: Tenant) -> str:
        return tenant.report_format or self._default

    def _recipients(self, reports: Sequence[ReportEvent]) -> dict[int, Text]:
        """Return whom events concern, a few mails at a time: attachments may be in them."""
        recipients: dict[int, Text] = {}
        told: Mapping[str, list[ReportEvent]] = defaultdict(list)
        for one in reports:
            told[one.pk].append(one)
        some = {one.pk for one in reports if one.kind in {"bounce", "deferred"}}
        concerned = self._contents.concerned([*some]) if some else {}
        pks, size, place = [*told], FEW, 0
        while place < len(pks):
            found = self._contents.contents(pks[place : place + size])
            for pk, content in found.items():
                for event in told[pk]:
                    whom = concerned.get(event.position, 0)
                    recipients[event.position] = _recipient(content, whom)
            place += size
            enough = sum(map(_characters, found.values())) >= ENOUGH_CHARACTERS
            size = max(1, size // 2) if enough else min(2 * size, MANY)
        return recipients


def _original(event: ReportEvent) -> Report:
    return Report(id=event.client_id, **_told(event, int))


def _documented(event: ReportEvent, recipients: Mapping[int, Text]) -> Report:
    return Report(
        tenant_id=event.tenant_id,
        id=event.client_id,
        pk=event.pk,
        recipient_email=recipients.get(event.position, UNSET),
        **_told(event, float),
    )


def _told(event: ReportEvent, moment: Callable[[float], int | float]) -> dict[str, Any]:
    """Return the fields that belong to one kind of event."""
    match event.kind:
        case "sent":
            return {"sent_ts": moment(event.at_s)}
        case "error":
            return {"error_ts": moment(event.at_s), "error": event.reason}
        case "deferred":
            return {
                "deferred_ts": moment(event.until_s),
                "deferred_reason": event.reason or None,
            }
        case "bounce":
            return {
                "bounce_ts": moment(event.at_s),
                "bounce_type": event.bounce,
                "bounce_code": event.code,
                "bounce_reason": event.reason,
            }
        case "pec_acceptance" | "pec_delivery" | "pec_error":
            told: dict[str, Any] = {"pec_event": event.kind, "pec_ts": moment(event.at_s)}
            return told | {"pec_details": event.reason} if event.reason else told
        case _:
            assert_never(event.kind)


def _recipient(content: MailContent, whom: str | int) -> Text:
    """Return an address, or the one at that place in a mail's envelope."""
    entries = [*content.to, *content.cc, *content.bcc]
    if ERASED in entries:
        return UNSET
    if not whom:
        return addresses.first_of(entries) or UNSET
    return whom if isinstance(whom, str) else addresses.unique(entries)[0][whom]


def _characters(content: MailContent) -> int:
    return len(content.body) + sum(len(one.storage_path) for one in content.attachments)


def _number(value: object) -> float:
    """Return a number in a range that makes sense, else 0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if 0 < value < MOMENT_S_MAX else 0.0
