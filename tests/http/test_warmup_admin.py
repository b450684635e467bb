"""What operators are told about warm-ups."""

import re
from dataclasses import replace
from datetime import date
from typing import Final

import pytest
from support.openapi import described, require_openapi_31, routed
from support.sms_proxy import ADMIN, ADMIN_KEY
from support.warmup_admin import FIRST, IP, PREFIX, RAMP, STANDING, Admin
from support.warmup_vectors import VECTORS, schedule_of

from signalbox.domain.ramp import Point, Schedule
from signalbox.domain.sending_day import Outcome
from signalbox.domain.warming import Warming
from signalbox.domain.warmup_status import WarmupStatus
from signalbox.http.warmup.admin import DAYS_MAX
from signalbox.http.warmup.admin_openapi import document
from signalbox.projections.warmup import DayRow, IpRow
from signalbox.projections.warmup_views import IpStatus

ENDPOINTS: Final = [
    ("GET", "/today"),
    ("GET", "/warnings"),
    ("GET", f"/{IP}/history"),
    ("POST", "/preview"),
]
MANUAL: Final = {
    "grouping": "&a",
    "mode": "MANUAL",
    "start": {"date": "2025-08-01"},
    "schedule": [{"day": 2, "messages": 600}, {"day": 1, "messages": 500}],
}


@pytest.fixture
def admin() -> Admin:
    return Admin()


# who may look


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
@pytest.mark.parametrize("headers", [{}, {"X-Admin-Key": "wrong"}, {"X-Api-Key": ADMIN_KEY}])
def test_nobody_looks_without_the_admin_key(
    admin: Admin, method: str, path: str, headers: dict[str, str]
) -> None:
    headers = {name: text.encode().decode("latin-1") for name, text in headers.items()}
    answer = admin.client().simulate_request(method, PREFIX + path, headers=headers)
    assert answer.status_code == 401
    assert answer.json == {"error": "invalid or missing admin key"}


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_without_a_configured_key_nobody_looks_at_all(method: str, path: str) -> None:
    client = Admin(admin_api_key="").client()
    answer = client.simulate_request(method, PREFIX + path, headers={"X-Admin-Key": ""})
    assert answer.status_code == 503
    assert answer.json == {"error": "admin API key not configured"}


@pytest.mark.parametrize("path", ["/today", "/warnings", f"/{IP}/history"])
def test_while_the_store_is_away_one_is_told_when_to_come_back(admin: Admin, path: str) -> None:
    admin.reads.away = True
    answer = admin.get(path)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    assert answer.json == {"success": False, "error": "service unavailable, try again"}


# today


def test_today_says_what_may_go_what_went_and_why_nothing_more_may(admin: Admin) -> None:
    answer = admin.get("/today")
    assert answer.status_code == 200
    grouping = {
        "grouping": "&a",
        "status": "BEHIND",
        "date": "2025-08-02",
        "day": 2,
        "days": 3,
        "target": 600,
        "cap": 600,
        "granted": 333,
        "remaining": 267,
        "attempted": 330,
        "delivered": 300,
        "reason": "PACE",
        "slowdown": 4,
    }
    assert answer.json == {"success": True, "data": [{"ip": IP, "groupings": [grouping]}]}


def test_after_the_end_there_is_no_limit_and_no_target(admin: Admin) -> None:
    over = replace(
        STANDING,
        status=WarmupStatus.FINISHED,
        cap=None,
        reason=None,
        today=DayRow(date=date(2025, 8, 4)),
    )
    admin.reads.stands = (IpStatus(IP, 0, (over,)),)
    (grouping,) = admin.get("/today").json["data"][0]["groupings"]
    said = [grouping[name] for name in ("status", "target", "cap", "remaining", "reason")]
    assert said == ["FINISHED", None, None, None, None]


def test_an_address_without_groupings_is_there(admin: Admin) -> None:
    admin.reads.stands = (IpStatus(IP, 0, ()),)
    assert admin.get("/today").json["data"] == [{"ip": IP, "groupings": []}]
    admin.reads.stands = ()
    assert admin.get("/today").json["data"] == []


# history


