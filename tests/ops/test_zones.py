"""Zones by name, fixed ones by their offset."""

from datetime import UTC, datetime, timedelta

import pytest

from signalbox.ops.zones import zone_of

SUMMER = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "east"),
    [
        ("UTC", timedelta()),
        ("+05:45", timedelta(hours=5, minutes=45)),
        ("-11:30", -timedelta(hours=11, minutes=30)),
        ("Europe/Berlin", timedelta(hours=2)),
    ],
)
def test_a_zone_is_so_far_east(name: str, east: timedelta) -> None:
    assert SUMMER.astimezone(zone_of(name)).utcoffset() == east


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../passwd", "Europe", "\0", "+24:00"])
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        zone_of(name)
