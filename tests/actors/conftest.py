"""Gateways for the tests of the actors: started with a call, closed when the test ends.

A new database for each of so many tests takes longer than the tests; here they empty one.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, LiteralString

import psycopg
import pytest
from psycopg import sql
from support.dovecot import running_dovecot
from support.gateway import Gateway

from signalbox.projections.projection import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.dovecot import Dovecot, Inbox
    from support.gateway import StartGateway
    from support.postgres import Databases

    from signalbox.eventstore.log import EventLog

EMPTY: Final[LiteralString] = """
    DO $$ BEGIN EXECUTE (
        SELECT 'TRUNCATE ' || string_agg(format('%I.%I', schemaname, tablename), ', ')
        FROM pg_tables WHERE schemaname = 'signalbox' AND tablename <> 'schema_versions'
    ); END $$
"""
NO_READ_MODELS: Final = sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(SCHEMA))


@pytest.fixture(scope="session")
def actors_database_url(databases: Databases) -> Iterator[str]:
    url = databases.make()
    yield url
    databases.drop(url)


@pytest.fixture
def database_url(actors_database_url: str) -> str:
    with psycopg.connect(actors_database_url, autocommit=True) as connection:
        connection.execute(EMPTY)
        connection.execute(NO_READ_MODELS)
    return actors_database_url


@pytest.fixture
def start_gateway(event_log: EventLog) -> Iterator[StartGateway]:
    with ExitStack() as running:

        def start(*ports: int, **changes: Any) -> Gateway:  # noqa: ANN401
            return running.enter_context(Gateway(event_log, *ports, **changes))

        yield start


@pytest.fixture(scope="session")
def imap_server() -> Iterator[Dovecot]:
    with running_dovecot() as running:
        yield running


@pytest.fixture
def mailbox(imap_server: Dovecot) -> Inbox:
    return imap_server.inbox()
