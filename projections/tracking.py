"""How far a schema of read models has come, and whose turn it is to take it further.

One row, changed in the transaction of every batch. The event library's tracking table would do for
the position, but its recorder is tied to one schema by name and to a pool of its own; these tables
are filled under one name and renamed to another, and the turn belongs in the same row.

The turn is a lease by the database's clock: its holder prolongs it with every step. A holder that
was killed, paused or cut off loses it after `TURN_S`; the lock, held for a transaction only, makes
sure that two never apply a batch at once and that a schema is not swapped under one who does.
"""

from typing import Final, LiteralString

from psycopg import sql

from signalbox.projections.projection import Cursor, use

TURN_S: Final = 1.5
LOCK: Final = 7_305_803

TABLE: Final[LiteralString] = """
    CREATE TABLE tracking (
        id integer PRIMARY KEY DEFAULT 1 CHECK (id = 1),
        position bigint NOT NULL DEFAULT 0,
        fingerprint text NOT NULL,
        holder text NOT NULL DEFAULT '',
        held_until timestamptz NOT NULL DEFAULT '-infinity',
        created_at timestamptz NOT NULL DEFAULT clock_timestamp()
    );
"""


def lock(cursor: Cursor, schema: str) -> None:
    """Keep everybody else from changing `schema` until the transaction ends."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (LOCK, schema))


def begin(cursor: Cursor, schema: str) -> bool:
    """Begin a step on `schema`: use and lock it; False when somebody else is at it.

    The commit is not waited for. A crash of the server may undo the last steps, rows and position
    alike, and they are taken again.
    """
    (locked,) = cursor.execute(
        "SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))"
        " FROM set_config('search_path', %s, true) AS path,"
        "      set_config('synchronous_commit', 'off', true) AS commit",
        (LOCK, schema, schema),
    ).fetchone() or (False,)
    return bool(locked)


def find_position(cursor: Cursor, holder: str, fingerprint: str) -> int | None:
    """Return the position, or None when it is another's turn or the tables are not the expected."""
    row = cursor.execute(
        "SELECT position FROM tracking"
        " WHERE fingerprint = %s AND (holder = %s OR held_until < clock_timestamp())",
        (fingerprint, holder),
    ).fetchone()
    return None if row is None else int(row[0])


def move(cursor: Cursor, position: int, holder: str) -> None:
    """Store the new position and prolong the turn."""
    cursor.execute(
        "UPDATE tracking SET position = %s, holder = %s,"
        " held_until = clock_timestamp() + make_interval(secs => %s)",
        (position, holder, TURN_S),
    )


def release(cursor: Cursor, holder: str) -> None:
    """Give the turn back, so that nobody has to wait for its end."""
    cursor.execute("UPDATE tracking SET held_until = '-infinity' WHERE holder = %s", (holder,))


def create(cursor: Cursor, fingerprint: str) -> None:
    """Make the table and its row."""
    cursor.execute(TABLE)
    cursor.execute("INSERT INTO tracking (fingerprint) VALUES (%s)", (fingerprint,))


def find_fingerprint(cursor: Cursor, schema: str) -> str | None:
    """Return what the tables of `schema` were made for, None when there are none."""
    use(cursor, schema)
    if cursor.execute("SELECT to_regclass('tracking')").fetchone() == (None,):
        return None
    row = cursor.execute("SELECT fingerprint FROM tracking").fetchone()
    return None if row is None else str(row[0])


def hand_over(cursor: Cursor, old: str, new: str) -> None:
    """Give the turn of schema `old` to the same holder in schema `new`."""
    statement = sql.SQL(
        "UPDATE {}.tracking SET (holder, held_until) = (SELECT holder, held_until FROM {}.tracking)"
    )
    cursor.execute(statement.format(sql.Identifier(new), sql.Identifier(old)))
