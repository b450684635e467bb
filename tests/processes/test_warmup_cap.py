"""Several processes take from the same day: together never more than its target, and all of it."""

import re
import signal
from contextlib import ExitStack
from datetime import UTC, datetime
from subprocess import Popen
from typing import Final

import pytest
from support.script import line_of, running

from signalbox.actors.sending_days import DayOf, SendingDays
from signalbox.actors.sending_ips import SendingIps
from signalbox.domain.ramp import Schedule
from signalbox.domain.sending_day import VolumeReserved
from signalbox.eventstore.journal import Journal
from signalbox.eventstore.log import EventLog

pytestmark = [pytest.mark.processes, pytest.mark.timeout(90)]

IP: Final = "192.0.2.1"
AFTERNOON: Final = datetime(2026, 11, 20, 14, tzinfo=UTC)
TODAY: Final = DayOf(IP, "&gmail", AFTERNOON.date())
TARGET: Final = 800
PROCESSES: Final = 4
SECRET_KEY: Final = "a secret key for tests, long enough"

# Takes a few at a time in each hour until it is denied; its clock goes on by itself.
TAKER: Final = """
    from datetime import UTC, datetime, timedelta
    import gevent
    from signalbox.actors.grants import Grant
    from signalbox.actors.sending_days import SendingDays
    from signalbox.actors.sending_ips import SendingIps
    from signalbox.actors.warmup_gate import WarmupGate
    from signalbox.eventstore.journal import Journal

    at, hours = datetime.fromisoformat(arguments[0]), int(arguments[1])
    log = EventLog(url, secret_key)
    journal = Journal(log, now=lambda: at)
    days = SendingDays(log, journal)
    ips = SendingIps(log, journal)
    gate = WarmupGate(ips, days, [], zone=UTC, now=lambda: at)
    total = 0

    def take():
        global total
        while isinstance(grant := gate.reserve("192.0.2.1", "&gmail", 3), Grant):
            total += grant.recipients
            print("took", total, flush=True)

    print("ready", flush=True)
    while not ips.knows("192.0.2.1"):
        gevent.sleep(0.01)
    for _ in range(hours):
        gevent.joinall([gevent.spawn(take) for _ in range(3)], raise_error=True)
        at += timedelta(hours=1)
    print("total", total, flush=True)
"""


def total_of(process: Popen[str]) -> int:
    """Wait for what a process took in the end."""
    while not (line := line_of(process)).startswith("total"):
        assert line.startswith("took"), "the process broke off"
    return int(line.split()[1])


def reserved(log: EventLog) -> int:
    events = [recorded.event for recorded in log.read(TODAY.stream_id)]
    return sum(event.recipients for event in events if isinstance(event, VolumeReserved))


def start_all(running_: ExitStack, database_url: str, ips: SendingIps) -> list[Popen[str]]:
    """Start processes; they begin at once, when there is an address to send from."""
    arguments = (database_url, SECRET_KEY, AFTERNOON.isoformat(), "10")
    started = [running_.enter_context(running(TAKER, *arguments)) for _ in range(PROCESSES)]
    assert [line_of(process) for process in started] == ["ready"] * PROCESSES
    ramp = Schedule(
        grouping="&gmail", mode="MANUAL", start_date=TODAY.date, messages=(TARGET, TARGET)
    )
    ips.add(IP, (ramp,), by="admin-key")
    return started


def test_processes_at_once_are_granted_the_target_and_no_more(
    database_url: str, event_log: EventLog, journal: Journal
) -> None:
    with ExitStack() as running_:
        ips = SendingIps(event_log, journal)
        totals = [total_of(process) for process in start_all(running_, database_url, ips)]
    assert sum(totals) == TARGET
    assert reserved(event_log) == TARGET
    assert SendingDays(event_log, journal).newest(TODAY).used == TARGET
    writers = {re.sub("-.*", "", one.command_id) for one in event_log.read(TODAY.stream_id)}
    assert len(writers) > 1, "they did not compete"


def test_what_a_killed_process_reserved_stays_counted(
    database_url: str, event_log: EventLog, journal: Journal
) -> None:
    with ExitStack() as running_:
        killed, *others = start_all(running_, database_url, SendingIps(event_log, journal))
        took = 0
        while took < 20:
            took = int(line_of(killed).split()[1])
        killed.send_signal(signal.SIGKILL)
        totals = [total_of(process) for process in others]
    assert reserved(event_log) == TARGET
    assert sum(totals) <= TARGET - took
