"""What is told of a link's wire, and what is not told twice."""

from collections.abc import Sequence
from functools import reduce
from typing import Final

from signalbox.domain.session import (
    BindRefused,
    ClaimLink,
    Command,
    Event,
    LinkBound,
    LinkClaimed,
    LinkLost,
    LinkThrottled,
    RecordBind,
    RecordBindRefusal,
    RecordLoss,
    RecordThrottle,
    Session,
    decide,
    evolve,
    stream_of,
)

BOUND: Final = LinkBound("SMSC")
LOST: Final = LinkLost("cut", 1.0)
REFUSED: Final = BindRefused("ESME_RINVPASWD (0x0000000E)", 300.0)


def replay(history: Sequence[Event]) -> Session:
    return reduce(evolve, history, Session())


def when(command: Command, given: Sequence[Event] = ()) -> tuple[Event, ...]:
    return decide(replay(given), command)


def test_an_owner_claims_the_link_whatever_came_before() -> None:
    assert when(ClaimLink("relay-a", 3), given=(BOUND,)) == (LinkClaimed("relay-a", 3),)
    assert replay((BOUND, LinkClaimed("relay-a", 3))).bind_state == "down"


def test_a_bind_is_told() -> None:
    assert when(RecordBind("SMSC")) == (BOUND,)
    assert replay((LOST, BOUND)) == Session("bound", "")


def test_a_loss_is_told() -> None:
    assert when(RecordLoss("cut", 1.0), given=(BOUND,)) == (LOST,)
    assert replay((BOUND, LOST)) == Session("down", "cut")


def test_a_loss_that_repeats_itself_is_told_once() -> None:
    assert when(RecordLoss("cut", 2.0), given=(BOUND, LOST)) == ()


def test_a_loss_for_another_reason_is_told() -> None:
    given = (BOUND, LOST)
    assert when(RecordLoss("timed out", 2.0), given) == (LinkLost("timed out", 2.0),)


def test_a_loss_after_a_bind_is_told_though_it_is_the_same_trouble() -> None:
    assert when(RecordLoss("cut", 1.0), given=(LOST, BOUND)) == (LOST,)


def test_a_refused_bind_is_told_once_until_something_else_happens() -> None:
    command = RecordBindRefusal("ESME_RINVPASWD (0x0000000E)", 300.0)
    assert when(command) == (REFUSED,)
    assert when(command, given=(REFUSED,)) == ()
    assert when(command, given=(REFUSED, BOUND)) == (REFUSED,)
    assert when(command, given=(REFUSED, LOST)) == (REFUSED,)


def test_throttling_is_told_each_time_and_leaves_the_link_bound() -> None:
    throttled = LinkThrottled(2.0, 0.5)
    assert when(RecordThrottle(2.0, 0.5), given=(BOUND, throttled)) == (throttled,)
    assert replay((BOUND, throttled)).bind_state == "bound"


def test_every_day_has_a_stream_of_its_own() -> None:
    assert stream_of(1, "2026-11-21") == "link-1-2026-11-21"
