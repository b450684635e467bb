"""The senders of a relay: one for each owner with callbacks waiting, under its lease."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import gevent
from gevent.event import Event

from signalbox.actors.callback_inbox import TROUBLE, owners_waiting
from signalbox.actors.callbacks import CallbackSender
from signalbox.actors.tenures import Tenures
from signalbox.domain import webhook as webhooks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from signalbox.actors.callback_parts import Sending
    from signalbox.eventstore.recorder import Fence

log = logging.getLogger(__name__)

RETRY_S: Final = 0.5
_MARK: Final = "@" + webhooks.stream_of("")  # how a commit's words name an owner's inbox


class CallbackSenders:
    """Starts senders when something waits, and ends them with the lease."""

    def __init__(self, sending: Sending, partitions: int) -> None:
        self._sending = sending
        self._running: dict[str, CallbackSender] = {}
        self._closing = False
        self.tenures = Tenures(partitions)
        self._look = Event()
        self._lookout = gevent.spawn(self._look_through)

    def gained(self, fence: Fence) -> None:
        """Look for what waits for the owners of a partition."""
        self.tenures.gained(fence)
        self._look.set()

    def leaving(self, partition: int, timeout_s: float) -> None:
        """Post no more, and let the answers to what was posted come in, for the next one's sake."""
        self.tenures.leaving(partition)
        self._drain(self._of(partition), timeout_s)

    def lost(self, partition: int) -> None:
        """Stop the senders of a partition at once; somebody else may post for them already."""
        self.tenures.lost(partition)
        for owner in self._of(partition):
            self._running.pop(owner).kill()

    def work_waits(self, words: frozenset[str]) -> None:
        """Look into the inboxes a commit's signal names; without words, one query looks at all."""
        if not words:
            self._look.set()
        for word in words:
            if word.startswith(_MARK):
                self._wake(word.removeprefix(_MARK))

    def reconsider(self, owner: str) -> None:
        """Tell a sender that its owner's webhook is another one."""
        if owner in self._running:
            self._running[owner].reconsider()

    def close(self, timeout_s: float) -> None:
        """Let all answers come in, within the time, then stop."""
        self._closing = True
        self._lookout.kill()
        self._drain(list(self._running), timeout_s)

    def _of(self, partition: int) -> list[str]:
        return [owner for owner in self._running if self._partition_of(owner) == partition]

    def _drain(self, owners: Iterable[str], timeout_s: float) -> None:
        senders = [self._running[owner] for owner in owners]
        gevent.joinall([gevent.spawn(sender.drain, timeout_s) for sender in senders])

    def _look_through(self) -> None:
        while True:
            self._look.wait()
            self._look.clear()
            try:
                waiting = owners_waiting(self._sending.log)
            except TROUBLE as error:
                log.info("callbacks can't be looked for", extra={"error": str(error)})
                gevent.sleep(RETRY_S)
                self._look.set()
                continue
            for owner, seq in waiting.items():
                self._wake(owner, seq)

    def _wake(self, owner: str, seq: int | None = None) -> None:
        sender = self._running.get(owner)
        if sender is not None:
            sender.look(seq)
            return
        tenure = None if self._closing else self.tenures.of(webhooks.stream_of(owner))
        if tenure is not None:
            self._running[owner] = CallbackSender(owner, self._sending, tenure, self._ended)

    def _partition_of(self, owner: str) -> int:
        return self.tenures.partition_of(webhooks.stream_of(owner))

    def _ended(self, owner: str) -> None:
        self._running.pop(owner, None)
