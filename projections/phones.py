"""Read model `phones`: which phones there are, which are online, and their SIMs.

A phone is online as long as its newest connection has no `PhoneDisconnected`; what is said of an
older one changes nothing but the SIMs that are known (`phone_sims`, which lives and is rebuilt with
it). An inbound message tells of its phone, and of the SIM it came by. A phone whose id is for one
connection only has a row as long as that lasts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, LiteralString

import msgspec

from signalbox.domain.phone import PhoneConnected, PhoneDisconnected, SimCard, SimsReported
from signalbox.domain.phone_message import InboundReceived
from signalbox.domain.phone_routing import digits
from signalbox.projections import phone_sims
from signalbox.projections.phone_sims import NO_SLOT, is_lasting
from signalbox.projections.projection import Projection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signalbox.eventstore.mapper import Recorded
    from signalbox.projections.projection import Cursor

PHONES_MAX: Final = 1_000  # shown of an owner, those seen last

TABLES: Final[LiteralString] = """
    CREATE TABLE phones (
        owner text COLLATE "C" NOT NULL,
        phone_id text COLLATE "C" NOT NULL,
        connection bigint NOT NULL,
        online boolean NOT NULL,
        connected_at_s double precision NOT NULL,
        disconnected_at_s double precision NOT NULL,
        reason text NOT NULL,
        seen_at_s double precision NOT NULL,
        number text NOT NULL,
        sims_connection bigint NOT NULL,
        sims jsonb NOT NULL,
        PRIMARY KEY (owner, phone_id)
    );
    CREATE INDEX ON phones (owner, connection) WHERE online;
"""
_LOAD: Final[LiteralString] = """
    SELECT owner, phone_id, connection, online, connected_at_s, disconnected_at_s, reason,
           seen_at_s, number, sims_connection, sims::text
    FROM phones JOIN unnest(%s::text[], %s::text[]) AS wanted (owner, phone_id)
    USING (owner, phone_id)
"""
_STORE: Final[LiteralString] = """
    INSERT INTO phones (
        owner, phone_id, connection, online, connected_at_s, disconnected_at_s, reason, seen_at_s,
        number, sims_connection, sims)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (owner, phone_id) DO UPDATE
    SET connection = EXCLUDED.connection, online = EXCLUDED.online,
        connected_at_s = EXCLUDED.connected_at_s, disconnected_at_s = EXCLUDED.disconnected_at_s,
        reason = EXCLUDED.reason, seen_at_s = EXCLUDED.seen_at_s, number = EXCLUDED.number,
        sims_connection = EXCLUDED.sims_connection, sims = EXCLUDED.sims
"""
_FORGET: Final[LiteralString] = "DELETE FROM phones WHERE owner = %s AND phone_id = %s"
_FIND: Final[LiteralString] = """
    SELECT p.phone_id, p.online, p.connected_at_s,
           greatest(p.seen_at_s, extract(epoch FROM l.seen_at)::float8), p.number
    FROM phones AS p LEFT JOIN (
        SELECT phone_id, max(seen_at) AS seen_at FROM signalbox.phone_lines
        WHERE owner = %(owner)s GROUP BY phone_id
    ) AS l USING (phone_id)
    WHERE p.owner = %(owner)s ORDER BY p.seen_at_s DESC, p.phone_id LIMIT %(limit)s
"""
_FIND_LIVE: Final[LiteralString] = """
    SELECT CASE WHEN sims_connection = connection THEN sims::text ELSE '[]' END
    FROM phones WHERE owner = %s AND online ORDER BY connection, phone_id
"""
_COUNT: Final[LiteralString] = "SELECT count(*), count(*) FILTER (WHERE online) FROM phones"

_encode_sims: Final = msgspec.json.Encoder().encode
_decode_sims: Final = msgspec.json.Decoder(tuple[SimCard, ...]).decode

_Key = tuple[str, str]  # an owner and the id of one of its phones


@dataclass(frozen=True, slots=True)
class PhoneRow:
    """A phone. Times are Unix seconds, None when that never was; `number` "" when none is known.

    It was seen when it connected, told of its SIMs, brought a message, and was heard by its line.
    """

    phone_id: str
    online: bool
    connected_at_s: float | None
    last_seen_at_s: float | None
    number: str


@dataclass(frozen=True, slots=True)
class SimsView:
    """The SIMs of an owner's phones.

    `live` are those that the phones online told last, of the oldest connection first. `known` are
    all there ever were, with when each was last heard of (Unix), the newest first; a slot is
    `NO_SLOT` where only the number is known.
    """

    online_lines: int
    live: list[SimCard]
    known: list[tuple[SimCard, float]]


@dataclass(frozen=True, slots=True)
class _Phone:
    """A phone in the order of its columns; a `connection` of 0 means it never had one.

    The `sims` are those of the connection `sims_connection`: until a newer one tells its own, they
    are what a message's slot refers to.
    """

    connection: int = 0
    online: bool = False
    connected_at_s: float = 0.0
    disconnected_at_s: float = 0.0
    reason: str = ""
    seen_at_s: float = 0.0
    number: str = ""
    sims_connection: int = 0
    sims: tuple[SimCard, ...] = ()


NO_PHONE: Final = _Phone()


def find_phones(cursor: Cursor, owner: str) -> list[PhoneRow]:
    """Return an owner's phones, those seen last first."""
    rows = cursor.execute(_FIND, {"owner": owner, "limit": PHONES_MAX})
    return [
        PhoneRow(phone_id, online, connected_at_s or None, seen_at_s or None, number)
        for phone_id, online, connected_at_s, seen_at_s, number in rows
    ]


