"""Addresses configured by several processes at once; what one committed the others know."""

from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from typing import Any, Final

import gevent
import pytest
from support.gateway import eventually_equal

from signalbox.actors.sending_ips import SENDING_IP_EVENTS, SendingIps
from signalbox.domain.errors import GroupingExists, IpExists, Refused, UnknownGrouping, UnknownIp
from signalbox.domain.ramp import Schedule
from signalbox.domain.sending_ip import (
    FinishGrouping,
    WarmupFinished,
    WarmupGroupingRemoved,
    WarmupIpAdded,
    WarmupIpRemoved,
    WarmupIpReplaced,
    WarmupPaused,
    WarmupResumed,
)
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.follower import Follower
from signalbox.eventstore.journal import Journal
from signalbox.eventstore.log import EventLog

IP: Final = "192.0.2.1"
STREAM: Final = "ip-192.0.2.1"
WHO: Final[dict[str, Any]] = {"by": "admin-key", "request_id": "req-1"}


def ramp(grouping: str = "&gmail", *messages: int) -> Schedule:
    return Schedule(
        grouping=grouping,
        mode="MANUAL",
        start_date=date(2026, 11, 20),
        messages=messages or (100, 200, 400),
    )


@pytest.fixture
def others(event_log: EventLog) -> Iterator[Callable[[], SendingIps]]:
    """Make what another process has: a journal of its own on the same log."""
    journals: list[Journal] = []

    def make() -> SendingIps:
        journals.append(Journal(event_log))
        return SendingIps(event_log, journals[-1])

    yield make
    for journal in journals:
        journal.close()


@pytest.fixture
def ips(event_log: EventLog, journal: Journal) -> SendingIps:
    return SendingIps(event_log, journal)


def stored(log: EventLog) -> list[object]:
    return [recorded.event for recorded in log.read(STREAM)]


def outcome(call: Callable[[], None]) -> str:
    try:
        call()
    except (Refused, Unavailable) as error:
        return type(error).__name__
    return "done"


def test_what_an_operator_does_is_in_the_log_on_return(
    ips: SendingIps, event_log: EventLog
) -> None:
    ips.add(IP, (ramp(), ramp("&yahoo")), **WHO)
    ips.pause(IP, "&gmail", **WHO)
    ips.pause(IP, **WHO)
    ips.resume(IP, **WHO)
    ips.replace(IP, (ramp("&gmail", 5), ramp("&yahoo")), **WHO)
    ips.remove_grouping(IP, "&yahoo", **WHO)
    ips.remove(IP, **WHO)
    assert stored(event_log) == [
        WarmupIpAdded((ramp(), ramp("&yahoo"))),
        WarmupPaused(("&gmail",), "grouping"),
        WarmupPaused(("&yahoo",), "ip"),
        WarmupResumed(("&gmail", "&yahoo"), "ip"),
        WarmupIpReplaced((ramp("&gmail", 5), ramp("&yahoo"))),
        WarmupGroupingRemoved("&yahoo"),
        WarmupIpRemoved(),
    ]
    envelopes = {(one.by, one.request_id) for one in event_log.read(STREAM)}
    assert envelopes == {("admin-key", "req-1")}


def test_what_changes_nothing_writes_nothing(ips: SendingIps, event_log: EventLog) -> None:
    ips.add(IP, (ramp(),), **WHO)
    ips.replace(IP, (ramp(),), **WHO)
    ips.resume(IP, **WHO)
    assert stored(event_log) == [WarmupIpAdded((ramp(),))]


def test_what_is_refused_is_not_stored(ips: SendingIps, event_log: EventLog) -> None:
    with pytest.raises(UnknownIp):
        ips.pause(IP, **WHO)
    with pytest.raises(GroupingExists):
        ips.add(IP, (ramp(), ramp()), **WHO)
    assert stored(event_log) == []
    ips.add(IP, (ramp(),), **WHO)
    with pytest.raises(UnknownGrouping):
        ips.remove_grouping(IP, "&yahoo", **WHO)
    with pytest.raises(IpExists):
        ips.add(IP, (ramp(),), **WHO)
    assert len(stored(event_log)) == 1


