"""`signalbox projections rebuild`: the read models made anew while the live ones go on."""

from __future__ import annotations

import sys
from contextlib import closing
from time import monotonic
from typing import TYPE_CHECKING

from signalbox.ops.store import open_log
from signalbox.projections.building import BeingBuiltError, rebuild
from signalbox.projections.models import PROJECTIONS

if TYPE_CHECKING:
    from signalbox.ops.settings import Settings


def run(settings: Settings) -> int:
    """Rebuild and swap; return the exit code, 1 when another process is at it."""
    started_s = monotonic()
    with closing(open_log(settings)) as log:
        try:
            events = rebuild(log, PROJECTIONS, batch_events_max=settings.projector.batch_events_max)
        except BeingBuiltError:
            sys.stderr.write("signalbox: the read models are being rebuilt already\n")
            return 1
    took_s = monotonic() - started_s
    sys.stdout.write(f"read models rebuilt from {events:,} events in {took_s:.1f} s\n")
    return 0
