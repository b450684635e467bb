"""Licences come into force one after the other, and never a worse one by replaying it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from functools import reduce
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.domain.errors import LicenseExceeded, LicenseOlder, LicensePast
from signalbox.domain.license import (
    Event,
    License,
    LicenseUploaded,
    Limits,
    UploadLicense,
    decide,
    evolve,
    licensed,
    require_room,
)

TODAY: Final = date(2026, 11, 21)
BUILT_IN: Final = Limits(connections_max=100, tps_max=1000)
UPLOAD: Final = UploadLicense(
    company="UNIQUBIC Corporation",
    valid_until=date(2026, 12, 31),
    max_connections=5,
    max_tps=50,
    serial=7,
    signed=True,
    digest="d7",
)
UPLOADED: Final = LicenseUploaded(
    company="UNIQUBIC Corporation",
    valid_until="2026-12-31",
    max_connections=5,
    max_tps=50,
    serial=7,
    signed=True,
    digest="d7",
)


def replay(history: Sequence[Event]) -> License:
    return reduce(evolve, history, License())


def when(upload: UploadLicense, given: Sequence[Event] = ()) -> tuple[Event, ...]:
    return decide(replay(given), upload, TODAY)


def test_the_first_licence_comes_into_force() -> None:
    assert when(UPLOAD) == (UPLOADED,)


def test_the_same_licence_again_changes_nothing() -> None:
    assert when(UPLOAD, given=(UPLOADED,)) == ()


@pytest.mark.parametrize("serial", [7, 8])
def test_a_licence_that_is_not_older_takes_its_place(serial: int) -> None:
    (event,) = when(replace(UPLOAD, serial=serial, max_tps=9, digest="d8"), given=(UPLOADED,))
    assert replay((UPLOADED, event)).limits(BUILT_IN) == Limits(connections_max=5, tps_max=9)


def test_an_older_licence_is_no_way_back() -> None:
    with pytest.raises(LicenseOlder, match="license is older than the current one"):
        when(replace(UPLOAD, serial=6, digest="d6"), given=(UPLOADED,))


def test_a_signed_licence_replaces_an_unsigned_one_of_whatever_serial() -> None:
    unsigned = replace(UPLOADED, serial=2**63 - 1, signed=False, digest="d0")
    assert when(UPLOAD, given=(unsigned,)) == (UPLOADED,)
    with pytest.raises(LicenseOlder):
        when(replace(UPLOAD, signed=False), given=(unsigned,))


def test_a_licence_whose_last_day_is_over_is_refused() -> None:
    assert when(replace(UPLOAD, valid_until=TODAY)) != ()
    with pytest.raises(LicensePast, match="license was valid until 2026-11-20"):
        when(replace(UPLOAD, valid_until=date(2026, 11, 20)))


def test_a_licence_holds_up_to_and_with_its_last_day() -> None:
    license_ = replay((UPLOADED,))
    assert license_.status(date(2026, 12, 31)) == "active"
    assert license_.status(date(2027, 1, 1)) == "expired"


def test_without_a_licence_the_built_in_limits_hold() -> None:
    assert License().status(TODAY) == "missing"
    assert License().limits(BUILT_IN) == BUILT_IN


def test_links_with_the_lowest_numbers_may_connect() -> None:
    assert licensed([9, 3, 4], 2) == {3, 4}
    assert licensed([9, 3, 4], 0) == {3, 4, 9}
    assert licensed([], 2) == frozenset()


@given(st.lists(st.integers(1, 50)), st.integers(1, 20))
def test_as_many_links_connect_as_are_allowed_and_none_before_a_lower_one(
    ids: list[int], connections_max: int
) -> None:
    chosen = licensed(ids, connections_max)
    assert len(chosen) == min(len(set(ids)), connections_max)
    assert all(one > max(chosen) for one in set(ids) - chosen)


def test_one_more_link_than_allowed_can_not_be_switched_on() -> None:
    require_room([1, 2], 3, 3)
    require_room([1, 2, 3], 3, 3)
    require_room([1, 2, 3], 4, 0)
    with pytest.raises(LicenseExceeded, match="license allows 3 connections"):
        require_room([1, 2, 3], 4, 3)
