"""What every test may use: a database of its own, and the log and the journal on it.

Tests run as the gateway does, with what blocks patched; so this file is imported before all else.
"""

import signalbox.ops.patched  # noqa: I001  must come first

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import Final

import pykka
import pytest

METRICS_FOLDER: Final = tempfile.mkdtemp(prefix="signalbox-metrics-")
os.environ[signalbox.ops.patched.METRICS_VARIABLE] = METRICS_FOLDER
atexit.register(shutil.rmtree, METRICS_FOLDER)

# From here on the metrics know where their files are.
from support.postgres import Databases, running_databases  # noqa: E402

from signalbox.eventstore.journal import Journal  # noqa: E402
from signalbox.eventstore.log import EventLog  # noqa: E402

SECRET_KEY: Final = "a secret key for tests, long enough"
ACTORS_TIMEOUT_S: Final = 5.0


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    with running_databases() as databases:
        yield databases


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    url = databases.make()
    yield url
    databases.drop(url)


@pytest.fixture
def event_log(database_url: str) -> Iterator[EventLog]:
    log = EventLog(database_url, SECRET_KEY)
    yield log
    log.close()


@pytest.fixture
def journal(event_log: EventLog) -> Iterator[Journal]:
    journal = Journal(event_log)
    yield journal
    journal.close()


@pytest.fixture(autouse=True)
def _no_actor_stays() -> Iterator[None]:
    yield
    pykka.ActorRegistry.stop_all(timeout=ACTORS_TIMEOUT_S)
