"""Which phone sends a message: one that can, and never a second one."""

from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.domain.phone import SimCard
from signalbox.domain.phone_message import PhoneMessage, Sim
from signalbox.domain.phone_routing import (
    SIMS_WAIT_S,
    Candidate,
    choose,
    digits,
    has_sim,
    same_phone,
    slot_of,
)

QUEUED: Final = PhoneMessage(
    owner="org_acme",
    direction="outbound",
    peer="+15551234567",
    text="hello",
    peer_digest="d1",
    accepted_at_s=0.0,
    status="queued",
)
PUSHED: Final = replace(QUEUED, status="sending", phone_id="line_a", connection=10, attempts=1)
ONE: Final = SimCard(0, "+1 555 000-1111")
OTHER: Final = SimCard(1, "+15550002222")
SILENT: Final = SimCard(0)


def phone(phone_id: str, connection: int = 1, **changes: object) -> Candidate:
    candidate = Candidate(phone_id=phone_id, connection=connection)
    return replace(candidate, **changes)  # type: ignore[arg-type]


def chosen(*candidates: Candidate, sim: Sim | None = None, **how: object) -> str | None:
    found = choose(replace(QUEUED, sim=sim), candidates, **how)  # type: ignore[arg-type]
    return found.phone_id if found else None


# a message that no phone got yet


def test_nobody_is_chosen_when_nobody_can() -> None:
    assert chosen() is None
    assert chosen(phone("a", has_room=False), phone("b", has_room=False)) is None
    assert chosen(phone("a", sims=(ONE,)), sim=1) is None


def test_the_phone_the_recipient_last_spoke_with_comes_first() -> None:
    busy = phone("b", 2, in_flight=9)
    assert chosen(phone("a", 1), busy, last_phone_id="b") == "b"


@pytest.mark.parametrize("unable", [{"has_room": False}, {"sims": (OTHER,)}])
def test_another_phone_stands_in_when_that_one_can_not(unable: dict[str, object]) -> None:
    last = phone("b", 2, **unable)
    assert chosen(phone("a", 1, sims=(ONE,)), last, last_phone_id="b", sim=0) == "a"


def test_then_the_one_with_the_least_in_flight_then_the_one_connected_longest() -> None:
    assert chosen(phone("a", 1, in_flight=2), phone("b", 2, in_flight=1)) == "b"
    assert chosen(phone("b", 2, in_flight=1), phone("a", 1, in_flight=1)) == "a"


def test_where_the_first_connected_one_sends_only_that_counts() -> None:
    phones = (phone("b", 2), phone("a", 1, in_flight=9))
    assert chosen(*phones, last_phone_id="b", first_connected=True) == "a"
    full = phone("a", 1, has_room=False)
    assert chosen(phones[0], full, first_connected=True) == "b"


_candidates = st.lists(
    st.builds(
        Candidate,
        phone_id=st.sampled_from("abcdef"),
        connection=st.integers(1, 9),
        sims=st.sampled_from([None, (), (ONE,), (ONE, OTHER)]),
        in_flight=st.integers(0, 3),
        has_room=st.booleans(),
        age_s=st.sampled_from([0.0, 3.0]),
    ),
    max_size=6,
)


@given(_candidates, st.sampled_from([None, 0, 1, "+15550002222"]), st.booleans())
def test_whoever_is_chosen_can_send_and_somebody_is_if_anybody_can(
    candidates: list[Candidate],
    sim: Sim | None,
    first_connected: bool,  # noqa: FBT001
) -> None:
    message = replace(QUEUED, sim=sim)
    able = [one for one in candidates if one.has_room and has_sim(one, sim)]
    found = choose(message, candidates, last_phone_id="b", first_connected=first_connected)
    assert (found in able) if able else found is None
    if found is not None and first_connected:
        assert found.connection == min(one.connection for one in able)


# SIMs


@pytest.mark.parametrize(("sim", "can"), [
    (None, True), (0, True), (1, False), ("0", True), ("00", True), ("1", False),
    ("+15550001111", True), ("15550001111", True), ("1 (555) 000 1111", True),
    ("+15550002222", False), ("SIM", False),
])  # fmt: skip
def test_a_sim_is_meant_by_slot_or_number(sim: Sim | None, can: bool) -> None:  # noqa: FBT001
    assert has_sim(phone("a", sims=(ONE,)), sim) is can


