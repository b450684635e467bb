"""The actor of an address: it decides in order, rests, fails and comes back, and is one of few."""

from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from typing import Any, Final

import gevent
import pykka
import pytest
from gevent.event import AsyncResult, Event
from support.gateway import eventually, eventually_equal
from typing_extensions import override

from signalbox.actors import sending_ip, sending_ips
from signalbox.actors.runtime import Actor
from signalbox.actors.sending_ip import Decide, SendingIpActor
from signalbox.actors.sending_ips import SendingIps
from signalbox.domain.errors import IpExists, UnknownIp
from signalbox.domain.ramp import Schedule
from signalbox.domain.sending_ip import FinishGrouping, Pause, WarmupIpAdded, WarmupPaused
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.journal import Append, Journal
from signalbox.eventstore.log import EventLog

IP: Final = "192.0.2.1"
STREAM: Final = "ip-192.0.2.1"
WHO: Final[dict[str, Any]] = {"by": "admin-key"}


class Unsteady(Journal):
    """Fails as often as `failures` says, and takes an append only when `opened` is set."""

    def __init__(self, log: EventLog) -> None:
        super().__init__(log)
        self.failures = 0
        self.asked = 0
        self.opened = Event()
        self.opened.set()

    @override
    def append(self, append: Append, into: AsyncResult | None = None) -> AsyncResult:
        self.asked += 1
        if self.failures:
            self.failures -= 1
            raise ValueError("not yet")
        result = into or AsyncResult()
        gevent.spawn(self._append_later, append, result)
        return result

    def _append_later(self, append: Append, result: AsyncResult) -> None:
        self.opened.wait()
        super().append(append, result)


@pytest.fixture
def unsteady(event_log: EventLog) -> Iterator[Unsteady]:
    journal = Unsteady(event_log)
    yield journal
    journal.opened.set()
    journal.close()


@pytest.fixture
def ips(event_log: EventLog, unsteady: Unsteady) -> Iterator[SendingIps]:
    """Nobody else's actors run meanwhile."""
    stop_all()
    yield SendingIps(event_log, unsteady)
    unsteady.opened.set()
    stop_all()


def stop_all() -> None:
    for ref in pykka.ActorRegistry.get_by_class(SendingIpActor):
        ref.stop(timeout=5)


def running() -> int:
    return len(pykka.ActorRegistry.get_by_class(SendingIpActor))


def ramp(grouping: str = "&gmail") -> Schedule:
    return Schedule(
        grouping=grouping, mode="MANUAL", start_date=date(2026, 11, 20), messages=(100, 200)
    )


def stored(log: EventLog) -> list[object]:
    return [recorded.event for recorded in log.read(STREAM)]


def refused(call: Callable[[], None]) -> str:
    try:
        call()
    except Unavailable as error:
        return error.reason
    return ""


def test_who_looks_at_an_address_or_guesses_one_starts_no_actor(ips: SendingIps) -> None:
    assert ips.find(IP) is None
    assert not ips.knows(IP)
    with pytest.raises(UnknownIp):
        ips.pause(IP, **WHO)
    ips.tell(IP, FinishGrouping("&gmail", date(2026, 11, 23), 1))
    assert running() == 0


def test_an_actor_decides_in_the_order_of_its_inbox(
    ips: SendingIps, unsteady: Unsteady, event_log: EventLog
) -> None:
    groupings = [f"&{number}" for number in range(10)]
    ips.add(IP, tuple(ramp(one) for one in groupings), **WHO)
    asks = [Decide(Pause(one), "admin-key", "", AsyncResult()) for one in groupings]
    ref = SendingIpActor.start(IP, event_log, unsteady)
    for ask in asks:
        ref.tell(ask)
    assert [ask.reply.get(timeout=5) for ask in asks] == list(range(2, 12))
    assert stored(event_log)[1:] == [WarmupPaused((one,), "grouping") for one in groupings]


def test_commands_of_one_process_meet_one_actor_and_no_conflict(
    ips: SendingIps, unsteady: Unsteady, event_log: EventLog
) -> None:
    ips.add(IP, (ramp("&a"), ramp("&b"), ramp("&c")), **WHO)
    calls = [partial(ips.pause, IP, grouping, **WHO) for grouping in ("&a", "&b", "&c")]
    gevent.joinall([gevent.spawn(call) for call in calls], timeout=10, raise_error=True)
    assert unsteady.asked == len(stored(event_log)) == 4
    assert running() == 1


