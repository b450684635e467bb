"""The gate as a sender of mail meets it: what may go, from where, and what follows from results."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any, Final

import gevent
import pytest

from signalbox.actors.grants import Denied, Grant
from signalbox.actors.sending_days import DayOf, SendingDays
from signalbox.actors.sending_ips import SendingIps
from signalbox.actors.warmup_gate import NOBODY_RETRY, WarmupGate
from signalbox.domain.errors import InvalidField
from signalbox.domain.ip_pool import IpPool, Policy
from signalbox.domain.ramp import Schedule
from signalbox.domain.sending_day import Outcome, VolumeReserved, VolumeSettled, WarmupDayClosed
from signalbox.domain.sending_ip import WarmupFinished
from signalbox.domain.slowdown import (
    WarmupBackoffEnded,
    WarmupBackoffStarted,
    WarmupSuspended,
    WarmupSuspensionLifted,
)
from signalbox.eventstore import metrics
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.journal import Journal
from signalbox.eventstore.log import EventLog

NOON: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)
MIDNIGHT: Final = datetime(2026, 11, 21, tzinfo=UTC)
TODAY: Final = date(2026, 11, 20)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
IP: Final = "192.0.2.1"
OTHER: Final = "192.0.2.2"
WARM: Final = "192.0.2.3"
WHO: Final[dict[str, Any]] = {"by": "admin-key", "request_id": ""}


def ramp(grouping: str = "&gmail", *messages: int, **changes: Any) -> Schedule:  # noqa: ANN401
    given: dict[str, Any] = {"mode": "MANUAL", "start_date": TODAY, **changes}
    return Schedule(grouping=grouping, messages=messages or (2400, 4800, 9600), **given)


@dataclass
class Process:
    """The gate of one process, and a clock that stands still until it is set."""

    log: EventLog
    zone: tzinfo = UTC
    at: datetime = NOON
    pools: tuple[IpPool, ...] = ()
    journal: Journal = field(init=False)
    ips: SendingIps = field(init=False)
    gate: WarmupGate = field(init=False)

    def __post_init__(self) -> None:
        self.journal = Journal(self.log, now=lambda: self.at)
        self.ips = SendingIps(self.log, self.journal)
        self.days = SendingDays(self.log, self.journal)
        self.gate = WarmupGate(self.ips, self.days, self.pools, zone=self.zone, now=lambda: self.at)

    def granted(self, recipients: int, ip: str = IP, **more: Any) -> Grant:  # noqa: ANN401
        grant = self.gate.reserve(ip, "&gmail", recipients, **more)
        assert isinstance(grant, Grant), grant
        return grant

    def denied(self, recipients: int = 1, ip: str = IP, grouping: str = "&gmail") -> Denied:
        denied = self.gate.reserve(ip, grouping, recipients)
        assert isinstance(denied, Denied), denied
        return denied

    def choose(self, recipients: int = 1, **more: Any) -> Grant | Denied:  # noqa: ANN401
        return self.gate.choose("main", "&gmail", recipients, **more)

    def chosen(self, recipients: int = 1, **more: Any) -> str:  # noqa: ANN401
        grant = self.choose(recipients, **more)
        assert isinstance(grant, Grant), grant
        return grant.ip

    def stored(self, day: date = TODAY, ip: str = IP) -> list[object]:
        stream = DayOf(ip, "&gmail", day).stream_id
        return [recorded.event for recorded in self.log.read(stream)]

    def slowdowns(self) -> list[object]:
        return [one.event for one in self.log.read(f"ip-{IP}")][1:]


@pytest.fixture
def start(event_log: EventLog) -> Iterator[Any]:
    started: list[Process] = []

    def start(**how: Any) -> Process:  # noqa: ANN401
        started.append(Process(event_log, **how))
        return started[-1]

    yield start
    for one in started:
        one.journal.close()


@pytest.fixture
def process(start: Any) -> Process:  # noqa: ANN401
    process: Process = start()
    process.ips.add(IP, (ramp(),), **WHO)
    return process


# reserving


def test_as_much_is_granted_as_there_is_room_for_and_stored_first(process: Process) -> None:
    grant = process.granted(1000)
    assert (grant.ip, grant.grouping, grant.date, grant.recipients) == (IP, "&gmail", TODAY, 300)
    (event,) = process.stored()
    assert event == VolumeReserved(reservation_id=grant.reservation_id, recipients=300, target=2400)
    assert process.denied() == Denied("HOURLY", NOON + HOUR)
    process.at += HOUR
    assert process.granted(1000).recipients == 300


def test_an_address_may_be_written_in_any_way(process: Process) -> None:
    process.ips.add("2001:db8::1", (ramp(),), **WHO)
    assert process.granted(1, ip="2001:DB8:0::1").ip == "2001:db8::1"
    with pytest.raises(InvalidField):
        process.gate.reserve("mail.example.com", "&gmail", 1)


def test_an_address_that_is_not_warmed_up_has_no_limits(process: Process) -> None:
    grant = process.granted(10**6, ip=WARM)
    assert (grant.recipients, grant.reservation_id) == (10**6, "")
    process.gate.settle(grant, Outcome(attempted=10**6, delivered=10**6))
    assert process.stored(ip=WARM) == []
    assert process.gate.still_allowed(grant)


def test_an_address_that_is_warmed_up_takes_no_mail_of_other_groupings(process: Process) -> None:
    assert process.denied(grouping="example.com") == Denied("EXCLUDED", MIDNIGHT)
    process.at += 3 * DAY
    assert isinstance(process.gate.reserve(IP, "example.com", 1), Grant)


def test_an_address_without_groupings_has_no_limits(process: Process) -> None:
    process.ips.remove_grouping(IP, "&gmail", **WHO)
    assert process.granted(10**6).reservation_id == ""


def test_before_the_start_nothing_goes(process: Process) -> None:
    process.at -= DAY
    assert process.denied() == Denied("NOTSTARTED", NOON - 12 * HOUR)


def test_after_the_end_all_goes_while_other_ramps_of_the_address_last(process: Process) -> None:
    process.ips.replace(IP, (ramp("&gmail", 5), ramp("&yahoo")), **WHO)
    process.at += DAY
    assert process.granted(10**6).reservation_id == ""


def test_while_paused_nothing_goes_not_even_repeats(process: Process) -> None:
    process.ips.pause(IP, "&gmail", **WHO)
    denied = process.gate.reserve(IP, "&gmail", 0, repeats=5)
    assert denied == Denied("PAUSED", MIDNIGHT)
    assert process.stored() == []


def test_mail_that_was_counted_today_goes_again_without_being_counted(process: Process) -> None:
    process.granted(300)
    again = process.gate.reserve(IP, "&gmail", 0, repeats=40)
    assert isinstance(again, Grant)
    assert (again.recipients, again.repeats) == (0, 40)
    assert process.days.newest(DayOf(IP, "&gmail", TODAY)).used == 300


def test_the_day_begins_at_local_midnight(start: Any) -> None:  # noqa: ANN401
    process: Process = start(zone=timezone(timedelta(hours=2)))
    process.ips.add(IP, (ramp("&gmail", 1),), **WHO)
    assert process.granted(5).recipients == 1
    assert process.denied() == Denied("CAP", MIDNIGHT - 2 * HOUR)


def test_denials_are_counted_by_reason(process: Process) -> None:
    counter = metrics.WARMUP_DENIED.labels("EXCLUDED")
    before = counter._value.get()  # noqa: SLF001  there is no other way to read one
    process.denied(grouping="example.com")
    assert counter._value.get() == before + 1  # noqa: SLF001


def test_gauges_show_the_day(process: Process) -> None:
    grant = process.granted(200)
    process.gate.settle(grant, Outcome(attempted=150, delivered=149), released=50)
    gauges = (metrics.WARMUP_TARGET, metrics.WARMUP_USED, metrics.WARMUP_DELIVERED)
    shown = [gauge.labels(IP, "&gmail")._value.get() for gauge in gauges]  # noqa: SLF001
    assert shown == [2400, 150, 149]


# several at once


def test_several_processes_at_once_are_granted_what_one_would_be(
    start: Any,  # noqa: ANN401
    process: Process,
) -> None:
    others = [start() for _ in range(4)]
    at_once = [gevent.spawn(one.gate.reserve, IP, "&gmail", 30) for one in others * 5]
    gevent.joinall(at_once, timeout=30, raise_error=True)
    granted = [one.value.recipients for one in at_once if isinstance(one.value, Grant)]
    denied = [one.value for one in at_once if isinstance(one.value, Denied)]
    assert sum(granted) == 300
    assert denied == [Denied("HOURLY", NOON + HOUR)] * 10
    assert process.days.newest(DayOf(IP, "&gmail", TODAY)).used == 300


def test_without_the_store_nothing_is_granted(process: Process) -> None:
    process.granted(1)
    process.journal.close()
    with pytest.raises(Unavailable):
        process.gate.reserve(IP, "&gmail", 1)


# settling


def test_what_became_of_a_grant_is_written_down_once_by_any_process(
    start: Any,  # noqa: ANN401
    process: Process,
) -> None:
    grant = process.granted(300)
    outcome = Outcome(attempted=290, delivered=280, deferred=10)
    start().gate.settle(grant, outcome, released=10)
    process.gate.settle(grant, outcome, released=10)
    assert process.stored()[1:] == [VolumeSettled(grant.reservation_id, outcome, 10)]
    assert process.granted(300).recipients == 10


def test_what_is_never_settled_stays_counted(process: Process) -> None:
    process.granted(300)
    process.at += 2 * HOUR
    process.granted(300)
    assert process.days.newest(DayOf(IP, "&gmail", TODAY)).used == 600


# at the time of sending


def test_planned_mail_may_go_while_nothing_changes(process: Process) -> None:
    grant = process.granted(300)
    assert process.gate.still_allowed(grant)
    process.gate.settle(grant, Outcome(attempted=300, delivered=300))
    assert not process.gate.still_allowed(grant)


def test_planned_mail_is_held_by_a_pause(process: Process) -> None:
    grant = process.granted(300)
    process.ips.pause(IP, **WHO)
    assert not process.gate.still_allowed(grant)
    process.ips.resume(IP, **WHO)
    assert process.gate.still_allowed(grant)


def test_of_planned_mail_the_latest_is_held_when_the_target_is_cut(process: Process) -> None:
    first, second = process.granted(100), process.granted(100)
    process.ips.replace(IP, (ramp("&gmail", 150),), **WHO)
    assert process.gate.still_allowed(first)
    assert not process.gate.still_allowed(second)
    process.gate.settle(first, Outcome(), released=100)
    assert process.gate.still_allowed(second)


def test_planned_mail_of_yesterday_asks_again(process: Process) -> None:
    grant = process.granted(100)
    process.at = MIDNIGHT
    assert not process.gate.still_allowed(grant)
    process.at += 3 * DAY
    assert process.gate.still_allowed(grant)


def test_planned_mail_is_held_when_its_address_begins_to_warm_up(process: Process) -> None:
    grant = process.granted(100, ip=WARM)
    process.ips.add(WARM, (ramp("&yahoo"),), **WHO)
    assert not process.gate.still_allowed(grant)


# days and their end


def test_the_first_mail_of_a_day_closes_the_days_before(
    start: Any,  # noqa: ANN401
    process: Process,
) -> None:
    sent = Outcome(attempted=300, delivered=290, bounced=10)
    process.gate.settle(process.granted(300), sent)
    process.at = MIDNIGHT + DAY
    other: Process = start(at=process.at)
    asked = [gevent.spawn(one.gate.reserve, IP, "&gmail", 1) for one in (process, other) * 2]
    gevent.joinall(asked, timeout=20, raise_error=True)
    closed = WarmupDayClosed(2400, sent, met=False)
    assert [one for one in process.stored() if isinstance(one, WarmupDayClosed)] == [closed]
    assert process.stored(TODAY + DAY) == []
    process.at += DAY
    process.granted(1)
    assert [one for one in process.stored() if isinstance(one, WarmupDayClosed)] == [closed]
    assert isinstance(process.stored(TODAY + 2 * DAY)[-1], WarmupDayClosed)


def test_whose_clock_is_behind_takes_from_the_day_that_has_begun(
    start: Any,  # noqa: ANN401
    process: Process,
) -> None:
    process.granted(1)
    ahead: Process = start(at=MIDNIGHT)
    ahead.granted(1)
    process.at = MIDNIGHT - timedelta(milliseconds=1)
    assert process.granted(1).date == TODAY + DAY


def test_a_clock_that_is_hours_ahead_gives_nobody_two_days_at_once(
    start: Any,  # noqa: ANN401
    process: Process,
) -> None:
    process.granted(1)
    ahead: Process = start(at=MIDNIGHT)
    ahead.granted(1)
    assert process.denied() == Denied("CLOSED", MIDNIGHT)


def test_a_ramp_that_is_over_is_finished_with_what_its_last_day_brought(process: Process) -> None:
    process.ips.replace(IP, (ramp("&gmail", 10),), **WHO)
    process.gate.settle(process.granted(2), Outcome(attempted=2, delivered=2))
    process.at += DAY
    process.granted(500)
    process.granted(500)
    finished = WarmupFinished(grouping="&gmail", target=10, delivered=2, met=False)
    assert process.slowdowns()[1:] == [finished]
    assert process.stored()[-1] == WarmupDayClosed(10, Outcome(attempted=2, delivered=2), met=False)


# slowing down


def test_deferrals_slow_a_grouping_down_until_it_is_over(process: Process) -> None:
    process.gate.settle(process.granted(100), Outcome(attempted=100, deferred=20))
    (started,) = process.slowdowns()
    assert isinstance(started, WarmupBackoffStarted)
    assert (started.reason, started.sample, started.hits) == ("DEFERRED", 100, 20)
    assert process.denied() == Denied("HOURLY", NOON + HOUR)
    process.at += HOUR
    assert process.granted(300).recipients == 300
    assert process.slowdowns()[1:] == [WarmupBackoffEnded("&gmail")]


def test_results_of_yesterday_count_shortly_after_midnight(process: Process) -> None:
    process.at = MIDNIGHT - HOUR / 4
    process.gate.settle(process.granted(40), Outcome(attempted=40, deferred=8))
    assert process.slowdowns() == []
    process.at = MIDNIGHT + HOUR / 4
    process.gate.settle(process.granted(40), Outcome(attempted=40, deferred=8))
    (started,) = process.slowdowns()
    assert isinstance(started, WarmupBackoffStarted)
    assert (started.sample, started.hits) == (80, 16)


def test_bounces_stop_a_grouping_for_two_hours(process: Process) -> None:
    process.gate.settle(process.granted(100), Outcome(attempted=100, bounced=5))
    (suspended,) = process.slowdowns()
    assert isinstance(suspended, WarmupSuspended)
    assert process.denied() == Denied("SUSPENDED", NOON + 2 * HOUR)
    process.at += 2 * HOUR
    process.granted(1)
    assert process.slowdowns()[1:] == [WarmupSuspensionLifted("&gmail")]


def test_complaints_stop_a_grouping_until_an_operator_resumes_it(process: Process) -> None:
    assert process.gate.feedback_since(IP, "&gmail") == NOON - DAY
    process.gate.report_complaints(IP, "&gmail", 2, 1000)
    assert process.slowdowns() == []
    process.gate.report_complaints(IP, "&gmail", 3, 1000)
    assert process.denied() == Denied("SUSPENDED", MIDNIGHT)
    process.at += HOUR
    process.ips.resume(IP, **WHO)
    process.granted(1)
    assert process.gate.feedback_since(IP, "&gmail") == NOON + HOUR


def test_a_grouping_whose_slow_down_is_off_never_slows(process: Process) -> None:
    process.gate.settle(process.granted(100), Outcome(attempted=100, bounced=50))
    off = ramp(properties={"slowdown": "off"})
    process.ips.replace(IP, (off,), **WHO)
    before = len(process.slowdowns())
    process.gate.settle(process.granted(200), Outcome(attempted=200, bounced=200))
    assert len(process.slowdowns()) == before


# pools


def pools(policy: Policy = "defer", overflow: str = "") -> tuple[IpPool, ...]:
    main = IpPool(name="main", ips=(IP, OTHER), policy=policy, overflow=overflow)
    return main, IpPool(name="spare", ips=(WARM,))


def warming(start: Any, *chosen: IpPool) -> Process:  # noqa: ANN401
    process: Process = start(pools=chosen or pools())
    process.ips.add(IP, (ramp("&gmail", 240),), **WHO)
    process.ips.add(OTHER, (ramp("&gmail", 2400),), **WHO)
    return process


def test_whoever_used_least_of_its_target_sends(start: Any) -> None:  # noqa: ANN401
    process = warming(start)
    assert process.chosen(10) == IP
    assert process.chosen(10) == OTHER
    assert process.chosen(150) == OTHER
    assert process.chosen() == IP


def test_when_one_may_not_send_another_does(start: Any) -> None:  # noqa: ANN401
    process = warming(start)
    assert process.chosen(without={IP}) == OTHER
    process.ips.pause(IP, **WHO)
    assert [process.chosen(300), process.choose()] == [OTHER, Denied("HOURLY", NOON + HOUR)]
    process.ips.replace(IP, (ramp("&yahoo"),), **WHO)
    process.ips.replace(OTHER, (ramp("&yahoo"),), **WHO)
    assert process.choose() == Denied("EXCLUDED", MIDNIGHT)


def test_where_nobody_is_left_mail_waits_a_while(start: Any) -> None:  # noqa: ANN401
    process = warming(start)
    denied = process.choose(without={IP, OTHER})
    assert denied == Denied("NO_IPS", NOON + NOBODY_RETRY)


def test_what_the_warming_do_not_take_the_warm_do_and_then_the_overflow_pool(
    start: Any,  # noqa: ANN401
) -> None:
    process = warming(start, *pools(overflow="spare"))
    process.chosen(1000)
    process.chosen(1000)
    assert process.chosen() == WARM
    process.ips.remove(OTHER, **WHO)
    assert process.chosen() == OTHER


def test_a_pool_may_say_that_its_mail_fails(start: Any) -> None:  # noqa: ANN401
    process = warming(start, *pools("fail"))
    process.ips.pause(IP, **WHO)
    process.ips.pause(OTHER, **WHO)
    assert process.choose() == Denied("NO_IPS", None)


def test_a_pool_may_say_that_its_mail_goes_over_the_target(start: Any) -> None:  # noqa: ANN401
    process = warming(start, *pools("exceed"))
    process.chosen(1000)
    process.chosen(1000)
    grant = process.choose(9)
    assert isinstance(grant, Grant)
    assert (grant.recipients, grant.repeats, grant.over_target) == (9, 0, True)
    assert process.gate.still_allowed(grant)
    before = process.days.newest(grant.day)
    process.gate.settle(grant, Outcome(attempted=8, delivered=8), released=1)
    after = process.days.newest(grant.day)
    assert (after.used, after.totals.delivered) == (before.used, before.totals.delivered + 8)
    process.ips.pause(IP, **WHO)
    process.ips.pause(OTHER, **WHO)
    assert process.choose() == Denied("PAUSED", MIDNIGHT)


def test_urgent_mail_prefers_the_warm_and_never_waits_for_a_ramp(start: Any) -> None:  # noqa: ANN401
    process = warming(start)
    process.ips.remove(OTHER, **WHO)
    assert [process.chosen(), process.chosen(urgent=True)] == [IP, OTHER]
    process.chosen(1000)
    grant = process.choose(urgent=True, without={OTHER})
    assert isinstance(grant, Grant)
    assert (grant.ip, grant.over_target) == (IP, True)


def test_the_warm_have_turns(start: Any) -> None:  # noqa: ANN401
    process: Process = start(pools=pools())
    assert {process.chosen() for _ in range(2)} == {IP, OTHER}


def test_pools_may_change_while_they_are_used(start: Any) -> None:  # noqa: ANN401
    process: Process = start(pools=pools())
    process.gate.configure([IpPool(name="main", ips=(WARM,))])
    assert process.chosen() == WARM
    with pytest.raises(KeyError):
        process.gate.choose("spare", "&gmail", 1)