def test_a_history_says_what_each_day_brought(admin: Admin) -> None:
    outcome = Outcome(attempted=470, delivered=449, deferred=15, bounced=6)
    day = DayRow(date=FIRST, target=500, used=480, outcome=outcome)
    admin.reads.days = {"&a": [day, replace(day, target=498)], "&b": []}
    answer = admin.get(f"/{IP}/history")
    assert answer.status_code == 200
    said = {
        "date": "2025-08-01",
        "target": 500,
        "attempted": 470,
        "delivered": 449,
        "deferred": 15,
        "bounced": 6,
        "met": False,
    }
    groupings = [
        {"grouping": "&a", "days": [said, {**said, "target": 498, "met": True}]},
        {"grouping": "&b", "days": []},
    ]
    assert answer.json == {"success": True, "data": {"ip": IP, "groupings": groupings}}


@pytest.mark.parametrize(("query", "since", "until"), [
    ({}, "2025-08-02", "2025-08-31"),
    ({"from": "2025-08-01"}, "2025-08-01", "2025-08-31"),
    ({"to": "2025-06-30"}, "2025-06-01", "2025-06-30"),
    ({"from": "2025-06-30", "to": "2025-06-30"}, "2025-06-30", "2025-06-30"),
    ({"from": "2024-08-31", "to": "2025-08-31"}, "2024-08-31", "2025-08-31"),
    ({"to": "0001-01-05"}, "0001-01-01", "0001-01-05"),
    ({"from": "9999-12-01", "to": "9999-12-31"}, "9999-12-01", "9999-12-31"),
])  # fmt: skip
def test_a_history_is_of_the_days_that_are_asked_for_or_the_last_thirty(
    admin: Admin, query: dict[str, str], since: str, until: str
) -> None:
    assert admin.get(f"/{IP}/history", **query).status_code == 200
    expected = (IP, date.fromisoformat(since), date.fromisoformat(until))
    assert admin.reads.asked_for == [expected]


@pytest.mark.parametrize(("query", "error"), [
    ({"from": "20250801"}, "from: expected a date like 2025-08-01"),
    ({"from": "2025-W31-5"}, "from: expected a date like 2025-08-01"),
    ({"from": "2025-02-29"}, "from: expected a date like 2025-08-01"),
    ({"from": "2025-08-01\n"}, "from: expected a date like 2025-08-01"),
    ({"from": "٢٠٢٥-08-01"}, "from: expected a date like 2025-08-01"),
    ({"from": "0000-01-01"}, "from: expected a date like 2025-08-01"),
    ({"to": "yesterday"}, "to: expected a date like 2025-08-01"),
    ({"from": "2025-09-01"}, "from: expected a date before to"),
    ({"from": "2025-08-02", "to": "2025-08-01"}, "from: expected a date before to"),
    ({"from": "2024-08-30", "to": "2025-08-31"}, f"from: expected {DAYS_MAX} days at most"),
    ({"from": "2024-08-30"}, f"from: expected {DAYS_MAX} days at most"),
])  # fmt: skip
def test_a_history_of_other_than_some_days_is_refused(
    admin: Admin, query: dict[str, str], error: str
) -> None:
    answer = admin.get(f"/{IP}/history", **query)
    assert (answer.status_code, answer.json) == (400, {"success": False, "error": error})
    assert admin.reads.asked_for == []


@pytest.mark.parametrize(("written", "ip"), [
    ("2001:DB8:0:0::1", "2001:db8::1"),
    ("2001%3Adb8%3A%3A1", "2001:db8::1"),
    ("10%2E0.0.1", IP),
])  # fmt: skip
def test_an_address_may_be_written_as_it_likes(admin: Admin, written: str, ip: str) -> None:
    assert admin.get(f"/{written}/history").json["data"]["ip"] == ip


@pytest.mark.parametrize("written", ["today", "10.0.0.01", "10.0.0.256", "fe80::1%25eth0", "a b"])
def test_what_is_no_address_is_refused(admin: Admin, written: str) -> None:
    answer = admin.get(f"/{written}/history")
    assert (answer.status_code, answer.json["success"]) == (400, False)
    assert answer.json["error"].startswith("invalid ip: ")


def test_of_an_unknown_address_there_is_no_history(admin: Admin) -> None:
    answer = admin.get("/10.0.0.99/history")
    assert (answer.status_code, answer.json["success"]) == (404, False)
    assert isinstance(answer.json["error"], str)


# preview


def test_a_preview_shows_a_ramp_day_by_day(admin: Admin) -> None:
    answer = admin.preview(MANUAL)
    assert answer.status_code == 200
    assert answer.json == {
        "success": True,
        "data": {
            "grouping": "&a",
            "mode": "MANUAL",
            "days": [
                {"date": "2025-08-01", "day": 1, "messages": 500},
                {"date": "2025-08-02", "day": 2, "messages": 600},
            ],
            "total": 1100,
            "daily_factor": 1.2,
            "warnings": [],
        },
    }


