"""The queues of a process: one for each owner with a line here, started and stopped with it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import gevent
from gevent.lock import BoundedSemaphore

from signalbox.actors.phone_feeder import PhoneFeeder
from signalbox.actors.phone_pace import Buckets
from signalbox.actors.phone_queue import PhoneQueue
from signalbox.actors.phone_queue_messages import LinesChanged, News, Parts
from signalbox.actors.runtime import listens
from signalbox.domain.phone_message import inbox_of
from signalbox.eventstore.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    import pykka

    from signalbox.actors.phone_feeder import LastPhone
    from signalbox.actors.phone_line import HeldLine, Timing
    from signalbox.actors.phone_registry import Registry
    from signalbox.domain.phone_rules import PhoneRules
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog

log = logging.getLogger(__name__)

BUSY_RETRY_S: Final = 0.5
INBOX: Final = inbox_of("")


class PhoneQueues:
    """Finds the queue of an owner; there is none without a line, and then nobody listens."""

    def __init__(  # noqa: PLR0913, PLR0917  its parts
        self,
        log_: EventLog,
        journal: Journal,
        registry: Registry,
        rules_of: Callable[[str], PhoneRules],
        last_phone: LastPhone,
        fail: Callable[[HeldLine], None],
        timing: Timing,
    ) -> None:
        self._rules_of = rules_of
        self._starting = BoundedSemaphore()
        self._running: dict[str, pykka.ActorRef[PhoneQueue]] = {}
        self._feeder = PhoneFeeder(log_, self.tell, self._news, last_phone)
        self._parts = Parts(
            journal,
            self._feeder,
            registry,
            Buckets(),
            fail,
            timing.patience_s,
            timing.confirm_s,
        )

    def start(self, owner: str) -> None:
        """Start an owner's queue, unless it runs."""
        with self._starting:  # To start an actor lets others run: of two queues one would be lost.
            ref = self._running.get(owner)
            if ref is None or not listens(ref):
                rules = self._rules_of(owner)
                self._running[owner] = PhoneQueue.start(owner, rules, self._parts)

    def stop(self, owner: str) -> None:
        """Stop an owner's queue; what it has in hand stays in the inbox."""
        ref = self._running.pop(owner, None)
        if ref is not None:
            ref.stop(block=False)

    def tell(self, owner: str, message: object) -> None:
        """Tell an owner's queue, if there is one; what it has no room for it looks up later."""
        ref = self._running.get(owner)
        if ref is None or not listens(ref):
            return
        try:
            ref.tell(message)
        except Unavailable:
            log.warning("queue is busy", extra={"owner": owner})
            gevent.spawn_later(BUSY_RETRY_S, self.tell, owner, LinesChanged())

    def work_waits(self, words: frozenset[str]) -> None:
        """Tell queues of new messages: those a commit's signal names; without words, look."""
        if not words and self._running:
            self._feeder.look()
        for word in words:
            self._news(word.removeprefix("@"))

    def close(self) -> None:
        """Stop fetching; the queues stop with their lines."""
        self._feeder.close()

    def _news(self, actor_id: str) -> None:
        if actor_id.startswith(INBOX):
            self.tell(actor_id.removeprefix(INBOX), News())
