"""From the configuration to the licence of a process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signalbox.actors.license_key import LicenseKey
from signalbox.actors.licenses import Licenses
from signalbox.domain.license import Limits
from signalbox.eventstore.mapper import utc_now

if TYPE_CHECKING:
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog
    from signalbox.ops.settings import Settings


def licenses_of(settings: Settings, event_log: EventLog, journal: Journal) -> Licenses:
    """Return the licence as this process knows it; it is to `restore` once the log is followed."""
    section = settings.license
    return Licenses(
        event_log,
        journal,
        LicenseKey(settings.license_key),
        Limits(connections_max=section.connections_max, tps_max=section.tps_max),
        required=section.required,
        now=utc_now,
    )
