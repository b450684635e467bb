"""Addresses that are warmed up, and what their days brought, as the read models have it."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from itertools import count
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from support.histories import dead_letters, record, rows_of
from support.warmup_vectors import VECTORS, schedule_of

from signalbox.domain import sending_day
from signalbox.domain.gate import Allowance
from signalbox.domain.names import EVENT_CLASSES, Event
from signalbox.domain.ramp import Schedule
from signalbox.domain.sending_day import (
    CloseDay,
    Outcome,
    ReserveVolume,
    SendingDay,
    SettleVolume,
    VolumeReserved,
    VolumeSettled,
    WarmupDayClosed,
    stream_of,
)
from signalbox.domain.sending_ip import (
    WarmupFinished,
    WarmupGroupingRemoved,
    WarmupIpAdded,
    WarmupIpRemoved,
    WarmupIpReplaced,
    WarmupPaused,
    WarmupResumed,
)
from signalbox.domain.slowdown import (
    WarmupBackoffEnded,
    WarmupBackoffStarted,
    WarmupSuspended,
    WarmupSuspensionLifted,
)
from signalbox.eventstore.log import EventLog
from signalbox.http.context import encode
from signalbox.http.warmup import wire_answers
from signalbox.projections.building import build, rebuild
from signalbox.projections.models import PROJECTIONS
from signalbox.projections.projector import Projector
from signalbox.projections.readers import ReadModels
from signalbox.projections.warmup import DAYS_KEPT, PROJECTION, DayRow
from signalbox.projections.warmup_views import GroupingStatus, met

IP: Final = "10.0.0.1"
STREAM: Final = f"ip-{IP}"
FIRST: Final = date(2025, 8, 1)
SECOND: Final = date(2025, 8, 2)
LONG_BEFORE: Final = datetime(2025, 1, 1, tzinfo=UTC)
BERLIN: Final = ZoneInfo("Europe/Berlin")


def ramp(grouping: str = "&a", *messages: int, paused: bool = False) -> Schedule:
    return Schedule(
        grouping=grouping,
        mode="MANUAL",
        start_date=FIRST,
        messages=messages or (500, 600, 30_000),
        paused=paused,
    )


ADDED: Final = WarmupIpAdded((ramp(),))


class Written:
    """Writes histories to a log: several events of a stream, one after the other."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._versions: dict[str, int] = {}
        self._ids = count(1)

    def on(self, stream: str, *events: Event, at: datetime = LONG_BEFORE) -> int:
        version = self._versions.get(stream, 0)
        self._versions[stream] = version + len(events)
        return record(self._log, stream, *events, at=at, first_version=version + 1)

    def day(  # noqa: PLR0913  what a day is about
        self,
        on: date,
        reserved: int,
        outcome: Outcome | None = None,
        released: int = 0,
        *,
        grouping: str = "&a",
        target: int = 500,
        ip: str = IP,
    ) -> int:
        """Reserve on a day and, with an outcome, settle."""
        key, stream = f"reservation-{next(self._ids)}", stream_of(ip, grouping, on)
        at = datetime(on.year, on.month, on.day, 12, tzinfo=UTC)
        events: list[Event] = [
            VolumeReserved(reservation_id=key, recipients=reserved, target=target)
        ]
        if outcome is not None:
            events.append(VolumeSettled(key, outcome, released))
        return self.on(stream, *events, at=at)


@pytest.fixture
def written(event_log: EventLog) -> Written:
    return Written(event_log)


def delivered(recipients: int) -> Outcome:
    return Outcome(attempted=recipients, delivered=recipients)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def status(
    log: EventLog, now: datetime, zone: tzinfo = UTC, ip: str = IP
) -> tuple[GroupingStatus, ...]:
    ((one),) = ReadModels(log, now_s=now.timestamp).warmup_status(zone, ip)
    assert one.ip == ip
    return one.groupings


# the golden vectors, from the log to what a status says


