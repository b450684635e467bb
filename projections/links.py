"""Read models `links` and `link_seconds`: each link as operators see it, and how busy it is.

A link's switch and its session go through the domain's own `evolve`. Parts are counted per second
and kept for the newest minute, so that a reader finds the last full second.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal, LiteralString

import msgspec

from signalbox.domain import link, session
from signalbox.domain.link import Link, LinkConfigured, LinkRemoved, LinkSpec, LinkToggled
from signalbox.domain.message import MessageSubmitted
from signalbox.domain.session import (
    BindRefused,
    BindState,
    LinkBound,
    LinkClaimed,
    LinkLost,
    LinkThrottled,
    Session,
)
from signalbox.projections.projection import Projection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg.rows import TupleRow

    from signalbox.eventstore.mapper import Recorded
    from signalbox.projections.projection import Cursor

LinkStatus = Literal["LOADED", "THROTTLED", "CONNECTING", "DOWN", "DISABLED", "UNLICENSED"]

TABLES: Final[LiteralString] = """
    CREATE TABLE links (
        link_id integer PRIMARY KEY,
        spec jsonb,
        enabled boolean NOT NULL,
        bind_state text NOT NULL,
        last_trouble text NOT NULL,
        trying boolean NOT NULL,
        throttled_until_s double precision NOT NULL
    );
    CREATE TABLE link_seconds (
        link_id integer NOT NULL,
        second bigint NOT NULL,
        parts integer NOT NULL,
        PRIMARY KEY (link_id, second)
    );
"""
SECONDS_KEPT: Final = 60

_LOAD: Final[LiteralString] = """
    SELECT link_id, spec::text, enabled, bind_state, last_trouble, trying, throttled_until_s
    FROM links WHERE link_id = ANY(%s)
"""
_STORE: Final[LiteralString] = """
    INSERT INTO links
        (link_id, spec, enabled, bind_state, last_trouble, trying, throttled_until_s)
    VALUES (%s, %s::jsonb, %s, %s, %s, %s, %s)
    ON CONFLICT (link_id) DO UPDATE
    SET spec = EXCLUDED.spec, enabled = EXCLUDED.enabled, bind_state = EXCLUDED.bind_state,
        last_trouble = EXCLUDED.last_trouble, trying = EXCLUDED.trying,
        throttled_until_s = EXCLUDED.throttled_until_s
"""
_COUNT: Final[LiteralString] = """
    INSERT INTO link_seconds (link_id, second, parts)
    SELECT * FROM unnest(%b::int[], %b::bigint[], %b::int[])
    ON CONFLICT (link_id, second) DO UPDATE SET parts = link_seconds.parts + EXCLUDED.parts
"""
_PRUNE: Final[LiteralString] = """
    DELETE FROM link_seconds WHERE second < (SELECT max(second) FROM link_seconds) - %s
"""
_ALL: Final[LiteralString] = """
    SELECT l.link_id, l.spec::text, l.enabled, l.bind_state, l.last_trouble, l.trying,
           l.throttled_until_s, coalesce(s.parts, 0)
    FROM links AS l LEFT JOIN link_seconds AS s ON s.link_id = l.link_id AND s.second = %s
    WHERE l.spec IS NOT NULL ORDER BY l.link_id
