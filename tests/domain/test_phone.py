"""A phone's connections of one day: the newest counts, and nothing is told of one that is gone."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signalbox.domain.phone import (
    Command,
    Connect,
    DayOfPhone,
    Disconnect,
    Event,
    PhoneConnected,
    PhoneDisconnected,
    ReportSims,
    SimCard,
    SimsReported,
    decide,
    evolve,
    has_name,
    named,
    stream_of,
)

NOW_S: Final = 1_800_000_000.25
NOW_MS: Final = 1_800_000_000_250
SIMS: Final = (SimCard(0, "+15550001111", "SIM1", "AT&T"), SimCard(1))
CONNECT: Final = Connect("usr_a", "dev_1", "web-1")


def connected(connection: int = NOW_MS) -> PhoneConnected:
    return PhoneConnected("usr_a", "dev_1", connection, "web-1")


def told(sims: tuple[SimCard, ...] = SIMS, connection: int = NOW_MS) -> SimsReported:
    return SimsReported("usr_a", "dev_1", connection, sims)


def lost(connection: int = NOW_MS) -> PhoneDisconnected:
    return PhoneDisconnected("usr_a", "dev_1", connection, "closed")


def replay(history: Sequence[Event]) -> DayOfPhone:
    day = DayOfPhone()
    for event in history:
        day = evolve(day, event)
    return day


def when(command: Command, given: Sequence[Event] = (), now_s: float = NOW_S) -> tuple[Event, ...]:
    return decide(replay(given), command, now_s)


def test_a_connection_is_named_by_its_time() -> None:
    assert when(CONNECT) == (connected(NOW_MS),)


@pytest.mark.parametrize("now_s", [NOW_S, NOW_S - 60])
def test_a_newer_connection_has_the_greater_name_whatever_the_clock_says(now_s: float) -> None:
    assert when(CONNECT, given=[connected()], now_s=now_s) == (connected(NOW_MS + 1),)
    gone = [connected(), lost()]
    assert when(CONNECT, given=gone, now_s=now_s) == (connected(NOW_MS + 1),)


def test_sims_are_told_once_and_again_when_they_change() -> None:
    report = ReportSims(NOW_MS, SIMS)
    assert when(report, given=[connected()]) == (told(),)
    assert when(report, given=[connected(), told()]) == ()
    other = ReportSims(NOW_MS, SIMS[:1])
    assert when(other, given=[connected(), told()]) == (told(SIMS[:1]),)
    assert when(ReportSims(NOW_MS, ()), given=[connected()]) == (told(()),)


def test_a_newer_connection_tells_its_sims_anew() -> None:
    history = [connected(), told(), connected(NOW_MS + 1)]
    assert when(ReportSims(NOW_MS + 1, SIMS), given=history) == (told(SIMS, NOW_MS + 1),)


@pytest.mark.parametrize("command", [ReportSims(NOW_MS, SIMS), Disconnect(NOW_MS, "silent")])
@pytest.mark.parametrize("history", [[], [connected(), lost()], [connected(NOW_MS + 1)]])
def test_nothing_is_told_of_a_connection_that_is_not_there(
    command: Command, history: list[Event]
) -> None:
    assert when(command, given=history) == ()


def test_a_connection_ends_once_for_the_first_reason() -> None:
    end = Disconnect(NOW_MS, "closed")
    assert when(end, given=[connected()]) == (lost(),)
    assert when(Disconnect(NOW_MS, "lost"), given=[connected(), lost()]) == ()


def test_the_end_tells_when_the_phone_was_heard_last_which_is_not_to_come() -> None:
    for told_s, heard_s in ((NOW_S - 70, NOW_S - 70), (NOW_S + 1, NOW_S)):
        end = Disconnect(NOW_MS, "silent", told_s)
        (gone,) = when(end, given=[connected()])
        assert gone == replace(lost(), reason="silent", heard_at_s=heard_s)


def test_the_end_of_an_older_connection_leaves_the_newer_one() -> None:
    history = [connected(), connected(NOW_MS + 1), told(SIMS, NOW_MS + 1), lost(NOW_MS)]
    day = replay(history)
    assert day.live == {NOW_MS + 1}
    assert day.sims == {NOW_MS + 1: SIMS}
    assert day.newest == NOW_MS + 1


@pytest.mark.parametrize(("at_s", "day"), [
    (1_796_428_799.9, "2026-12-04"), (1_796_428_800.0, "2026-12-05"),
])  # fmt: skip
def test_every_day_has_its_stream_in_utc(at_s: float, day: str) -> None:
    assert stream_of("dev_1", at_s) == f"phone-dev_1-{day}"


def test_a_name_is_part_of_the_phones_id() -> None:
    assert has_name(named("org_acme", "pixel"))
    assert not has_name("org_acme_0198f3a0")
    assert named("org_a", "pixel") != named("org_b", "pixel")


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["connect", "sims", "end"]),
            st.integers(0, 5),
            st.floats(-2, 2, allow_nan=False),
        ),
        max_size=40,
    )
)
def test_connections_grow_and_nothing_is_kept_of_those_that_ended(
    steps: list[tuple[str, int, float]],
) -> None:
    day, now_s, made = DayOfPhone(), NOW_S, list[int]()
    for what, which, passed_s in steps:
        now_s += passed_s
        known = made[which % len(made)] if made else 0
        commands: dict[str, Command] = {
            "connect": CONNECT,
            "sims": ReportSims(known, SIMS[:which]),
            "end": Disconnect(known, "closed"),
        }
        for event in decide(day, commands[what], now_s):
            day = evolve(day, event)
            made += [event.connection] if isinstance(event, PhoneConnected) else []
        if what != "connect":
            assert decide(day, commands[what], now_s) == ()
        assert made == sorted(set(made))
        assert day.newest == max(made, default=0)
        assert set(day.sims) <= day.live <= set(made)
