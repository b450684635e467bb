"""The schema is made once, however many processes start at the same time."""

from contextlib import closing

from support.history import append, rows, stored
from support.postgres import Databases
from support.script import END_TIMEOUT_S, start

from signalbox.eventstore.journal import Journal
from signalbox.eventstore.log import EventLog
from signalbox.eventstore.schema import MIGRATIONS

SECRET_KEY = "a secret key for tests, long enough"
OPEN = """
    from signalbox.domain.link import LinkToggled
    from signalbox.eventstore.journal import Append, Journal, Write

    write = Write(arguments[0], 1, [LinkToggled(True)])
    journal = Journal(EventLog(url, secret_key))
    journal.write(Append(writes=[write]))
    journal.close()
"""
VERSIONS = "SELECT version, applied_at FROM signalbox.schema_versions ORDER BY 1"


def test_four_processes_may_start_on_an_empty_database_at_once(databases: Databases) -> None:
    url = databases.make_empty()
    processes = [start(OPEN, url, SECRET_KEY, f"link-{number}") for number in range(4)]
    assert [process.wait(END_TIMEOUT_S) for process in processes] == [0] * 4
    assert sorted(stored(url)) == [(f"link-{number}", 1) for number in range(4)]
    assert [version for version, _ in rows(url, VERSIONS)] == list(range(1, len(MIGRATIONS) + 1))
    databases.drop(url)


def test_a_second_start_changes_nothing(database_url: str) -> None:
    before = rows(database_url, VERSIONS)
    with closing(EventLog(database_url, SECRET_KEY)) as log, closing(Journal(log)) as journal:
        journal.write(append("link-1"))
    with closing(EventLog(database_url, SECRET_KEY)) as log:
        assert len(log.read("link-1")) == 1
    assert rows(database_url, VERSIONS) == before
