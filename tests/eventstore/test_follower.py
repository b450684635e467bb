"""A follower hears of every event of its names, whatever happens to connections and signals."""

import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from time import monotonic
from typing import Any

import gevent
import psycopg
from psycopg.rows import TupleRow
from support.chaos_proxy import ChaosProxy
from support.history import OFF, ON, append, backend_of, rows, text_from_handset

from signalbox.domain.link import LinkConfigured, LinkSpec
from signalbox.domain.session import LinkLost
from signalbox.eventstore.follower import Follower
from signalbox.eventstore.journal import Append, Journal, Write
from signalbox.eventstore.log import EventLog
from signalbox.eventstore.recorder import InboxRow

SECRET_KEY = "a secret key for tests, long enough"
TOGGLED = "link.toggled.1"
CONFIGURED = LinkConfigured(LinkSpec(name="a", host="b", port=1, system_id="c"))


class Heard:
    """What a follower was given, in its order."""

    def __init__(self) -> None:
        self.rows: list[TupleRow] = []
        self.signals: list[frozenset[str]] = []

    @property
    def streams(self) -> list[str]:
        """The streams of the events."""
        return [row[1] for row in self.rows]

    def take(self, rows: list[TupleRow]) -> None:
        """Handle rows."""
        self.rows += rows


@contextmanager
def following(
    log: EventLog, heard: Heard, handle: Callable[[list[TupleRow]], None] | None = None
) -> Iterator[Follower]:
    follower = Follower(log, [TOGGLED], handle or heard.take, heard.signals.append)
    with closing(follower):
        assert follower.listening.wait(5)
        yield follower


def eventually(is_so: Callable[[], bool], timeout_s: float = 5) -> bool:
    deadline_s = monotonic() + timeout_s
    while not is_so() and monotonic() < deadline_s:
        gevent.sleep(0.01)
    return is_so()