@pytest.mark.parametrize("vector", VECTORS["status"], ids=lambda vector: vector["name"])
def test_the_status_of_a_history_is_the_golden_one(
    event_log: EventLog, projector: Projector, written: Written, vector: dict[str, Any]
) -> None:
    zone = timezone(timedelta(seconds=vector["timezone_offset"]))
    now = datetime.fromisoformat(vector["now"])
    schedule, expected = schedule_of(vector["config"]), vector["expect"]
    configured = noon(vector["configured_on"], zone) if vector["configured_on"] else LONG_BEFORE
    written.on(STREAM, WarmupIpAdded((schedule,)), at=configured)
    for on in vector["paused_on"]:
        groupings, midday = (schedule.grouping,), noon(on, zone)
        written.on(STREAM, WarmupPaused(groupings, "grouping"), at=midday)
        resumed_at = midday + timedelta(minutes=1)
        written.on(STREAM, WarmupResumed(groupings, "grouping"), at=resumed_at)
    for text, sent in vector["sent"].items():
        day = date.fromisoformat(text)
        written.day(day, sent, delivered(sent), grouping=schedule.grouping)
    build(projector)

    (one,) = ReadModels(event_log, now_s=now.timestamp).warmup_status(zone)
    assert one.offset_s == vector["timezone_offset"]
    (shown,) = one.groupings
    assert json.loads(encode(wire_answers.grouping_status(shown, {}, named=False))) == expected


def noon(day: str, zone: tzinfo) -> datetime:
    return datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=zone)


# addresses


def test_addresses_are_in_the_order_of_their_numbers_and_groupings_as_they_were_given(
    projector: Projector, models: ReadModels, written: Written
) -> None:
    for ip in ("::1", "10.0.0.10", "2001:db8::1", "9.255.0.1", "10.0.0.9"):
        written.on(f"ip-{ip}", WarmupIpAdded((ramp("&z"), ramp("&a"), ramp("a.example"))))
    build(projector)
    found = models.warmups()
    assert [row.ip for row in found] == ["9.255.0.1", "10.0.0.9", "10.0.0.10", "::1", "2001:db8::1"]
    assert [one.grouping for one in found[0].schedules] == ["&z", "&a", "a.example"]
    assert [one.ip for one in models.warmup_status(UTC)] == [row.ip for row in found]


def test_a_configuration_is_read_as_it_was_stored(
    projector: Projector, models: ReadModels, written: Written
) -> None:
    schedule = Schedule(
        grouping="&a",
        mode="AUTO",
        start_date=FIRST,
        messages=(100, 141, 200),
        paused=True,
        properties={"tag": "warm"},
    )
    written.on(STREAM, WarmupIpAdded((schedule,)))
    build(projector)
    assert [row.schedules for row in models.warmups(IP)] == [(schedule,)]
    assert models.warmups("10.0.0.2") == []


def test_an_address_changes_as_it_does_for_those_who_decide(
    projector: Projector, models: ReadModels, written: Written
) -> None:
    def schedules() -> list[tuple[Schedule, ...]]:
        build(projector)
        return [row.schedules for row in models.warmups()]

    written.on(STREAM, WarmupIpAdded((ramp("&a"), ramp("&b"))))
    written.on(STREAM, WarmupPaused(("&b",), "grouping"))
    assert schedules() == [(ramp("&a"), ramp("&b", paused=True))]
    written.on(STREAM, WarmupResumed(("&b",), "grouping"), WarmupIpReplaced((ramp("&b", 7),)))
    assert schedules() == [(ramp("&b", 7),)]
    written.on(STREAM, WarmupGroupingRemoved("&b"))
    assert schedules() == [()]
    written.on(STREAM, WarmupIpRemoved())
    assert schedules() == []
    written.on(STREAM, ADDED)
    assert schedules() == [(ramp(),)]


def test_an_address_that_came_and_went_between_two_looks_was_never_there(
    event_log: EventLog, projector: Projector, models: ReadModels, written: Written
) -> None:
    written.on(STREAM, ADDED, WarmupIpRemoved())
    build(projector)
    assert models.warmups() == []
    assert dead_letters(event_log) == []


# days


def test_a_day_sums_up_what_was_reserved_and_what_became_of_it(
    event_log: EventLog, projector: Projector, written: Written
) -> None:
    written.on(STREAM, ADDED)
    outcome = Outcome(attempted=40, delivered=30, deferred=6, bounced=4)
    written.day(FIRST, 50, outcome, released=10)
    written.day(FIRST, 5)  # without an outcome, it counts as used
    written.day(FIRST, 20, delivered(20))
    build(projector)
    (shown,) = status(event_log, at("2025-08-01T12:00"))
    assert shown.today == DayRow(
        date=FIRST,
        target=500,
        used=65,
        outcome=Outcome(attempted=60, delivered=50, deferred=6, bounced=4),
    )
    assert (shown.cap, shown.remaining) == (500, 435)


