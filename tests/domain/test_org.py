"""An organisation is claimed once, and locked for a while."""

from collections.abc import Sequence
from functools import reduce
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.domain import org
from signalbox.domain.org import Claim, Lock, Org, OrgClaimed, OrgLocked

NOW_S: Final = 1_800_000_000.0
CLAIMED: Final = OrgClaimed("a hash")


def replay(history: Sequence[org.Event]) -> Org | None:
    state: Org | None = None
    return reduce(org.evolve, history, state)


def when(command: org.Command, given: Sequence[org.Event] = ()) -> tuple[org.Event, ...]:
    return org.decide(replay(given), command, NOW_S)


def test_whoever_comes_first_claims_it() -> None:
    assert when(Claim("a hash")) == (CLAIMED,)
    assert replay((CLAIMED,)) == Org("a hash")


def test_whoever_comes_second_changes_nothing() -> None:
    assert when(Claim("another hash"), (CLAIMED,)) == ()


def test_it_is_locked_for_a_while() -> None:
    locked = OrgLocked(NOW_S + 300)
    assert when(Lock(NOW_S + 300), (CLAIMED,)) == (locked,)
    assert replay((CLAIMED, locked)) == Org("a hash", NOW_S + 300)


def test_a_lock_is_not_made_longer() -> None:
    assert when(Lock(NOW_S + 300), (CLAIMED, OrgLocked(NOW_S + 1))) == ()


def test_it_is_locked_again_when_the_lock_is_over() -> None:
    given = (CLAIMED, OrgLocked(NOW_S))
    assert when(Lock(NOW_S + 300), given) == (OrgLocked(NOW_S + 300),)


def test_what_nobody_claimed_is_not_locked() -> None:
    assert when(Lock(NOW_S + 300)) == ()


@given(st.lists(st.sampled_from([Claim("one"), Claim("two"), Lock(NOW_S + 9), Lock(NOW_S - 9)])))
def test_the_first_claim_stands_whatever_follows(commands: list[org.Command]) -> None:
    history: list[org.Event] = [CLAIMED]
    for command in commands:
        history += when(command, history)
    assert sum(isinstance(event, OrgClaimed) for event in history) == 1
    assert sum(isinstance(event, OrgLocked) for event in history) <= 1


@pytest.mark.parametrize("name", ["abc", "A-b_9", "-" * 64])
def test_names_that_are_possible(name: str) -> None:
    assert org.ORG_ID.fullmatch(name)


@pytest.mark.parametrize(
    "name", ["", "ab", "a" * 65, "a b c", "abc\n", "äbc", "a.b", "a/b/c", "٣٣٣"]
)
def test_names_that_are_not(name: str) -> None:
    assert not org.ORG_ID.fullmatch(name)


@pytest.mark.parametrize("secret", ["x" * 12, "x" * 50, "a secret / with %20 & ?"])
def test_secrets_that_are_possible(secret: str) -> None:
    assert org.SECRET.fullmatch(secret)


@pytest.mark.parametrize(
    "secret", ["", "x" * 11, "x" * 51, "schlüssel-eins", "x" * 12 + "\n", "\t" * 12]
)
def test_secrets_that_are_not(secret: str) -> None:
    assert not org.SECRET.fullmatch(secret)


def test_the_names_of_what_belongs_to_it() -> None:
    assert (org.stream_of("acme"), org.owner_of("acme")) == ("org-acme", "org_acme")
