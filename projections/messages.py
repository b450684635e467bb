"""Read model `messages`: one row for each message, what `/sms/info` answers from.

The parts go through the domain's own `evolve`, so a status means the same here as where it is
decided. No personal content: neither addresses nor text. What finally became of a message is
counted in `outcomes` and `campaigns`, which live and are rebuilt with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, LiteralString, cast

import msgspec

from signalbox.domain.message import (
    Message,
    MessageAccepted,
    MessageRerouted,
    MessageSubmitted,
    Part,
    ReceiptRecorded,
    SubmitAttempted,
    SubmitOutcomeUnknown,
    SubmitRefused,
    evolve,
    id_of,
    message_status,
)
from signalbox.projections import campaigns, outcomes
from signalbox.projections.outcomes import Settled, outcome_of
from signalbox.projections.projection import Projection

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from signalbox.domain import message
    from signalbox.domain.text import LongMode
    from signalbox.eventstore.mapper import Recorded
    from signalbox.projections.outcomes import Outcome
    from signalbox.projections.projection import Cursor

MODE: Final = "submit_sm"  # the SMPP operation every part leaves with

TABLES: Final[LiteralString] = """
    CREATE TABLE messages (
        message_id text COLLATE "C" PRIMARY KEY,
        app_id bigint NOT NULL,
        link_id integer NOT NULL,
        carrier_id integer NOT NULL,
        task_id bigint NOT NULL,
        transaction_id text NOT NULL,
        campaign text NOT NULL,
        long_mode text NOT NULL,
        accepted_at_s double precision NOT NULL,
        parts jsonb NOT NULL,
        status text NOT NULL,
        delivered_count integer NOT NULL,
        sent_at_s bigint NOT NULL,
        updated_at_s bigint NOT NULL,
        error text NOT NULL
    ) WITH (fillfactor = 70);
"""
_LOAD: Final[LiteralString] = """
    SELECT message_id, app_id, link_id, campaign, carrier_id, parts::text, sent_at_s
    FROM messages WHERE message_id = ANY(%s)
"""
_INSERT: Final[LiteralString] = """
    INSERT INTO messages (
        message_id, carrier_id, parts, status, delivered_count, sent_at_s, updated_at_s, error,
        app_id, link_id, task_id, transaction_id, campaign, long_mode, accepted_at_s)
    SELECT * FROM unnest(
        %b::text[], %b::int[], %b::jsonb[], %b::text[], %b::int[], %b::bigint[], %b::bigint[],
        %b::text[], %b::bigint[], %b::int[], %b::bigint[], %b::text[], %b::text[], %b::text[],
        %b::float8[])
"""
_UPDATE: Final[LiteralString] = """
    UPDATE messages AS m
    SET carrier_id = n.carrier_id, parts = n.parts, status = n.status,
        delivered_count = n.delivered_count, sent_at_s = n.sent_at_s,
        updated_at_s = n.updated_at_s, error = n.error
    FROM unnest(
        %b::text[], %b::int[], %b::jsonb[], %b::text[], %b::int[], %b::bigint[], %b::bigint[],
        %b::text[]
    ) AS n (message_id, carrier_id, parts, status, delivered_count, sent_at_s, updated_at_s, error)
    WHERE m.message_id = n.message_id
"""
_FIND: Final[LiteralString] = """
    SELECT message_id, app_id, link_id, carrier_id, task_id, transaction_id, campaign, long_mode,
           accepted_at_s, status, delivered_count, sent_at_s, updated_at_s, error, parts::text
    FROM messages WHERE message_id = %s AND app_id = %s AND link_id = %s
