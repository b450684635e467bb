"""Whom a pool asks first: the addresses that warm up, then the warm ones by turns."""

from collections import Counter
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.domain.ip_pool import IpPool, Member, in_turn, order

POOL: Final = IpPool(name="p", ips=("a", "b", "c", "d"))
MEMBERS: Final = (
    Member(ip="a"),
    Member(ip="b", target=100, used=60),
    Member(ip="c"),
    Member(ip="d", target=1000, used=100),
)


def asked(*, urgent: bool = False, turn: int = 0) -> str:
    return "".join(one.ip for one in order(POOL, MEMBERS, turn, urgent=urgent))


def test_who_used_the_least_of_its_target_is_asked_first_and_the_warm_last() -> None:
    assert asked() == "dbac"


def test_urgent_mail_asks_the_warm_first() -> None:
    assert asked(urgent=True) == "acdb"


def test_a_member_that_may_not_send_is_not_asked() -> None:
    assert [one.ip for one in order(POOL, MEMBERS[2:], 0, urgent=False)] == ["d", "c"]
    assert order(POOL, (), 0, urgent=False) == []


def test_a_target_of_none_at_all_is_not_divided_by() -> None:
    (only,) = order(POOL, (Member(ip="b", target=0),), 0, urgent=False)
    assert only.ip == "b"


def test_the_warm_have_turns() -> None:
    assert sorted(in_turn(POOL, turn)[0] for turn in range(4)) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("weights", [(3, 1), (1, 1), (7, 2), (100, 99)])
def test_turns_are_by_weight(weights: tuple[int, int]) -> None:
    pool = IpPool(name="p", ips=("a", "b"), weights=weights)
    firsts = Counter(in_turn(pool, turn)[0] for turn in range(sum(weights)))
    assert firsts == {"a": weights[0], "b": weights[1]}


@given(st.lists(st.integers(1, 50), min_size=1, max_size=6), st.integers(0, 10**9))
def test_everybody_is_asked_once(weights: list[int], turn: int) -> None:
    ips = tuple("abcdef"[: len(weights)])
    assert sorted(in_turn(IpPool(name="p", ips=ips, weights=tuple(weights)), turn)) == list(ips)
