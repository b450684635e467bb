"""Given the members of a pool as they are: which of them takes a message."""

from dataclasses import replace
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from signalbox.domain.pool import Member, Pool, choose, choose_other

POOL: Final = Pool(name="p", link_ids=(1, 2, 3), queue_wait_s_max=5.0)
BALANCED: Final = replace(POOL, balance=True)

ONE: Final = Member(link_id=1, enabled=True, bound=True, free_parts=3)
TWO: Final = Member(link_id=2, enabled=True, bound=True, free_parts=7)
THREE: Final = Member(link_id=3, enabled=True, bound=True, free_parts=5)


def test_the_link_that_was_asked_for_carries_the_message_while_it_is_fit() -> None:
    assert choose(POOL, 1, (ONE, TWO, THREE)) == 1


def test_a_link_that_is_down_off_or_too_busy_leaves_it_to_the_one_with_the_most_room() -> None:
    for unfit in (
        replace(ONE, bound=False),
        replace(ONE, enabled=False),
        replace(ONE, wait_s=5.1),
    ):
        assert choose(POOL, 1, (unfit, TWO, THREE)) == 2
    assert choose(POOL, 1, (replace(ONE, wait_s=5.0), TWO, THREE)) == 1


def test_equal_room_goes_to_the_shorter_queue_then_to_the_lower_number() -> None:
    down = replace(ONE, bound=False)
    two, three = replace(TWO, free_parts=1, wait_s=2.0), replace(THREE, free_parts=1, wait_s=1.0)
    assert choose(POOL, 1, (down, two, three)) == 3
    assert choose(POOL, 1, (down, replace(two, wait_s=1.0), three)) == 2


def test_a_balanced_pool_prefers_room_to_the_link_that_was_asked_for() -> None:
    assert choose(BALANCED, 1, (ONE, TWO, THREE)) == 2


def test_when_none_is_fit_the_message_waits_where_it_was_sent() -> None:
    down = [replace(one, bound=False) for one in (ONE, TWO, THREE)]
    assert choose(POOL, 1, down) == 1
    assert choose(BALANCED, 3, down) == 3


def test_when_that_link_is_off_it_waits_where_the_queue_is_shortest() -> None:
    off = replace(ONE, enabled=False)
    busy = (replace(TWO, wait_s=9.0), replace(THREE, wait_s=8.0))
    assert choose(POOL, 1, (off, *busy)) == 3


def test_nobody_takes_it_when_all_are_off() -> None:
    assert choose(POOL, 1, [replace(one, enabled=False) for one in (ONE, TWO, THREE)]) is None


def test_what_a_link_passes_on_goes_to_another_that_is_fit_or_nowhere() -> None:
    assert choose_other(POOL, 2, (ONE, TWO, THREE)) == 3
    assert (
        choose_other(POOL, 2, (replace(ONE, wait_s=6.0), TWO, replace(THREE, bound=False))) is None
    )
    assert choose_other(POOL, 2, (TWO, replace(ONE, enabled=False))) is None


MEMBERS = st.lists(
    st.builds(
        Member,
        link_id=st.integers(1, 9),
        enabled=st.booleans(),
        bound=st.booleans(),
        wait_s=st.floats(0, 20),
        free_parts=st.integers(-5, 20),
    ),
    unique_by=lambda member: member.link_id,
)


@given(MEMBERS, st.integers(1, 9), st.booleans())
def test_a_choice_is_always_a_member_that_is_on_and_fit_if_any_is(
    members: list[Member],
    requested_id: int,
    balance: bool,  # noqa: FBT001  drawn
) -> None:
    pool = replace(POOL, balance=balance)
    on = {member.link_id: member for member in members if member.enabled}
    fit = {i for i, member in on.items() if member.bound and member.wait_s <= 5.0}
    chosen = choose(pool, requested_id, members)
    assert (chosen is None) == (not on)
    assert chosen is None or chosen in (fit or on)
    assert balance or requested_id not in fit or chosen == requested_id
    other = choose_other(pool, requested_id, members)
    assert (other is None) == (not fit - {requested_id})
    assert other is None or other in fit - {requested_id}
