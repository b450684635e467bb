"""What the web process adds to the read models: its own writes, and whether a link is licensed."""

from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final

import gevent
import pytest
from support.histories import record
from support.phone_histories import OWNER, PHONE, SENT, queued, tell
from support.sms_proxy import ROW

from signalbox.domain.phone import PhoneConnected, SimCard, SimsReported
from signalbox.domain.ramp import Schedule
from signalbox.domain.sending_ip import WarmupIpAdded
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.log import EventLog
from signalbox.ops.reads import OwnReads, PhoneReads, WarmupReads
from signalbox.projections.building import build
from signalbox.projections.links import LinkRow
from signalbox.projections.models import PROJECTIONS
from signalbox.projections.phone_views import MessageQuery, NumberQuery
from signalbox.projections.projector import Projector
from signalbox.projections.readers import ReadModels

UNLICENSED: Final = {"status": "UNLICENSED", "reason": "not licensed"}


class Models:
    """Read models with these links, as new as anybody could ask."""

    def __init__(self, *rows: LinkRow) -> None:
        self._rows = list(rows)
        self.statistics = None

    def wait_for(self, position: int, timeout_s: float) -> None:
        assert position == timeout_s == 0

    def links(self) -> list[LinkRow]:
        return self._rows


def shown(*rows: LinkRow, connections_max: int) -> list[LinkRow]:
    models = Models(*rows)
    reads = OwnReads(models, lambda: 0, 0, lambda: connections_max)  # type: ignore[arg-type]
    return reads.links()


def test_links_beyond_the_licence_are_unlicensed_whatever_they_are_otherwise() -> None:
    rows = [ROW, replace(ROW, id=2), replace(ROW, id=3, bind_state="down", reason="cut")]
    assert shown(*rows, connections_max=1) == [
        ROW,
        replace(rows[1], **UNLICENSED),
        replace(rows[2], **UNLICENSED),
    ]


def test_licensed_links_are_what_the_read_model_says() -> None:
    rows = [ROW, replace(ROW, id=2, status="THROTTLED")]
    assert shown(*rows, connections_max=2) == rows
    assert shown(*rows, connections_max=0) == rows


def test_a_link_that_is_off_takes_no_room_and_is_disabled_first_of_all() -> None:
    rows = [replace(ROW, enabled=False, status="DISABLED"), replace(ROW, id=2)]
    assert shown(*rows, connections_max=1) == rows


def test_of_what_is_warmed_up_a_process_reads_its_own_writes(event_log: EventLog) -> None:
    noon = datetime(2025, 8, 2, 12, tzinfo=UTC)
    east = timezone(timedelta(hours=13))
    models = ReadModels(event_log, now_s=noon.timestamp)
    ramp = Schedule(grouping="&a", mode="MANUAL", start_date=date(2025, 8, 1), messages=(5, 6, 7))
    with closing(Projector(event_log, PROJECTIONS)) as projector:
        projector.prepare()
        position = record(event_log, "ip-10.0.0.1", WarmupIpAdded((ramp,)), at=noon)
        reads = WarmupReads(models, lambda: position, 5, east, now=lambda: noon)
        building = gevent.spawn_later(0.1, build, projector)
        assert [row.schedules for row in reads.configs()] == [(ramp,)]
        building.get()
    assert (reads.config("10.0.0.1"), reads.config("10.0.0.2")) == (models.warmups()[0], None)
    assert reads.today() == date(2025, 8, 3)
    (status,) = reads.statuses()
    assert (reads.status("10.0.0.1"), reads.status("10.0.0.2")) == (status, None)
    assert (status.offset_s, status.groupings[0].current_day) == (13 * 3600, 3)
    found = reads.history("10.0.0.1", date(2025, 8, 3), date(2025, 8, 9))
    assert found is not None
    assert [day.target for day in found.groupings["&a"]] == [7]
    assert reads.history("10.0.0.2", date(2025, 8, 3), date(2025, 8, 9)) is None


def test_of_phones_a_process_reads_its_own_writes(event_log: EventLog) -> None:
    models = ReadModels(event_log)
    sims = (SimCard(0, "+491"),)
    with closing(Projector(event_log, PROJECTIONS)) as projector:
        projector.prepare()
        tell(event_log, "1", queued(number=1), SENT)
        connected = PhoneConnected(OWNER, PHONE, 1, "web-1")
        position = record(event_log, "phone-1", connected, SimsReported(OWNER, PHONE, 1, sims))
        reads = PhoneReads(models, lambda: position, 5)
        building = gevent.spawn_later(0.1, build, projector)
        (phone,) = reads.phones(OWNER)
        building.get()
    assert (phone.online, phone.number) == (True, "+491")
    assert reads.sims(OWNER).live == [*sims]
    page, has_more = reads.messages(OWNER, MessageQuery(limit=1))
    assert ([view.status for view in page], has_more) == (["sent"], False)
    assert reads.numbered(OWNER, NumberQuery(limit=1)) == page
    assert reads.stats(OWNER).by_status["sent"] == 1


def test_of_phones_what_can_not_be_read_is_unavailable(event_log: EventLog) -> None:
    reads = PhoneReads(ReadModels(event_log), lambda: 0, 0)
    with pytest.raises(Unavailable, match="not built yet"):
        reads.stats(OWNER)
