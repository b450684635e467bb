"""The recorder below the event library: one transaction for a whole batch of the journal.

Differences from the library's own: four column arrays instead of an array of composites, commit
order kept by a transaction-level advisory lock instead of LOCK TABLE (which VACUUM has to wait for,
and the other way round), the leases of the writers checked in the same transaction, and the rows
that live and die with the events (inbox, submitted parts) written beside them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, LiteralString
from urllib.parse import unquote

import psycopg
from eventsourcing.persistence import IntegrityError, OperationalError, PersistenceError
from eventsourcing.postgres import PostgresApplicationRecorder
from typing_extensions import override

from signalbox.eventstore.postgres import Broken, OwnConnection

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from eventsourcing.persistence import StoredEvent
    from eventsourcing.postgres import PostgresDatastore
    from psycopg.rows import TupleRow

CHANNEL: Final = "signalbox"
COMMIT_ORDER_LOCK: Final = 7_305_802
SIGNAL_OCTETS_MAX: Final = 8_000  # what NOTIFY carries; too long a signal says "look at everything"

STALE_FENCES: Final = "SB001"
GAP: Final = "SB002"

# Rows are locked in one order everywhere, here and where leases are renewed: no deadlocks.
_HELD: Final[LiteralString] = """
    SELECT l.partition, l.epoch FROM signalbox.leases AS l
    JOIN unnest(%b::int[], %b::bigint[]) AS f (partition, epoch)
      ON l.partition = f.partition AND l.epoch = f.epoch
    WHERE l.expires_at > clock_timestamp()
    ORDER BY l.partition
    FOR SHARE OF l
"""
_REQUIRE_HELD: Final[LiteralString] = (
    "SELECT signalbox.require((SELECT count(*) FROM (" + _HELD + ") AS held) = %s, %s)"  # noqa: S608
)
_BEGIN: Final[LiteralString] = "SELECT pg_advisory_xact_lock(%s), pg_notify(%s, %s)"
_INSERT: Final[LiteralString] = """
    INSERT INTO signalbox.stored_events (originator_id, originator_version, topic, state)
    SELECT * FROM unnest(%b::text[], %b::bigint[], %b::text[], %b::bytea[])
    RETURNING notification_id
"""
_REQUIRE_PREDECESSORS: Final[LiteralString] = """
    SELECT signalbox.require(NOT EXISTS (
        SELECT FROM unnest(%b::text[], %b::bigint[]) AS w (id, version)
        WHERE NOT EXISTS (
            SELECT FROM signalbox.stored_events
            WHERE originator_id = w.id AND originator_version = w.version)), %s)
"""
_INBOX: Final[LiteralString] = """
    INSERT INTO signalbox.inbox (actor_id, kind, stream_id, due_s)
    SELECT * FROM unnest(%b::text[], %b::text[], %b::text[], %b::float8[])
"""
_DONE: Final[LiteralString] = "DELETE FROM signalbox.inbox WHERE stream_id = ANY(%s)"
_TAKEN: Final[LiteralString] = "DELETE FROM signalbox.inbox WHERE seq = ANY(%s)"
_SUBMITTED: Final[LiteralString] = """
    INSERT INTO signalbox.submitted_parts (account, smsc_key, stream_id, part)
    SELECT * FROM unnest(%b::text[], %b::text[], %b::text[], %b::int[])
"""
_LINES: Final[LiteralString] = """
    INSERT INTO signalbox.phone_lines
        (phone_id, connection, owner, process, anonymous, seen_at, expires_at)
    SELECT phone_id, connection, owner, process, anonymous, to_timestamp(seen_at_s),
           clock_timestamp() + make_interval(secs => ttl_s)
    FROM unnest(%b::text[], %b::bigint[], %b::text[], %b::text[], %b::bool[], %b::float8[],
                %b::float8[])
        AS l (phone_id, connection, owner, process, anonymous, seen_at_s, ttl_s)
