"""What can happen to invites."""

from collections.abc import Sequence
from functools import reduce
from typing import Final

import pytest

from signalbox.domain.errors import InvalidField, InvalidInvite
from signalbox.domain.invite import (
    DAY_S,
    Command,
    Event,
    Invite,
    InviteMade,
    InviteRedeemed,
    InviteRevoked,
    MakeInvite,
    RedeemInvite,
    RevokeInvite,
    decide,
    digest_in,
    evolve,
    normal_code,
    stream_of,
)

NOW_S: Final = 1_000.0
MADE: Final = InviteMade(uses_max=2, expires_at_s=NOW_S + 30 * DAY_S)
REDEEM: Final = RedeemInvite(account_id="usr_1")
REDEEMED: Final = InviteRedeemed(account_id="usr_1")


def replay(history: Sequence[Event]) -> Invite | None:
    invite: Invite | None = None
    return reduce(evolve, history, invite)


def when(command: Command, given: Sequence[Event] = (), at_s: float = NOW_S) -> tuple[Event, ...]:
    return decide(replay(given), command, at_s)


def test_an_invite_holds_for_some_uses_and_days() -> None:
    assert when(MakeInvite(uses_max=2, days=30)) == (MADE,)
    assert replay((MADE,)) == Invite(uses_left=2, expires_at_s=MADE.expires_at_s)


def test_it_is_redeemed_as_often_as_it_was_made_for() -> None:
    assert when(REDEEM, given=(MADE,)) == (REDEEMED,)
    assert when(REDEEM, given=(MADE, REDEEMED)) == (REDEEMED,)
    with pytest.raises(InvalidInvite, match="invalid invite code"):
        when(REDEEM, given=(MADE, REDEEMED, REDEEMED))


@pytest.mark.parametrize(
    ("history", "at_s"),
    [((), NOW_S), ((MADE, InviteRevoked()), NOW_S), ((MADE,), MADE.expires_at_s)],
    ids=["unknown", "revoked", "expired"],
)
def test_an_invite_that_is_worth_nothing_is_refused(history: Sequence[Event], at_s: float) -> None:
    with pytest.raises(InvalidInvite):
        when(REDEEM, given=history, at_s=at_s)


def test_it_holds_until_the_last_moment() -> None:
    assert when(REDEEM, given=(MADE,), at_s=MADE.expires_at_s - 0.001) == (REDEEMED,)


def test_it_is_revoked_once_and_even_when_it_is_past() -> None:
    assert when(RevokeInvite(), given=(MADE,), at_s=1e12) == (InviteRevoked(),)
    assert when(RevokeInvite(), given=(MADE, InviteRevoked())) == ()
    with pytest.raises(InvalidInvite):
        when(RevokeInvite())


@pytest.mark.parametrize(
    ("uses_max", "days", "field"),
    [(0, 1, "uses"), (10_001, 1, "uses"), (1, 0, "days"), (1, 3_651, "days")],
)
def test_uses_and_days_have_bounds(uses_max: int, days: int, field: str) -> None:
    with pytest.raises(InvalidField, match=f"invalid {field}"):
        when(MakeInvite(uses_max=uses_max, days=days))


def test_a_code_is_read_as_people_copy_it() -> None:
    assert normal_code(" ab2cd-ef3gh\n") == "AB2CD-EF3GH"
    assert digest_in(stream_of("5d41")) == "5d41"
