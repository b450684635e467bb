"""A warm-up of three days, from the gate through the log to what operators are told of it."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import pytest
from support.described import DescribedClient
from support.sms_proxy import ADMIN, ADMIN_KEY

from signalbox.actors.grants import Grant
from signalbox.actors.sending_days import SendingDays
from signalbox.actors.sending_ips import SendingIps
from signalbox.actors.warmup_gate import WarmupGate
from signalbox.domain.ramp import Schedule
from signalbox.domain.sending_day import Outcome
from signalbox.eventstore.journal import Journal
from signalbox.eventstore.log import EventLog
from signalbox.http.app import create_app
from signalbox.http.body import BodyReader
from signalbox.http.warmup.admin import WarmupAdmin
from signalbox.http.warmup.admin_openapi import document
from signalbox.ops.reads import WarmupReads
from signalbox.projections.building import build, rebuild
from signalbox.projections.models import PROJECTIONS
from signalbox.projections.projector import Projector
from signalbox.projections.readers import ReadModels

IP: Final = "192.0.2.1"
NOON: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)
FIRST: Final = date(2026, 11, 20)
DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)
WHO: Final[dict[str, Any]] = {"by": "admin-key", "request_id": ""}
RAMP: Final = Schedule(
    grouping="&gmail", mode="MANUAL", start_date=FIRST, messages=(240, 480, 2000)
)


class Installation:
    """Gate, projector and operators' answers on one log; `at` is what all clocks say."""

    def __init__(self, log: EventLog) -> None:
        self.at = NOON
        self.journal = Journal(log, now=lambda: self.at)
        self.ips = SendingIps(log, self.journal)
        days = SendingDays(log, self.journal)
        self._gate = WarmupGate(self.ips, days, (), zone=UTC, now=lambda: self.at)
        self._projector = Projector(log, PROJECTIONS)
        self._projector.prepare()
        models = ReadModels(log, now_s=self._now_s)
        reads = WarmupReads(models, lambda: 0, 1, UTC, now=lambda: self.at)
        body = BodyReader(1_000)
        admin = WarmupAdmin(reads=reads, body=body, admin_api_key=ADMIN_KEY)
        self._client = DescribedClient(create_app(admin.routes(), {}), document())

    def _now_s(self) -> float:
        return self.at.timestamp()

    def close(self) -> None:
        self._projector.close()
        self.journal.close()

    def send(self, recipients: int, deferred: int = 0) -> None:
        """Send what the gate grants of it; some are deferred, the others delivered."""
        grant = self._gate.reserve(IP, "&gmail", recipients)
        assert isinstance(grant, Grant), grant
        delivered = grant.recipients - deferred
        outcome = Outcome(attempted=grant.recipients, delivered=delivered, deferred=deferred)
        self._gate.settle(grant, outcome)

    def refused(self) -> str:
        """Return why nothing may go."""
        answer = self._gate.reserve(IP, "&gmail", 1)
        return "" if isinstance(answer, Grant) else answer.reason

    def today(self) -> dict[str, Any]:
        build(self._projector)
        (one,) = self.told("/today")
        (grouping,) = one["groupings"]
        assert (one["ip"], grouping["grouping"]) == (IP, "&gmail")
        return dict(grouping)

    def told(self, path: str) -> Any:  # noqa: ANN401  (JSON)
        answer = self._client.simulate_get(f"/api/v1/admin/warmup{path}", headers=ADMIN)
        assert answer.status_code == 200
        return answer.json["data"]


@pytest.fixture
def installation(event_log: EventLog) -> Iterator[Installation]:
    installation = Installation(event_log)
    yield installation
    installation.close()


def said(today: dict[str, Any], *names: str) -> list[Any]:
    return [today[name] for name in names]


def test_operators_see_what_the_gate_does(installation: Installation, event_log: EventLog) -> None:
    volume = ("cap", "granted", "remaining", "delivered")
    installation.ips.add(IP, (RAMP,), **WHO)
    assert said(installation.today(), "status", "day") == ["ONSCHEDULE", 1]

    for _ in range(4):  # 30 an hour
        installation.send(1000, deferred=5)
        installation.at += HOUR
    assert said(installation.today(), *volume, "reason") == [240, 120, 120, 100, None]

    installation.ips.pause(IP, "&gmail", **WHO)
    assert installation.refused() == "PAUSED"
    assert said(installation.today(), "status", *volume, "reason") == [
        *("PAUSED", 0, 120, 0, 100, "PAUSED")
    ]
    installation.ips.resume(IP, "&gmail", **WHO)

    installation.at = NOON + DAY  # the first day can't be judged: it was configured on it
    assert said(installation.today(), "status", *volume) == ["ONSCHEDULE", 480, 0, 480, 0]
    installation.send(60)
    installation.at = NOON + 2 * DAY
    assert said(installation.today(), "status", "target") == ["BEHIND", 2000]
    for hour in range(12):  # at 23:00 the whole day is released
        installation.at = NOON + 2 * DAY + hour * HOUR
        installation.send(1000, deferred=2)
    assert installation.refused() == "CAP"
    assert said(installation.today(), "status", *volume, "reason") == [
        *("ONSCHEDULE", 2000, 2000, 0, 1976, "CAP")
    ]

    installation.at = NOON + 3 * DAY
    assert installation.refused() == ""
    assert said(installation.today(), "status", "cap", "remaining") == ["FINISHED", None, None]
    path = f"/{IP}/history?from=2026-11-01"
    (whole,) = installation.told(path)["groupings"]
    assert [said(day, "date", "target", "delivered", "met") for day in whole["days"]] == [
        ["2026-11-20", 240, 100, False],
        ["2026-11-21", 480, 60, False],
        ["2026-11-22", 2000, 1976, True],
    ]
    rebuild(event_log, PROJECTIONS)
    assert installation.told(path)["groupings"] == [whole]
