"""What operators look at while addresses are warmed up, for whoever has the admin key; our own.

It answers as the rest of the admin API does, beside the warm-up's own surface, whose bodies and
keys it leaves alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol

from signalbox.domain.errors import UnknownIp
from signalbox.domain.sending_ip import canonical_ip
from signalbox.http import swagger
from signalbox.http.context import encode
from signalbox.http.errors import Failure
from signalbox.http.sms_proxy.auth import AdminGate
from signalbox.http.warmup import wire, wire_admin
from signalbox.http.warmup.admin_openapi import PREFIX, TITLE, document

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import falcon
    import msgspec

    from signalbox.domain.ramp import Schedule
    from signalbox.http.body import BodyReader
    from signalbox.http.context import Request
    from signalbox.http.sms_proxy.auth import Gate
    from signalbox.projections.warmup import IpRow
    from signalbox.projections.warmup_views import IpHistory, IpStatus

DAYS: Final = 30
DAYS_MAX: Final = 366

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ONE: Final = "groupings[0]"


class Reads(Protocol):
    """The read model. The methods are those of signalbox.ops.reads.WarmupReads."""

    def configs(self) -> Sequence[IpRow]:
        """Return all addresses with their ramps."""

    def statuses(self) -> Sequence[IpStatus]:
        """Return how all addresses stand now."""

    def today(self) -> date:
        """Return the local date."""

    def history(self, ip: str, since: date, until: date) -> IpHistory | None:
        """Return the days of an address so far; None when nothing is known of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmupAdmin:
    """What operators are told is made of this."""

    reads: Reads
    body: BodyReader
    admin_api_key: str

    def routes(self) -> dict[str, object]:
        """Return the resource of each path."""
        gate, reads = AdminGate(self.admin_api_key), self.reads
        return {
            **swagger.routes("/warmup/admin", TITLE, document),
            f"{PREFIX}/today": Shown(gate, lambda: wire_admin.today(reads.statuses())),
            f"{PREFIX}/warnings": Shown(gate, lambda: wire_admin.warnings(reads.configs())),
            f"{PREFIX}/preview": Preview(gate, self.body),
            f"{PREFIX}/{{ip}}/history": History(gate, reads),
        }


class Shown:
    """`GET …/warmup/today` and `…/warnings`: whatever `content` returns."""

    def __init__(self, gate: Gate, content: Callable[[], msgspec.Struct]) -> None:
        self._gate = gate
        self._content = content

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Answer with the content."""
        self._gate(req)
        resp.data = encode(self._content())


class Preview:
    """`POST …/warmup/preview`."""

    def __init__(self, gate: Gate, body: BodyReader) -> None:
        self._gate = gate
        self._body = body

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Answer with the ramp of a grouping's configuration; nothing is stored."""
        self._gate(req)
        schedule = _planned(wire.value_of(self._body.octets(req)))
        resp.data = encode(wire_admin.preview(schedule))


class History:
    """`GET …/warmup/{ip}/history`."""

    def __init__(self, gate: Gate, reads: Reads) -> None:
        self._gate = gate
        self._reads = reads

    def on_get(self, req: Request, resp: falcon.Response, ip: str) -> None:
        """Answer with the days of an address; days to come are left out."""
        self._gate(req)
        canonical = canonical_ip(ip)
        since, until = self._asked(req)
        found = self._reads.history(canonical, since, until)
        if found is None:
            raise UnknownIp
        resp.data = encode(wire_admin.history(found))

    def _asked(self, req: Request) -> tuple[date, date]:
        until = _date(req, "to") or self._reads.today()
        default = date.fromordinal(max(1, until.toordinal() - DAYS + 1))
        since = _date(req, "from") or default
        if since > until:
            raise Failure(HTTPStatus.BAD_REQUEST, "from: expected a date before to")
        if (until - since).days >= DAYS_MAX:
            raise Failure(HTTPStatus.BAD_REQUEST, f"from: expected {DAYS_MAX} days at most")
        return since, until


def _date(req: Request, name: str) -> date | None:
    text: str | None = req.get_param(name)
    if text is None:
        return None
    bad = Failure(HTTPStatus.BAD_REQUEST, f"{name}: expected a date like 2025-08-01")
    if _DATE.fullmatch(text) is None:
        raise bad  # Python takes other ways of writing a date, too.
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise bad from None


def _planned(value: object) -> Schedule:
    """Return a grouping's plan, taken as a configuration takes it. Raises: `Failure` 400."""
    if not isinstance(value, dict):
        raise Failure(HTTPStatus.BAD_REQUEST, "Invalid value: body")
    try:
        (schedule,) = wire.configuration({"groupings": [value]}).schedules()
    except Failure as failure:
        error = failure.error.replace(f"{_ONE}.", "", 1).replace(_ONE, "body", 1)
        raise Failure(failure.status, error) from None
    return schedule
