"""Times as they are written: read in every form of ISO 8601 that phones use, told in one."""

import doctest

import pytest

from signalbox.http import moments
from signalbox.http.moments import iso, moment

AT_S = 1_776_695_400.0  # 2026-04-20T14:30:00Z


@pytest.mark.parametrize(
    "text",
    [
        "2026-04-20T14:30:00Z",
        "2026-04-20T14:30:00z",
        "2026-04-20t14:30:00Z",
        "2026-04-20 14:30:00",
        "2026-04-20T14:30",
        "2026-04-20T14:30:00.000Z",
        "2026-04-20T14:30:00+00:00",
        "2026-04-20T14:30:00-00:00",
        "2026-04-20T16:30:00+02:00",
        "2026-04-20T16:30:00+0200",
        "2026-04-20T16:30:00 02:00",
        "2026-04-20T04:30:00-10:00",
        "2026-04-20T14:30:00.0000001Z",
    ],
)
def test_one_moment_can_be_written_in_many_ways(text: str) -> None:
    assert moment(text) == AT_S
    assert iso(moment(text)) == "2026-04-20T14:30:00Z"


@pytest.mark.parametrize(
    ("text", "at_s"),
    [
        ("2026-04-20T14:30:00.250Z", AT_S + 0.25),
        ("2026-04-20T14:30:00,25Z", AT_S + 0.25),
        ("2016-12-31T23:59:60Z", 1_483_228_799.0),
        ("0001-01-01T00:00:00+23:59", -62_135_683_140.0),
        ("9999-12-31T23:59:59-23:59", 253_402_387_139.0),
    ],
)
def test_parts_of_a_second_and_the_ends_of_time(text: str, at_s: float) -> None:
    assert moment(text) == at_s


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "2026-04-20", "20260420T143000Z", "2026-W17-1T00:00:00Z", "1776695400",
        "2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z", "2026-04-20T25:00:00Z",
        "2026-04-20T14:30:61Z", "2026-04-20T14:30:00+24:00", "2026-04-20T14:30:00Z\n",
        "2026-04-20T14:30:00\u0665Z", "0000-01-01T00:00:00Z", "2026-04-20T14:30:00.Z",
    ],
)  # fmt: skip
def test_anything_else_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected a time like 2026-04-20T14:30:00Z$"):
        moment(text)


def test_a_part_of_a_second_is_cut_off() -> None:
    assert iso(AT_S + 0.999) == "2026-04-20T14:30:00Z"
    assert iso(-0.5) == "1969-12-31T23:59:59Z"


def test_the_examples_are_true() -> None:
    assert doctest.testmod(moments).failed == 0