@pytest.mark.parametrize(("start", "end", "total", "factor"), [
    (("2025-07-31", 233), ("2025-09-08", 26_396), 229_301, 1.12894),
    (("2025-08-01", 100), ("2025-08-30", 20_000), 119_273, 1.20045),
    (("2025-08-01", 7), ("2025-08-01", 9), 9, 1.0),
])  # fmt: skip
def test_a_preview_shows_the_ramp_the_gateway_would_compute(
    admin: Admin, start: tuple[str, int], end: tuple[str, int], total: int, factor: float
) -> None:
    body = {
        "grouping": "&a",
        "mode": "AUTO",
        "start": {"date": start[0], "volume": start[1]},
        "end": {"date": end[0], "volume": end[1]},
    }
    shown = admin.preview(body).json["data"]
    points = [Point(date.fromisoformat(on), volume) for on, volume in (start, end)]
    planned = Schedule.auto("&a", *points)
    assert [day["messages"] for day in shown["days"]] == list(planned.messages)
    assert (shown["total"], shown["daily_factor"]) == (total, factor)


def test_a_preview_warns_of_days_steeper_than_advised(admin: Admin) -> None:
    days = [{"day": day, "messages": n} for day, n in enumerate((500, 1001, 2002), start=1)]
    shown = admin.preview({**MANUAL, "schedule": days}).json["data"]
    assert shown["warnings"] == [
        {"day": 2, "date": "2025-08-02", "messages": 1001, "messages_max": 1000}
    ]


@pytest.mark.parametrize(("body", "error"), [
    ([], "Invalid value: body"),
    ("&a", "Invalid value: body"),
    ({}, "Missing parameter: mode"),
    ({**MANUAL, "mode": "manual"}, "Invalid value: mode"),
    ({**MANUAL, "schedule": []}, "Invalid value: schedule"),
    (
        {**MANUAL, "schedule": [{"day": 2, "messages": 1}]},
        "Invalid value: schedule: the days must be 1, 2, 3 and so on, none missing",
    ),
    ({**MANUAL, "schedule": [{"day": 1, "messages": 0}]}, "Invalid value: schedule[0].messages"),
    ({**MANUAL, "grouping": "a/b"}, "Invalid value: grouping"),
    ({**MANUAL, "start": {}}, "Missing parameter: start.date"),
])  # fmt: skip
def test_a_preview_of_what_could_not_be_configured_is_refused(
    admin: Admin, body: object, error: str
) -> None:
    answer = admin.preview(body)
    assert (answer.status_code, answer.json) == (400, {"success": False, "error": error})


def test_a_preview_of_what_is_no_json_or_too_much_is_refused(admin: Admin) -> None:
    client = admin.client()
    for octets, status in ((b"{", 400), (b'{"a":1,"a":2}', 400), (b" " * 10_001, 413)):
        answer = client.simulate_post(f"{PREFIX}/preview", headers=ADMIN, body=octets)
        assert (answer.status_code, answer.json["success"]) == (status, False)


# warnings


def test_warnings_are_of_configured_ramps_steeper_than_advised(admin: Admin) -> None:
    gentle = schedule_of(VECTORS["status"][0]["config"] | {"schedule": [{"messages": 9}]})
    rows = [(IP, (RAMP, gentle)), ("::1", (gentle,)), ("::2", (replace(RAMP, paused=True),))]
    admin.reads.rows = [
        IpRow(ip, tuple(Warming.begun(schedule, 0.0) for schedule in schedules))
        for ip, schedules in rows
    ]
    steep = {"day": 3, "date": "2025-08-03", "messages": 30_000, "messages_max": 1200}
    answer = admin.get("/warnings")
    assert answer.status_code == 200
    assert answer.json["data"] == [
        {"ip": ip, "grouping": "&a", "warnings": [steep]} for ip in (IP, "::2")
    ]


# the description


def test_everything_is_described(admin: Admin) -> None:
    answer = admin.client().simulate_get("/warmup/admin/openapi.json")
    assert answer.content == document()
    require_openapi_31(answer.json)
    all_routed = routed(admin.app(), but=())
    assert described(answer.json) == {one for one in all_routed if f" {PREFIX}" in one}


def test_the_description_can_be_read_as_a_page(admin: Admin) -> None:
    client = admin.client()
    page = client.simulate_get("/warmup/admin/docs").text
    for path in re.findall(r'(?:src|href)="(/[^"]+)"', page):
        assert client.simulate_get(path).status_code == 200
