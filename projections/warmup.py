"""Read models `sending_ips` and `sending_days`: the ramps of each address, and what they brought.

An address goes through the domain's own `evolve`, its ramps with their history and what slows them
down, so that its status follows from the row and the clock. It is stored as msgpack: JSON has no
infinity, and a suspension may have no end. Days count as the streams of `domain.sending_day` do,
and are kept longer than any ramp; whoever adds an address again finds them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, LiteralString, assert_never

import msgspec

from signalbox.domain import sending_day, sending_ip
from signalbox.domain.ramp import DAYS_MAX
from signalbox.domain.sending_day import Outcome, VolumeReserved, VolumeSettled, WarmupDayClosed
from signalbox.domain.sending_ip import (
    SendingIp,
    WarmupFinished,
    WarmupGroupingRemoved,
    WarmupIpAdded,
    WarmupIpRemoved,
    WarmupIpReplaced,
    WarmupPaused,
    WarmupResumed,
)
from signalbox.domain.slowdown import (
    WarmupBackoffEnded,
    WarmupBackoffStarted,
    WarmupSuspended,
    WarmupSuspensionLifted,
)
from signalbox.projections.projection import Projection

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from signalbox.domain.ramp import Schedule
    from signalbox.domain.warming import Warming
    from signalbox.eventstore.mapper import Recorded
    from signalbox.projections.projection import Cursor

DAYS_KEPT: Final = DAYS_MAX + 30
NOTHING: Final = Outcome()

TABLES: Final[LiteralString] = """
    CREATE TABLE sending_ips (
        ip text PRIMARY KEY,
        state bytea NOT NULL
    );
    CREATE TABLE sending_days (
        ip text NOT NULL,
        grouping text NOT NULL,
        local_date date NOT NULL,
        target bigint,
        used bigint NOT NULL,
        attempted bigint NOT NULL,
        delivered bigint NOT NULL,
        deferred bigint NOT NULL,
        bounced bigint NOT NULL,
        closed boolean NOT NULL,
        PRIMARY KEY (ip, grouping, local_date)
    );
    CREATE INDEX ON sending_days (local_date);
"""
_FIND_IPS: Final[LiteralString] = "SELECT ip, state FROM sending_ips WHERE ip = ANY(%s)"
_ALL_IPS: Final[LiteralString] = "SELECT ip, state FROM sending_ips"
_STORE_IP: Final[LiteralString] = """
    INSERT INTO sending_ips (ip, state) VALUES (%s, %s)
    ON CONFLICT (ip) DO UPDATE SET state = EXCLUDED.state
"""
_COUNT: Final[LiteralString] = """
    INSERT INTO sending_days
        (ip, grouping, local_date, target, used, attempted, delivered, deferred, bounced, closed)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (ip, grouping, local_date) DO UPDATE
    SET target = coalesce(EXCLUDED.target, sending_days.target),
        used = sending_days.used + EXCLUDED.used,
        attempted = sending_days.attempted + EXCLUDED.attempted,
        delivered = sending_days.delivered + EXCLUDED.delivered,
        deferred = sending_days.deferred + EXCLUDED.deferred,
        bounced = sending_days.bounced + EXCLUDED.bounced,
        closed = sending_days.closed OR EXCLUDED.closed
"""
_PRUNE: Final[LiteralString] = """
    DELETE FROM sending_days WHERE local_date < (SELECT max(local_date) FROM sending_days) - %s
"""
_FIND_DAYS: Final[LiteralString] = """
    SELECT ip, grouping, local_date, coalesce(target, 0), used, closed,
           attempted, delivered, deferred, bounced
    FROM sending_days
    WHERE local_date BETWEEN %s AND %s AND (ip = %s OR %s::text IS NULL)
    ORDER BY ip, grouping, local_date
