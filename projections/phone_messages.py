"""Read model `phone_messages`: one row for each message through a phone, and who spoke to whom.

The messages go through the domain's own `evolve`, so a status means the same here as where it is
decided. `state` is the whole message as msgpack (JSON has no infinity, and an inbound message never
expires); the other columns are what is looked for. No personal content: neither addresses nor
texts. `phone_peers` tells through which phone an owner last spoke with a number, by a digest of it.
How many messages there are is counted in `phone_counts`, which lives and is rebuilt with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, LiteralString, cast

import msgspec

from signalbox.domain.phone_message import (
    InboundReceived,
    OutboundExpired,
    OutboundGivenUp,
    OutboundPushed,
    OutboundQueued,
    PhoneMessage,
    PhoneMessageArchived,
    Status,
    StatusReported,
    StatusReportIgnored,
    evolve,
)
from signalbox.domain.phone_routing import digits, slot_of
from signalbox.projections import phone_counts
from signalbox.projections.projection import Projection

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from signalbox.domain import phone_message
    from signalbox.eventstore.mapper import Recorded
    from signalbox.projections.projection import Cursor

NO_SLOT: Final = -1
NEVER_S: Final = float("inf")

TABLES: Final[LiteralString] = """
    CREATE TABLE phone_messages (
        stream_id text COLLATE "C" PRIMARY KEY,
        owner text COLLATE "C" NOT NULL,
        direction text COLLATE "C" NOT NULL,
        number bigint NOT NULL,
        position bigint NOT NULL,
        accepted_at_s double precision NOT NULL,
        sim_slot integer NOT NULL,
        sim_digits text COLLATE "C" NOT NULL,
        archived boolean NOT NULL,
        status text NOT NULL,
        due_at_s double precision NOT NULL,
        updated_at_s double precision NOT NULL,
        state bytea NOT NULL
    ) WITH (fillfactor = 70);
    CREATE INDEX ON phone_messages (owner, direction, archived, accepted_at_s, position);
    CREATE INDEX ON phone_messages (owner, direction, number) WHERE number > 0;
    CREATE INDEX ON phone_messages (owner, updated_at_s) WHERE number > 0;
    CREATE INDEX ON phone_messages (due_at_s) WHERE due_at_s < 'Infinity';
    CREATE TABLE phone_peers (
        owner text COLLATE "C" NOT NULL,
        peer_digest text COLLATE "C" NOT NULL,
        phone_id text NOT NULL,
        PRIMARY KEY (owner, peer_digest)
    );
"""
_LOAD: Final[LiteralString] = """
    SELECT stream_id, state, updated_at_s FROM phone_messages WHERE stream_id = ANY(%s)
"""
_INSERT: Final[LiteralString] = """
    INSERT INTO phone_messages (
        stream_id, archived, status, due_at_s, updated_at_s, state,
        owner, direction, number, position, accepted_at_s, sim_slot, sim_digits)
    SELECT * FROM unnest(
        %b::text[], %b::bool[], %b::text[], %b::float8[], %b::float8[], %b::bytea[],
        %b::text[], %b::text[], %b::bigint[], %b::bigint[], %b::float8[], %b::int[], %b::text[])
"""
_UPDATE: Final[LiteralString] = """
    UPDATE phone_messages AS m
    SET archived = n.archived, status = n.status, due_at_s = n.due_at_s,
        updated_at_s = n.updated_at_s, state = n.state
    FROM unnest(
        %b::text[], %b::bool[], %b::text[], %b::float8[], %b::float8[], %b::bytea[]
    ) AS n (stream_id, archived, status, due_at_s, updated_at_s, state)
    WHERE m.stream_id = n.stream_id
"""
_SPEAK: Final[LiteralString] = """
    INSERT INTO phone_peers AS p (owner, peer_digest, phone_id)
    SELECT * FROM unnest(%b::text[], %b::text[], %b::text[])
    ON CONFLICT (owner, peer_digest) DO UPDATE SET phone_id = EXCLUDED.phone_id
    WHERE p.phone_id <> EXCLUDED.phone_id
"""
_FIND_PHONES: Final[LiteralString] = """
    SELECT peer_digest, phone_id FROM phone_peers WHERE owner = %s AND peer_digest = ANY(%s)
"""
_FIND_DUE: Final[LiteralString] = """
    SELECT stream_id FROM phone_messages
    WHERE due_at_s < 'Infinity' AND due_at_s <= %s ORDER BY due_at_s LIMIT %s
