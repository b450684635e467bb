"""Ends of lines get into the log, whatever comes between."""

from typing import Final

import gevent
from gevent.event import Event
from support.gateway import eventually_equal

from signalbox.actors.phone_farewells import WORKERS_MAX, Farewell, Farewells
from signalbox.eventstore.errors import Unavailable

OWNER: Final = "org_acme"


def farewell(connection: int) -> Farewell:
    return Farewell(OWNER, ("line_a", connection), "phone-line_a-2026-04-20", "closed", 0.0)


def test_a_farewell_said_while_all_workers_end_is_stored() -> None:
    committed, stored = Event(), set[int]()

    def store(one: Farewell) -> None:
        committed.wait()
        stored.add(one.line[1])

    def say_one_more() -> None:
        committed.wait()
        farewells.say(farewell(WORKERS_MAX))

    farewells = Farewells(store)
    for connection in range(WORKERS_MAX):
        farewells.say(farewell(connection))
    gevent.idle()  # Now all workers wait for one commit,
    late = gevent.spawn(say_one_more)
    gevent.idle()  # and behind them somebody who comes when they have ended.
    committed.set()
    eventually_equal(lambda: stored, set(range(WORKERS_MAX + 1)))
    late.get(timeout=1)
    farewells.close(timeout_s=1)


def test_a_farewell_waits_for_the_store_and_is_said_once() -> None:
    stored: list[Farewell] = []
    tries = [Unavailable("store is away")]

    def store(one: Farewell) -> None:
        if tries:
            raise tries.pop()
        stored.append(one)

    farewells = Farewells(store)
    for _ in range(2):
        farewells.say(farewell(1))
    farewells.close(timeout_s=5)
    assert stored == [farewell(1)]
