"""An address that is warmed up: what operators do to its ramps, and what comes by itself."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from signalbox.domain.errors import (
    GroupingExists,
    InvalidField,
    IpExists,
    Refused,
    UnknownGrouping,
    UnknownIp,
)
from signalbox.domain.gate import Allowance
from signalbox.domain.ramp import Schedule
from signalbox.domain.sending_ip import (
    AddIp,
    Command,
    Event,
    FinishGrouping,
    JudgeResults,
    Pause,
    RemoveGrouping,
    RemoveIp,
    ReplaceIp,
    Resume,
    Scope,
    SendingIp,
    WarmupFinished,
    WarmupGroupingRemoved,
    WarmupIpAdded,
    WarmupIpRemoved,
    WarmupIpReplaced,
    WarmupPaused,
    WarmupResumed,
    canonical_ip,
    decide,
    evolve,
    ip_of,
    ip_order,
    stream_of,
)
from signalbox.domain.slowdown import (
    Results,
    Slowdown,
    WarmupBackoffEnded,
    WarmupBackoffStarted,
    WarmupSuspended,
    WarmupSuspensionLifted,
)
from signalbox.domain.warming import Warming
from signalbox.domain.warmup_status import History, local_day
from signalbox.domain.warmup_status import Pause as Pausing

NOW_S: Final = 1_800_000_000.0
HOUR_S: Final = 3600
FIRST: Final = date(2027, 1, 15)

G: Final = Schedule(grouping="&g", mode="MANUAL", start_date=FIRST, messages=(100, 200, 400))
H: Final = Schedule(grouping="&h", mode="AUTO", start_date=FIRST, messages=(10, 20, 40))
G_PAUSED: Final = replace(G, paused=True)
H_PAUSED: Final = replace(H, paused=True)
G_LONGER: Final = replace(G, messages=(100, 200, 400, 800))

ADDED: Final = WarmupIpAdded((G, H))
PAUSED: Final = WarmupPaused(("&g", "&h"), "ip")
COMPLAINED: Final = WarmupSuspended(
    grouping="&g", reason="COMPLAINED", lasts_s=None, sample=1000, hits=3
)
BOUNCED: Final = replace(COMPLAINED, reason="BOUNCED", lasts_s=2 * HOUR_S, sample=100, hits=5)
BACKED_OFF: Final = WarmupBackoffStarted(
    grouping="&g", reason="DEFERRED", lasts_s=HOUR_S, sample=100, hits=20, divisor=4
)
DEFERRED: Final = Results(attempted=100, deferred=20)


def replay(history: Sequence[Event | tuple[Event, float]]) -> SendingIp | None:
    ip: SendingIp | None = None
    for one in history:
        event, at_s = one if isinstance(one, tuple) else (one, NOW_S)
        ip = evolve(ip, event, at_s)
    return ip


def when(
    command: Command, given: Sequence[Event | tuple[Event, float]] = (), now_s: float = NOW_S
) -> tuple[Event, ...]:
    return decide(replay(given), command, now_s)


def warming(history: Sequence[Event | tuple[Event, float]], grouping: str = "&g") -> Warming:
    ip = replay(history)
    assert ip is not None
    found = ip.find(grouping)
    assert found is not None
    return found


# addresses


@pytest.mark.parametrize(("text", "canonical"), [
    ("10.0.0.1", "10.0.0.1"), ("2001:DB8:0:0::1", "2001:db8::1"), ("::", "::"),
    ("::ffff:10.0.0.1", "::ffff:10.0.0.1"), ("::ffff:a00:1", "::ffff:10.0.0.1"),
])  # fmt: skip
def test_an_address_has_one_form(text: str, canonical: str) -> None:
    assert canonical_ip(text) == canonical
    assert canonical_ip(canonical) == canonical
    assert ip_of(stream_of(canonical)) == canonical


@pytest.mark.parametrize("text", ["", "010.0.0.1", "10.0.0", "fe80::1%eth0", "host", "10.0.0.1/32"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidField):
        canonical_ip(text)


def test_addresses_are_sorted_by_version_and_number() -> None:
    addresses = ["2001:db8::1", "10.0.0.10", "::1", "10.0.0.9", "9.255.0.0"]
    assert sorted(addresses, key=ip_order) == [
        "9.255.0.0", "10.0.0.9", "10.0.0.10", "::1", "2001:db8::1",
    ]  # fmt: skip


# configuration


def test_an_address_is_added_with_all_its_groupings() -> None:
    assert when(AddIp((G, H_PAUSED))) == (WarmupIpAdded((G, H_PAUSED)),)
    ip = replay((WarmupIpAdded((G, H_PAUSED)),))
    assert ip == SendingIp((
        Warming(G, History(NOW_S)),
        Warming(H_PAUSED, History(NOW_S, (Pausing(NOW_S),))),
    ))  # fmt: skip


def test_an_address_is_not_added_twice() -> None:
    with pytest.raises(IpExists):
        when(AddIp((G,)), given=(ADDED,))
    with pytest.raises(IpExists):
        when(AddIp((G, G)), given=(ADDED,))


@pytest.mark.parametrize(("command", "given"), [
    (AddIp((G, H, G_LONGER)), ()), (ReplaceIp((G, H, G_LONGER)), (ADDED,)),
])  # fmt: skip
def test_an_address_has_no_two_ramps_for_one_grouping(
    command: Command, given: tuple[Event, ...]
) -> None:
    with pytest.raises(GroupingExists) as refused:
        when(command, given)
    assert refused.value.grouping == "&g"


@pytest.mark.parametrize("given", [(), (ADDED, WarmupIpRemoved())])
@pytest.mark.parametrize("command", [
    ReplaceIp((G, G)), RemoveIp(), RemoveGrouping("&g"), Pause(), Pause("&g"), Resume(),
    Resume("&g"),
])  # fmt: skip
def test_nothing_can_be_done_to_an_address_that_is_not_there(
    command: Command, given: tuple[Event, ...]
) -> None:
    with pytest.raises(UnknownIp):
        when(command, given)


@pytest.mark.parametrize("command", [RemoveGrouping("&x"), Pause("&x"), Resume("&x")])
def test_nor_to_a_grouping_that_is_not_there(command: Command) -> None:
    with pytest.raises(UnknownGrouping) as refused:
        when(command, given=(ADDED,))
    assert refused.value.grouping == "&x"


def test_the_refusals_say_what_is_wrong() -> None:
    assert [str(one) for one in (IpExists(), UnknownIp(), GroupingExists("&g"))] == [
        "IP already exists", "IP not found", "Grouping already exists",
    ]  # fmt: skip
    assert str(UnknownGrouping("&g")) == "Grouping not found"


def test_an_address_is_replaced_as_a_whole() -> None:
    assert when(ReplaceIp((H, G_LONGER)), (ADDED,)) == (WarmupIpReplaced((H, G_LONGER)),)
    assert when(ReplaceIp((G,)), (ADDED,)) == (WarmupIpReplaced((G,)),)
    ip = replay((ADDED, WarmupIpReplaced((H,))))
    assert ip is not None
    assert (ip.schedules, ip.find("&g")) == ((H,), None)


def test_another_order_is_another_configuration() -> None:
    assert when(ReplaceIp((H, G)), (ADDED,)) == (WarmupIpReplaced((H, G)),)


def test_properties_are_part_of_the_configuration() -> None:
    tagged = replace(G, properties={"tag": "cold"})
    assert when(ReplaceIp((tagged, H)), (ADDED,)) == (WarmupIpReplaced((tagged, H)),)


def test_the_same_configuration_again_changes_nothing() -> None:
    assert when(ReplaceIp((G, H)), (ADDED,)) == ()
    assert when(ReplaceIp((G, H), frozenset({"&g", "&h"})), (ADDED,)) == ()


def test_an_edit_without_the_flag_leaves_each_grouping_paused_or_running() -> None:
    given = (ADDED, WarmupPaused(("&g",), "grouping"))
    new = replace(H, grouping="&new")
    command = ReplaceIp((G_LONGER, H, new), frozenset({"&g", "&h", "&new"}))
    kept = replace(G_LONGER, paused=True)
    assert when(command, given) == (WarmupIpReplaced((kept, H, new)),)
    assert when(ReplaceIp((G, H), frozenset({"&g"})), given) == ()


def test_an_edit_with_the_flag_sets_it() -> None:
    given = (ADDED, WarmupPaused(("&g",), "grouping"))
    assert when(ReplaceIp((G, H)), given) == (WarmupIpReplaced((G, H)),)
    assert when(ReplaceIp((G, H_PAUSED), frozenset({"&g"})), given) == (
        WarmupIpReplaced((G_PAUSED, H_PAUSED)),
    )


def test_a_grouping_is_removed_and_the_last_one_leaves_an_address_without_ramps() -> None:
    assert when(RemoveGrouping("&g"), (ADDED,)) == (WarmupGroupingRemoved("&g"),)
    bare = (ADDED, WarmupGroupingRemoved("&g"), WarmupGroupingRemoved("&h"))
    assert replay(bare) == SendingIp(())
    assert when(Pause(), bare) == when(Resume(), bare) == ()
    assert when(RemoveIp(), bare) == (WarmupIpRemoved(),)


def test_an_address_that_was_removed_can_be_added_again_and_starts_anew() -> None:
    given = (ADDED, (PAUSED, NOW_S + 1), (COMPLAINED, NOW_S + 2), WarmupIpRemoved())
    assert replay(given) is None
    assert when(AddIp((G,)), given) == (WarmupIpAdded((G,)),)
    again = warming((*given, (WarmupIpAdded((G,)), NOW_S + 9)))
    assert again == Warming(G, History(NOW_S + 9))


# pause and resume


def test_one_grouping_or_all_are_paused() -> None:
    assert when(Pause("&h"), (ADDED,)) == (WarmupPaused(("&h",), "grouping"),)
    assert when(Pause(), (ADDED,)) == (PAUSED,)
    ip = replay((ADDED, PAUSED))
    assert ip is not None
    assert ip.schedules == (G_PAUSED, H_PAUSED)


def test_only_what_changes_is_told() -> None:
    one = (ADDED, WarmupPaused(("&g",), "grouping"))
    assert when(Pause(), one) == (WarmupPaused(("&h",), "ip"),)
    assert when(Pause("&g"), one) == ()
    assert when(Resume(), one) == (WarmupResumed(("&g",), "ip"),)
    assert when(Resume("&h"), one) == ()
    assert when(Pause(), (ADDED, PAUSED)) == when(Resume(), (ADDED,)) == ()


def test_when_a_ramp_was_paused_is_the_time_of_the_events() -> None:
    given = (
        ADDED,
        (WarmupPaused(("&g",), "grouping"), NOW_S + 10),
        (WarmupResumed(("&g",), "grouping"), NOW_S + 20),
        (WarmupIpReplaced((G_PAUSED, H)), NOW_S + 30),
        (WarmupIpReplaced((G, H)), NOW_S + 40),
    )
    pauses = (Pausing(NOW_S + 10, NOW_S + 20), Pausing(NOW_S + 30, NOW_S + 40))
    assert warming(given).history == History(NOW_S, pauses)
    assert warming(given, "&h").history == History(NOW_S)


def test_only_another_plan_makes_it_another_ramp() -> None:
    given = (ADDED, (WarmupIpReplaced((G_PAUSED, replace(H, messages=(10, 20)))), NOW_S + 10))
    assert warming(given).history.configured_at_s == NOW_S
    assert warming(given, "&h").history.configured_at_s == NOW_S + 10
    for other in (replace(G, mode="AUTO"), replace(G, start_date=date(2027, 1, 16)), G_LONGER):
        moved = warming((ADDED, (WarmupIpReplaced((other,)), NOW_S + 10)))
        assert moved.history.configured_at_s == NOW_S + 10


# what comes by itself


def test_results_are_judged() -> None:
    assert when(JudgeResults("&g", DEFERRED), (ADDED,)) == (BACKED_OFF,)
    assert when(JudgeResults("&g", Results()), (ADDED,)) == ()


def test_a_slow_down_is_of_one_grouping() -> None:
    given = (ADDED, BACKED_OFF, BOUNCED)
    assert warming(given).slowdown.divisor(NOW_S) == 4
    assert warming(given).slowdown.is_suspended(NOW_S)
    assert warming(given, "&h").slowdown == Slowdown()


def test_the_end_of_a_slow_down_is_told() -> None:
    later_s = NOW_S + HOUR_S
    assert when(JudgeResults("&g", Results()), (ADDED, BACKED_OFF), later_s) == (
        WarmupBackoffEnded("&g"),
    )
    over = warming((ADDED, BACKED_OFF, (WarmupBackoffEnded("&g"), later_s)))
    assert not over.slowdown.backoff_open


@pytest.mark.parametrize("suspended", [COMPLAINED, BOUNCED])
@pytest.mark.parametrize("resume", [Resume(), Resume("&g")])
def test_an_operator_who_resumes_lifts_a_suspension(
    suspended: WarmupSuspended, resume: Resume
) -> None:
    lifted = WarmupSuspensionLifted("&g")
    assert when(resume, (ADDED, suspended)) == (lifted,)
    assert when(resume, (ADDED, suspended, lifted)) == ()
    assert when(Resume("&h"), (ADDED, suspended)) == ()
    scope: Scope = "ip" if resume.grouping is None else "grouping"
    paused = (ADDED, suspended, WarmupPaused(("&g",), scope))
    assert when(resume, paused) == (WarmupResumed(("&g",), scope), lifted)


def test_a_slow_down_outlives_an_edit() -> None:
    given = (ADDED, COMPLAINED, WarmupIpReplaced((G_LONGER,)))
    assert warming(given).slowdown.is_suspended(NOW_S)


def test_what_comes_too_late_changes_nothing() -> None:
    gone = (ADDED, WarmupGroupingRemoved("&g"))
    for command in (JudgeResults("&g", DEFERRED), FinishGrouping("&g", date(2030, 1, 1), 0)):
        assert when(command) == when(command, gone) == ()


@pytest.mark.parametrize(("delivered", "met"), [(359, False), (360, True)])
def test_a_ramp_is_finished_the_day_after_its_end_once(
    delivered: int,
    met: bool,  # noqa: FBT001
) -> None:
    finish = FinishGrouping("&g", FIRST + timedelta(days=3), delivered)
    finished = WarmupFinished(grouping="&g", target=400, delivered=delivered, met=met)
    assert when(finish, (ADDED,)) == (finished,)
    assert when(replace(finish, local_date=FIRST + timedelta(days=2)), (ADDED,)) == ()
    assert when(finish, (ADDED, finished)) == ()
    assert when(replace(finish, grouping="&h"), (ADDED, finished)) != ()


def test_a_ramp_that_is_made_longer_can_be_finished_again() -> None:
    finished = WarmupFinished(grouping="&g", target=400, delivered=400, met=True)
    finish = FinishGrouping("&g", FIRST + timedelta(days=9), 800)
    given = (ADDED, finished, WarmupIpReplaced((G_LONGER, H)))
    assert when(finish, given) == (replace(finished, target=800, delivered=800),)
    assert when(finish, (ADDED, finished, WarmupIpReplaced((G_PAUSED, H)))) == ()


# what the gate has to know

NOON_S: Final = datetime(2027, 1, 16, 12, tzinfo=UTC).timestamp()


def allowance(
    history: Sequence[Event | tuple[Event, float]], days_later: int = 1, now_s: float = NOON_S
) -> Allowance:
    now = datetime(2027, 1, 15, 12, tzinfo=UTC) + timedelta(days=days_later)
    return warming(history).allowance(local_day(now, UTC), now_s)


PLAIN: Final = Allowance(target=200, elapsed_s=43_200, length_s=86_400)


def test_the_gate_is_told_the_target_of_the_day() -> None:
    assert allowance((ADDED,), days_later=0) == replace(PLAIN, target=100)
    assert allowance((ADDED,)) == PLAIN
    assert allowance((ADDED,), days_later=2) == replace(PLAIN, target=400)


def test_before_the_start_nothing_may_go_and_after_the_end_everything() -> None:
    assert allowance((ADDED,), days_later=-1) == replace(PLAIN, target=0, hold="NOTSTARTED")
    assert allowance((ADDED,), days_later=3) == replace(PLAIN, target=None)


@pytest.mark.parametrize("days_later", [-1, 1, 3])
def test_a_pause_holds_whatever_the_calendar_says(days_later: int) -> None:
    assert allowance((ADDED, PAUSED), days_later) == replace(PLAIN, target=0, hold="PAUSED")


def test_a_backoff_slows_down_and_a_suspension_holds_while_they_last() -> None:
    assert allowance((ADDED, (BACKED_OFF, NOON_S - 10))) == replace(PLAIN, slowdown=4)
    assert allowance((ADDED, (BACKED_OFF, NOON_S - HOUR_S))) == PLAIN
    assert allowance((ADDED, (BOUNCED, NOON_S - HOUR_S))) == replace(
        PLAIN, hold="SUSPENDED", hold_s=HOUR_S
    )
    assert allowance((ADDED, (BOUNCED, NOON_S - 2 * HOUR_S))) == PLAIN
    assert allowance((ADDED, (COMPLAINED, 0.0))) == replace(PLAIN, hold="SUSPENDED")


# laws

GROUPINGS: Final = st.sampled_from(["&g", "&h", "&i"])
SCHEDULES: Final = st.lists(
    st.builds(
        Schedule,
        grouping=GROUPINGS,
        mode=st.sampled_from(["AUTO", "MANUAL"]),
        start_date=st.sampled_from([FIRST, FIRST + timedelta(days=1)]),
        messages=st.sampled_from([(1,), (1, 2), (1, 2, 4)]),
        paused=st.booleans(),
    ),
    max_size=3,
).map(tuple)
COMMANDS: Final = st.one_of(
    st.builds(AddIp, SCHEDULES),
    st.builds(ReplaceIp, SCHEDULES, st.frozensets(GROUPINGS)),
    st.just(RemoveIp()),
    st.builds(RemoveGrouping, GROUPINGS),
    st.builds(Pause, st.none() | GROUPINGS),
    st.builds(Resume, st.none() | GROUPINGS),
    st.builds(
        JudgeResults,
        GROUPINGS,
        st.builds(
            Results,
            attempted=st.just(100),
            deferred=st.sampled_from([0, 30]),
            bounced=st.sampled_from([0, 30]),
            delivered_24h=st.just(1000),
            complaints_24h=st.sampled_from([0, 30]),
        ),
    ),
    st.builds(FinishGrouping, GROUPINGS, st.just(FIRST + timedelta(days=2)), st.just(1)),
)


class AnyHistory(RuleBasedStateMachine):
    """An address to which everything is done, in any order, at any time."""

    @initialize()
    def begin(self) -> None:
        self.now_s = NOW_S
        self.ip: SendingIp | None = None
        self.history: list[tuple[Event, float]] = []

    @rule(command=COMMANDS, seconds=st.floats(0, 9000))
    def obey(self, command: Command, seconds: float) -> None:
        self.now_s += seconds
        try:
            events = decide(self.ip, command, self.now_s)
        except Refused:
            return
        for event in events:
            self.ip = evolve(self.ip, event, self.now_s)
            self.history.append((event, self.now_s))
        if not isinstance(command, AddIp | RemoveIp | RemoveGrouping):
            assert decide(self.ip, command, self.now_s) == ()

    @invariant()
    def a_ramp_is_paused_exactly_while_a_pause_lasts(self) -> None:
        for one in self.ip.warmings if self.ip else ():
            lasting = [pause for pause in one.history.pauses if pause.to_s is None]
            assert len(lasting) == one.schedule.paused
            assert not lasting or lasting[0] == one.history.pauses[-1]

    @invariant()
    def no_grouping_is_there_twice(self) -> None:
        groupings = [one.grouping for one in self.ip.schedules] if self.ip else []
        assert len(groupings) == len(set(groupings))

    @invariant()
    def the_history_replays_to_the_same_address(self) -> None:
        assert replay(self.history) == self.ip


AnyHistory.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnyHistory = AnyHistory.TestCase


# mail of other groupings


def test_an_address_takes_no_mail_of_groupings_it_has_no_ramp_for() -> None:
    ip = replay((ADDED,))
    assert ip is not None
    last = FIRST + timedelta(days=2)
    assert [ip.excludes(grouping, FIRST) for grouping in ("&g", "&h", "&i")] == [False, False, True]
    assert ip.excludes("&i", last)
    assert not ip.excludes("&i", last + timedelta(days=1))


def test_an_address_excludes_before_its_start_and_not_without_ramps() -> None:
    ip = replay((ADDED,))
    assert ip is not None
    assert ip.excludes("&i", FIRST - timedelta(days=9))
    bare = replay((ADDED, WarmupGroupingRemoved("&g"), WarmupGroupingRemoved("&h")))
    assert bare is not None
    assert not bare.excludes("&i", FIRST)