def insert_silently(url: str, stream_id: str) -> None:
    """Store an event whose NOTIFY is lost."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO signalbox.stored_events VALUES (%s, 1, %s, %s)",
            (stream_id, TOGGLED, b'{"at":"2026-11-21T10:00:00Z","event":{"enabled":true}}'),
        )


def test_it_hears_what_is_stored_after_it_began_in_the_order_of_the_log(
    journal: Journal, event_log: EventLog
) -> None:
    journal.write(append("link-0"))
    heard = Heard()
    with following(event_log, heard) as follower:
        for number in range(1, 6):
            journal.write(append(f"link-{number}"))
        assert eventually(lambda: len(heard.rows) == 5, timeout_s=0.9)
        assert heard.streams == [f"link-{number}" for number in range(1, 6)]
        assert eventually(lambda: follower.position == event_log.head())
        decoded = event_log.decode_row(heard.rows[0])
        assert (decoded.stream_id, decoded.event) == ("link-1", ON)


def test_it_hears_only_the_names_it_asked_for(journal: Journal, event_log: EventLog) -> None:
    heard = Heard()
    with following(event_log, heard):
        journal.write(append("link-1", events=[CONFIGURED]))
        journal.write(append("link-1", 2, [CONFIGURED, OFF]))
        assert eventually(lambda: len(heard.signals) == 3)
    assert [(row[1], row[2]) for row in heard.rows] == [("link-1", 3)]
    first, *others = heard.signals
    assert first == set()  # anything may have happened before it began to listen
    assert others == [{"link.configured.1"}, {"link.configured.1", TOGGLED}]


def test_it_is_told_whose_inbox_has_news(journal: Journal, event_log: EventLog) -> None:
    heard = Heard()
    with following(event_log, heard):
        row = InboxRow("link-7", "message", "message-1")
        journal.write(append("message-1", events=[CONFIGURED], inbox=[row]))
        assert eventually(lambda: len(heard.signals) == 2)
    assert heard.signals[-1] == {"link.configured.1", "@link-7"}


def test_the_name_of_an_inbox_may_have_anything_in_it(
    journal: Journal, event_log: EventLog
) -> None:
    heard = Heard()
    names = ["tenant-a,b", "tenant-a%2Cb", "tenant-\u00e9, %"]
    with following(event_log, heard):
        inbox = [InboxRow(name, "message", name) for name in names]
        journal.write(append("message-1", events=[CONFIGURED], inbox=inbox))
        assert eventually(lambda: len(heard.signals) == 2)
    assert heard.signals[-1] == {"link.configured.1", *(f"@{name}" for name in names)}


def test_a_signal_that_is_too_long_says_to_look_at_everything(
    journal: Journal, event_log: EventLog
) -> None:
    heard = Heard()
    with following(event_log, heard):
        long = "tenant-" + "\u00e9" * 200
        inbox = [InboxRow(f"{long}{n}", "message", f"message-{n}") for n in range(25)]
        journal.write(append("message-1", events=[CONFIGURED], inbox=inbox))
        assert eventually(lambda: len(heard.signals) == 2, timeout_s=0.9)
    assert heard.signals[-1] == set()


def test_it_goes_on_after_its_connection_was_terminated(
    journal: Journal, event_log: EventLog, database_url: str
) -> None:
    heard = Heard()
    with following(event_log, heard):
        for number in range(3):
            backend = backend_of(database_url, "follower")
            rows(database_url, "SELECT pg_terminate_backend(%s)", backend)
            journal.write(append(f"link-{number}"))
            assert eventually(lambda number=number: len(heard.rows) == number + 1)  # type: ignore[misc]
    assert heard.streams == ["link-0", "link-1", "link-2"]


def test_it_hears_of_an_event_whose_signal_was_lost(event_log: EventLog, database_url: str) -> None:
    heard = Heard()
    with following(event_log, heard):
        insert_silently(database_url, "link-1")
        assert eventually(lambda: heard.streams == ["link-1"], timeout_s=3)


def test_signals_for_others_do_not_hide_that_one_was_lost(
    journal: Journal, event_log: EventLog, database_url: str
) -> None:
    heard = Heard()
    with following(event_log, heard):
        insert_silently(database_url, "link-1")
        version, deadline_s = 0, monotonic() + 3
        while not heard.rows and monotonic() < deadline_s:
            version += 1
            journal.write(append("link-2", version, [CONFIGURED]))
            gevent.sleep(0.05)
    assert heard.streams == ["link-1"]


def test_events_come_again_to_a_handler_that_found_the_store_away(
    journal: Journal, event_log: EventLog
) -> None:
    heard, failures = Heard(), iter([psycopg.OperationalError("away")])

    def handle(rows: list[TupleRow]) -> None:
        for failure in failures:
            raise failure
        heard.take(rows)

    with following(event_log, heard, handle):
        journal.write(append("link-1"))
        assert eventually(lambda: heard.streams == ["link-1"])


def test_an_event_its_handler_fails_on_does_not_stop_the_others(
    journal: Journal, event_log: EventLog
) -> None:
    heard = Heard()

    def handle(rows: list[TupleRow]) -> None:
        assert rows[0][1] != "link-1"
        heard.take(rows)

    with following(event_log, heard, handle):
        journal.write(append("link-1"))
        assert eventually(lambda: len(heard.signals) == 2)
        journal.write(append("link-2"))
        assert eventually(lambda: heard.streams == ["link-2"])


def test_every_connection_notices_a_peer_that_vanished_within_seconds(database_url: str) -> None:
    wanted: dict[int, int] = {
        socket.TCP_KEEPIDLE: 2,
        socket.TCP_KEEPINTVL: 1,
        socket.TCP_KEEPCNT: 2,
        socket.TCP_USER_TIMEOUT: 4000,
    }
    with ChaosProxy(database_url) as proxy, closing(EventLog(proxy.url, SECRET_KEY)) as log:
        own = log.own_connection("follower").get()
        journal = log.journal_recorder.connection.get()
        with log.pool.connection() as borrowed:
            for connection in (own, journal, borrowed):
                assert keepalives(connection, wanted) == wanted
        own.close()


def keepalives(connection: psycopg.Connection[Any], options: dict[int, int]) -> dict[int, int]:
    with socket.fromfd(connection.fileno(), socket.AF_INET, socket.SOCK_STREAM) as same:
        assert same.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        return {option: same.getsockopt(socket.IPPROTO_TCP, option) for option in options}


def test_a_nul_in_a_text_hinders_no_reader(
    journal: Journal, event_log: EventLog, database_url: str
) -> None:
    text = text_from_handset("before\0after")
    loss = LinkLost("NUL \0 from an SMSC", 1.0)
    journal.write(Append(writes=[Write("mo-1", 1, [text], "acme"), Write("link-1", 1, [loss])]))
    assert [recorded.event for recorded in event_log.read("mo-1")] == [text]
    assert [recorded.event for recorded in event_log.read("link-1")] == [loss]
    raw_nul = (
        "SELECT count(*) FROM signalbox.stored_events WHERE position('\\x00'::bytea IN state) > 0"
    )
    assert rows(database_url, raw_nul) == [(0,)]
    ((shown,),) = rows(database_url, "SELECT state::text FROM signalbox.log WHERE stream='link-1'")
    assert "NUL" in shown
