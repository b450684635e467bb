"""The event log of one Postgres cluster: the event library's application with our parts in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from eventsourcing.application import Application
from gevent.lock import Semaphore
from typing_extensions import override

from signalbox.eventstore import schema
from signalbox.eventstore.mapper import EnvelopeMapper, Hidden, Recorded, read_envelope
from signalbox.eventstore.postgres import (
    Factory,
    OwnConnection,
    Pool,
    borrowed,
    environment,
    parameters,
)
from signalbox.eventstore.recorder import JournalRecorder
from signalbox.eventstore.secrets import SecretBox, TenantKeys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from eventsourcing.persistence import Mapper
    from psycopg.rows import TupleRow


class EventLog(Application[str]):
    """Everything a process needs of one cluster. Made once per process, after gevent's patching.

    The tenants of a cluster share one log; a gateway that outgrows it makes a second `EventLog`.
    Whatever there are many of in a process takes one of its `turns` before a connection of the
    pool, so that a thousand who ask at once neither fail nor keep the others waiting.
    """

    name = "stored"  # the library names the table after it: stored_events

    def __init__(
        self,
        url: str,
        secret_key: str,
        *,
        pool_connections_max: int = 10,
        lock_timeout_s: float = 5.0,
        statement_timeout_s: float = 10.0,
    ) -> None:
        self._secret_key = secret_key
        self.secrets = SecretBox(secret_key)
        self.kwargs: dict[str, Any] = parameters(
            url, lock_timeout_s=lock_timeout_s, statement_timeout_s=statement_timeout_s
        )
        with psycopg.connect(
            **{**self.kwargs, "options": ""}, autocommit=True
        ) as connection:  # migrations and their lock may take longer than the usual bounds
            schema.migrate(connection)
        super().__init__(environment(url, self.kwargs, pool_connections_max))

    @override
    def construct_mapper(self) -> Mapper[str]:
        assert isinstance(self.factory, Factory), self.factory
        self.pool: Pool = self.factory.datastore.pool
        self.pool.open(wait=False)
        self.turns = Semaphore(max(1, self.pool.max_size // 2))
        self.tenant_keys = TenantKeys(self.pool, self._secret_key)
        return EnvelopeMapper(self.tenant_keys)

    @property
    def codec(self) -> EnvelopeMapper:
        """The mapper, with its own type."""
        assert isinstance(self.mapper, EnvelopeMapper), self.mapper
        return self.mapper

    @property
    def journal_recorder(self) -> JournalRecorder:
        """The recorder, with its own type."""
        assert isinstance(self.recorder, JournalRecorder), self.recorder
        return self.recorder

    def own_connection(self, purpose: str) -> OwnConnection:
        """Return a connection nobody else uses."""
        return OwnConnection(self.kwargs, f"signalbox {purpose}")

    def read(self, stream_id: str, after: int = 0) -> list[Recorded]:
        """Return a stream behind version `after`, oldest first; empty if there is nothing.

        Raises: `Unavailable`.
        """
        with borrowed(self.pool) as connection:
            rows = connection.execute(
                "SELECT notification_id, originator_id, originator_version, topic, state"
                " FROM signalbox.stored_events"
                " WHERE originator_id = %s AND originator_version > %s"
                " ORDER BY originator_version",
                (stream_id, after),
            ).fetchall()
        return [self.decode_row(tuple(row.values())) for row in rows]

    def last_version(self, stream_id: str) -> int:
        """Return how far a stream goes, 0 if there is nothing. Raises: `Unavailable`."""
        with borrowed(self.pool) as connection:
            row = connection.execute(
                "SELECT coalesce(max(originator_version), 0) AS version"
                " FROM signalbox.stored_events WHERE originator_id = %s",
                (stream_id,),
            ).fetchone()
        assert row is not None
        return int(row["version"])

    def read_many(self, stream_ids: Sequence[str], topics: Sequence[str]) -> list[Recorded]:
        """Return the events of some names in any number of streams, each stream's oldest first.

        One query, however many there are, and one for the keys of tenants that are new here.

        Raises: `Unavailable`.
        """
        with borrowed(self.pool) as connection:
            rows = connection.execute(
                "SELECT notification_id, originator_id, originator_version, topic, state"
                " FROM signalbox.stored_events WHERE originator_id = ANY(%s) AND topic = ANY(%s)"
                " ORDER BY originator_id, originator_version",
                (list(stream_ids), list(topics)),
            ).fetchall()
            tenants = {read_envelope(bytes(row["state"])).tenant for row in rows}
            self.tenant_keys.fetch(connection, tenants)
        return [self.decode_row(tuple(row.values())) for row in rows]

    def position_of(self, stream_id: str, version: int, command_id: str) -> int | None:
        """Return where a command's event is in the log; None when that version is not its.

        Raises: `Unavailable`.
        """
        with borrowed(self.pool) as connection:
            row = connection.execute(
                "SELECT notification_id, state FROM signalbox.stored_events"
                " WHERE originator_id = %s AND originator_version = %s",
                (stream_id, version),
            ).fetchone()
        if row is None or read_envelope(bytes(row["state"])).command != command_id:
            return None
        return int(row["notification_id"])

    def head(self) -> int:
        """Return the position of the newest event, 0 for an empty log. Raises: `Unavailable`."""
        with borrowed(self.pool) as connection:
            row = connection.execute(
                "SELECT coalesce(max(notification_id), 0) AS head FROM signalbox.stored_events"
            ).fetchone()
        assert row is not None
        return int(row["head"])

    def next_number(self, sequence: str) -> int:
        """Draw from one of the schema's sequences (`task_ids`, `user_ids`, `app_ids`).

        Raises: `Unavailable`.
        """
        with borrowed(self.pool) as connection:
            row = connection.execute(
                "SELECT nextval(('signalbox.' || %s)::regclass) AS number", (sequence,)
            ).fetchone()
        assert row is not None
        return int(row["number"])

    def scan(
        self,
        connection: psycopg.Connection[TupleRow],
        after: int,
        limit: int,
        topics: Sequence[str] | None = None,
    ) -> tuple[list[TupleRow], int]:
        """Return up to `limit` rows (position, stream, version, topic, state) behind `after`.

        The second value is how far the log was looked through: the next scan goes on from there.
        """
        rows = connection.execute(
            "WITH head AS (SELECT coalesce(max(notification_id), 0) AS id"
            "  FROM signalbox.stored_events)"
            " SELECT head.id, e.notification_id, e.originator_id, e.originator_version,"
            "  e.topic, e.state"
            " FROM head LEFT JOIN LATERAL ("
            "  SELECT * FROM signalbox.stored_events"
            "  WHERE notification_id > %s AND notification_id <= head.id"
            "   AND (%s::text[] IS NULL OR topic = ANY(%s))"
            "  ORDER BY notification_id LIMIT %s) AS e ON true",
            (after, topics, topics, limit),
            binary=True,
        ).fetchall()
        found = [row[1:] for row in rows if row[1] is not None]
        seen = found[-1][0] if len(found) == limit else max(after, rows[0][0])
        return found, seen

    def everything(
        self, after: int = 0, topics: Sequence[str] | None = None, batch: int = 1000
    ) -> Iterator[list[Recorded]]:
        """Yield the log in batches, oldest first, up to its end."""
        own = self.own_connection("scan")
        try:
            while True:
                rows, seen = self.scan(own.get(), after, batch, topics)
                if rows:
                    yield [self.decode_row(row) for row in rows]
                if len(rows) < batch:
                    return
                after = seen
        finally:
            own.discard()

    def decode_row(self, row: TupleRow, hidden: str | None = None) -> Recorded:
        """Decode a row that `scan` returned; `hidden` stands for what is sealed, if given."""
        position, stream_id, version, topic, state = row
        hiding = None if hidden is None else Hidden(hidden)
        return self.codec.read(stream_id, version, topic, bytes(state), position, hidden=hiding)

    def decode_for_models(self, row: TupleRow) -> Recorded:
        """Decode a row that `scan` returned as read models may know it: nothing personal."""
        position, stream_id, version, topic, state = row
        hiding = Hidden(but_private=True)
        return self.codec.read(stream_id, version, topic, bytes(state), position, hidden=hiding)

    def fetch_keys(self, connection: psycopg.Connection[Any], rows: Iterable[TupleRow]) -> None:
        """Have the keys ready by which `decode_for_models` reads rows, with one query at most."""
        private = [row for row in rows if self.codec.has_private(row[3])]
        tenants = {read_envelope(bytes(row[4])).tenant for row in private}
        self.tenant_keys.fetch(connection, tenants)

    @override
    def close(self) -> None:
        self.journal_recorder.connection.discard()
        super().close()
