"""How many messages an owner's phones carried."""

from datetime import timedelta
from typing import Final

import pytest
from support.histories import T0, T0_S, rows_of
from support.phone_histories import ALL_MESSAGES, OWNER, PUSHED, SENT, Seen, queued, received, tell

from signalbox.domain.phone_message import OutboundExpired, PhoneMessageArchived
from signalbox.eventstore.log import EventLog
from signalbox.projections.building import build
from signalbox.projections.phone_counts import DAY_S, HOUR_S, WEEK_S, Traffic
from signalbox.projections.projector import Projector
from signalbox.projections.readers import ReadModels

ARCHIVED: Final = PhoneMessageArchived()
SECOND: Final = timedelta(seconds=1)


def test_totals_tell_what_became_of_all_messages(
    event_log: EventLog, seen: Seen, models: ReadModels
) -> None:
    tell(event_log, "q", queued(), ARCHIVED)
    for key in ("s1", "s2"):
        tell(event_log, key, queued(), PUSHED, SENT)
    tell(event_log, "f", queued(), OutboundExpired())
    tell(event_log, "i", received())
    seen.page(ALL_MESSAGES)
    stats = models.phone_stats(OWNER)
    assert (stats.total_received, stats.total_sent) == (1, 4)
    assert stats.by_status == {"queued": 1, "sending": 0, "sent": 2, "delivered": 0, "failed": 1}
    nothing = models.phone_stats("org_other")
    assert (nothing.total_sent, nothing.last_24h) == (0, Traffic(0, 0))
    assert nothing.by_status == dict.fromkeys(stats.by_status, 0)


@pytest.mark.parametrize("now_s", [T0_S + 1_234.5, T0_S // HOUR_S * HOUR_S + 0.0])
def test_windows_roll_with_the_clock(
    event_log: EventLog, projector: Projector, now_s: float
) -> None:
    times_s = sorted({now_s, now_s - 0.001, *around(now_s, DAY_S), *around(now_s, WEEK_S)})
    for place, at_s in enumerate(times_s):
        at = T0 + timedelta(seconds=at_s - T0_S)
        tell(event_log, f"in{place}", received(), at=at)
        if place % 2:
            tell(event_log, f"out{place}", queued(), ARCHIVED, at=at)
    build(projector)
    stats = ReadModels(event_log, now_s=lambda: now_s).phone_stats(OWNER)
    for length_s, window in ((DAY_S, stats.last_24h), (WEEK_S, stats.last_7d)):
        inside = [place for place, at_s in enumerate(times_s) if at_s > now_s - length_s]
        assert 0 < len(inside) < len(times_s)
        assert window == Traffic(len(inside), sum(place % 2 for place in inside))


def around(now_s: float, length_s: int) -> list[float]:
    """Return moments about the beginning of a window, and about the first full hour in it.

    What was exactly a day ago is over.
    """
    begin_s = now_s - length_s
    hour_s = (begin_s // HOUR_S + 1) * HOUR_S
    edges_s = [edge_s + after_s for edge_s in (begin_s, hour_s) for after_s in (-0.001, 0, 0.001)]
    return [begin_s - HOUR_S, *edges_s]


def test_hours_that_no_window_needs_are_forgotten_and_totals_are_not(
    event_log: EventLog, seen: Seen, models: ReadModels
) -> None:
    for days in (30, 9, 7, 0):
        tell(event_log, f"d{days}", received(), at=T0 - timedelta(days=days))
    seen.page(ALL_MESSAGES)
    assert len(rows_of(event_log)["phone_hours"]) == 2
    stats = models.phone_stats(OWNER)
    assert (stats.total_received, stats.last_7d.received) == (4, 1)