def test_a_day_is_what_it_is_for_those_who_decide(
    event_log: EventLog, projector: Projector, written: Written
) -> None:
    midnight, day, random = at("2025-08-01T00:00"), SendingDay(), Random(7)
    for number in range(120):
        elapsed_s = 600 * number
        now = midnight + timedelta(seconds=elapsed_s)
        key = f"reservation-{random.randrange(number + 1)}"
        command: sending_day.Command
        if (held := day.find_open(key)) is not None:
            released = random.randint(0, held.recipients)
            attempted = held.recipients - released
            outcome = Outcome(attempted=attempted, delivered=random.randint(0, attempted))
            command = SettleVolume(reservation_id=key, outcome=outcome, released=released)
        else:
            target = random.choice([500, 400])
            allowance = Allowance(target=target, elapsed_s=elapsed_s, length_s=86_400)
            command = ReserveVolume(
                reservation_id=f"reservation-{number}", recipients=9, allowance=allowance, repeats=1
            )
        day = decided(written, day, command, now)
    day = decided(written, day, CloseDay(450), midnight + timedelta(days=1))
    written.on(STREAM, ADDED)
    build(projector)
    row = status(event_log, at("2025-08-01T23:00"))[0].today
    assert (row.target, row.used, row.closed) == (450, day.used, True)
    assert row.outcome == day.totals
    assert 0 < row.outcome.delivered < day.used <= 500


def decided(
    written: Written, day: SendingDay, command: sending_day.Command, now: datetime
) -> SendingDay:
    for event in sending_day.decide(day, command, now.timestamp()):
        written.on(stream_of(IP, "&a", FIRST), event, at=now)
        day = sending_day.evolve(day, event, now.timestamp())
    return day


def test_the_same_groupings_and_dates_of_other_addresses_count_for_themselves(
    event_log: EventLog, projector: Projector, written: Written
) -> None:
    other = "2001:db8::1"
    for number, ip in enumerate((IP, other), start=1):
        written.on(f"ip-{ip}", WarmupIpAdded((ramp("&a"), ramp("a-b.example"))))
        written.day(FIRST, number, ip=ip)
        written.day(FIRST, 10 * number, ip=ip, grouping="a-b.example")
    build(projector)
    now = at("2025-08-01T12:00")
    assert [one.today.used for one in status(event_log, now)] == [1, 10]
    assert [one.today.used for one in status(event_log, now, ip=other)] == [2, 20]


def test_days_are_kept_longer_than_any_ramp(
    event_log: EventLog, projector: Projector, written: Written
) -> None:
    last = FIRST + timedelta(days=DAYS_KEPT + 1)
    for on in (FIRST, FIRST + timedelta(days=1), last):
        written.day(on, 1)
        build(projector)
    kept = [row for (row,) in rows_of(event_log)["sending_days"]]
    assert [row.split(",")[2] for row in kept] == ["2025-08-02", last.isoformat()]


# how it stands


@pytest.mark.parametrize(("now", "schedule", "used", "expected"), [
    ("2025-07-31T23:59", ramp(), 0, ("NOTSTARTED", 0, 0, 0, "NOTSTARTED")),
    ("2025-08-01T12:00", ramp(), 100, ("ONSCHEDULE", 1, 500, 400, None)),
    ("2025-08-01T12:00", ramp(), 271, ("ONSCHEDULE", 1, 500, 229, "PACE")),
    ("2025-08-01T12:00", ramp(), 500, ("ONSCHEDULE", 1, 500, 0, "CAP")),
    ("2025-08-01T12:00", ramp(), 900, ("ONSCHEDULE", 1, 500, 0, "CAP")),
    ("2025-08-01T12:00", ramp(paused=True), 100, ("PAUSED", 1, 0, 0, "PAUSED")),
    ("2025-08-04T00:00", ramp(), 0, ("FINISHED", 3, None, None, None)),
    ("2025-08-04T00:00", ramp(paused=True), 0, ("PAUSED", 3, 0, 0, "PAUSED")),
])  # fmt: skip
def test_a_day_says_what_may_go_and_why_nothing_may(  # noqa: PLR0913, PLR0917  the fixtures, and the row
    event_log: EventLog,
    projector: Projector,
    written: Written,
    now: str,
    schedule: Schedule,
    used: int,
    expected: tuple[object, ...],
) -> None:
    written.on(STREAM, WarmupIpAdded((schedule,)))
    written.day(at(now).date(), used)
    build(projector)
    (one,) = status(event_log, at(now))
    shown = (one.status, one.current_day, one.cap, one.remaining, one.reason)
    assert shown == expected