def find_sims(cursor: Cursor, owner: str) -> SimsView:
    """Return the SIMs of an owner's phones."""
    live = [_decode_sims(sims) for (sims,) in cursor.execute(_FIND_LIVE, (owner,))]
    cards = [card for sims in live for card in sims]
    return SimsView(len(live), cards, phone_sims.find(cursor, owner))


def count_phones(cursor: Cursor) -> tuple[int, int]:
    """Return how many phones there are, and how many of them are online."""
    row = cursor.execute(_COUNT).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def _apply(cursor: Cursor, batch: Sequence[Recorded]) -> None:
    phones = _load(cursor, {_key(recorded) for recorded in batch})
    seen: list[phone_sims.Seen] = []
    for recorded in batch:
        key = _key(recorded)
        phone = _evolve(phones.get(key, NO_PHONE), recorded)
        phones[key] = phone = phone if phone.online or is_lasting(*key) else NO_PHONE
        seen += [(*key, card, recorded.at_s) for card in _cards(phone, recorded)]
    cursor.executemany(_FORGET, [key for key, phone in phones.items() if phone is NO_PHONE])
    kept = [(*key, *_columns(phone)) for key, phone in phones.items() if phone is not NO_PHONE]
    cursor.executemany(_STORE, kept)
    phone_sims.store(cursor, seen)


def _load(cursor: Cursor, keys: set[_Key]) -> dict[_Key, _Phone]:
    owners, phone_ids = zip(*keys, strict=True)
    return {
        (owner, phone_id): _Phone(*(*columns, _decode_sims(sims)))
        for owner, phone_id, *columns, sims in cursor.execute(
            _LOAD, (list(owners), list(phone_ids))
        )
    }


def _evolve(phone: _Phone, recorded: Recorded) -> _Phone:
    """Apply one event; of connections only the newest counts."""
    at_s = recorded.at_s
    match recorded.event:
        case PhoneConnected(connection=connection) if connection > phone.connection:
            phone = replace(phone, connection=connection, online=True, connected_at_s=at_s)
        case SimsReported(connection=phone.connection, sims=sims):
            number = next((card.number for card in sims if card.number), phone.number)
            of = phone.connection
            phone = replace(phone, sims=sims, sims_connection=of, number=number)
        case PhoneDisconnected(connection=phone.connection, reason=reason):
            phone = replace(phone, online=False, disconnected_at_s=at_s, reason=reason)
    return replace(phone, seen_at_s=max(_seen_at_s(recorded), phone.seen_at_s))


def _seen_at_s(recorded: Recorded) -> float:
    """Return when the phone was there; a line may end long after that."""
    match recorded.event:
        case PhoneDisconnected(heard_at_s=heard_at_s) if heard_at_s:
            return heard_at_s
    return recorded.at_s


def _cards(phone: _Phone, recorded: Recorded) -> tuple[SimCard, ...]:
    """Return the SIMs an event tells of; `phone` knows what else was told of a message's SIM."""
    match recorded.event:
        case SimsReported(sims=sims):
            return sims
        case InboundReceived(sim_slot=None, sim_number=""):
            return ()
        case InboundReceived(sim_slot=slot, sim_number=number):
            card = SimCard(NO_SLOT if slot is None else slot, number)
            return (next((told for told in phone.sims if _is_same(told, card)), card),)
    return ()


def _is_same(told: SimCard, card: SimCard) -> bool:
    """Tell whether a phone means one of its SIMs by what it says of a message's."""
    if card.number and told.number:
        return digits(card.number) == digits(told.number)
    return told.slot == card.slot and not card.number


def _key(recorded: Recorded) -> _Key:
    assert isinstance(recorded.event, EVENTS), recorded
    return recorded.event.owner, recorded.event.phone_id


def _columns(phone: _Phone) -> tuple[object, ...]:
    return (
        phone.connection,
        phone.online,
        phone.connected_at_s,
        phone.disconnected_at_s,
        phone.reason,
        phone.seen_at_s,
        phone.number,
        phone.sims_connection,
        _encode_sims(phone.sims).decode(),
    )


EVENTS: Final = (PhoneConnected, SimsReported, PhoneDisconnected, InboundReceived)

PROJECTION: Final = Projection("phones", EVENTS, TABLES + phone_sims.TABLE, _apply)
