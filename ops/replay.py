"""`signalbox replay --until`: what the dashboard showed at an earlier moment.

The log up to then is projected into a scratch schema and read by the same queries the dashboard
uses; the schema is dropped in the end, on Ctrl-C too. The live read models are not touched.
"""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from signalbox.ops import moments, tables
from signalbox.ops.store import open_log
from signalbox.projections.building import BeingBuiltError, build, scratch_schema
from signalbox.projections.models import PROJECTIONS
from signalbox.projections.projector import Projector
from signalbox.projections.readers import ReadModels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from signalbox.eventstore.log import EventLog
    from signalbox.ops.settings import Settings
    from signalbox.projections.dashboard import Figures
    from signalbox.projections.links import LinkRow

SCHEMA: Final = "signalbox_replay"


def run(settings: Settings, until: str) -> int:
    """Print the figures of the moment `until`, a position or an ISO time; return the exit code."""
    moment = moments.parse("--until", until)
    with closing(open_log(settings)) as log:
        position = moments.last_position(log, moment)
        at = moment if isinstance(moment, datetime) else moments.time_of(log, position)
        try:
            figures, links = look_back(log, position, at, settings.projector.batch_events_max)
        except BeingBuiltError:
            sys.stderr.write("signalbox: another replay is running\n")
            return 1
    _print(tables.standard_output(), f"position {position}, {tables.clock(at)}", figures, links)
    return 0


def look_back(
    log: EventLog, position: int, at: datetime, batch_events_max: int
) -> tuple[Figures, list[LinkRow]]:
    """Return the dashboard and the links as they were at `position` and the time `at`.

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
        models = ReadModels(log, schema, now_s=at.timestamp)
        return models.figures(), models.links()


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
