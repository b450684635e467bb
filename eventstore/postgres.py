"""Connections to Postgres as this gateway needs them.

The event library makes the pool; here it gets TCP keepalives (without them a follower hangs for
ever on a connection the server has long dropped), statement and lock timeouts, and quick
reconnection. The journal, the followers and the leases hold a connection of their own: none of them
may wait behind others.
"""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import psycopg
from eventsourcing.postgres import PostgresFactory
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow, tuple_row
from psycopg_pool import ConnectionPool
from typing_extensions import override

from signalbox.eventstore.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from eventsourcing.utils import Environment, EnvType

KEEPALIVES: Final[Mapping[str, Any]] = {
    "keepalives": 1,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 2,
    "tcp_user_timeout": 4000,
    "target_session_attrs": "read-write",
}
CONNINFO: Final = "SIGNALBOX_CONNINFO"
POOL_RECONNECT_S: Final = 1.0  # after that a request that needs a connection starts a new try

Broken = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,
)
"""Errors after which the connection is given up and the work may be tried on a new one.

A server that is read-only was demoted, or its disk is full: one that writes is looked for.
"""


def parameters(url: str, *, lock_timeout_s: float, statement_timeout_s: float) -> dict[str, Any]:
    """Return psycopg's keyword arguments for a database URL, bounded in every direction."""
    options = (
        f"-c lock_timeout={int(lock_timeout_s * 1000)}"
        f" -c statement_timeout={int(statement_timeout_s * 1000)}"
        " -c idle_in_transaction_session_timeout=5000"
    )
    return {"connect_timeout": 5, "options": options, **KEEPALIVES, **conninfo_to_dict(url)}


class Factory(PostgresFactory):
    """The event library's factory, with our connection parameters in its pool."""

    @override
    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        conninfo = conninfo_to_dict(self.env.get(CONNINFO, ""))
        pool = self.datastore.pool
        assert isinstance(pool.kwargs, dict), pool.kwargs
        pool.kwargs.clear()
        pool.kwargs.update(conninfo, row_factory=psycopg.rows.dict_row)
        pool.reconnect_timeout = POOL_RECONNECT_S


def environment(url: str, kwargs: Mapping[str, Any], pool_connections_max: int) -> dict[str, str]:
    """Return the event library's environment; nothing of it is read from the process's own."""
    where = conninfo_to_dict(url)
    return {
        "PERSISTENCE_MODULE": "signalbox.eventstore.postgres:Factory",
        "APPLICATION_RECORDER_TOPIC": "signalbox.eventstore.recorder:JournalRecorder",
        "ORIGINATOR_ID_TYPE": "text",
        "CREATE_TABLE": "no",
        # The library's insert functions skip the lock that keeps commit order: readers miss events.
        "POSTGRES_ENABLE_DB_FUNCTIONS": "no",
        "POSTGRES_DBNAME": str(where.get("dbname") or ""),
        "POSTGRES_HOST": str(where.get("host") or ""),
        "POSTGRES_PORT": str(where.get("port") or "5432"),
        "POSTGRES_USER": str(where.get("user") or ""),
        "POSTGRES_PASSWORD": str(where.get("password") or ""),
        "POSTGRES_SCHEMA": "signalbox",
        "POSTGRES_PRE_PING": "yes",
        "POSTGRES_CONNECT_TIMEOUT": "2",
        "POSTGRES_POOL_SIZE": "1",
        "POSTGRES_MAX_OVERFLOW": str(pool_connections_max - 1),
        CONNINFO: psycopg.conninfo.make_conninfo(**kwargs),
    }


class OwnConnection:
    """One connection, kept open and opened anew after it broke. Not for two users at once."""

    def __init__(self, kwargs: Mapping[str, Any], application_name: str) -> None:
        named = {**kwargs, "application_name": application_name, "row_factory": tuple_row}
        self._kwargs: dict[str, Any] = named
        self._connection: psycopg.Connection[TupleRow] | None = None

    def get(self) -> psycopg.Connection[TupleRow]:
        """Return the open connection. Raises: `psycopg.OperationalError` when none is to be had."""
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(**self._kwargs, autocommit=True)
        return self._connection

    def cut(self) -> None:
        """Break it under whoever waits for an answer on it, who then gets an `OperationalError`."""
        if self._connection is not None and not self._connection.closed:
            with socket.socket(fileno=os.dup(self._connection.fileno())) as same:
                same.shutdown(socket.SHUT_RDWR)

    def discard(self) -> None:
        """Close it; the next `get` opens a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()


Pool = ConnectionPool[psycopg.Connection[Any]]


@contextmanager
def borrowed(pool: Pool) -> Iterator[psycopg.Connection[Any]]:
    """Lend a connection of the pool. Raises: `Unavailable` when the store is away or too slow."""
    try:
        with pool.connection() as connection:
            yield connection
    except Broken as error:
        raise Unavailable(str(error)) from error