def test_an_actor_nobody_asks_stops_and_comes_back_with_its_state(
    ips: SendingIps, event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending_ip, "IDLE_S", 0.05)
    ips.add(IP, (ramp(),), **WHO)
    eventually_equal(running, 0)
    with pytest.raises(IpExists):
        ips.add(IP, (ramp(),), **WHO)
    eventually_equal(running, 0)
    ips.pause(IP, **WHO)
    assert stored(event_log) == [WarmupIpAdded((ramp(),)), WarmupPaused(("&gmail",), "ip")]


def test_an_actor_with_work_does_not_stop(
    ips: SendingIps, unsteady: Unsteady, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending_ip, "IDLE_S", 0.05)
    unsteady.opened.clear()
    adding = gevent.spawn(ips.add, IP, (ramp(),), **WHO)
    gevent.sleep(0.2)
    assert running() == 1
    unsteady.opened.set()
    adding.get(timeout=5)
    assert ips.find(IP) is not None


def test_an_actor_that_fails_is_rebuilt_and_decides_again(
    ips: SendingIps, unsteady: Unsteady, event_log: EventLog
) -> None:
    ips.add(IP, (ramp(),), **WHO)
    unsteady.failures = Actor.restarts_max
    ips.pause(IP, **WHO)
    assert stored(event_log) == [WarmupIpAdded((ramp(),)), WarmupPaused(("&gmail",), "ip")]


def test_what_fails_every_time_is_put_aside_and_the_next_is_decided(
    ips: SendingIps, unsteady: Unsteady, event_log: EventLog
) -> None:
    ips.add(IP, (ramp("&a"), ramp("&b")), **WHO)
    unsteady.failures = Actor.restarts_max + 1
    calls = [partial(ips.pause, IP, grouping, **WHO) for grouping in ("&a", "&b")]
    at_once = [gevent.spawn(refused, call) for call in calls]
    gevent.joinall(at_once, timeout=10, raise_error=True)
    outcomes = {grouping: one.value for grouping, one in zip(("&a", "&b"), at_once, strict=True)}
    assert sorted(outcomes.values()) == ["", "address could not be decided on"]
    done = next(grouping for grouping, reason in outcomes.items() if not reason)
    assert stored(event_log)[1:] == [WarmupPaused((done,), "grouping")]
    with event_log.pool.connection() as connection:
        (letter,) = connection.execute("SELECT * FROM signalbox.dead_letters").fetchall()
    assert letter["reader"] == STREAM


def test_what_nobody_waits_for_any_more_is_not_decided(
    ips: SendingIps,
    unsteady: Unsteady,
    event_log: EventLog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ips.add(IP, (ramp("&a"), ramp("&b")), **WHO)
    unsteady.opened.clear()
    first = gevent.spawn(ips.pause, IP, "&a", **WHO)
    eventually(lambda: unsteady.asked == 2)
    monkeypatch.setattr(sending_ips, "ANSWER_S_MAX", 0.05)
    assert refused(partial(ips.pause, IP, "&b", **WHO)) == "address is busy"
    unsteady.opened.set()
    first.get(timeout=5)
    monkeypatch.undo()
    ips.resume(IP, "&a", **WHO)
    assert WarmupPaused(("&b",), "grouping") not in stored(event_log)
    assert len(stored(event_log)) == 3


def test_actors_are_as_many_as_allowed_however_many_addresses_there_are(
    ips: SendingIps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending_ips, "ACTORS_MAX", 3)
    addresses = [f"192.0.2.{last}" for last in range(10)]
    for address in addresses:
        ips.add(address, (ramp(),), **WHO)
    eventually_equal(running, 3)
    for address in addresses:
        ips.pause(address, **WHO)
    eventually_equal(running, 3)
    found = [ips.find(address) for address in addresses]
    assert all(one is not None and one.schedules[0].paused for one in found)


def test_an_actor_somebody_waits_for_is_not_let_go_of(
    ips: SendingIps, unsteady: Unsteady, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending_ips, "ACTORS_MAX", 1)
    unsteady.opened.clear()
    adding = gevent.spawn(ips.add, IP, (ramp(),), **WHO)
    eventually(lambda: unsteady.asked == 1)
    late = refused(partial(ips.add, "192.0.2.2", (ramp(),), **WHO))
    assert late == "too many addresses are changed at once"
    unsteady.opened.set()
    adding.get(timeout=5)
    ips.add("192.0.2.2", (ramp(),), **WHO)


def test_who_waits_for_an_actor_that_is_stopped_is_told(
    ips: SendingIps, unsteady: Unsteady
) -> None:
    unsteady.opened.clear()
    adding = gevent.spawn(refused, partial(ips.add, IP, (ramp(),), **WHO))
    eventually(lambda: unsteady.asked == 1)
    stop_all()
    assert adding.get(timeout=5) == "address is let go of"