def test_what_slows_a_ramp_down_is_seen_until_it_is_over(
    event_log: EventLog, projector: Projector, written: Written
) -> None:
    began = at("2025-08-01T12:00")
    written.on(STREAM, ADDED)
    backoff = WarmupBackoffStarted(
        grouping="&a", reason="DEFERRED", lasts_s=3600, sample=60, hits=20, divisor=4
    )
    written.on(STREAM, backoff, at=began)
    build(projector)

    def shown(minutes: int) -> tuple[str | None, int]:
        (one,) = status(event_log, began + timedelta(minutes=minutes))
        return one.reason, one.slowdown

    assert (shown(0), shown(59), shown(60)) == ((None, 4), (None, 4), (None, 1))
    suspended = WarmupSuspended(grouping="&a", reason="BOUNCED", lasts_s=7200, sample=60, hits=5)
    written.on(STREAM, WarmupBackoffEnded("&a"), suspended, at=began + timedelta(minutes=60))
    build(projector)
    assert (shown(60), shown(179), shown(180)) == (("SUSPENDED", 1), ("SUSPENDED", 1), (None, 1))


def test_a_suspension_without_end_lasts_until_somebody_lifts_it(
    event_log: EventLog, projector: Projector, written: Written
) -> None:
    suspended = WarmupSuspended(
        grouping="&a", reason="COMPLAINED", lasts_s=None, sample=500, hits=2
    )
    written.on(STREAM, ADDED, suspended)
    build(projector)
    (one,) = status(event_log, at("2025-08-03T12:00"))
    assert (one.status, one.reason) == ("BEHIND", "SUSPENDED")  # the calendar goes on
    written.on(STREAM, WarmupSuspensionLifted("&a"), at=at("2025-08-03T12:00"))
    build(projector)
    assert status(event_log, at("2025-08-03T12:00"))[0].reason is None


def test_a_ramp_that_begins_paused_is_not_judged_for_its_first_whole_day(
    event_log: EventLog, projector: Projector, written: Written
) -> None:
    written.on(STREAM, WarmupIpAdded((ramp(paused=True),)))
    written.on(STREAM, WarmupResumed(("&a",), "ip"), at=at("2025-08-01T00:00:01"))
    build(projector)
    assert status(event_log, at("2025-08-02T12:00"))[0].status == "ONSCHEDULE"
    assert status(event_log, at("2025-08-03T12:00"))[0].status == "BEHIND"


def test_the_date_is_the_one_of_the_zone(
    event_log: EventLog, projector: Projector, written: Written
) -> None:
    written.on(STREAM, ADDED)
    written.day(SECOND, 8)
    build(projector)
    now = at("2025-08-01T22:30")  # in Berlin it is the 2nd
    (there,) = ReadModels(event_log, now_s=now.timestamp).warmup_status(BERLIN)
    assert there.offset_s == 7200
    assert (there.groupings[0].current_day, there.groupings[0].today.used) == (2, 8)
    assert (status(event_log, now)[0].current_day, status(event_log, now)[0].today.used) == (1, 0)


def test_looking_changes_nothing(
    event_log: EventLog, projector: Projector, written: Written
) -> None:
    written.on(STREAM, ADDED)
    position = written.day(FIRST, 1)
    build(projector)
    before = rows_of(event_log)
    for days in range(5):
        now = at("2025-08-01T12:00") + timedelta(days=days)
        models = ReadModels(event_log, now_s=now.timestamp)
        models.warmup_status(UTC)
        models.warmup_history(UTC, IP, FIRST, now.date())
    assert (rows_of(event_log), event_log.head()) == (before, position)


# how it went


def history(
    log: EventLog,
    now: str,
    since: date = FIRST,
    until: date = date(2025, 8, 31),
    zone: tzinfo = UTC,
) -> dict[str, list[tuple[int, int, int]]]:
    """Return day of month, target and delivered of each day, by grouping."""
    models = ReadModels(log, now_s=at(now).timestamp)
    found = models.warmup_history(zone, IP, since, until)
    assert found is not None
    return {grouping: shown(days) for grouping, days in found.groupings.items()}


def shown(days: Sequence[DayRow]) -> list[tuple[int, int, int]]:
    return [(day.date.day, day.target, day.outcome.delivered) for day in days]


def test_a_history_has_the_days_so_far_also_those_without_traffic(
    event_log: EventLog, projector: Projector, written: Written
) -> None:
    written.on(STREAM, ADDED)
    written.day(SECOND, 540, delivered(540), target=600)
    build(projector)
    assert history(event_log, "2025-08-02T12:00") == {"&a": [(1, 500, 0), (2, 600, 540)]}
    whole = [(1, 500, 0), (2, 600, 540), (3, 30_000, 0)]
    assert history(event_log, "2025-08-09T12:00") == {"&a": whole}
    assert history(event_log, "2025-08-09T12:00", SECOND, SECOND) == {"&a": whole[1:2]}
    assert history(event_log, "2025-07-01T12:00") == {"&a": []}


