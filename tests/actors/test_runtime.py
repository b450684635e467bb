"""Actors that fail, fill up, wait and end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import gevent
import pytest
from gevent.event import Event
from support.gateway import eventually, eventually_equal
from typing_extensions import override

from signalbox.actors.runtime import Actor
from signalbox.eventstore.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    import pykka

    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.postgres import Pool

ONE: Final = "one"
TICK: Final = "tick"


class Counter(Actor):
    """Adds up what it is told; a function it is told is called instead."""

    def __init__(
        self, pool: Pool | None = None, restore: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__("counter", pool)
        self._load = restore
        self.restored = 0
        self.told: list[object] = []

    @override
    def restore(self) -> None:
        self._load()
        self.restored += 1
        self.told.clear()

    @override
    def receive(self, message: object) -> None:
        if callable(message):
            message(self)
        else:
            self.told.append(message)


@dataclass
class Flaky:
    """Fails as often as it is asked to, then works."""

    failures: int

    def __call__(self, counter: Counter) -> None:
        if self.failures:
            self.failures -= 1
            raise ValueError("not yet")
        counter.told.append("worked")


def start(*args: Any) -> tuple[pykka.ActorRef[Counter], Counter]:  # noqa: ANN401
    ref = Counter.start(*args)
    actor = ref._actor_weakref()  # noqa: SLF001  to look inside
    assert actor is not None
    return ref, actor


def dead_letters(log: EventLog) -> list[dict[str, Any]]:
    with log.pool.connection() as connection:
        return connection.execute("SELECT * FROM signalbox.dead_letters").fetchall()


def test_an_actor_that_fails_is_restored_and_meets_the_message_again() -> None:
    ref, counter = start()
    ref.tell("forgotten by the restart")
    ref.tell(Flaky(2))
    eventually_equal(lambda: counter.told, ["worked"])
    assert counter.restored == 3
    assert ref.is_alive()


def test_a_message_that_fails_every_time_is_parked_and_the_next_is_handled(
    event_log: EventLog,
) -> None:
    ref, counter = start(event_log.pool)
    ref.tell(Flaky(99))
    ref.tell(ONE)
    eventually_equal(lambda: counter.told, [ONE])
    assert counter.restored == 1 + Actor.restarts_max + 1
    (letter,) = dead_letters(event_log)
    assert letter["reader"] == "counter"
    assert letter["subject"].startswith("Flaky ")
    assert letter["error"] == "ValueError: not yet"


def test_two_parked_messages_leave_two_letters(event_log: EventLog) -> None:
    ref, counter = start(event_log.pool)
    ref.tell(Flaky(99))
    ref.tell(Flaky(99))
    ref.tell(ONE)
    eventually_equal(lambda: counter.told, [ONE])
    assert len(dead_letters(event_log)) == 2


def test_an_actor_waits_for_a_store_that_is_away_when_it_is_restored() -> None:
    away = [Unavailable("away"), Unavailable("away")]

    def load() -> None:
        if away:
            raise away.pop()

    ref, counter = start(None, load)
    ref.tell(ONE)
    eventually_equal(lambda: counter.told, [ONE])
    assert (counter.restored, ref.is_alive()) == (1, True)


def test_a_full_inbox_refuses_work_but_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Actor, "inbox_messages_max", 2)
    ref, counter = start()
    begun, go_on = Event(), Event()

    def hold(_: Counter) -> None:
        begun.set()
        go_on.wait()

    ref.tell(hold)
    assert begun.wait(1)
    ref.tell("waits")
    ref.tell("waits too")
    with pytest.raises(Unavailable, match="too much work is waiting"):
        ref.tell("too much")
    stopped = ref.stop(block=False)
    go_on.set()
    assert stopped.get(timeout=1)
    assert counter.told == ["waits", "waits too"]


def test_a_timer_is_a_message_to_oneself() -> None:
    ref, counter = start()
    ref.tell(lambda actor: actor.tell_later(0.05, TICK))
    gevent.sleep(0.02)
    assert counter.told == []
    eventually_equal(lambda: counter.told, [TICK])


def test_a_timer_set_again_only_moves() -> None:
    ref, counter = start()
    ref.tell(lambda actor: actor.tell_later(0.05, TICK))
    ref.tell(lambda actor: actor.tell_later(0.2, TICK))
    ref.tell(lambda actor: actor.tell_later(0.01, TICK))
    gevent.sleep(0.3)
    assert counter.told == [TICK]


def test_a_timer_waits_for_room_in_a_full_inbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Actor, "inbox_messages_max", 1)
    ref, counter = start()
    go_on = Event()

    def hold(actor: Counter) -> None:
        actor.tell_later(0, TICK)
        go_on.wait()

    ref.tell(hold)
    gevent.sleep(0)
    ref.tell(ONE)
    gevent.sleep(0.1)
    go_on.set()
    eventually_equal(lambda: counter.told, [ONE, TICK])


def test_timers_die_with_the_actor() -> None:
    ref, counter = start()
    ref.tell(lambda actor: actor.tell_later(0.05, TICK))
    ref.stop()
    gevent.sleep(0.1)
    assert counter.told == []
    eventually(lambda: not ref.is_alive())


def test_an_actor_that_waits_for_the_store_hears_that_it_is_to_stop() -> None:
    def away() -> None:
        raise Unavailable("the store is away")

    counter = Counter.start(None, away)
    counter.tell(ONE)
    gevent.sleep(0.05)
    counter.stop(timeout=3)
    assert not counter.is_alive()
