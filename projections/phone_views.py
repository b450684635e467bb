"""What is asked of the messages through phones: pages and figures, from the rows of the read model.

A page is looked for by index alone, whatever is left out or asked for: one descent for each
direction and each archived or not, merged. Peers and texts are in no read model; they come from the
log itself, for a page in one query.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, LiteralString, get_args

from signalbox.domain.names import names_of
from signalbox.domain.phone_message import (
    Direction,
    InboundReceived,
    OutboundQueued,
    key_of,
    stream_of,
)
from signalbox.domain.phone_routing import digits, slot_of
from signalbox.projections import phone_counts, phones
from signalbox.projections.phone_messages import decode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from signalbox.domain.phone_message import PhoneMessage, Sim, Status
    from signalbox.eventstore.log import EventLog
    from signalbox.projections.projection import Cursor

DIRECTIONS: Final[tuple[Direction, ...]] = get_args(Direction)
EVER_S: Final = float("-inf")

_NEWEST: Final[LiteralString] = """
    SELECT m.stream_id, m.state
    FROM unnest(%(directions)s::text[]) AS d (direction),
         unnest(%(archived)s::bool[]) AS a (archived),
         LATERAL (
            SELECT stream_id, state, accepted_at_s, position FROM phone_messages
            WHERE owner = %(owner)s AND direction = d.direction AND archived = a.archived
              AND accepted_at_s > %(since_s)s
            ORDER BY accepted_at_s DESC, position DESC LIMIT %(end)s
         ) AS m
    ORDER BY m.accepted_at_s DESC, m.position DESC OFFSET %(offset)s LIMIT %(limit)s
