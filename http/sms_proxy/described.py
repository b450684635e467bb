"""How the rows of `operations` become operations: who may call, and what each status answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from signalbox.http.openapi import Answer, Operation, Operations
from signalbox.http.sms_proxy.wire_errors import Denied, Failed

if TYPE_CHECKING:
    from spectree import Tag

    from signalbox.http.openapi import Security

Bodies = Mapping[int, tuple[type, ...]]
"""The kinds of bodies that come with a status."""

RETRY: Final = {"Retry-After": "Seconds to wait."}
NO_RATE: Final[Bodies] = {429: (Denied,)}


@dataclass(frozen=True, slots=True)
class Gate:
    """Who may call what is below `prefix`, and what everybody else is answered."""

    prefix: str
    security: Security
    denied: Bodies
    tag: Tag | None = None
    """Instead of the rows' own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One path. `failed` are the bodies of its own refusals, `refusals` the statuses they have.

    Statuses that follow from having a body, an id or a store need no mention.
    """

    route: tuple[str, str]
    tag: Tag
    summary: str
    good: Bodies
    failed: tuple[type, ...] = (Failed,)
    refusals: tuple[int, ...] = ()
    away: int = 503
    """What it answers when the store is away."""
    more: Bodies = field(default_factory=dict)
    body: type | None = None
    form: type | None = None
    query: type | None = None
    headers: type | None = None


def behind(gate: Gate, rows: Iterable[Row]) -> Operations:
    """Return rows as operations behind a gate."""
    return {
        (row.route[0], gate.prefix + row.route[1]): Operation(
            summary=row.summary,
            tag=gate.tag or row.tag,
            security=gate.security,
            answers=_answers(row.good, gate.denied, _refusals(row), row.more, NO_RATE),
            body=row.body,
            form=row.form,
            query=row.query,
            headers=row.headers,
        )
        for row in rows
    }


def _refusals(row: Row) -> Bodies:
    if not row.failed:
        return {}
    statuses = {500, row.away, *row.refusals}
    if row.body or row.form or row.query or "{" in row.route[1]:
        statuses.add(400)
    if row.body or row.form:
        statuses |= {408, 413}
    if row.body:
        statuses.add(415)
    return dict.fromkeys(statuses, row.failed)


def _answers(*parts: Bodies) -> dict[HTTPStatus, Answer]:
    """Return every status once, with all its kinds of bodies."""
    kinds: dict[int, dict[type, None]] = {}
    for bodies in parts:
        for status, several in bodies.items():
            kinds.setdefault(status, {}).update(dict.fromkeys(several))
    return {
        HTTPStatus(status): Answer(tuple(kinds[status]), RETRY if status in {429, 503} else {})
        for status in sorted(kinds)
    }