"""

_encode: Final = msgspec.msgpack.Encoder().encode
decode: Final = msgspec.msgpack.Decoder(PhoneMessage).decode
"""Reads `phone_messages.state`: a message without its peer and its text."""


@dataclass(slots=True)
class _Row:
    """A message while a batch goes through it; `position` is 0 unless the batch begins with it.

    `before` is its status before the batch, None when there was none.
    """

    message: PhoneMessage
    position: int = 0
    before: Status | None = None
    updated_at_s: float = 0.0


def find_phones(cursor: Cursor, owner: str, peer_digests: Iterable[str]) -> dict[str, str]:
    """Return which phone last spoke with each number that any did, by the numbers' digests."""
    return dict(cursor.execute(_FIND_PHONES, (owner, list(peer_digests))).fetchall())


def find_due(cursor: Cursor, now_s: float, limit: int) -> list[str]:
    """Return the streams of open outbound messages whose time is over, the oldest first."""
    return [stream_id for (stream_id,) in cursor.execute(_FIND_DUE, (now_s, limit))]


def _apply(cursor: Cursor, batch: Sequence[Recorded]) -> None:
    rows = _load(cursor, {recorded.stream_id for recorded in batch})
    for recorded in batch:
        _fold(rows, recorded)
    born = {stream_id: row for stream_id, row in rows.items() if row.position}
    changed = [_state(stream_id, row) for stream_id, row in rows.items() if not row.position]
    if born:
        columns = [(*_state(stream_id, row), *_origin(row)) for stream_id, row in born.items()]
        cursor.execute(_INSERT, _columns(columns))
        phone_counts.count_accepted(cursor, (row.message for row in born.values()))
    if changed:
        cursor.execute(_UPDATE, _columns(changed))
    _remember_peers(cursor, rows, batch)
    moves = ((row.message.owner, row.before, row.message.status) for row in rows.values())
    phone_counts.count_states(cursor, moves)


def _load(cursor: Cursor, stream_ids: set[str]) -> dict[str, _Row]:
    rows = {}
    for stream_id, state, updated_at_s in cursor.execute(_LOAD, (list(stream_ids),), binary=True):
        message = decode(state)
        rows[stream_id] = _Row(message, before=message.status, updated_at_s=updated_at_s)
    return rows


def _fold(rows: dict[str, _Row], recorded: Recorded) -> None:
    event = cast("phone_message.Event", recorded.event)
    row = rows.get(recorded.stream_id)
    if isinstance(event, OutboundQueued | InboundReceived):
        assert row is None, recorded.stream_id
        message = evolve(None, event, recorded.at_s)
        row = rows[recorded.stream_id] = _Row(message, recorded.position)
    else:
        assert row is not None, recorded.stream_id
        row.message = evolve(row.message, event, recorded.at_s)
    if not isinstance(event, StatusReportIgnored):
        row.updated_at_s = recorded.at_s


def _remember_peers(cursor: Cursor, rows: dict[str, _Row], batch: Sequence[Recorded]) -> None:
    phones: dict[tuple[str, str], str] = {}
    for recorded in batch:
        match recorded.event:
            case OutboundPushed(phone_id=phone_id) | InboundReceived(phone_id=phone_id):
                message = rows[recorded.stream_id].message
                if phone_id:
                    phones[message.owner, message.peer_digest] = phone_id
    if phones:
        cursor.execute(_SPEAK, _columns((*peer, phone_id) for peer, phone_id in phones.items()))


def _state(stream_id: str, row: _Row) -> tuple[object, ...]:
    """Return the columns that change during a message's life."""
    message = row.message
    return (
        stream_id,
        message.archived,
        message.status,
        message.expires_at_s if message.is_open else NEVER_S,
        row.updated_at_s,
        _encode(message),
    )


def _origin(row: _Row) -> tuple[object, ...]:
    """Return the columns that never change."""
    message = row.message
    return (
        message.owner,
        message.direction,
        message.number,
        row.position,
        message.accepted_at_s,
        *_sim_of(message),
    )


def _sim_of(message: PhoneMessage) -> tuple[int, str]:
    """Return the slot and the digits of the number by which a message's SIM is found.

    An inbound message came by a SIM that may be known by both, an outbound one asked for one by
    either or none.
    """
    if message.sim is not None:
        slot = slot_of(message.sim)
        return (NO_SLOT, digits(str(message.sim))) if slot is None else (slot, "")
    slot = NO_SLOT if message.sim_slot is None else message.sim_slot
    return slot, digits(message.sim_number)


def _columns(rows: Iterable[Sequence[object]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


PROJECTION: Final = Projection(
    "phone_messages",
    (
        OutboundQueued,
        OutboundPushed,
        StatusReported,
        StatusReportIgnored,
        OutboundExpired,
        OutboundGivenUp,
        InboundReceived,
        PhoneMessageArchived,
    ),
    TABLES + phone_counts.TABLES,
    _apply,
)
