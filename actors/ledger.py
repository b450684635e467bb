"""What a link's slow work needs of the store: its inbox, and writing under its lease."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from signalbox.eventstore.journal import Append, Write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signalbox.domain.names import Event
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.recorder import Fence, InboxRow

ROWS_MAX: Final = 10_000


class Ledger:
    """Reads and writes for one actor; blocks, so it is for greenlets beside the actor."""

    def __init__(self, log_: EventLog, journal: Journal, actor_id: str, fence: Fence) -> None:
        self._log = log_
        self._journal = journal
        self.actor_id = actor_id
        self._fence = fence

    def inbox(self, kind: str) -> list[str]:
        """Return the streams that wait in the actor's inbox, oldest first."""
        with self._log.turns, self._log.pool.connection() as connection:
            rows = connection.execute(
                "SELECT stream_id FROM signalbox.inbox WHERE actor_id = %s AND kind = %s"
                " ORDER BY seq LIMIT %s",
                (self.actor_id, kind, ROWS_MAX),
            ).fetchall()
        return [row["stream_id"] for row in rows]

    def write(
        self,
        stream_id: str,
        version: int,
        events: Sequence[Event],
        *,
        tenant_id: str = "",
        inbox: Sequence[InboxRow] = (),
        done: Sequence[str] = (),
    ) -> None:
        """Store events, the first with this version. Raises: `Conflict`, `FenceLost`."""
        if not events:
            return
        self._journal.write(
            Append(
                writes=[Write(stream_id, version, events, tenant_id)],
                by=self.actor_id,
                fence=self._fence,
                inbox=inbox,
                done=done,
            )
        )
