"""Positions and times as an operator writes them."""

from datetime import UTC, datetime, timedelta

import pytest
from support.histories import T0, accepted, record

from signalbox.eventstore.log import EventLog
from signalbox.ops import moments
from signalbox.ops.settings import SettingsError


@pytest.fixture
def positions(event_log: EventLog) -> list[int]:
    """Five events, ten seconds apart, with gaps between their positions."""
    found = []
    for number in range(5):
        at = T0 + timedelta(seconds=10 * number)
        found.append(record(event_log, f"message-{number}", accepted(), at=at))
        with event_log.pool.connection() as connection:
            connection.execute(
                "SELECT nextval('signalbox.stored_events_notification_id_seq')"
                " FROM generate_series(1, 3)"
            )
    return found


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("0", 0),
        ("1234", 1234),
        ("2026-11-21T14:30:00Z", T0),
        ("2026-11-21T15:30:00+01:00", T0),
        ("2026-11-21 14:30", T0),
        ("2026-11-21", datetime(2026, 11, 21, tzinfo=UTC)),
    ],
)
def test_a_moment_is_a_position_or_a_time(text: str, moment: int | datetime) -> None:
    assert moments.parse("--until", text) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "-1", "14:30", "12.5", "\u0664"])
def test_anything_else_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^--until: expected a position or a time"):
        moments.parse("--until", text)


@pytest.mark.parametrize(
    ("seconds", "before", "up_to"), [(-1, 0, 0), (0, 0, 1), (5, 1, 1), (40, 4, 5), (99, 5, 5)]
)
def test_a_time_finds_its_place_between_the_events(
    event_log: EventLog, positions: list[int], seconds: int, before: int, up_to: int
) -> None:
    moment = T0 + timedelta(seconds=seconds)

    def counted(bound: int) -> int:
        return len([position for position in positions if position <= bound])

    assert counted(moments.last_position(event_log, moment)) == up_to
    assert counted(moments.last_position_before(event_log, moment)) == before


def test_a_position_is_its_own_bound(event_log: EventLog, positions: list[int]) -> None:
    assert moments.last_position(event_log, positions[2]) == positions[2]
    assert moments.last_position_before(event_log, positions[2]) == positions[2] - 1


def test_a_position_has_the_time_of_its_event(event_log: EventLog, positions: list[int]) -> None:
    assert moments.time_of(event_log, positions[2]) == T0 + timedelta(seconds=20)
    assert moments.time_of(event_log, positions[2] + 1) == T0 + timedelta(seconds=20)
    assert moments.time_of(event_log, 0) == datetime(1970, 1, 1, tzinfo=UTC)


def test_an_empty_log_has_no_moments(event_log: EventLog) -> None:
    assert moments.last_position(event_log, T0) == 0
