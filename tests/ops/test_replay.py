"""The commands that project the log again: replay and rebuild."""

from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from support.histories import CONFIGURED, T0, dead_letters, record, record_messages, rows_of
from support.mail_histories import SENT, Told, created
from support.mail_histories import queued as mail_queued
from support.phone_histories import OWNER, PHONE, PUSHED, queued, received, tell

from signalbox.domain.mail import MailAttempted
from signalbox.domain.phone import PhoneConnected
from signalbox.domain.ramp import Schedule
from signalbox.domain.sending_day import Outcome, VolumeReserved, VolumeSettled, stream_of
from signalbox.domain.sending_ip import WarmupIpAdded, WarmupIpReplaced, WarmupPaused
from signalbox.domain.session import LinkBound, LinkClaimed, LinkLost
from signalbox.eventstore.log import EventLog
from signalbox.ops import rebuild, replay
from signalbox.ops.sections import Warmup
from signalbox.ops.settings import Settings
from signalbox.projections.building import build, scratch_schema
from signalbox.projections.mail_readers import MailModels
from signalbox.projections.models import PROJECTIONS
from signalbox.projections.phone_counts import STATUSES
from signalbox.projections.phone_views import PhoneFigures
from signalbox.projections.projector import Projector
from signalbox.projections.readers import ReadModels

NO_PHONES = PhoneFigures(phones=0, online=0, messages=dict.fromkeys(STATUSES, 0))
SECRET_KEY = "a secret key for tests, long enough"


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, secret_key=SECRET_KEY).with_database_url(database_url)


def test_a_replay_shows_the_figures_recorded_then(event_log: EventLog) -> None:
    projector = Projector(event_log, PROJECTIONS)
    projector.prepare()
    record(event_log, "link-1", CONFIGURED)
    record(event_log, "link-1-2026-11-21", LinkClaimed("relay", 1), LinkBound("smsc"))
    then = []
    for number in range(4):
        at = T0 + timedelta(milliseconds=100 * number)
        position = record_messages(event_log, 1, first=number)
        build(projector)
        models = ReadModels(event_log, now_s=at.timestamp)
        then.append((position, at, models.figures(), models.links()))
    record(event_log, "link-1-2026-11-22", LinkLost("cut", 0.0))
    build(projector)
    for position, at, figures, links in then:
        look = replay.look_back(event_log, position, at, 3, UTC)
        assert look == replay.Look(figures, links, [], NO_PHONES, {})
    projector.close()


@pytest.mark.parametrize("until", ["9", "2026-11-21T14:30:00.150Z"])
def test_the_command_prints_figures_links_and_minutes(
    settings: Settings, event_log: EventLog, capsys: pytest.CaptureFixture[str], until: str
) -> None:
    record(event_log, "link-1", CONFIGURED)
    record_messages(event_log, 5)
    assert replay.run(settings, until) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["accepted", "2"] in lines
    assert ["1", "north", "DOWN", "0", "50"] in lines
    assert ["14:30", "2", "0"] in lines


def record_warmup(log: EventLog, first: date) -> None:
    """Warm an address up for three days; the second ramp comes and the first pauses on the 3rd."""
    ramps = [
        Schedule(grouping=grouping, mode="MANUAL", start_date=first, messages=(500, 600, 30_000))
        for grouping in ("&gmail", "&yahoo")
    ]

    def noon(day: int) -> datetime:
        return datetime(first.year, first.month, first.day, 12, tzinfo=UTC) + timedelta(days=day)

    record(log, "ip-10.0.0.1", WarmupIpAdded((ramps[0],)), at=noon(-10))
    for day, delivered in enumerate((400, 200)):
        on = first + timedelta(days=day)
        key = f"reservation-{day}"
        reserved = VolumeReserved(reservation_id=key, recipients=450, target=500)
        settled = VolumeSettled(key, Outcome(attempted=450, delivered=delivered))
        record(log, stream_of("10.0.0.1", "&gmail", on), reserved, settled, at=noon(day))
    changed = (WarmupIpReplaced(tuple(ramps)), WarmupPaused(("&gmail",), "grouping"))
    record(log, "ip-10.0.0.1", *changed, at=noon(2), first_version=2)


@pytest.mark.parametrize(("until", "then"), [
    ("2020-02-28T13:00Z", [["NOTSTARTED", "0/3", "0"], ["-"]]),
    ("2020-03-01T13:00Z", [["ONSCHEDULE", "1/3", "500", "400"], ["-"]]),
    ("2020-03-02T13:00Z", [["BEHIND", "2/3", "600", "200"], ["-"]]),
    ("2020-03-03T11:59Z", [["BEHIND", "3/3", "30,000", "0"], ["-"]]),
    ("2020-03-03T13:00Z", [["PAUSED", "3/3", "30,000", "0"], ["ONSCHEDULE", "3/3", "30,000", "0"]]),
])  # fmt: skip
def test_the_command_prints_how_warm_ups_stood_that_day_and_how_they_stand_now(
    settings: Settings,
    event_log: EventLog,
    capsys: pytest.CaptureFixture[str],
    until: str,
    then: list[list[str]],
) -> None:
    record_warmup(event_log, date(2020, 3, 1))
    with closing(Projector(event_log, PROJECTIONS)) as projector:
        projector.prepare()
        build(projector)
    assert replay.run(settings, until) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    now = [["PAUSED", "3/3", "0"], ["FINISHED", "3/3", "0"]]
    for grouping, *stood in zip(["&gmail", "&yahoo"], then, now, strict=True):
        assert ["10.0.0.1", grouping, *stood[0], *stood[1]] in lines


