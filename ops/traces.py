"""Tracing as the settings say; for the processes that carry messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signalbox.eventstore import tracing

if TYPE_CHECKING:
    from signalbox.ops.settings import Settings


def start_tracing(settings: Settings) -> None:
    """Trace this process if it is wanted; `tracing.stop` ends that."""
    monitoring = settings.monitoring
    if monitoring.otel:
        tracing.start(
            tracing.Tracing(sampling=monitoring.sampling, collector=monitoring.collector_url)
        )
