"""How messages from handsets become whole."""

from collections.abc import Sequence
from functools import reduce
from itertools import permutations
from typing import Final

import pytest

from signalbox.domain.inbound import (
    CloseIncomplete,
    MoEvent,
    MoMessage,
    MoPartReceived,
    MoReceived,
    ReceivePart,
    decide,
    evolve,
)

TEXTS: Final = {1: "one ", 2: "two ", 3: "three"}


def arriving(number: int, text: str = "", total: int = 3) -> ReceivePart:
    return ReceivePart(
        link_id=1, source="49170", destination="12345", text=text or TEXTS[number],
        number=number, total=total,
    )  # fmt: skip


def arrived(number: int, total: int = 3) -> MoPartReceived:
    return MoPartReceived(
        link_id=1, source="49170", destination="12345", text=TEXTS[number],
        number=number, total=total,
    )  # fmt: skip


def whole(text: str, parts: int = 3, parts_missing: int = 0) -> MoReceived:
    return MoReceived(
        link_id=1, source="49170", destination="12345", text=text, parts=parts,
        parts_missing=parts_missing,
    )  # fmt: skip


def replay(history: Sequence[MoEvent]) -> MoMessage:
    return reduce(evolve, history, MoMessage())


def when(
    command: ReceivePart | CloseIncomplete, given: Sequence[MoEvent] = ()
) -> tuple[MoEvent, ...]:
    return decide(replay(given), command)


def test_a_message_of_one_part_is_whole_at_once() -> None:
    assert when(arriving(1, total=1)) == (arrived(1, total=1), whole("one ", parts=1))


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))))
def test_parts_are_joined_in_their_order_however_they_arrive(order: tuple[int, int, int]) -> None:
    first, second, last = order
    assert when(arriving(first)) == (arrived(first),)
    given = (arrived(first), arrived(second))
    assert when(arriving(last), given) == (arrived(last), whole("one two three"))


def test_a_part_that_came_before_changes_nothing() -> None:
    assert when(arriving(1), given=(arrived(1),)) == ()


def test_nothing_is_added_to_a_finished_message() -> None:
    assert when(arriving(2), given=(arrived(1), whole("one ", parts_missing=2))) == ()


def test_a_message_whose_parts_stay_away_is_told_with_what_there_is() -> None:
    given = (arrived(1), arrived(3))
    assert when(CloseIncomplete(), given) == (whole("one three", parts_missing=1),)


def test_there_is_nothing_to_give_up_before_the_first_part_or_after_the_end() -> None:
    assert when(CloseIncomplete()) == ()
    assert when(CloseIncomplete(), given=(arrived(1, total=1), whole("one ", parts=1))) == ()


@pytest.mark.parametrize(("given", "part", "belongs"), [
    ((), arriving(1), False),
    ((arrived(1),), arriving(2), True),
    ((arrived(1),), arriving(1), True),
    ((arrived(1),), arriving(1, "other"), False),
    ((arrived(1), whole("one ", parts_missing=2)), arriving(2), False),
    ((arrived(1), whole("one ", parts_missing=2)), arriving(1), True),
])  # fmt: skip
def test_a_part_belongs_where_it_is_missing_or_came_before(
    given: Sequence[MoEvent], part: ReceivePart, *, belongs: bool
) -> None:
    assert replay(given).may_hold(part) == belongs