"""
_HAS_DAYS: Final[LiteralString] = "SELECT EXISTS (SELECT FROM sending_days WHERE ip = %s)"

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(SendingIp).decode


@dataclass(frozen=True, slots=True)
class IpRow:
    """An address that is warmed up; its ramps in the order they were given."""

    ip: str
    warmings: tuple[Warming, ...]

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        """The configuration."""
        return tuple(warming.schedule for warming in self.warmings)


@dataclass(frozen=True, slots=True, kw_only=True)
class DayRow:
    """What went to a grouping on a local date, in recipients.

    `target` is the one of the last grant or, of a closed day, of its end. `used` is what was
    granted and not released.
    """

    date: date
    target: int = 0
    used: int = 0
    closed: bool = False
    outcome: Outcome = NOTHING


Days = dict[tuple[str, str], list[DayRow]]
"""Of each address and grouping, oldest first."""


def find_ips(cursor: Cursor, ip: str | None = None) -> list[IpRow]:
    """Return the addresses by version and number, or the one (canonical) that is asked for."""
    rows = cursor.execute(_ALL_IPS) if ip is None else cursor.execute(_FIND_IPS, ([ip],))
    found = [IpRow(found, _decode(state).warmings) for found, state in rows]
    return sorted(found, key=lambda row: sending_ip.ip_order(row.ip))


def find_days(cursor: Cursor, since: date, until: date, ip: str | None = None) -> Days:
    """Return the days with traffic from `since` to `until`, both included."""
    days: Days = defaultdict(list)
    for row in cursor.execute(_FIND_DAYS, (since, until, ip, ip)):
        found, grouping, on, target, used, closed, *counts = row
        attempted, delivered, deferred, bounced = counts
        outcome = Outcome(
            attempted=attempted, delivered=delivered, deferred=deferred, bounced=bounced
        )
        day = DayRow(date=on, target=target, used=used, closed=closed, outcome=outcome)
        days[found, grouping].append(day)
    return days


def has_days(cursor: Cursor, ip: str) -> bool:
    """Tell whether anything was ever sent from an address, as far as that is kept."""
    return cursor.execute(_HAS_DAYS, (ip,)).fetchone() == (True,)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Added:
    """What some events add to a day; `target` None says nothing of it."""

    target: int | None = None
    used: int = 0
    outcome: Outcome = NOTHING
    closed: bool = False


def _apply(cursor: Cursor, batch: Sequence[Recorded]) -> None:
    days: dict[str, _Added] = {}
    control = []
    for recorded in batch:
        match recorded.event:
            case VolumeReserved() | VolumeSettled() | WarmupDayClosed() as event:
                days[recorded.stream_id] = _add(days.get(recorded.stream_id, _Added()), event)
            case _:
                control.append(recorded)
    if days:
        cursor.executemany(_COUNT, [_counted(stream, added) for stream, added in days.items()])
        cursor.execute(_PRUNE, (DAYS_KEPT,))
    if control:
        _apply_control(cursor, control)


def _add(added: _Added, event: sending_day.Event) -> _Added:
    match event:
        case VolumeReserved(recipients=recipients, target=target):
            return replace(added, target=target, used=added.used + recipients)
        case VolumeSettled(outcome=outcome, released=released):
            used = added.used - released
            return replace(added, used=used, outcome=added.outcome + outcome)
        case WarmupDayClosed(target=target):
            return replace(added, target=target, closed=True)
        case _:
            assert_never(event)


def _counted(stream_id: str, added: _Added) -> tuple[object, ...]:
    outcome = added.outcome
    return (
        *sending_day.key_of(stream_id),
        added.target,
        added.used,
        outcome.attempted,
        outcome.delivered,
        outcome.deferred,
        outcome.bounced,
        added.closed,
    )


def _apply_control(cursor: Cursor, batch: Sequence[Recorded]) -> None:
    ips = {sending_ip.ip_of(recorded.stream_id) for recorded in batch}
    states: dict[str, SendingIp | None] = {
        ip: _decode(state) for ip, state in cursor.execute(_FIND_IPS, ([*ips],))
    }
    for recorded in batch:
        ip = sending_ip.ip_of(recorded.stream_id)
        assert isinstance(recorded.event, CONTROL), recorded
        states[ip] = sending_ip.evolve(states.get(ip), recorded.event, recorded.at_s)
    gone = [ip for ip in ips if states[ip] is None]
    cursor.execute("DELETE FROM sending_ips WHERE ip = ANY(%s)", (gone,))
    cursor.executemany(_STORE_IP, [(ip, _encode(one)) for ip, one in states.items() if one])


CONTROL: Final = (
    WarmupIpAdded,
    WarmupIpReplaced,
    WarmupIpRemoved,
    WarmupGroupingRemoved,
    WarmupPaused,
    WarmupResumed,
    WarmupFinished,
    WarmupBackoffStarted,
    WarmupBackoffEnded,
    WarmupSuspended,
    WarmupSuspensionLifted,
)

PROJECTION: Final = Projection(
    "warmup",
    (*CONTROL, VolumeReserved, VolumeSettled, WarmupDayClosed),
    TABLES,
    _apply,
)