def test_a_sim_without_a_number_has_none_in_common() -> None:
    assert not has_sim(phone("a", sims=(SILENT,)), "abc")
    assert has_sim(phone("a", sims=(SILENT,)), 0)


def test_a_phone_gets_a_moment_to_tell_its_sims() -> None:
    assert not has_sim(phone("a", age_s=SIMS_WAIT_S - 0.1), 0)
    assert has_sim(phone("a", age_s=SIMS_WAIT_S), 0)
    assert not has_sim(phone("a", sims=(), age_s=60.0), 0)
    assert has_sim(phone("a"), None)


@pytest.mark.parametrize(("sim", "slot"), [
    (0, 0), (7, 7), ("0", 0), ("12", 12), ("123", None), ("+1", None), ("\u0661", None), ("", None),
])  # fmt: skip
def test_one_or_two_digits_are_a_slot(sim: Sim, slot: int | None) -> None:
    assert slot_of(sim) == slot


def test_numbers_are_compared_by_their_digits() -> None:
    assert digits("+1 (555) 000-1111") == "15550001111"
    assert digits("SUPPORT \u0661") == ""


# a message that a phone got


def again(*candidates: Candidate, sims: tuple[SimCard, ...] | None = None) -> str | None:
    found = same_phone(PUSHED, sims, candidates)
    return found.phone_id if found else None


def test_a_newer_connection_of_the_same_phone_gets_it_again() -> None:
    assert again(phone("line_a", 11)) == "line_a"
    assert again(phone("line_a", 10)) is None
    assert again(phone("line_a", 9)) is None


def test_another_phone_that_is_known_by_its_id_never_gets_it() -> None:
    assert again(phone("dev_2", 11, sims=(ONE,)), sims=(ONE,)) is None


def test_a_phone_without_a_name_is_known_by_its_sim() -> None:
    back = phone("line_b", 11, anonymous=True, sims=(ONE,))
    stranger = phone("line_c", 12, anonymous=True, sims=(OTHER,))
    assert again(stranger, back, sims=(ONE, SILENT)) == "line_b"
    assert again(stranger, sims=(ONE,)) is None
    assert again(phone("line_0", 9, anonymous=True, sims=(ONE,)), sims=(ONE,)) is None


def test_a_phone_without_a_name_or_number_is_taken_for_it_when_it_is_alone() -> None:
    back = phone("line_b", 11, anonymous=True, age_s=SIMS_WAIT_S)
    assert again(back, sims=(ONE,)) == "line_b"
    assert again(back) == "line_b"
    assert again(replace(back, sims=(OTHER,))) == "line_b", "it was pushed before any SIM was told"
    assert again(replace(back, sims=(SILENT,)), sims=(ONE,)) == "line_b"
    assert again(replace(back, connection=9)) is None
    assert again(back, phone("line_c", 12, anonymous=True)) is None
    assert again(back, phone("line_a", 9)) is None


def test_a_phone_without_a_name_that_may_still_tell_another_number_is_not_taken_for_it() -> None:
    newcomer = phone("line_b", 11, anonymous=True, age_s=SIMS_WAIT_S - 0.1)
    assert again(newcomer, sims=(ONE,)) is None
    assert again(replace(newcomer, sims=(OTHER,)), sims=(ONE,)) is None
    assert again(replace(newcomer, sims=(ONE,)), sims=(ONE,)) == "line_b"
    assert again(replace(newcomer, sims=()), sims=(ONE,)) == "line_b"


def test_a_phone_with_a_name_is_only_itself() -> None:
    named = replace(PUSHED, phone_id="org_acme.pixel")
    newcomer = phone("line_b", 11, anonymous=True, sims=(ONE,))
    assert same_phone(named, (ONE,), [newcomer]) is None
    back = phone("org_acme.pixel", 12)
    assert same_phone(named, (ONE,), [newcomer, back]) == back
