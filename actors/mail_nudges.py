"""Tells the relays that somebody wants something done now. Nothing is stored.

Who doesn't hear it, because its connection is away for a moment, does it when it is due.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from signalbox.domain import tenant as tenants
from signalbox.eventstore.postgres import borrowed
from signalbox.eventstore.recorder import CHANNEL, signal_of

if TYPE_CHECKING:
    from signalbox.eventstore.log import EventLog

EVERYBODY: Final = "!sync"
_MARK: Final = "!sync="


class MailNudges:
    """For any process."""

    def __init__(self, event_log: EventLog) -> None:
        self._log = event_log

    def run_now(self, tenant_id: str | None = None) -> None:
        """Have a tenant's mails sent and its server called; or all servers that are owed reports.

        Raises: `Unavailable`.
        """
        signal = EVERYBODY if tenant_id is None else signal_of(_words(tenant_id))
        with borrowed(self._log.pool) as connection:
            connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, signal))


def asked_for(words: frozenset[str]) -> list[str]:
    """Return the tenants whose servers are to be called, as the words of a signal say."""
    return [word.removeprefix(_MARK) for word in words if word.startswith(_MARK)]


def _words(tenant_id: str) -> tuple[str, str]:
    """Return what the dispatcher listens to, and our own word."""
    return f"@{tenants.stream_of(tenant_id)}", _MARK + tenant_id