def test_of_several_that_add_an_address_at_once_one_wins(
    others: Callable[[], SendingIps], event_log: EventLog
) -> None:
    calls = [partial(others().add, IP, (ramp(),), **WHO) for _ in range(6)]
    at_once = [gevent.spawn(outcome, call) for call in calls]
    gevent.joinall(at_once, timeout=20, raise_error=True)
    assert sorted(one.value for one in at_once) == ["IpExists"] * 5 + ["done"]
    assert stored(event_log) == [WarmupIpAdded((ramp(),))]


def test_several_that_change_an_address_at_once_all_get_their_way(
    others: Callable[[], SendingIps], event_log: EventLog
) -> None:
    groupings = [f"&{number}" for number in range(6)]
    others().add(IP, tuple(ramp(one) for one in groupings), **WHO)
    calls = [partial(others().pause, IP, grouping, **WHO) for grouping in groupings]
    at_once = [gevent.spawn(outcome, call) for call in calls]
    gevent.joinall(at_once, timeout=20, raise_error=True)
    assert [one.value for one in at_once] == ["done"] * 6
    paused = [event for event in stored(event_log) if isinstance(event, WarmupPaused)]
    assert sorted(event.groupings[0] for event in paused) == groupings


def test_a_decision_is_by_the_log_even_where_this_process_knows_less(
    ips: SendingIps, others: Callable[[], SendingIps], event_log: EventLog
) -> None:
    assert ips.find(IP) is None
    other = others()
    other.add(IP, (ramp(),), **WHO)
    assert ips.knows(IP)
    with pytest.raises(IpExists):
        ips.add(IP, (ramp(),), **WHO)
    other.remove(IP, **WHO)
    ips.add(IP, (ramp("&yahoo"),), **WHO)
    assert stored(event_log)[-1] == WarmupIpAdded((ramp("&yahoo"),))


def test_what_another_process_committed_arrives(
    ips: SendingIps, others: Callable[[], SendingIps], event_log: EventLog
) -> None:
    assert ips.find(IP) is None
    follower = Follower(
        event_log,
        SENDING_IP_EVENTS,
        lambda rows: [ips.follow(event_log.decode_row(row)) for row in rows] and None,
    )
    try:
        other = others()
        other.add(IP, (ramp(),), **WHO)
        other.pause(IP, **WHO)
        eventually_equal(lambda: ips.find(IP), other.find(IP))
        found = ips.find(IP)
        assert found is not None
        assert found.schedules[0].paused
        other.remove(IP, **WHO)
        eventually_equal(lambda: ips.find(IP), None)
    finally:
        follower.close()


def test_news_out_of_order_are_read_from_the_log(
    ips: SendingIps, others: Callable[[], SendingIps], event_log: EventLog
) -> None:
    ips.find(IP)
    other = others()
    other.add(IP, (ramp(),), **WHO)
    other.pause(IP, **WHO)
    ips.follow(event_log.read(STREAM)[1])
    assert ips.find(IP) == other.find(IP)
    ips.follow(event_log.read(STREAM)[0])
    assert ips.find(IP) == other.find(IP)


def test_who_asks_while_an_address_is_read_the_first_time_waits_for_it(
    ips: SendingIps, others: Callable[[], SendingIps]
) -> None:
    others().add(IP, (ramp(),), **WHO)
    at_once = [gevent.spawn(ips.find, IP) for _ in range(5)]
    gevent.joinall(at_once, timeout=10, raise_error=True)
    assert all(one.value is not None for one in at_once)


def test_a_ramp_is_finished_once_however_many_say_so(
    others: Callable[[], SendingIps], event_log: EventLog
) -> None:
    first, second = others(), others()
    first.add(IP, (ramp(),), **WHO)
    assert second.find(IP) is not None
    news = FinishGrouping("&gmail", date(2026, 11, 23), 399)
    gevent.joinall([gevent.spawn(one.tell, IP, news) for one in (first, second)], raise_error=True)
    finished = WarmupFinished(grouping="&gmail", target=400, delivered=399, met=True)
    assert stored(event_log)[1:] == [finished]
    assert event_log.read(STREAM)[-1].by == "gateway"


def test_news_of_an_address_that_is_gone_are_nothing(ips: SendingIps, event_log: EventLog) -> None:
    ips.tell(IP, FinishGrouping("&gmail", date(2026, 11, 23), 399))
    assert stored(event_log) == []
