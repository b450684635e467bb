"""One address, one grouping, one day: what is reserved, what became of it, and never too much."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from signalbox.domain.gate import HOUR_S, Allowance, Hold, hourly_max, released
from signalbox.domain.sending_day import (
    CloseDay,
    Command,
    Denied,
    Event,
    Granted,
    Outcome,
    ReserveVolume,
    SendingDay,
    SettleVolume,
    VolumeReserved,
    VolumeSettled,
    WarmupDayClosed,
    admit,
    decide,
    evolve,
    key_of,
    stream_of,
)

DAY_S: Final = 86_400
MIDNIGHT_S: Final = 1_800_000_000.0
NOON_S: Final = MIDNIGHT_S + DAY_S / 2
NOON: Final = Allowance(target=2400, elapsed_s=DAY_S // 2, length_s=DAY_S)
SENT: Final = Outcome(attempted=10, delivered=7, deferred=2, bounced=1, blocked=1)


def ask(recipients: int, allowance: Allowance = NOON, key: str = "a", repeats: int = 0) -> Command:
    return reservation(recipients, allowance, key, repeats)


def reservation(
    recipients: int, allowance: Allowance = NOON, key: str = "a", repeats: int = 0
) -> ReserveVolume:
    return ReserveVolume(
        reservation_id=key, recipients=recipients, allowance=allowance, repeats=repeats
    )


def reserved(recipients: int, key: str = "a", repeats: int = 0) -> VolumeReserved:
    return VolumeReserved(reservation_id=key, recipients=recipients, target=2400, repeats=repeats)


def settle(outcome: Outcome = SENT, freed: int = 0, key: str = "a") -> SettleVolume:
    return SettleVolume(reservation_id=key, outcome=outcome, released=freed)


def replay(history: Sequence[Event | tuple[Event, float]]) -> SendingDay:
    day = SendingDay()
    for one in history:
        event, at_s = one if isinstance(one, tuple) else (one, NOON_S)
        day = evolve(day, event, at_s)
    return day


def when(
    command: Command, given: Sequence[Event | tuple[Event, float]] = (), now_s: float = NOON_S
) -> tuple[Event, ...]:
    return decide(replay(given), command, now_s)


# the name


@pytest.mark.parametrize(("ip", "grouping"), [
    ("10.0.0.1", "&gmail"), ("2001:db8::1", "my-domain.example"), ("::1", "a-2025-08-01-b"),
])  # fmt: skip
def test_the_stream_is_named_after_address_grouping_and_date(ip: str, grouping: str) -> None:
    day = date(2025, 8, 1)
    assert stream_of(ip, grouping, day) == f"day-{ip}-{grouping}-2025-08-01"
    assert key_of(stream_of(ip, grouping, day)) == (ip, grouping, day)


# reservations


def test_what_there_is_room_for_is_reserved() -> None:
    assert when(ask(10)) == (reserved(10),)
    assert admit(SendingDay(), reservation(10), NOON_S) == Granted(10)


def test_where_there_is_room_for_a_part_that_is_reserved() -> None:
    assert when(ask(1000)) == (reserved(300),)
    assert when(ask(1000, key="b"), given=(reserved(290),)) == (reserved(10, "b"),)


def test_where_there_is_no_room_nothing_is_reserved() -> None:
    given = ((reserved(300), NOON_S - 600),)
    assert when(ask(1, key="b"), given) == ()
    assert admit(replay(given), reservation(1, key="b"), NOON_S) == Denied("HOURLY", NOON_S + 3000)


def test_the_last_60_minutes_are_those_of_the_reservations() -> None:
    given = (
        (reserved(200, "a"), NOON_S - 3600.0),
        (reserved(200, "b"), NOON_S - 3599.5),
        (reserved(50, "c"), NOON_S - 10),
    )
    day = replay(given)
    assert sorted(day.use(NOON_S).hour) == [(1, 200), (3590, 50)]
    assert (day.use(NOON_S).last_hour, day.used) == (250, 450)
    assert when(ask(100, key="d"), given) == (reserved(50, "d"),)
    assert when(ask(300, key="d"), given, NOON_S + 1) == (reserved(250, "d"),)


def test_a_reservation_of_a_clock_ahead_of_ours_counts() -> None:
    given = ((reserved(300), NOON_S + 5),)
    assert admit(replay(given), reservation(1, key="b"), NOON_S) == Denied("HOURLY", NOON_S + 3605)


@pytest.mark.parametrize("hold", ["PAUSED", "NOTSTARTED", "SUSPENDED"])
def test_a_hold_is_told_with_the_next_midnight(hold: Hold) -> None:
    held = replace(NOON, hold=hold)
    assert when(ask(1, held)) == ()
    assert admit(SendingDay(), reservation(1, held), NOON_S) == Denied(hold, MIDNIGHT_S + DAY_S)


def test_the_same_reservation_again_is_the_same_reservation() -> None:
    given = (reserved(300, repeats=2),)
    assert when(ask(1000, repeats=2), given) == ()
    assert admit(replay(given), reservation(1000, repeats=2), NOON_S) == Granted(300, 2)


def test_where_no_target_is_set_all_is_granted_and_nothing_counted() -> None:
    unlimited = replace(NOON, target=None)
    given = (reserved(300),)
    assert admit(replay(given), reservation(9999, unlimited, "b"), NOON_S) == Granted(9999)
    assert when(ask(9999, unlimited, "b"), given) == ()
    assert when(settle(key="b"), given) == ()


def test_a_target_lowered_below_what_went_ends_the_day() -> None:
    given = ((reserved(300), MIDNIGHT_S + 3700),)
    lowered = replace(NOON, target=300)
    answer = admit(replay(given), reservation(1, lowered, "b"), NOON_S)
    assert answer == Denied("CAP", MIDNIGHT_S + DAY_S)


def test_a_target_raised_leaves_room_again() -> None:
    given = ((reserved(300), MIDNIGHT_S + 3700),)
    raised = replace(NOON, target=24_000)
    (event,) = when(ask(5000, raised, "b"), given)
    assert event == VolumeReserved(reservation_id="b", recipients=3000, target=24_000)
    assert evolve(replay(given), event, NOON_S).target == 24_000


# repeats


def test_a_repeat_takes_nothing_from_the_day() -> None:
    assert when(ask(4, repeats=3)) == (reserved(4, repeats=3),)
    assert replay((reserved(4, repeats=3),)).used == 4
    assert replay((reserved(4, repeats=3),)).use(NOON_S).last_hour == 4


@pytest.mark.parametrize("wanted", [0, 5])
def test_a_repeat_may_go_where_there_is_no_room_for_new_ones(wanted: int) -> None:
    given = (reserved(300),)
    assert when(ask(wanted, key="b", repeats=3), given) == (reserved(0, "b", repeats=3),)


def test_a_repeat_alone_counts_nothing_where_there_is_room() -> None:
    assert when(ask(0, repeats=3)) == (reserved(0, repeats=3),)
    assert replay((reserved(0, repeats=3),)).use(NOON_S).hour == []


def test_a_hold_holds_repeats_too() -> None:
    held = replace(NOON, hold="PAUSED")
    answer = admit(SendingDay(), reservation(0, held, repeats=3), NOON_S)
    assert answer == Denied("PAUSED", MIDNIGHT_S + DAY_S)


def test_reserving_nothing_is_our_own_fault() -> None:
    with pytest.raises(AssertionError):
        when(ask(0))


# settlements


def test_a_reservation_is_settled() -> None:
    assert when(settle(), given=(reserved(10),)) == (VolumeSettled("a", SENT),)


def test_a_settlement_comes_twice_and_counts_once() -> None:
    given = (reserved(10), VolumeSettled("a", SENT))
    assert when(settle(), given) == ()
    assert replay(given).totals == SENT
    assert replay(given).used == 10


def test_nobody_can_settle_what_was_not_reserved() -> None:
    assert when(settle()) == ()
    assert when(settle(key="b"), given=(reserved(10),)) == ()


def test_what_never_reached_a_server_is_free_again() -> None:
    given = (reserved(300), VolumeSettled("a", Outcome(attempted=100, delivered=100), 200))
    day = replay(given)
    assert (day.used, day.use(NOON_S).last_hour) == (100, 100)
    assert when(ask(1000, key="b"), given) == (reserved(200, "b"),)


def test_deferred_and_bounced_recipients_stay_used_for_the_server_saw_them() -> None:
    refused = Outcome(attempted=300, deferred=200, bounced=100)
    given = (reserved(300), VolumeSettled("a", refused))
    assert replay(given).used == 300
    assert when(ask(1, key="b"), given) == ()


def test_what_was_never_settled_stays_used() -> None:
    day = replay(((reserved(300), MIDNIGHT_S),))
    late = evolve(day, reserved(5, "b"), NOON_S)
    assert late.used == 305
    assert set(late.open_reservations) == {"a", "b"}


def test_a_settled_reservation_is_forgotten_when_its_hour_is_over() -> None:
    given = ((reserved(5, "a"), NOON_S), (VolumeSettled("a", SENT), NOON_S))
    assert set(evolve(replay(given), reserved(1, "b"), NOON_S + 3599).reservations) == {"a", "b"}
    assert set(evolve(replay(given), reserved(1, "b"), NOON_S + 3600).reservations) == {"b"}


def test_a_reservation_is_for_one_use() -> None:
    given = (reserved(300), VolumeSettled("a", SENT, 290))
    with pytest.raises(AssertionError):
        when(ask(1), given)


@pytest.mark.parametrize(("outcome", "freed"), [
    (Outcome(), 11),
    (Outcome(), -1),
    (Outcome(attempted=14), 0),
    (Outcome(attempted=12), 2),
    (Outcome(attempted=2, delivered=1, deferred=1, bounced=1), 0),
])  # fmt: skip
def test_an_outcome_of_more_than_was_reserved_is_our_own_fault(
    outcome: Outcome, freed: int
) -> None:
    with pytest.raises(AssertionError):
        when(settle(outcome, freed), given=(reserved(10, repeats=3),))


def test_the_outcomes_of_the_last_hour_can_be_summed_up() -> None:
    day = replay((
        (reserved(10, "a"), NOON_S), (reserved(10, "b"), NOON_S), (reserved(10, "c"), NOON_S),
        (VolumeSettled("a", SENT), NOON_S),
        (VolumeSettled("b", SENT), NOON_S + 1800),
        (VolumeSettled("c", SENT), NOON_S + 3600),
    ))  # fmt: skip
    assert day.outcome_since(NOON_S) == SENT + SENT
    assert day.outcome_since(NOON_S + 1800) == SENT
    assert day.outcome_since(NOON_S + 3600) == Outcome()
    assert len(day.outcomes) == 2
    assert day.totals == SENT + SENT + SENT


# the end of the day


def test_a_day_is_closed_once_with_its_sums() -> None:
    sent = Outcome(attempted=500, delivered=450, deferred=30, bounced=20)
    given = (reserved(500), VolumeSettled("a", sent))
    closed = WarmupDayClosed(500, sent, met=True)
    assert when(CloseDay(500), given) == (closed,)
    assert when(CloseDay(501), given) == (WarmupDayClosed(501, sent, met=False),)
    assert when(CloseDay(500), (*given, closed)) == ()


def test_a_day_whose_ramp_is_gone_is_closed_with_the_last_target_known() -> None:
    assert when(CloseDay(), given=(reserved(10),)) == (WarmupDayClosed(2400, Outcome(), met=False),)


def test_a_day_without_traffic_has_nothing_to_close() -> None:
    assert when(CloseDay(500)) == ()


def test_nothing_can_be_reserved_on_a_closed_day() -> None:
    given = (reserved(10), WarmupDayClosed(2400, Outcome(), met=False))
    assert admit(replay(given), reservation(1, key="b"), NOON_S) == Denied("CLOSED", NOON_S)
    assert when(ask(1, key="b"), given) == ()


def test_what_was_on_its_way_at_midnight_is_still_settled() -> None:
    given = (reserved(10), WarmupDayClosed(2400, Outcome(), met=False))
    assert when(settle(), given) == (VolumeSettled("a", SENT),)
    assert replay((*given, VolumeSettled("a", SENT))).totals == SENT


# laws


class AnyDay(RuleBasedStateMachine):
    """A day on which reservations, settlements and changes of the target come in any order."""

    @initialize(messages=st.integers(1, 3000))
    def begin(self, messages: int) -> None:
        self.day = SendingDay()
        self.target = messages
        self.elapsed_s = 0
        self.keys = 0
        self.history: list[tuple[Event, float]] = []
        self.granted: list[tuple[float, int]] = []  # the model: what went when
        self.held: dict[str, tuple[int, int]] = {}

    @property
    def now_s(self) -> float:
        return MIDNIGHT_S + self.elapsed_s

    @property
    def allowance(self) -> Allowance:
        return Allowance(target=self.target, elapsed_s=self.elapsed_s, length_s=DAY_S)

    def command(self, command: Command) -> tuple[Event, ...]:
        events = decide(self.day, command, self.now_s)
        for event in events:
            self.day = evolve(self.day, event, self.now_s)
            self.history.append((event, self.now_s))
        return events

    @rule(recipients=st.integers(0, 600), repeats=st.integers(0, 3))
    def reserve(self, recipients: int, repeats: int) -> None:
        if recipients + repeats == 0:
            return
        self.keys += 1
        key = f"r{self.keys}"
        command = reservation(recipients, self.allowance, key, repeats)
        answer = admit(self.day, command, self.now_s)
        events = self.command(command)
        assert bool(events) == isinstance(answer, Granted)
        if isinstance(answer, Granted):
            assert admit(self.day, command, self.now_s) == answer
            assert self.command(command) == ()
            self.keeps_the_limits(answer)
            self.held[key] = (answer.recipients, answer.repeats)
        else:
            assert self.now_s < answer.retry_at_s <= MIDNIGHT_S + DAY_S
            assert repeats == 0

    def keeps_the_limits(self, answer: Granted) -> None:
        if answer.recipients == 0:
            return
        self.granted.append((self.now_s, answer.recipients))
        assert self.day.used <= self.target
        assert self.day.used <= released(self.target, self.elapsed_s, DAY_S)
        assert self.day.use(self.now_s).last_hour <= hourly_max(self.target)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.held)))
        recipients, repeats = self.held.pop(key)
        freed = data.draw(st.integers(0, recipients))
        attempted = data.draw(st.integers(0, recipients + repeats - freed))
        delivered = data.draw(st.integers(0, attempted))
        command = settle(Outcome(attempted=attempted, delivered=delivered), freed, key)
        used = self.day.used
        assert self.command(command)
        assert self.day.used == used - freed
        assert self.command(command) == ()

    @rule(key=st.sampled_from(["", "r0", "r1", "r2"]))
    def settle_what_is_not_open(self, key: str) -> None:
        if key not in self.held:
            assert self.command(settle(key=key)) == ()

    @rule(messages=st.integers(1, 3000))
    def change_the_target(self, messages: int) -> None:
        self.target = messages

    @rule(seconds=st.integers(1, 9000))
    def wait(self, seconds: int) -> None:
        self.elapsed_s = min(self.elapsed_s + seconds, DAY_S - 1)

    @invariant()
    def what_is_used_is_what_was_granted_and_not_released(self) -> None:
        freed = sum(e.released for e, _ in self.history if isinstance(e, VolumeSettled))
        assert self.day.used == sum(n for _, n in self.granted) - freed
        assert self.day.used >= 0
        assert set(self.day.open_reservations) == set(self.held)

    @invariant()
    def the_last_hour_is_no_more_than_what_was_granted_in_it(self) -> None:
        granted = sum(n for at_s, n in self.granted if at_s > self.now_s - HOUR_S)
        assert 0 <= self.day.use(self.now_s).last_hour <= granted

    @invariant()
    def the_history_replays_to_the_same_day(self) -> None:
        assert replay(self.history) == self.day


AnyDay.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnyDay = AnyDay.TestCase


@given(st.integers(1, 20_000), st.lists(st.integers(1, 5000), min_size=1))
@settings(deadline=None)
def test_a_day_of_constant_demand_brings_the_target_and_not_one_more(
    target: int, wanted: list[int]
) -> None:
    day, total = SendingDay(), 0
    for minute in range(0, DAY_S, 900):
        now_s = MIDNIGHT_S + minute
        allowance = Allowance(target=target, elapsed_s=minute, length_s=DAY_S)
        command = reservation(wanted[minute // 900 % len(wanted)] + target, allowance, f"{minute}")
        for event in decide(day, command, now_s):
            assert isinstance(event, VolumeReserved)
            total += event.recipients
            day = evolve(day, event, now_s)
    assert total == day.used == target


# a target that is cut


def test_of_what_is_open_the_latest_gives_way_to_a_lower_target() -> None:
    day = replay((reserved(100, "a"), reserved(50, "b"), reserved(30, "c")))
    assert [day.fits(key, 150) for key in "abc"] == [True, True, False]
    assert [day.fits(key, 99) for key in "abc"] == [False] * 3
    assert day.fits("c", 180)


def test_what_went_already_leaves_less_for_what_is_open() -> None:
    sent = VolumeSettled("a", Outcome(attempted=90, delivered=90), 10)
    day = replay((reserved(100, "a"), reserved(50, "b"), sent))
    assert not day.fits("b", 139)
    assert day.fits("b", 140)
    assert not day.fits("a", 10_000)
    assert not day.fits("unknown", 10_000)


def test_repeats_take_nothing_and_so_never_give_way() -> None:
    day = replay((reserved(100, "a"), reserved(0, "b", repeats=7)))
    assert day.fits("b", 1)