"""
_BY_NUMBER: Final[LiteralString] = """
    SELECT m.stream_id, m.state
    FROM unnest(%(directions)s::text[]) AS d (direction),
         LATERAL (
            SELECT stream_id, state, number FROM phone_messages
            WHERE owner = %(owner)s AND direction = d.direction AND number > 0
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneMessageView:
    """A message as its owner sees it.

    `key` tells it from the owner's others; `number` is 0 unless the owner's are numbered. `peer` is
    who it goes to or came from. Peer and text read `ERASED` once the owner's key is destroyed.
    Times are Unix seconds by our clock, `device_ts_ms` is the phone's; an outbound message was
    received when it was accepted. `sim` is what its sender asked for.
    """

    key: str
    number: int
    direction: Direction
    peer: str
    text: str
    status: Status
    accepted_at_s: float
    received_at_s: float
    sent_at_s: float | None
    delivered_at_s: float | None
    device_ts_ms: int | None
    sim_slot: int | None
    sim_number: str
    sim: Sim | None
    phone_id: str
    error: str
    attempts: int
    archived: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageQuery:
    """Messages from the newest on, by acceptance and then by their order in the log.

    Only what was accepted after `since_s` (Unix). `archived` None asks for both.
    """

    limit: int
    offset: int = 0
    direction: Direction | None = None
    since_s: float | None = None
    archived: bool | None = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberQuery:
    """Numbered messages behind `since_number`, by number.

    `numbers` asks for those alone. `sim` is the one a message came by or asked for. Only what
    changed at `updated_since_s` (Unix) or later: a change shows up a moment after its time, so
    whoever asks for changes again and again lets the times overlap.
    """

    limit: int
    since_number: int = 0
    direction: Direction | None = None
    sim: Sim | None = None
    numbers: tuple[int, ...] = ()
    updated_since_s: float | None = None
    newest_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneFigures:
    """Phones and messages of all owners together."""

    phones: int
    online: int
    messages: Mapping[Status, int]

    def __bool__(self) -> bool:
        """False when nobody ever used a phone."""
        return bool(self.phones or any(self.messages.values()))


def find_page(
    cursor: Cursor, owner: str, query: MessageQuery
) -> tuple[list[PhoneMessageView], bool]:
    """Return a page without peers and texts, and whether there is more behind it."""
    values = {
        "owner": owner,
        "directions": _directions(query.direction),
        "archived": [False, True] if query.archived is None else [query.archived],
        "since_s": EVER_S if query.since_s is None else query.since_s,
        "offset": query.offset,
        "limit": query.limit + 1,
        "end": query.offset + query.limit + 1,
    }
    found = _views(cursor.execute(_NEWEST, values, binary=True))
    return found[: query.limit], len(found) > query.limit


def find_numbered(cursor: Cursor, owner: str, query: NumberQuery) -> list[PhoneMessageView]:
    """Return a page without peers and texts."""
    slot = None if query.sim is None else slot_of(query.sim)
    values = {
        "owner": owner,
        "directions": _directions(query.direction),
        "since_number": query.since_number,
        "sim_slot": slot,
        "sim_digits": digits(str(query.sim)),
        "numbers": list(query.numbers),
        "updated_since_s": query.updated_since_s,
        "limit": query.limit,
    }
    return _views(cursor.execute(_numbered(query, slot), values, binary=True))


def find_figures(cursor: Cursor) -> PhoneFigures:
    """Return the figures of all owners."""
    known, online = phones.count_phones(cursor)
    return PhoneFigures(phones=known, online=online, messages=phone_counts.find_totals(cursor))


def with_content(
    log_: EventLog, owner: str, views: Sequence[PhoneMessageView]
) -> list[PhoneMessageView]:
    """Return views with their peers and texts. Raises: `Unavailable`."""
    streams = [stream_of(owner, view.key) for view in views]
    contents = {}
    for recorded in log_.read_many(streams, names_of(OutboundQueued, InboundReceived)):
        match recorded.event:
            case OutboundQueued(to=peer, text=text) | InboundReceived(sender=peer, text=text):
                contents[key_of(recorded.stream_id)] = (peer, text)
    return [_filled(view, *contents.get(view.key, ("", ""))) for view in views]


def _numbered(query: NumberQuery, slot: int | None) -> LiteralString:
    """Return the statement that asks for no more than the query does, so that an index serves."""
    where: list[LiteralString] = [_BY_NUMBER, "number > %(since_number)s"]
    if query.numbers:
        where.append("number = ANY(%(numbers)s::bigint[])")
    if query.updated_since_s is not None:
        where.append("updated_at_s >= %(updated_since_s)s")
    if slot is not None:
        where.append("sim_slot = %(sim_slot)s")
    elif query.sim is not None:
        where.append("sim_digits = %(sim_digits)s AND sim_digits <> ''")
    order: LiteralString = "DESC" if query.newest_first else "ASC"
    return (
        " AND ".join(where)
        + f" ORDER BY number {order} LIMIT %(limit)s) AS m"
        + f" ORDER BY m.number {order} LIMIT %(limit)s"
    )


def _directions(direction: Direction | None) -> list[Direction]:
    return list(DIRECTIONS) if direction is None else [direction]


def _views(rows: Iterable[tuple[str, bytes]]) -> list[PhoneMessageView]:
    return [_view(stream_id, decode(state)) for stream_id, state in rows]


def _view(stream_id: str, message: PhoneMessage) -> PhoneMessageView:
    is_inbound = message.direction == "inbound"
    return PhoneMessageView(
        key=key_of(stream_id),
        number=message.number,
        direction=message.direction,
        peer="",
        text="",
        status=message.status,
        accepted_at_s=message.accepted_at_s,
        received_at_s=message.received_at_s if is_inbound else message.accepted_at_s,
        sent_at_s=message.sent_at_s,
        delivered_at_s=message.delivered_at_s,
        device_ts_ms=message.device_ts_ms,
        sim_slot=message.sim_slot,
        sim_number=message.sim_number,
        sim=message.sim,
        phone_id=message.phone_id,
        error=message.error,
        attempts=message.attempts,
        archived=message.archived,
    )


def _filled(view: PhoneMessageView, peer: str, text: str) -> PhoneMessageView:
    return replace(view, peer=peer, text=text)
