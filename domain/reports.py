"""How far a tenant's server was told what became of the tenant's mails.

    ReportsAcknowledged ──▶ SyncPostponed, if the server asked for it

The stream is `reports-<tenant>-<yyyy-mm-dd>`, one for each day, since it goes on for ever. Nothing
is decided on it: it says what a server answered.
"""

from dataclasses import dataclass
from datetime import date
from typing import Final

STREAM_PREFIX: Final = "reports-"
_DAY_CHARACTERS: Final = len("-yyyy-mm-dd")


@dataclass(frozen=True, slots=True)
class ReportsAcknowledged:
    """The server took everything of its mails up to this position in the log.

    It was told of `count` events; of none when it was only asked whether it has something to send.
    """

    position: int
    count: int


@dataclass(frozen=True, slots=True)
class SyncPostponed:
    """The server is not to be called without need before then (Unix seconds)."""

    next_sync_after_s: float


Event = ReportsAcknowledged | SyncPostponed


def stream_of(tenant_id: str, day: date) -> str:
    """Return the stream of a tenant's day."""
    return f"{STREAM_PREFIX}{tenant_id}-{day.isoformat()}"


def tenant_of(stream_id: str) -> str:
    """Return the tenant of a stream.

    >>> tenant_of("reports-a-b-2026-11-21")
    'a-b'
    """
    return stream_id.removeprefix(STREAM_PREFIX)[:-_DAY_CHARACTERS]
