"""Building read models from the first event on: beside the live ones, or for a look at the past.

    empty schema of its own ──▶ all events ──▶ under the live one's lock: the last events, the swap

The swap renames two schemas in one transaction. The projector's next step and the readers' next
statements find the new tables under the old name; nobody is restarted.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, LiteralString

from psycopg import sql

from signalbox.projections import tracking
from signalbox.projections.projection import SCHEMA, use
from signalbox.projections.projector import DECODING, Progress, Projector

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from signalbox.eventstore.log import EventLog
    from signalbox.projections.projection import Cursor, Projection

Watch = Callable[[Progress], None]

_FORGET: Final[LiteralString] = """
    DELETE FROM signalbox.dead_letters
    WHERE reader = ANY(%s) AND recorded_at < (SELECT created_at FROM tracking)
"""


class BeingBuiltError(Exception):
    """Another process builds into this schema."""


def build(projector: Projector, watch: Watch = lambda _: None) -> int:
    """Take a schema to the end of the log; return how many events were applied."""
    events = 0
    progress = Progress(caught_up=False)
    while not progress.caught_up:
        progress = projector.advance()
        assert progress.mine, "somebody else changes this schema"
        events += progress.events
        watch(progress)
    return events


@contextmanager
def scratch_schema(log_: EventLog, schema: str) -> Iterator[str]:
    """Lend a schema to build into, empty and for nobody else; it is dropped in the end.

    Raises:
        BeingBuiltError: another process has it.
    """
    own = log_.own_connection(f"scratch {schema}")
    cursor = own.get().cursor()
    try:
        lock = (tracking.LOCK, f"scratch {schema}")
        locked = cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", lock).fetchone()
        if locked != (True,):
            raise BeingBuiltError(schema)
        _drop(cursor, schema)  # What a killed process has left.
        try:
            yield schema
        finally:
            _drop(cursor, schema)
            # A server notices the end of a connection late; the next one may want it at once.
            cursor.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", lock)
    finally:
        own.discard()


def rebuild(
    log_: EventLog,
    projections: Sequence[Projection],
    schema: str = SCHEMA,
    *,
    batch_events_max: int = 1000,
    watch: Watch = lambda _: None,
) -> int:
    """Make the read models anew and put them in the place of the live ones; return the events.

    Raises:
        BeingBuiltError: another process does.
    """
    with scratch_schema(log_, f"{schema}_new") as new, scratch_schema(log_, f"{schema}_old") as old:
        builder = Projector(log_, projections, new, batch_events_max=batch_events_max)
        own = log_.own_connection("rebuild")
        try:
            builder.prepare()
            events = build(builder, watch)
            with own.get().transaction(), own.get().cursor() as cursor:
                tracking.lock(cursor, schema)
                events += build(builder, watch)
                _swap(cursor, schema, new=new, old=old)
                cursor.execute(_FORGET, ([DECODING, *(p.name for p in projections)],))
        finally:
            builder.close()
            own.discard()
    return events


def _swap(cursor: Cursor, schema: str, *, new: str, old: str) -> None:
    if tracking.find_fingerprint(cursor, schema) is not None:
        tracking.hand_over(cursor, schema, new)
        _rename(cursor, schema, old)
    _rename(cursor, new, schema)
    use(cursor, schema)


def _rename(cursor: Cursor, old: str, new: str) -> None:
    statement = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
    cursor.execute(statement.format(sql.Identifier(old), sql.Identifier(new)))


def _drop(cursor: Cursor, schema: str) -> None:
    statement = sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE")
    cursor.execute(statement.format(sql.Identifier(schema)))