"""

_decode_parts: Final = msgspec.json.Decoder(tuple[Part, ...]).decode
_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class MessageInfo:
    """One message. Times are Unix seconds; `sent_at_s` is 0 until the SMSC accepted a part.

    `link_id` is the link it was sent to, `carrier_id` the one that carried it last. `error` is that
    of a part that failed or whose fate is unknown.
    """

    message_id: str
    app_id: int
    link_id: int
    carrier_id: int
    task_id: int
    transaction_id: str
    campaign: str
    long_mode: LongMode
    accepted_at_s: float
    status: str
    delivered_count: int
    sent_at_s: int
    updated_at_s: int
    error: str
    parts: tuple[Part, ...]
    mode: str = MODE


@dataclass(slots=True)
class _Row:
    """A message while a batch goes through it; `accepted` when the batch begins with it."""

    message: Message
    app_id: int
    link_id: int
    campaign: str
    carrier_id: int
    sent_at_s: int = 0
    updated_at_s: int = 0
    accepted: Recorded | None = None
    outcome: Outcome | None = None

    def settle(self, at_s: float) -> Settled | None:
        """Look what became of the message by now; None when that is no news."""
        before, self.outcome = self.outcome, outcome_of(self.message.parts)
        if self.outcome in {None, before}:
            return None
        return Settled(self.app_id, self.link_id, self.campaign, before, self.outcome, at_s)


def find(cursor: Cursor, message_id: str, *, app_id: int, link_id: int) -> MessageInfo | None:
    """Return a message of this application on this link; None when there is no such message."""
    row = cursor.execute(_FIND, (message_id, app_id, link_id)).fetchone()
    if row is None:
        return None
    *columns, parts = row
    return MessageInfo(*(*columns, _decode_parts(parts)))


def _apply(cursor: Cursor, batch: Sequence[Recorded]) -> None:
    rows = _load(cursor, {id_of(recorded.stream_id) for recorded in batch})
    settled = [one for recorded in batch if (one := _fold(rows, recorded))]
    born = [(*_state(i, row), *_origin(row.accepted)) for i, row in rows.items() if row.accepted]
    changed = [_state(i, row) for i, row in rows.items() if not row.accepted]
    if born:
        cursor.execute(_INSERT, _columns(born))
    if changed:
        cursor.execute(_UPDATE, _columns(changed))
    if settled:
        outcomes.count(cursor, settled)
        campaigns.count(cursor, settled)


def _load(cursor: Cursor, message_ids: set[str]) -> dict[str, _Row]:
    found = cursor.execute(_LOAD, (list(message_ids),))
    return {message_id: _row(*columns) for message_id, *columns in found}


def _row(
    app_id: int, link_id: int, campaign: str, carrier_id: int, parts: str, sent_at_s: int
) -> _Row:
    message = Message(carrier_id, _decode_parts(parts))
    outcome = outcome_of(message.parts)
    return _Row(message, app_id, link_id, campaign, carrier_id, sent_at_s, outcome=outcome)


def _fold(rows: dict[str, _Row], recorded: Recorded) -> Settled | None:
    message_id, event = id_of(recorded.stream_id), cast("message.Event", recorded.event)
    row = rows.get(message_id)
    if isinstance(event, MessageAccepted):
        assert row is None, message_id
        row = rows[message_id] = _Row(
            evolve(None, event, recorded.at_s),
            event.app_id,
            event.link_id,
            event.campaign,
            event.first_link_id,
            accepted=recorded,
        )
    else:
        assert row is not None, message_id
        row.message = evolve(row.message, event, recorded.at_s)
    if isinstance(event, SubmitAttempted | MessageRerouted):
        row.carrier_id = event.link_id
    elif isinstance(event, MessageSubmitted):
        row.sent_at_s = row.sent_at_s or int(recorded.at_s)
    row.updated_at_s = int(recorded.at_s)
    return row.settle(recorded.at_s)


def _state(message_id: str, row: _Row) -> tuple[object, ...]:
    """Return the columns that change during a message's life."""
    parts = row.message.parts
    statuses = tuple(part.status for part in parts)
    return (
        message_id,
        row.carrier_id,
        _encode(parts).decode(),
        message_status(statuses),
        statuses.count("delivered"),
        row.sent_at_s,
        row.updated_at_s,
        next((p.error for p in reversed(parts) if p.status in {"failed", "unknown"}), ""),
    )


def _origin(accepted: Recorded) -> tuple[object, ...]:
    """Return the columns that never change."""
    event = cast("MessageAccepted", accepted.event)
    return (
        event.app_id,
        event.link_id,
        event.task_id,
        event.transaction_id,
        event.campaign,
        event.long_mode,
        accepted.at_s,
    )


def _columns(rows: Iterable[Sequence[object]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


PROJECTION: Final = Projection(
    "messages",
    (
        MessageAccepted,
        MessageRerouted,
        SubmitAttempted,
        MessageSubmitted,
        SubmitRefused,
        SubmitOutcomeUnknown,
        ReceiptRecorded,
    ),
    TABLES + outcomes.TABLES + campaigns.TABLES,
    _apply,
    version=2,
)