"""


@dataclass(frozen=True, slots=True)
class Fence:
    """The lease under which a write is made."""

    partition: int
    epoch: int


@dataclass(frozen=True, slots=True)
class InboxRow:
    """Work for the owner of `actor_id`: the stream that holds it and what kind of work it is.

    It is not wanted before `due_s` (Unix seconds; 0: at once), if its owner goes by that.
    """

    actor_id: str
    kind: str
    stream_id: str
    due_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SubmittedPart:
    """By which id an SMSC knows a part; receipts find their message with it."""

    account: str
    smsc_key: str
    stream_id: str
    part: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRow:
    """A phone's connection to a process; believed for `ttl_s`, unless it is renewed."""

    phone_id: str
    connection: int
    owner: str
    process: str
    anonymous: bool
    seen_at_s: float
    ttl_s: float


@dataclass(slots=True)
class Beside:
    """Rows written in the transaction of the events; `done` ones go before `inbox` ones come.

    `done` names streams, whatever row they have; `taken` these rows and no later ones.
    """

    fences: set[Fence] = field(default_factory=set)
    inbox: list[InboxRow] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    submitted: list[SubmittedPart] = field(default_factory=list)
    lines: list[LineRow] = field(default_factory=list)

    @property
    def rows(self) -> bool:
        """True when there is anything to write, even without an event."""
        return bool(self.inbox or self.done or self.taken or self.submitted or self.lines)


@dataclass(eq=False)
class StaleFences(Exception):  # noqa: N818  named after what was found
    """These leases belong to somebody else by now, or to nobody; nothing was written."""

    fences: frozenset[Fence]

    def __str__(self) -> str:
        return f"stale: {self.fences}"


class JournalRecorder(PostgresApplicationRecorder):
    """Writes a batch in one transaction, on a connection of its own."""

    @override
    def __init__(
        self, datastore: PostgresDatastore, *, events_table_name: str = "stored_events"
    ) -> None:
        super().__init__(datastore, events_table_name=events_table_name)
        assert not datastore.enable_db_functions, "POSTGRES_ENABLE_DB_FUNCTIONS loses events"
        self.channel_name = CHANNEL
        kwargs = datastore.pool.kwargs
        assert isinstance(kwargs, dict), kwargs
        # psycopg takes statements behind an error in a pipeline for prepared, and they aren't.
        self._kwargs = {**kwargs, "prepare_threshold": None}
        self.connection = self.own_connection()

    def own_connection(self) -> OwnConnection:
        """Return a connection to write on that nobody else uses."""
        return OwnConnection(self._kwargs, "signalbox journal")

    @override
    def insert_events(
        self,
        stored_events: Sequence[StoredEvent],
        *,
        beside: Beside | None = None,
        own: OwnConnection | None = None,
        **_: Any,
    ) -> Sequence[int] | None:
        """Write all of it or nothing, on `own` if given; return the positions in the log, in order.

        Raises:
            StaleFences: leases are not ours any more.
            IntegrityError: a version exists already, or the one before it doesn't.
            OperationalError: the connection broke; the batch may be stored nevertheless.
        """
        own = own or self.connection
        try:
            return _insert_or_refuse(own.get(), stored_events, beside or Beside())
        except Broken as error:
            own.discard()
            raise OperationalError(str(error)) from error
        except psycopg.Error as error:
            own.discard()
            raise PersistenceError(str(error)) from error


def _insert_or_refuse(
    connection: psycopg.Connection[TupleRow], events: Sequence[StoredEvent], beside: Beside
) -> list[int]:
    try:
        return _insert(connection, events, beside)
    except psycopg.DatabaseError as error:
        stale = error.sqlstate == STALE_FENCES
        if not (stale or error.sqlstate == GAP or isinstance(error, psycopg.IntegrityError)):
            raise
        if stale:
            raise StaleFences(_stale(connection, beside.fences)) from None
        raise IntegrityError(str(error)) from error


