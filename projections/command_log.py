"""Read model `command_log`: who commanded what, read from the events it led to.

One row for each call and tenant: the events of a call bear the same request id, however many mails
it was about. A caller may choose that id and use it again, so events belong to one call only while
they come within a minute. What events say of commands is told in `commands`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, LiteralString

import msgspec

from signalbox.projections.commands import LISTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from psycopg.rows import TupleRow

    from signalbox.projections.commands import Command, CommandName
    from signalbox.projections.projection import Cursor

CALL_S_MAX: Final = 60.0
TABLES: Final[LiteralString] = """
    CREATE TABLE command_log (
        position bigint PRIMARY KEY,
        call text COLLATE "C" NOT NULL,
        at_s double precision NOT NULL,
        command text NOT NULL,
        tenant_id text COLLATE "C" NOT NULL,
        by text NOT NULL,
        request_id text NOT NULL,
        accepted boolean NOT NULL,
        payload text NOT NULL,
        items text NOT NULL
    );
    CREATE INDEX ON command_log (call, position) WHERE call <> '';
    CREATE INDEX ON command_log (tenant_id, position);
"""
_FIND_CALLS: Final[LiteralString] = """
    SELECT DISTINCT ON (call) call, position, at_s FROM command_log
    WHERE call = ANY(%s) AND call <> '' ORDER BY call, position DESC
"""
_STORE: Final[LiteralString] = """
    INSERT INTO command_log AS c
        (position, call, at_s, command, tenant_id, by, request_id, accepted, payload, items)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (position) DO UPDATE
    SET accepted = c.accepted OR EXCLUDED.accepted, items = c.items || ',' || EXCLUDED.items
"""
_ASKED: Final[LiteralString] = """
    FROM command_log
    WHERE position > %(after)s AND (%(tenant)s::text IS NULL OR tenant_id = %(tenant)s)
      AND floor(at_s) BETWEEN coalesce(%(since)s::float8, '-infinity')
                      AND coalesce(%(until)s::float8, 'infinity')
      AND strpos(command, %(part)s) > 0
"""
_FIND: Final[LiteralString] = f"""
    SELECT position, at_s, command, tenant_id, by, request_id, accepted, payload, items
    {_ASKED} ORDER BY position LIMIT %(limit)s
"""
_FIND_OLDER: Final[LiteralString] = f"""
    SELECT position {_ASKED} ORDER BY position DESC OFFSET %(limit)s LIMIT 1
"""

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(dict[str, object]).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandQuery:
    """Commands from the oldest on; whole seconds, both included, Unix. `limit` None: all.

    `name_part` is in the command's name. Only those behind the row `after_id`: there may be more
    than fit into memory.
    """

    tenant_id: str = ""
    since_s: int | None = None
    until_s: int | None = None
    name_part: str = ""
    limit: int | None = 100
    after_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRow:
    """A command; `id` grows with time. `accepted` is False when nothing of it could be done."""

    id: int
    at_s: float
    command: CommandName
    tenant_id: str
    by: str
    request_id: str
    accepted: bool
    payload: Mapping[str, object]


@dataclass(slots=True)
class _Call:
    """A row that is written, or made longer: events of one call."""

    position: int
    began_s: float
    first: Command
    items: list[str]
    accepted: bool


def store(cursor: Cursor, commands: Sequence[Command]) -> None:
    """Add commands to the log; those of a call that has a row make it longer."""
    if not commands:
        return
    calls: dict[str, tuple[int, float]] = {}
    named = list({command.call for command in commands} - {""})
    for call, position, at_s in cursor.execute(_FIND_CALLS, (named,)):
        calls[call] = position, at_s
    rows: dict[int, _Call] = {}
    for command in commands:
        _note(rows, calls, command)
    cursor.executemany(_STORE, [_values(row) for row in rows.values()])


def find(cursor: Cursor, query: CommandQuery) -> list[CommandRow]:
    """Return commands, the oldest first."""
    return [_row(row) for row in cursor.execute(_FIND, _asked(query))]


def find_older(cursor: Cursor, query: CommandQuery) -> int:
    """Return the id behind which there are the newest `limit` commands only; 0: all are."""
    row = cursor.execute(_FIND_OLDER, _asked(query)).fetchone()
    return 0 if row is None else int(row[0])


def _asked(query: CommandQuery) -> dict[str, str | float | None]:
    return {
        "tenant": query.tenant_id or None,
        "since": query.since_s,
        "until": query.until_s,
        "part": query.name_part,
        "limit": query.limit,
        "after": query.after_id,
    }


def _note(rows: dict[int, _Call], calls: dict[str, tuple[int, float]], command: Command) -> None:
    """Add an event to the row of its call, which it begins if there is none."""
    recorded, call = command.recorded, command.call
    position, began_s = calls.get(call, (0, 0.0))
    if not call or abs(recorded.at_s - began_s) > CALL_S_MAX:
        position, began_s = recorded.position, recorded.at_s
        calls[call] = position, began_s
    row = rows.get(position)
    if row is None:
        row = rows[position] = _Call(position, began_s, command, [], command.accepted)
    row.accepted |= command.accepted
    if command.item is not None:
        row.items.append(_encode(command.item).decode())


def _values(row: _Call) -> tuple[object, ...]:
    recorded = row.first.recorded
    return (
        row.position,
        row.first.call,
        row.began_s,
        row.first.name,
        row.first.tenant_id,
        recorded.by,
        recorded.request_id,
        row.accepted,
        _encode(row.first.payload).decode(),
        ",".join(row.items),
    )


def _row(row: TupleRow) -> CommandRow:
    *columns, payload, items = row
    position, at_s, command, tenant_id, by, request_id, accepted = columns
    listed = {LISTS[command]: msgspec.json.decode(f"[{items}]")} if command in LISTS else {}
    return CommandRow(
        id=position,
        at_s=at_s,
        command=command,
        tenant_id=tenant_id,
        by=by,
        request_id=request_id,
        accepted=accepted,
        payload=_decode(payload) | listed,
    )