def test_that_day_is_the_one_of_the_configured_zone(
    settings: Settings, event_log: EventLog, capsys: pytest.CaptureFixture[str]
) -> None:
    record_warmup(event_log, date(2020, 3, 1))
    east = msgspec.structs.replace(settings, warmup=Warmup(timezone="+13:00"))
    assert replay.run(east, "2020-03-01T11:30Z") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["10.0.0.1", "&gmail", "BEHIND", "2/3", "600", "0", "-"] in lines


def test_before_anything_was_projected_nothing_stands_now(
    settings: Settings, event_log: EventLog, capsys: pytest.CaptureFixture[str]
) -> None:
    record_warmup(event_log, date(2020, 3, 1))
    assert replay.run(settings, "2020-03-01T13:00Z") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["10.0.0.1", "&gmail", "ONSCHEDULE", "1/3", "500", "400", "-"] in lines


def test_where_nothing_is_warmed_up_nothing_is_said_of_it(
    settings: Settings, event_log: EventLog, capsys: pytest.CaptureFixture[str]
) -> None:
    record_messages(event_log, 1)
    assert replay.run(settings, "9") == 0
    assert "Warm-ups" not in capsys.readouterr().out


@pytest.mark.parametrize("is_built", [True, False])
def test_the_command_prints_how_many_mails_were_in_which_status_then_and_are_now(
    settings: Settings,
    event_log: EventLog,
    capsys: pytest.CaptureFixture[str],
    is_built: bool,  # noqa: FBT001
) -> None:
    with closing(Projector(event_log, PROJECTIONS)) as projector:
        told = Told(event_log, projector, MailModels(event_log))
        told.tenant(*created())
        told.mail("a", mail_queued())
        until = told.mail("b", mail_queued(client_id="m-2"), MailAttempted(1), SENT)
        told.mail("a", MailAttempted(1), SENT)
        if is_built:
            projector.prepare()
            build(projector)
    assert replay.run(settings, str(until)) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["acme-2026-11-21", "pending", "1", "0"] in lines
    assert ["acme-2026-11-21", "sent", "1", "2" if is_built else "0"] in lines


def test_where_there_are_no_mails_nothing_is_said_of_them(
    settings: Settings, event_log: EventLog, capsys: pytest.CaptureFixture[str]
) -> None:
    record_messages(event_log, 1)
    assert replay.run(settings, "9") == 0
    assert "Mails" not in capsys.readouterr().out


def test_the_command_prints_what_phones_carried_by_then(
    settings: Settings, event_log: EventLog, capsys: pytest.CaptureFixture[str]
) -> None:
    record(event_log, "phone-1", PhoneConnected(OWNER, PHONE, 1, "web-1"))
    tell(event_log, "a", queued(), PUSHED)
    until = tell(event_log, "b", received())
    tell(event_log, "c", received())
    assert replay.run(settings, str(until)) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["online", "1"] in lines
    assert ["messages", "sending", "1"] in lines
    assert ["messages", "received", "1"] in lines


def test_where_nobody_uses_a_phone_nothing_is_said_of_phones(
    settings: Settings, event_log: EventLog, capsys: pytest.CaptureFixture[str]
) -> None:
    record_messages(event_log, 1)
    assert replay.run(settings, "9") == 0
    assert "Phones" not in capsys.readouterr().out


def test_a_replay_leaves_no_trace(settings: Settings, event_log: EventLog) -> None:
    record_messages(event_log, 1)
    with event_log.pool.connection() as connection:
        connection.execute(
            'UPDATE signalbox.stored_events SET state = \'{"at":"2026-11-21T14:30:00Z"}\''
        )
    assert replay.run(settings, "9") == 0
    assert rows_of(event_log, replay.SCHEMA) == {}
    assert dead_letters(event_log) == []


def test_one_replay_at_a_time(
    settings: Settings, event_log: EventLog, capsys: pytest.CaptureFixture[str]
) -> None:
    with scratch_schema(event_log, replay.SCHEMA):
        assert replay.run(settings, "9") == 1
    assert capsys.readouterr().err == "signalbox: another replay is running\n"


def test_the_rebuild_command_makes_the_read_models_from_nothing(
    settings: Settings, event_log: EventLog, capsys: pytest.CaptureFixture[str]
) -> None:
    record_messages(event_log, 3)
    assert rebuild.run(settings) == 0
    assert capsys.readouterr().out.startswith("read models rebuilt from 12 events in ")
    assert ReadModels(event_log).figures().delivered == 3


def test_one_rebuild_at_a_time(
    settings: Settings, event_log: EventLog, capsys: pytest.CaptureFixture[str]
) -> None:
    with scratch_schema(event_log, "signalbox_read_new"):
        assert rebuild.run(settings) == 1
    assert "rebuilt already" in capsys.readouterr().err
