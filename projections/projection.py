"""What a read model is: tables of its own, the events it needs, and how a batch changes the tables.

All read models live in one schema and are addressed without its name: the same statements serve the
live schema, the one a rebuild fills beside it, and the scratch one of a replay.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, LiteralString

import psycopg
from psycopg.rows import TupleRow

from signalbox.domain.names import names_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from signalbox.domain.names import Event
    from signalbox.eventstore.mapper import Recorded

SCHEMA: Final = "signalbox_read"

Cursor = psycopg.Cursor[TupleRow]


@dataclass(frozen=True, slots=True)
class Projection:
    """One read model.

    `apply` gets some of its `events`, in the order of the log, each exactly once; their personal
    fields are empty. It must only depend on them and on its own tables. Raise `version` when it
    writes something else than before: the tables are then made anew.
    """

    name: str
    events: tuple[type[Event], ...]
    tables: LiteralString
    apply: Callable[[Cursor, Sequence[Recorded]], None]
    version: int = 1

    def wanted(self, batch: Sequence[Recorded]) -> list[Recorded]:
        """Return the part of a batch it needs."""
        return [recorded for recorded in batch if isinstance(recorded.event, self.events)]


def topics_of(projections: Iterable[Projection]) -> list[str]:
    """Return the stored names of all events that any of them needs."""
    classes = dict.fromkeys(cls for projection in projections for cls in projection.events)
    return list(names_of(*classes))


def fingerprint(projections: Iterable[Projection]) -> str:
    """Return what tells tables of these projections from tables of others (32 hex digits)."""
    shapes = [(p.name, p.version, p.tables, names_of(*p.events)) for p in projections]
    return blake2b(repr(shapes).encode(), digest_size=16).hexdigest()


def use(cursor: Cursor, schema: str) -> None:
    """Find tables in `schema` until the transaction ends."""
    cursor.execute("SELECT set_config('search_path', %s, true)", (schema,))
