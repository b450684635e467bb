"""Read model `command_log`: who commanded what, read from the events it led to.

One row for each call and tenant: the events of a call bear the same request id, however many mails
it was about. A caller may choose that id and use it again, so events belong to one call only while
they come within a minute. What changed nothing, or was refused, has no event and no row; neither
has what the gateway did by itself, such as cleaning up. The payload names what was given, in the fields'
own names, without secrets and without anything personal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, LiteralString

import msgspec

from signalbox.domain.mail import MailDeleted, MailQueued, MailRejected, MailReplaced
from signalbox.domain.tenant import (
    DispatchActivated,
    DispatchSuspended,
    MailAccountRemoved,
    MailAccountSet,
    TenantCreated,
    TenantDeleted,
    TenantKeyIssued,
    TenantKeyRevoked,
    TenantUpdated,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from psycopg.rows import TupleRow

    from signalbox.domain.mail_instance import InstanceUpdated
    from signalbox.eventstore.mapper import Recorded
    from signalbox.projections.projection import Cursor

CommandName = Literal[
    "addMessages",
    "deleteMessages",
    "cleanupMessages",
    "addAccount",
    "deleteAccount",
    "addTenant",
    "updateTenant",
    "deleteTenant",
    "suspend",
    "activate",
    "createApiKey",
    "revokeApiKey",
    "updateInstance",
]
CALL_S_MAX: Final = 60.0
SEALED: Final = "_sealed"
CREDENTIALS: Final = re.compile(r"(?<=://)[^/?#@\s]*@")
TIMES: Final = frozenset({"created_at_s", "updated_at_s"})
NOTHING: Final[tuple[object, ...]] = (None, "", {})
LISTS: Final[Mapping[CommandName, str]] = {
    "addMessages": "messages",
    "deleteMessages": "ids",
    "cleanupMessages": "ids",
}
"""What the payload calls the things that a call was about, where they are many."""

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
_FIND: Final[LiteralString] = """
    SELECT position, at_s, command, tenant_id, by, request_id, accepted, payload, items
    FROM command_log
    WHERE (%(tenant)s::text IS NULL OR tenant_id = %(tenant)s)
      AND floor(at_s) BETWEEN coalesce(%(since)s, '-infinity') AND coalesce(%(until)s, 'infinity')
      AND strpos(command, %(part)s) > 0
    ORDER BY position LIMIT %(limit)s
"""

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(dict[str, object]).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandQuery:
    """Commands from the oldest on; whole seconds, both included, Unix. `limit` None: all.

    `name_part` is in the command's name.
    """

    tenant_id: str = ""
    since_s: int | None = None
    until_s: int | None = None
    name_part: str = ""
    limit: int | None = 100


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


@dataclass(frozen=True, slots=True)
class Command:
    """What one event says of a command; `item` is what a list in its payload gets by it."""

    recorded: Recorded
    name: CommandName
    tenant_id: str
    payload: Mapping[str, object]
    item: object = None
    accepted: bool = True

    @property
    def call(self) -> str:
        """What the events of one call share; empty for what is a call of its own."""
        request_id = self.recorded.request_id
        is_one_of_many = request_id and self.name in LISTS
        return f"{self.name} {request_id} {self.tenant_id}" if is_one_of_many else ""


@dataclass(slots=True)
class _Call:
    """A row that is written, or made longer: events of one call."""

    position: int
    began_s: float
    first: Command
    items: list[str]
    accepted: bool


def of_mail(recorded: Recorded, tenant_id: str, client_id: str) -> Iterator[Command]:
    """Yield the command behind what happened to a mail, if there is one."""
    given = {"tenant_id": tenant_id}
    match recorded.event:
        case MailQueued() | MailReplaced() as event:
            yield Command(recorded, "addMessages", tenant_id, {}, _given(event))
        case MailRejected(reason=reason) as event:
            item = {**_given(event), "reason": reason}
            yield Command(recorded, "addMessages", tenant_id, {}, item, accepted=False)
        case MailDeleted("asked"):
            yield Command(recorded, "deleteMessages", tenant_id, given, client_id)
        case MailDeleted("cleanup") if recorded.request_id:
            yield Command(recorded, "cleanupMessages", tenant_id, given, client_id)
        case _:
            pass


def of_tenant(recorded: Recorded, tenant_id: str) -> Iterator[Command]:
    """Yield the command behind what happened to a tenant or its accounts, if there is one."""
    match recorded.event:
        case MailAccountSet(account):
            payload = {"tenant_id": tenant_id, **_clear(account)}
            yield Command(recorded, "addAccount", tenant_id, payload)
        case MailAccountRemoved(account_id):
            payload = {"tenant_id": tenant_id, "account_id": account_id}
            yield Command(recorded, "deleteAccount", tenant_id, payload)
        case DispatchSuspended(batch_code):
            yield Command(recorded, "suspend", tenant_id, _batch(tenant_id, batch_code))
        case DispatchActivated(batch_code):
            yield Command(recorded, "activate", tenant_id, _batch(tenant_id, batch_code))
        case TenantCreated(config=config):
            payload = {"tenant_id": tenant_id, **_clear(config)}
            yield Command(recorded, "addTenant", tenant_id, payload)
        case TenantUpdated(config):
            payload = {"tenant_id": tenant_id, **_clear(config)}
            yield Command(recorded, "updateTenant", tenant_id, payload)
        case TenantDeleted():
            yield Command(recorded, "deleteTenant", tenant_id, {"tenant_id": tenant_id})
        case TenantKeyIssued():
            yield Command(recorded, "createApiKey", tenant_id, {"tenant_id": tenant_id})
        case TenantKeyRevoked():
            yield Command(recorded, "revokeApiKey", tenant_id, {"tenant_id": tenant_id})
        case _:
            pass


def of_instance(recorded: Recorded, event: InstanceUpdated) -> Command:
    """Return the command behind a change of the installation."""
    return Command(recorded, "updateInstance", "", _clear(event.instance))


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
    values = {
        "tenant": query.tenant_id or None,
        "since": query.since_s,
        "until": query.until_s,
        "part": query.name_part,
        "limit": query.limit,
    }
    return [_row(row) for row in cursor.execute(_FIND, values)]


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


def _given(event: MailQueued | MailReplaced | MailRejected) -> dict[str, object]:
    """Return what a mail was queued with, but for its content."""
    given: dict[str, object] = {
        "tenant_id": event.tenant_id,
        "client_id": event.client_id,
        "account_id": event.account_id,
        "priority": event.priority,
    }
    if event.batch_code:
        given["batch_code"] = event.batch_code
    if not isinstance(event, MailRejected) and event.deferred_until_s:
        given["deferred_until_s"] = event.deferred_until_s
    return given


def _batch(tenant_id: str, batch_code: str) -> dict[str, object]:
    return {"tenant_id": tenant_id, **({"batch_code": batch_code} if batch_code else {})}


def _clear(record: object) -> dict[str, object]:
    """Return the fields that were given, without secrets."""
    cleared = _cleared(msgspec.to_builtins(record))
    assert isinstance(cleared, dict), record
    return cleared


def _cleared(value: object) -> object:
    if isinstance(value, dict):
        shown = {name: _cleared(one) for name, one in value.items() if not _is_hidden(name)}
        return {name: one for name, one in shown.items() if one not in NOTHING}
    return CREDENTIALS.sub("", value) if isinstance(value, str) else value


def _is_hidden(name: str) -> bool:
    return name.endswith(SEALED) or name in TIMES
