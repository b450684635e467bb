"""One bad day: a link that flaps, one that throttles, one whose SMSC never answers, all at once.

Whatever the gateway accepted ends in a final state, or is held as `unknown` after as many attempts
of unknown outcome as a part gets; and nothing left twice without an event that says why.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from itertools import count
from typing import TYPE_CHECKING, Final

import gevent
import psycopg
import pytest
from gevent.event import Event
from support.fates import fold, history, judge_attempts, seen_parts, status_of
from support.gateway import eventually_equal
from support.processes import SECRET_KEY, Client, Installation, kill
from support.smsc import NodeSmsc

from signalbox.domain import message as messages
from signalbox.eventstore.log import EventLog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.fates import Parts
    from support.postgres import Databases

pytestmark = [pytest.mark.processes, pytest.mark.timeout(150)]

SENDS: Final = 2_000
CONNECTIONS: Final = 40
FLAPPING, THROTTLING, SILENT = 1, 2, 3
FLAP_S: Final = 1.0
KILL_AFTER_S: Final = 4.0
SETTLE_S: Final = 60.0
LOOK_S: Final = 0.25
LONG: Final = "a text of two parts " * 10
CONFIG: Final = """\
[leases]
ttl_s = 3.0
renew_s = 0.5
safety_s = 1.0
[sms]
send_wait_s = 0
receipt_park_s = 3
"""
NEVER_ANSWERED: Final = "8101"  # the SMSC's behaviours go by the last four digits
ORDINARY: Final = "0001"


class Day:
    """Three SMSCs, the gateway in front of them, and what it accepted: destinations by id."""

    def __init__(self, stack: ExitStack, database_url: str) -> None:
        self.flapping = stack.enter_context(NodeSmsc(RESP_DELAY_MS=30))
        self.throttling = stack.enter_context(NodeSmsc(TPS=50))
        self.silent = stack.enter_context(NodeSmsc())
        links = [
            {"port": self.flapping.port, "tps": 80, "window": 20, "reconnect_max_s": 0.3},
            {"port": self.throttling.port, "tps": 100, "window": 20},
            {"port": self.silent.port, "window": 300, "response_timeout_s": 1.0},
        ]
        self.gateway = stack.enter_context(Installation(database_url, links, extra=CONFIG))
        self.log = EventLog(database_url, SECRET_KEY)
        stack.callback(self.log.close)
        self.accepted: dict[str, tuple[int, str]] = {}
        self.others: Counter[object] = Counter()
        self._database_url = database_url

    def send_all(self) -> Client:
        """Send from many connections at once; return a client of the application."""
        client = self.gateway.client()
        senders = [gevent.spawn(self._send, client, n) for n in range(CONNECTIONS)]
        gevent.joinall(senders, timeout=60, raise_error=True)
        return client

    def _send(self, client: Client, first: int) -> None:
        mine = client.at(self.gateway.port)
        for number in range(first, SENDS, CONNECTIONS):
            link_id = number % 3 + 1
            tail = NEVER_ANSWERED if link_id == SILENT else ORDINARY
            destination = f"49{number:08d}{tail}"
            text = LONG if number % 10 == 0 else f"text {number}"
            status, answer = mine.send(destination, text, esme=link_id)
            if status == 200 and answer["status"] == "queued":
                self.accepted[answer["message_id"]] = (link_id, destination)
            else:
                self.others[status, str(answer)] += 1

    def flap(self, over: Event) -> None:
        """Cut the connection of the one link each second, by turns with and without an unbind."""
        for turn in count():
            if over.wait(FLAP_S):
                return
            (self.flapping.unbind if turn % 2 else self.flapping.drop)()

    def backlog(self) -> dict[str, int]:
        """Return how much still waits for work: submits, and receipts that nobody knows."""
        counts = "SELECT kind, count(*) FROM signalbox.inbox GROUP BY kind"
        with psycopg.connect(self._database_url) as connection:
            return dict(connection.execute(counts).fetchall())

    def histories(self) -> dict[str, list[messages.Event]]:
        """Return everything that happened to what was accepted."""
        return {message_id: history(self.log, message_id) for message_id in self.accepted}

    def seen(self) -> Parts:
        """Count what the three SMSCs saw."""
        smscs = (self.flapping, self.throttling, self.silent)
        return sum((seen_parts(smsc.seen()) for smsc in smscs), Counter())


@pytest.fixture
def day(databases: Databases) -> Iterator[Day]:
    url = databases.make()
    with ExitStack() as stack:
        yield Day(stack, url)
    databases.drop(url)


@pytest.mark.parametrize("relay_dies", [False, True], ids=["as-such", "and-the-relay-is-killed"])
def test_a_bad_day_loses_nothing_and_sends_nothing_twice_without_a_reason(
    day: Day, *, relay_dies: bool
) -> None:
    processes = {name: day.gateway.start(name) for name in ("web", "relay", "projector")}
    day.gateway.wait_until_ready()
    for link_id in (FLAPPING, THROTTLING, SILENT):
        day.gateway.wait_until_bound(link_id)

    def replace_relay() -> None:
        kill(processes["relay"])
        day.gateway.start("relay")

    over = Event()
    flapping = gevent.spawn(day.flap, over)
    death = gevent.spawn_later(KILL_AFTER_S, replace_relay) if relay_dies else None
    client = day.send_all()
    eventually_equal(lambda: day.backlog().get("submit", 0), 0, SETTLE_S, LOOK_S)
    over.set()
    gevent.joinall([one for one in (flapping, death) if one], raise_error=True)
    assert (len(day.accepted), day.others) == (SENDS, {})
    judge(day, relay_dies=relay_dies)
    judge_answers(day, client)


def judge(day: Day, *, relay_dies: bool) -> None:
    """Hold the log against the SMSCs, and see that the day was as bad as it was meant to be."""
    eventually_equal(lambda: at_sea(day)[:5], [], SETTLE_S, LOOK_S)
    eventually_equal(day.backlog, {}, SETTLE_S, LOOK_S)
    histories, seen = day.histories(), day.seen()
    happened: Counter[tuple[int, str]] = Counter()
    reasons: set[str] = set()
    for message_id, (link_id, destination) in day.accepted.items():
        judge_attempts(destination, histories[message_id], seen)
        happened.update({(link_id, type(one).__name__) for one in histories[message_id]})
        reasons |= {getattr(one, "reason", "") for one in histories[message_id]}
        if link_id == SILENT:
            assert status_of(fold(histories[message_id])) == "unknown", message_id
    assert happened[FLAPPING, "SubmitOutcomeUnknown"] > 10, happened
    assert happened[THROTTLING, "SubmitRefused"] > 10, happened
    assert ("the process that submitted it ended" in reasons) == relay_dies, reasons


def at_sea(day: Day) -> list[list[messages.Event]]:
    """Return the messages that are neither over nor held as the rules say."""
    return [one for one in day.histories().values() if not is_settled(fold(one))]


def is_settled(message: messages.Message) -> bool:
    return all(
        part.status == "delivered"
        or (part.status == "unknown" and part.unknown_outcomes == messages.UNKNOWN_OUTCOMES_MAX)
        for part in message.parts
    )


def judge_answers(day: Day, client: Client) -> None:
    """See that every accepted id has its state in the read model, the one the log has."""
    for message_id, events in day.histories().items():
        link_id, _ = day.accepted[message_id]
        status, info = client.info(message_id, esme=link_id)
        assert status == 200, (message_id, info)
        assert info["status"] == status_of(fold(events)), (message_id, info)
