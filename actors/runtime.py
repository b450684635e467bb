"""Actors as this gateway runs them: pykka's threading actors, which are greenlets under gevent.

Added to pykka: a bounded inbox, supervision (an actor that fails is rebuilt from its stream and
meets the message again; a message that fails it every time is parked and the rest goes on), and
timers that are messages to oneself.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ClassVar, Final

import gevent
import pykka
from eventsourcing.persistence import PersistenceError
from gevent.queue import SimpleQueue
from typing_extensions import override

from signalbox.actors.ids import uuid7
from signalbox.eventstore import metrics
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.postgres import Broken

if TYPE_CHECKING:
    from pykka._envelope import Envelope

    from signalbox.eventstore.postgres import Pool

log = logging.getLogger(__name__)

RESTORE_RETRY_S: Final = 0.5
FULL_INBOX_RETRY_S: Final = 0.05
ERROR_LETTERS_MAX: Final = 500


class BoundedInbox:
    """An inbox that says no when it is full instead of growing for ever."""

    def __init__(self, messages_max: int) -> None:
        self._queue: SimpleQueue[Envelope[Any]] = SimpleQueue()
        self._messages_max = messages_max
        self.ends = False
        """True once the actor was told to stop, whatever it has to hear before that."""

    def put(self, envelope: Envelope[Any], /) -> None:
        """Raises: `Unavailable` when full."""
        is_stop = isinstance(envelope.message, pykka.messages._ActorStop)  # noqa: SLF001
        if self._queue.qsize() >= self._messages_max and not is_stop:
            raise Unavailable("too much work is waiting")
        self.ends = self.ends or is_stop
        self._queue.put(envelope)

    def get(self) -> Envelope[Any]:
        """Wait for the next message."""
        envelope: Envelope[Any] = self._queue.get()
        return envelope

    def empty(self) -> bool:
        """True when nothing waits."""
        return bool(self._queue.empty())


def listens(ref: pykka.ActorRef[Any]) -> bool:
    """Tell whether an actor gets to hear what it is told now."""
    inbox = ref.actor_inbox
    assert isinstance(inbox, BoundedInbox), inbox
    return ref.is_alive() and not inbox.ends


class Actor(pykka.ThreadingActor):
    """Base of every actor: subclasses write `receive` and `restore`."""

    use_daemon_thread = True
    inbox_messages_max: ClassVar[int] = 10_000
    restarts_max: ClassVar[int] = 3

    def __init__(self, name: str, pool: Pool | None = None) -> None:
        super().__init__()
        self.name = name
        self._pool = pool
        self._timers: dict[object, gevent.Greenlet] = {}
        self._is_restored = False

    @staticmethod
    @override
    def _create_actor_inbox() -> BoundedInbox:
        return BoundedInbox(Actor.inbox_messages_max)

    def receive(self, message: object) -> None:
        """Handle one message. Whatever it raises leads to `restore` and another try."""
        raise NotImplementedError

    def restore(self) -> None:
        """Rebuild the state from the log, as at the start."""
        raise NotImplementedError

    @override
    def on_start(self) -> None:
        self._restore()

    @override
    def on_stop(self) -> None:
        gevent.killall(list(self._timers.values()), block=False)
        self._timers.clear()

    @override
    def on_receive(self, message: object) -> None:
        if not self._is_restored:
            return  # It stops without a state; whoever comes after it finds the log.
        for _ in range(self.restarts_max + 1):
            try:
                self.receive(message)
            except Exception as error:
                log.exception("actor failed", extra={"actor": self.name})
                metrics.ACTOR_RESTARTS.labels(type(self).__name__).inc()
                failure = error
                self._restore()
            else:
                return
        self._park(message, failure)

    def _restore(self) -> None:
        """Restore, waiting for the store as long as it is away, or until told to stop."""
        self._is_restored = False
        while not self.actor_inbox.ends:  # type: ignore[attr-defined]  # it is a BoundedInbox
            try:
                self.restore()
            except (*Broken, PersistenceError, Unavailable) as error:
                log.warning("actor waits", extra={"actor": self.name, "error": str(error)})
                gevent.sleep(RESTORE_RETRY_S)
            else:
                self._is_restored = True
                return

    def tell_later(self, delay_s: float, message: object) -> None:
        """Send oneself a message after a while; told again meanwhile, only its time changes."""
        timer = self._timers.pop(message, None)
        if timer is not None:
            timer.kill(block=False)
        self._timers[message] = gevent.spawn_later(max(delay_s, 0.0), self._ring, message)

    def _ring(self, message: object) -> None:
        self._timers.pop(message, None)
        self._tell_self(message)

    def _tell_self(self, message: object) -> None:
        """Tell oneself, as soon as the inbox has room: nobody else would say it again."""
        if not self.actor_ref.is_alive():
            return
        try:
            self.actor_ref.tell(message)
        except Unavailable:
            gevent.spawn_later(FULL_INBOX_RETRY_S, self._tell_self, message)

    def _park(self, message: object, error: Exception) -> None:
        """Set aside the one message that can't be handled; its content may be personal."""
        kind = type(message).__name__
        metrics.DEAD_LETTERS.labels(type(self).__name__).inc()
        log.error("message parked", extra={"actor": self.name, "kind": kind})
        if self._pool is not None:
            park(self._pool, self.name, f"{kind} {uuid7()}", error)


def park(pool: Pool, reader: str, subject: str, error: Exception) -> None:
    """Write down what could not be handled, once for each subject, for somebody to look into."""
    letter = (reader, subject, f"{type(error).__name__}: {error}"[:ERROR_LETTERS_MAX])
    try:
        with pool.connection() as connection:
            connection.execute(
                "INSERT INTO signalbox.dead_letters (reader, subject, error) VALUES (%s, %s, %s)"
                " ON CONFLICT (reader, subject) DO UPDATE SET error = excluded.error",
                letter,
            )
    except Broken:
        log.exception("what was parked is in the logs only", extra={"reader": reader})
