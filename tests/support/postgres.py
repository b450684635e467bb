"""Databases for tests: one embedded PostgreSQL for the whole run, a database of its own for each.

    with running_databases() as databases:
        url = databases.make()

A new one is a copy of a template whose schema is migrated already, which takes milliseconds.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from signalbox.eventstore.schema import migrate
from signalbox.ops.embedded import EmbeddedPostgres, create_database

TEMPLATE: Final = "migrated"


class Databases:
    """Makes and drops databases on the server of `url`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._numbers = count(1)
        with psycopg.connect(create_database(url, TEMPLATE), autocommit=True) as connection:
            migrate(connection)

    def make(self) -> str:
        """Return the URL of a new database whose schema is there and whose tables are empty."""
        name = f"test_{next(self._numbers)}"
        copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self._run(copy.format(sql.Identifier(name), sql.Identifier(TEMPLATE)))
        return urlunsplit(urlsplit(self._url)._replace(path=f"/{name}"))

    def make_empty(self) -> str:
        """Return the URL of a new database without any schema."""
        return create_database(self._url, f"test_{next(self._numbers)}")

    def drop(self, url: str) -> None:
        """Drop the database of `url`, whoever is still connected to it."""
        name = urlsplit(url).path.removeprefix("/")
        self._run(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _run(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def running_databases() -> Iterator[Databases]:
    """Start a server that forgets everything in the end. It is fast because it never syncs."""
    home = Path(tempfile.mkdtemp(prefix="signalbox-test-"))
    server = EmbeddedPostgres(home, fsync=False)
    try:
        yield Databases(server.start())
    finally:
        server.stop()
        shutil.rmtree(home)