def test_days_before_a_ramp_was_configured_are_only_there_with_traffic(
    event_log: EventLog, projector: Projector, written: Written
) -> None:
    written.day(date(2025, 7, 31), 9, delivered(9), target=10)
    written.on(STREAM, ADDED, at=at("2025-08-01T22:30"))
    build(projector)
    since = date(2025, 7, 1)
    utc, berlin = [(1, 500, 0), (2, 600, 0)], [(2, 600, 0)]
    now = "2025-08-02T12:00"
    assert history(event_log, now, since) == {"&a": [(31, 10, 9), *utc]}
    assert history(event_log, now, since, zone=BERLIN) == {"&a": [(31, 10, 9), *berlin]}


def test_a_closed_day_keeps_its_target_and_an_open_one_has_that_of_the_ramp(
    event_log: EventLog, projector: Projector, written: Written
) -> None:
    written.on(STREAM, ADDED)
    for on in (FIRST, SECOND):
        written.day(on, 450, delivered(450))
    closed = WarmupDayClosed(500, delivered(450), met=True)
    written.on(stream_of(IP, "&a", FIRST), closed, at=at("2025-08-02T00:01"))
    replaced = WarmupIpReplaced((ramp("&a", 700, 800),))
    written.on(STREAM, replaced, at=at("2025-08-01T01:00"))
    build(projector)
    assert history(event_log, "2025-08-02T12:00") == {"&a": [(1, 500, 450), (2, 800, 450)]}


def test_a_day_is_met_from_nine_tenths_on() -> None:
    days = [DayRow(date=FIRST, target=500, outcome=delivered(n)) for n in (449, 450, 501)]
    assert [met(day) for day in days] == [False, True, True]


def test_what_was_sent_is_remembered_when_its_ramp_is_gone(
    event_log: EventLog, projector: Projector, written: Written
) -> None:
    written.on(STREAM, WarmupIpAdded((ramp("&a"), ramp("&b"))))
    written.day(FIRST, 5, delivered(5))
    written.on(STREAM, WarmupGroupingRemoved("&a"))
    build(projector)
    now = "2025-08-01T12:00"
    assert history(event_log, now) == {"&b": [(1, 500, 0)], "&a": [(1, 500, 5)]}
    written.on(STREAM, WarmupIpRemoved())
    build(projector)
    assert history(event_log, now) == {"&a": [(1, 500, 5)]}


def test_of_an_address_nobody_knows_there_is_no_history(
    projector: Projector, models: ReadModels, written: Written
) -> None:
    written.on(STREAM, ADDED)
    build(projector)
    assert models.warmup_history(UTC, "10.0.0.2", FIRST, SECOND) is None


# the same rows, however they came about


def test_the_rows_are_the_same_however_the_log_is_cut(
    event_log: EventLog, projector: Projector, written: Written
) -> None:
    ended = WarmupFinished(grouping="&a", target=30_000, delivered=3, met=False)
    suspended = WarmupSuspended(
        grouping="&b", reason="COMPLAINED", lasts_s=None, sample=500, hits=2
    )
    written.on(STREAM, WarmupIpAdded((ramp("&a"), ramp("&b"))))
    for number in range(DAYS_KEPT, DAYS_KEPT + 12):
        written.day(FIRST + timedelta(days=number % (DAYS_KEPT + 6)), 50, delivered(number % 50), 1)
        written.on(STREAM, WarmupPaused(("&b",), "ip"))
        written.on(STREAM, WarmupResumed(("&b",), "ip"))
    closed = WarmupDayClosed(500, delivered(1), met=False)
    written.on(stream_of(IP, "&a", FIRST), closed)
    written.on(STREAM, WarmupPaused(("&a",), "grouping"), ended, suspended)
    written.on("ip-10.0.0.2", ADDED, WarmupIpRemoved())
    build(projector)
    rows = rows_of(event_log)
    assert rows["sending_ips"]
    assert len(rows["sending_days"]) >= 6
    for batch_events_max in (1, 7, 1000):
        rebuild(event_log, PROJECTIONS, batch_events_max=batch_events_max)
        assert rows_of(event_log) == rows
    assert dead_letters(event_log) == []


def test_every_event_of_the_warm_up_is_needed() -> None:
    names = [name for name in EVENT_CLASSES if name.startswith(("warmup.", "volume."))]
    assert {EVENT_CLASSES[name] for name in names} == set(PROJECTION.events)