"""

_decode_spec: Final = msgspec.json.Decoder(LinkSpec).decode
_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class LinkRow:
    """One link. Rates in parts per second, `current_tps` of the last full second.

    `status` is LOADED when it is enabled, configured and bound, but THROTTLED while the SMSC wants
    a pause; CONNECTING while the next attempt is due, DOWN when nobody tries; DISABLED when it is
    switched off, UNLICENSED (never in the read model itself) when the licence has no room for it.
    `reason` is why it is down, empty when it isn't.
    """

    id: int
    name: str
    host: str
    port: int
    system_id: str
    system_type: str
    response_timeout_s: float
    enabled: bool
    bind_state: BindState
    status: LinkStatus
    reason: str
    current_tps: int
    limit_tps: float


@dataclass(frozen=True, slots=True)
class _State:
    link: Link
    session: Session = field(default_factory=Session)
    trying: bool = False
    throttled_until_s: float = 0.0


def find_all(cursor: Cursor, now_s: float) -> list[LinkRow]:
    """Return the configured links as they are at `now_s` (Unix seconds), by id."""
    rows = cursor.execute(_ALL, (int(now_s) - 1,)).fetchall()
    return [_shown(_read(row[:-1]), row[-1], now_s) for row in rows]


def _apply(cursor: Cursor, batch: Sequence[Recorded]) -> None:
    submitted: Counter[tuple[int, int]] = Counter()
    control = []
    for recorded in batch:
        if isinstance(recorded.event, MessageSubmitted):
            submitted[recorded.event.link_id, int(recorded.at_s)] += 1
        else:
            control.append(recorded)
    if submitted:
        links, seconds = zip(*submitted, strict=True)
        cursor.execute(_COUNT, (list(links), list(seconds), list(submitted.values())))
        cursor.execute(_PRUNE, (SECONDS_KEPT,))
    if control:
        _apply_control(cursor, control)


def _apply_control(cursor: Cursor, batch: Sequence[Recorded]) -> None:
    ids = {_link_id_of(recorded.stream_id) for recorded in batch}
    states = {row[0]: _read(row) for row in cursor.execute(_LOAD, (list(ids),))}
    for recorded in batch:
        link_id = _link_id_of(recorded.stream_id)
        states[link_id] = _evolve(states.get(link_id) or _State(Link(link_id)), recorded)
    cursor.executemany(_STORE, [_stored(state) for state in states.values()])


def _evolve(state: _State, recorded: Recorded) -> _State:
    event = recorded.event
    match event:
        case LinkConfigured() | LinkToggled() | LinkRemoved():
            state = replace(state, link=link.evolve(state.link, event))
        case LinkClaimed() | LinkBound() | LinkLost() | BindRefused() | LinkThrottled():
            state = replace(state, session=session.evolve(state.session, event))
    match event:
        case LinkToggled(enabled):
            return replace(state, trying=enabled)
        case LinkRemoved():
            return replace(state, trying=False)
        case LinkClaimed() | LinkBound():
            return replace(state, trying=True, throttled_until_s=0.0)
        case LinkLost(retry_in_s=retry_in_s) | BindRefused(retry_in_s=retry_in_s):
            return replace(state, trying=retry_in_s > 0, throttled_until_s=0.0)
        case LinkThrottled(pause_s):
            return replace(state, throttled_until_s=recorded.at_s + pause_s)
    return state


def _read(row: TupleRow) -> _State:
    link_id, spec, enabled, bind_state, last_trouble, trying, throttled_until_s = row
    configured = _decode_spec(spec) if spec else None
    return _State(
        Link(link_id, configured, enabled),
        Session(bind_state, last_trouble),
        trying,
        throttled_until_s,
    )


def _stored(state: _State) -> tuple[object, ...]:
    spec = state.link.spec
    return (
        state.link.link_id,
        _encode(spec).decode() if spec else None,
        state.link.enabled,
        state.session.bind_state,
        state.session.last_trouble,
        state.trying,
        state.throttled_until_s,
    )


def _shown(state: _State, current_tps: int, now_s: float) -> LinkRow:
    spec = state.link.spec
    assert spec is not None, state
    return LinkRow(
        id=state.link.link_id,
        name=spec.name,
        host=spec.host,
        port=spec.port,
        system_id=spec.system_id,
        system_type=spec.system_type,
        response_timeout_s=spec.response_timeout_s,
        enabled=state.link.enabled,
        bind_state=state.session.bind_state,
        status=_status(state, now_s),
        reason=state.session.last_trouble,
        current_tps=current_tps,
        limit_tps=spec.tps,
    )


def _status(state: _State, now_s: float) -> LinkStatus:
    if not state.link.enabled:
        return "DISABLED"
    if state.session.bind_state == "down":
        return "CONNECTING" if state.trying else "DOWN"
    return "THROTTLED" if now_s < state.throttled_until_s else "LOADED"


def _link_id_of(stream_id: str) -> int:
    """Return the link of `link-<id>` and of `link-<id>-<day>`."""
    return int(stream_id.split("-", 2)[1])


PROJECTION: Final = Projection(
    "links",
    (
        LinkConfigured,
        LinkToggled,
        LinkRemoved,
        LinkClaimed,
        LinkBound,
        LinkLost,
        BindRefused,
        LinkThrottled,
        MessageSubmitted,
    ),
    TABLES,
    _apply,
)
