"""Where the numbers of an owner's messages have their place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.domain.numbering import number_at, owner_of, place_of, stream_of


@pytest.mark.parametrize(("number", "place"), [
    (1, (0, 1)), (2, (0, 2)), (1000, (0, 1000)), (1001, (1, 1)), (2000, (1, 1000)), (2001, (2, 1)),
])  # fmt: skip
def test_a_stream_holds_a_thousand_numbers(number: int, place: tuple[int, int]) -> None:
    assert place_of(number) == place


@given(st.integers(1, 10**12), st.integers(1, 5000), st.from_regex(r"[a-z_-]{3,9}", fullmatch=True))
def test_a_place_tells_number_and_owner(number: int, size: int, owner: str) -> None:
    chunk, version = place_of(number, size)
    assert 1 <= version <= size
    stream = stream_of(owner, chunk)
    assert (number_at(stream, version, size), owner_of(stream)) == (number, owner)