def _stale(connection: psycopg.Connection[TupleRow], fences: set[Fence]) -> frozenset[Fence]:
    """Return which of the fences are not held; all of them if none is gone by now."""
    held = connection.execute(_HELD, _columns(fences)).fetchall()
    return frozenset(fences - {Fence(*row) for row in held}) or frozenset(fences)


def _insert(
    connection: psycopg.Connection[TupleRow], events: Sequence[StoredEvent], beside: Beside
) -> list[int]:
    """Send the whole transaction at once.

    Between two synchronisations a pipeline is one transaction, which ends with the last statement
    or the first error. So the lock that everybody waits for is held for no round trip to us.
    """
    topics = [event.topic for event in events]
    with connection.pipeline():
        if beside.fences:
            held = (*_columns(beside.fences), len(beside.fences), STALE_FENCES)
            connection.execute(_REQUIRE_HELD, held)
        signal = _signal(topics, beside.inbox)
        connection.execute(_BEGIN, (COMMIT_ORDER_LOCK, CHANNEL, signal))
        inserted = connection.execute(
            _INSERT,
            (
                [event.originator_id for event in events],
                [event.originator_version for event in events],
                topics,
                [event.state for event in events],
            ),
            binary=True,
        )
        streams, versions = _predecessors(events)
        if streams:
            connection.execute(_REQUIRE_PREDECESSORS, (streams, versions, GAP))
        _write_beside(connection, beside)
    return [row[0] for row in inserted.fetchall()]


def _columns(fences: set[Fence]) -> tuple[list[int], list[int]]:
    ordered = list(fences)
    return [fence.partition for fence in ordered], [fence.epoch for fence in ordered]


def _signal(topics: Sequence[str], inbox: Sequence[InboxRow]) -> str:
    """Say what a commit holds: the names of its events, and whose inbox has news, marked with @."""
    words = [*dict.fromkeys(topics), *dict.fromkeys(f"@{row.actor_id}" for row in inbox)]
    signal = signal_of(words)
    return signal if len(signal.encode()) < SIGNAL_OCTETS_MAX else ""


def signal_of(words: Iterable[str]) -> str:
    """Return the signal that carries words, whatever is in them."""
    return ",".join(word.replace("%", "%25").replace(",", "%2C") for word in words)


def words_of(signal: str) -> list[str]:
    """Return the words that a signal carries."""
    return [unquote(word) for word in signal.split(",")]


def _predecessors(events: Sequence[StoredEvent]) -> tuple[list[str], list[int]]:
    """Return the streams and versions that must be there before, so that no stream gets a gap."""
    written = {(str(event.originator_id), event.originator_version) for event in events}
    before = {(stream, version - 1) for stream, version in written if version > 1}
    missing = sorted(before - written)
    return [stream for stream, _ in missing], [version for _, version in missing]


def _write_beside(connection: psycopg.Connection[TupleRow], beside: Beside) -> None:
    if beside.done:
        connection.execute(_DONE, (beside.done,))
    if beside.taken:
        connection.execute(_TAKEN, (beside.taken,))
    if inbox := beside.inbox:
        connection.execute(
            _INBOX,
            (
                [row.actor_id for row in inbox],
                [row.kind for row in inbox],
                [row.stream_id for row in inbox],
                [row.due_s for row in inbox],
            ),
        )
    if parts := beside.submitted:
        connection.execute(
            _SUBMITTED,
            (
                [p.account for p in parts],
                [p.smsc_key for p in parts],
                [p.stream_id for p in parts],
                [p.part for p in parts],
            ),
        )
    if lines := beside.lines:
        connection.execute(
            _LINES,
            (
                [line.phone_id for line in lines],
                [line.connection for line in lines],
                [line.owner for line in lines],
                [line.process for line in lines],
                [line.anonymous for line in lines],
                [line.seen_at_s for line in lines],
                [line.ttl_s for line in lines],
            ),
        )
