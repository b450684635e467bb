"""`signalbox replay --until`: what the dashboard showed at an earlier moment.

The log up to then is projected into a scratch schema and read by the same queries the dashboard
uses; the schema is dropped in the end, on Ctrl-C too. The live read models are not touched. How
warm-ups and mails stood then is shown beside how they stand now.
"""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from signalbox.eventstore.errors import Unavailable
from signalbox.ops import moments, tables
from signalbox.ops.store import open_log
from signalbox.ops.zones import zone_of
from signalbox.projections.building import BeingBuiltError, build, scratch_schema
from signalbox.projections.mail_counts import STATUSES
from signalbox.projections.mail_readers import MailModels
from signalbox.projections.models import PROJECTIONS
from signalbox.projections.projector import Projector

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import tzinfo

    from rich.console import Console

    from signalbox.eventstore.log import EventLog
    from signalbox.ops.settings import Settings
    from signalbox.projections.dashboard import Figures
    from signalbox.projections.links import LinkRow
    from signalbox.projections.mail_counts import MailStatus
    from signalbox.projections.phone_views import PhoneFigures
    from signalbox.projections.warmup_views import GroupingStatus, IpStatus

    Mails = Mapping[str, Mapping[MailStatus, int]]

SCHEMA: Final = "signalbox_replay"


@dataclass(frozen=True, slots=True)
class Look:
    """What was shown at a moment."""

    figures: Figures
    links: list[LinkRow]
    warmups: list[IpStatus]
    phones: PhoneFigures
    mails: Mails


def run(settings: Settings, until: str) -> int:
    """Print the figures of the moment `until`, a position or an ISO time; return the exit code."""
    moment = moments.parse("--until", until)
    zone = zone_of(settings.warmup.timezone)
    with closing(open_log(settings)) as log:
        position = moments.last_position(log, moment)
        at = moment if isinstance(moment, datetime) else moments.time_of(log, position)
        try:
            then = look_back(log, position, at, settings.projector.batch_events_max, zone)
        except BeingBuiltError:
            sys.stderr.write("signalbox: another replay is running\n")
            return 1
        warmups_now, mails_now = _standing_now(log, zone)
    console = tables.standard_output()
    _print(console, f"position {position}, {tables.clock(at)}", then.figures, then.links)
    _print_warmups(console, then.warmups, warmups_now)
    _print_mails(console, then.mails, mails_now)
    _print_phones(console, then.phones)
    return 0


def look_back(
    log: EventLog, position: int, at: datetime, batch_events_max: int, zone: tzinfo
) -> Look:
    """Return what was shown at `position` and the time `at`, dates being those of `zone`.

    Raises:
        BeingBuiltError: another replay is running.
    """
    with scratch_schema(log, SCHEMA) as schema:
        projector = Projector(
            log,
            PROJECTIONS,
            schema,
            batch_events_max=batch_events_max,
            until=position,
            dead_letters=False,
        )
        with closing(projector):
            projector.prepare()
            build(projector)
        models = MailModels(log, schema, now_s=at.timestamp)
        return Look(
            models.figures(),
            models.links(),
            models.warmup_status(zone),
            models.phone_figures(),
            models.mail_totals_by_tenant(),
        )


def _print(console: Console, moment: str, figures: Figures, links: Sequence[LinkRow]) -> None:
    totals = tables.table("figure", "total")
    for field in fields(figures):
        if field.name != "minutes":
            totals.add_row(field.name.replace("_", " "), f"{getattr(figures, field.name):,}")
    tables.show(console, f"Figures at {moment}", totals)
    states = tables.table("id", "name", "status", "TPS", "limit", "reason")
    for link in links:
        row = (
            link.id,
            link.name,
            link.status,
            link.current_tps,
            f"{link.limit_tps:g}",
            link.reason,
        )
        states.add_row(*map(tables.cell, row))
    tables.show(console, "Links", states)
    minutes = tables.table("UTC", "accepted", "errors")
    for minute in figures.minutes:
        start = datetime.fromtimestamp(minute.start_s, UTC)
        minutes.add_row(f"{start:%H:%M}", f"{minute.accepted:,}", f"{minute.errors:,}")
    tables.show(console, "Minutes of the last hour", minutes)


def _standing_now(log: EventLog, zone: tzinfo) -> tuple[list[IpStatus], Mails]:
    """Return how warm-ups and mails stand in the live read models, if anybody built them yet."""
    models = MailModels(log)
    try:
        return models.warmup_status(zone), models.mail_totals_by_tenant()
    except Unavailable:
        return [], {}


def _print_warmups(console: Console, then: Iterable[IpStatus], now: Iterable[IpStatus]) -> None:
    before, after = _by_grouping(then), _by_grouping(now)
    if not before and not after:
        return
    columns = ("day", "target", "delivered")
    table = tables.table("ip", "grouping", "then", *columns, "now", *columns)
    for key in before | after:
        cells = (*key, *_standing(before.get(key)), *_standing(after.get(key)))
        table.add_row(*map(tables.cell, cells))
    tables.show(console, "Warm-ups", table)


def _print_mails(console: Console, then: Mails, now: Mails) -> None:
    if not then and not now:
        return
    table = tables.table("tenant", "status", "then", "now")
    for tenant_id in sorted({*then, *now}):
        for status in STATUSES:
            counts = [one.get(tenant_id, {}).get(status, 0) for one in (then, now)]
            if any(counts):
                cells = (tenant_id, status, *(f"{count:,}" for count in counts))
                table.add_row(*map(tables.cell, cells))
    tables.show(console, "Mails", table)


def _print_phones(console: Console, phones: PhoneFigures) -> None:
    if not phones:
        return
    table = tables.table("figure", "total")
    table.add_row("phones", f"{phones.phones:,}")
    table.add_row("online", f"{phones.online:,}")
    for status, count in phones.messages.items():
        table.add_row(f"messages {status}", f"{count:,}")
    tables.show(console, "Phones", table)


def _by_grouping(statuses: Iterable[IpStatus]) -> dict[tuple[str, str], GroupingStatus]:
    return {(one.ip, of.schedule.grouping): of for one in statuses for of in one.groupings}


def _standing(one: GroupingStatus | None) -> tuple[str, str, str, str]:
    """Return the status word, the day, its target and what was delivered on it."""
    if one is None:
        return "-", "", "", ""
    day = f"{one.current_day}/{len(one.schedule.messages)}"
    target = "" if one.target is None else f"{one.target:,}"
    return str(one.status), day, target, f"{one.today.outcome.delivered:,}"
