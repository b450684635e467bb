"""What may go: rows beside the log that nobody will ask for any more. Events never go."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import gevent

from signalbox.eventstore.postgres import Broken

if TYPE_CHECKING:
    from signalbox.eventstore.postgres import Pool

log = logging.getLogger(__name__)

EVERY_S: Final = 600.0
ROWS_MAX: Final = 10_000  # deleted in one transaction


def forget_parts(pool: Pool, days: float) -> int:
    """Delete the SMSC's ids of parts submitted longer ago; return how many.

    A receipt that comes even later is stored as unmatched.
    """
    deleted = 0
    while True:
        with pool.connection() as connection:
            rows = connection.execute(
                "DELETE FROM signalbox.submitted_parts WHERE ctid = ANY(ARRAY("
                " SELECT ctid FROM signalbox.submitted_parts"
                " WHERE recorded_at < clock_timestamp() - make_interval(secs => %s) LIMIT %s))",
                (days * 86_400, ROWS_MAX),
            ).rowcount
        deleted += rows
        if rows < ROWS_MAX:
            return deleted


def keep_house(pool: Pool, days: float) -> None:
    """Do so now and then, for ever; several processes may."""
    while True:
        try:
            forget_parts(pool, days)
        except Broken as error:
            log.warning("old rows stay for now", extra={"error": str(error)})
        gevent.sleep(EVERY_S)
