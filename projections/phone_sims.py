"""Read model `phone_sims`: every SIM an owner's phones ever told of, or had a message by.

A SIM is known by its number or, where a phone can't read that (many can't), by the phone and the
slot; of a phone that has no name either, by the slot and what else was told of the SIM, or each of
its connections would add one. The table lives and is rebuilt with `phones`.
"""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING, Final, LiteralString

from signalbox.domain.phone import SimCard, has_name
from signalbox.domain.phone_routing import digits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signalbox.projections.projection import Cursor

SIMS_MAX: Final = 1_000  # shown of an owner, those heard of last
NO_SLOT: Final = -1

TABLE: Final[LiteralString] = """
    CREATE TABLE phone_sims (
        owner text COLLATE "C" NOT NULL,
        key text COLLATE "C" NOT NULL,
        slot integer NOT NULL,
        number text NOT NULL,
        label text NOT NULL,
        carrier text NOT NULL,
        seen_at_s double precision NOT NULL,
        PRIMARY KEY (owner, key)
    );
"""
_LOAD: Final[LiteralString] = """
    SELECT owner, key, slot, number, label, carrier, seen_at_s
    FROM phone_sims JOIN unnest(%s::text[], %s::text[]) AS wanted (owner, key) USING (owner, key)
"""
_STORE: Final[LiteralString] = """
    INSERT INTO phone_sims (owner, key, slot, number, label, carrier, seen_at_s)
    VALUES (%s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (owner, key) DO UPDATE
    SET slot = EXCLUDED.slot, number = EXCLUDED.number, label = EXCLUDED.label,
        carrier = EXCLUDED.carrier, seen_at_s = EXCLUDED.seen_at_s
"""
_FIND: Final[LiteralString] = """
    SELECT slot, number, label, carrier, seen_at_s FROM phone_sims
    WHERE owner = %s ORDER BY seen_at_s DESC, key LIMIT %s
"""

Seen = tuple[str, str, SimCard, float]
"""A SIM of an owner's phone, and when it was told of (Unix)."""

_Key = tuple[str, str]


def find(cursor: Cursor, owner: str) -> list[tuple[SimCard, float]]:
    """Return an owner's SIMs and when each was last heard of (Unix), the newest first.

    The slot is `NO_SLOT` where only the number is known.
    """
    rows = cursor.execute(_FIND, (owner, SIMS_MAX))
    return [(SimCard(*card), seen_at_s) for *card, seen_at_s in rows]


def is_lasting(owner: str, phone_id: str) -> bool:
    """Tell whether a phone's id is one it will have again; else it is for a connection, or none.

    Ids that begin with the owner's are those of phones that may tell a name.
    """
    return has_name(phone_id) if phone_id.startswith(owner) else bool(phone_id)


def store(cursor: Cursor, seen: Sequence[Seen]) -> None:
    """Store SIMs in the order in which they were told of."""
    if not seen:
        return
    known = _load(cursor, {_key(owner, phone_id, card) for owner, phone_id, card, _ in seen})
    for owner, phone_id, card, at_s in seen:
        key = _key(owner, phone_id, card)
        before, before_s = known.get(key, (card, at_s))
        known[key] = _merge(before, card), max(before_s, at_s)
    rows = [(*key, *astuple(card), seen_at_s) for key, (card, seen_at_s) in known.items()]
    cursor.executemany(_STORE, rows)


def _load(cursor: Cursor, keys: set[_Key]) -> dict[_Key, tuple[SimCard, float]]:
    owners, names = zip(*keys, strict=True)
    return {
        (owner, name): (SimCard(*card), seen_at_s)
        for owner, name, *card, seen_at_s in cursor.execute(_LOAD, (list(owners), list(names)))
    }


def _merge(known: SimCard, card: SimCard) -> SimCard:
    """Return what is known of a SIM after something, maybe less, was told of it."""
    return SimCard(
        known.slot if card.slot == NO_SLOT else card.slot,
        card.number or known.number,
        card.label or known.label,
        card.carrier or known.carrier,
    )


def _key(owner: str, phone_id: str, card: SimCard) -> _Key:
    if number := digits(card.number):
        return owner, f"number-{number}"
    if is_lasting(owner, phone_id):
        return owner, f"slot-{phone_id}-{card.slot}"
    return owner, "\t".join(("slot", str(card.slot), card.label, card.carrier))
