"""What operators are told about warm-ups, above a read model that is not there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import falcon.testing
from support.described import DescribedClient
from support.sms_proxy import ADMIN, ADMIN_KEY, BODY_OCTETS_MAX

from signalbox.domain.ramp import Schedule
from signalbox.domain.sending_day import Outcome
from signalbox.domain.warmup_status import WarmupStatus
from signalbox.eventstore.errors import Unavailable
from signalbox.http.app import create_app
from signalbox.http.body import BodyReader
from signalbox.http.warmup.admin import WarmupAdmin
from signalbox.http.warmup.admin_openapi import document
from signalbox.projections.warmup import DayRow, IpRow
from signalbox.projections.warmup_views import GroupingStatus, IpHistory, IpStatus

IP: Final = "10.0.0.1"
PREFIX: Final = "/api/v1/admin/warmup"
FIRST: Final = date(2025, 8, 1)
RAMP: Final = Schedule(grouping="&a", mode="MANUAL", start_date=FIRST, messages=(500, 600, 30_000))
STANDING: Final = GroupingStatus(
    schedule=RAMP,
    status=WarmupStatus.BEHIND,
    current_day=2,
    cap=600,
    reason="PACE",
    slowdown=4,
    today=DayRow(
        date=date(2025, 8, 2),
        target=600,
        used=333,
        outcome=Outcome(attempted=330, delivered=300, deferred=20, bounced=10),
    ),
)


@dataclass
class FakeReads:
    """What is known of addresses; `away` when the store is."""

    stands: Sequence[IpStatus] = (IpStatus(IP, 0, (STANDING,)),)
    rows: Sequence[IpRow] = ()
    days: Mapping[str, Sequence[DayRow]] = field(default_factory=dict)
    away: bool = False
    asked_for: list[tuple[str, date, date]] = field(default_factory=list)

    def configs(self) -> Sequence[IpRow]:
        self._require()
        return self.rows

    def statuses(self) -> Sequence[IpStatus]:
        self._require()
        return self.stands

    def today(self) -> date:
        return date(2025, 8, 31)

    def history(self, ip: str, since: date, until: date) -> IpHistory | None:
        self._require()
        self.asked_for.append((ip, since, until))
        return None if ip == "10.0.0.99" else IpHistory(ip, self.days)

    def _require(self) -> None:
        if self.away:
            raise Unavailable("host 10.0.0.1 is down", retry_after_s=3)


@dataclass
class Admin:
    """The operators' answers above `reads`."""

    reads: FakeReads = field(default_factory=FakeReads)
    admin_api_key: str = ADMIN_KEY
    body_octets_max: int = BODY_OCTETS_MAX

    def app(self) -> "falcon.App[Any, Any]":
        """Return the WSGI application."""
        admin = WarmupAdmin(
            reads=self.reads,
            body=BodyReader(self.body_octets_max),
            admin_api_key=self.admin_api_key,
        )
        return create_app(admin.routes(), {})

    def client(self) -> falcon.testing.TestClient:
        """Return a client of it; every answer must be the described one."""
        return DescribedClient(self.app(), document())

    def get(self, path: str, **query: str) -> falcon.testing.Result:
        return self.client().simulate_get(PREFIX + path, headers=ADMIN, params=query)

    def preview(self, body: object) -> falcon.testing.Result:
        return self.client().simulate_post(f"{PREFIX}/preview", headers=ADMIN, json=body)
