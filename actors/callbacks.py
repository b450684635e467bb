"""Sends one owner's callbacks: oldest first, a few at a time, until each is taken or given up.

    inbox ──▶ in hand ──▶ due ──▶ posted ──▶ CallbackDelivered | CallbackFailed | CallbackAbandoned
                ▲                                                      │
                └────────────────── its time comes ◀───────────────────┘

What was posted and not recorded, because the process ended in between, is posted again under the
same id: at least once, and the receiver can tell. While the receiver has trouble one request at a
time tries whether that is over, so that a long queue does not become a storm.
"""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, Final

import gevent
from gevent.event import Event
from gevent.pool import Pool as Greenlets

from signalbox.actors.callback_inbox import TROUBLE, fetch
from signalbox.actors.runtime import park
from signalbox.actors.webhooks import BY
from signalbox.domain import callback as domain
from signalbox.eventstore.errors import Conflict, FenceLost, Unavailable
from signalbox.eventstore.journal import Append, Write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from signalbox.actors.callback_inbox import Waiting
    from signalbox.actors.callback_parts import Sending
    from signalbox.actors.tenures import Tenure
    from signalbox.domain.webhook import Webhook

log = logging.getLogger(__name__)

IN_HAND_MAX: Final = 1_000
RETRY_S: Final = 0.5
LOOK_S: Final = 60.0  # a sender with nothing to do looks at the clock at least so often
PAUSE_S_MAX: Final = 60.0  # between two requests to a receiver that has trouble
SERVER_ERROR: Final = 500

DISABLED: Final = "webhook disabled"
UNREADABLE: Final = "unreadable"


class CallbackSender:
    """Lives as long as callbacks of its owner wait; then it calls `ended`."""

    def __init__(
        self, owner: str, sending: Sending, tenure: Tenure, ended: Callable[[str], None]
    ) -> None:
        self._owner = owner
        self._sending = sending
        self._tenure = tenure
        self._ended = ended
        self._in_hand: dict[str, Waiting] = {}
        self._posting: set[str] = set()
        self._unreadable = 0
        self._after = 0
        self._more = True
        self._stopping = False
        self._url = ""
        self._troubles = 0
        self._resume_at_s = 0.0
        self._wake = Event()
        self._posts = Greenlets()
        self._greenlet = gevent.spawn(self._run)

    def look(self, seq: int | None = None) -> None:
        """The inbox has news, up to row `seq` if that is known."""
        if seq is None or seq > self._after:
            self._more = True
            self._wake.set()

    def reconsider(self) -> None:
        """The webhook is another one."""
        self._wake.set()

    def drain(self, timeout_s: float) -> None:
        """Post no more, and wait for the answers to what was posted."""
        self._stopping = True
        self._posts.join(timeout=timeout_s)
        self.kill()

    def kill(self) -> None:
        """Stop at once; who is next posts again what has no answer yet."""
        self._stopping = True
        self._greenlet.kill(block=False)
        self._posts.kill(block=False)

    def _run(self) -> None:
        try:
            while self._more or self._in_hand or self._unreadable:
                self._wake.clear()
                self._wake.wait(self._step())
        except Exception:  # Whoever looks next begins anew, with what the inbox has.
            log.exception("callbacks are begun anew", extra={"owner": self._owner})
            self._posts.kill(block=False)
        self._ended(self._owner)

    def _step(self) -> float:
        """Start what is due; return for how long there is nothing else to do."""
        try:
            self._fetch()
            webhook = self._sending.webhooks.known(self._owner)
        except TROUBLE as error:
            log.warning("callbacks can't be read", extra={"error": str(error)})
            return RETRY_S
        now_s = self._sending.now_s()
        if webhook is None or not webhook.enabled:
            self._abandon(self._at_rest(), DISABLED)
            return self._idle_s(now_s)
        old = [one for one in self._at_rest() if one.callback.is_too_old(now_s, self._patience)]
        self._abandon(old, domain.TOO_OLD)
        self._start_due(webhook, now_s)
        return self._idle_s(now_s)

    def _fetch(self) -> None:
        room = IN_HAND_MAX - len(self._in_hand)
        if not self._more or room <= 0:
            return
        self._more = False
        try:
            batch = fetch(self._sending.log, self._owner, self._after, room)
        except TROUBLE:
            self._more = True
            raise
        for waiting in batch.waiting:
            self._in_hand.setdefault(waiting.stream_id, waiting)
        self._unreadable += batch.unreadable
        self._after = max(self._after, batch.last_seq)
        self._more = self._more or batch.is_full

    def _start_due(self, webhook: Webhook, now_s: float) -> None:
        if webhook.url != self._url:
            self._url, self._troubles, self._resume_at_s = webhook.url, 0, 0.0
        if self._stopping or now_s < self._resume_at_s:
            return
        due = [one for one in self._at_rest() if one.callback.next_at_s <= now_s]
        for waiting in due[: self._room]:
            self._posting.add(waiting.stream_id)
            self._posts.spawn(self._deliver, waiting, webhook)

    def _idle_s(self, now_s: float) -> float:
        """Return how long until something is due; answers and news wake it before that."""
        if self._more and len(self._in_hand) < IN_HAND_MAX:
            return 0.0
        at_rest = self._at_rest()
        if not at_rest or not self._room or self._stopping:
            return LOOK_S if self._in_hand or self._unreadable else 0.0
        due_s = min(one.callback.next_at_s for one in at_rest)
        return min(max(due_s, self._resume_at_s) - now_s, LOOK_S)

    @property
    def _room(self) -> int:
        """How many requests more may be open."""
        wanted = 1 if self._troubles else self._sending.in_flight_max
        return max(0, wanted - len(self._posting))

    @property
    def _patience(self) -> domain.Patience:
        return self._sending.patience

    def _at_rest(self) -> list[Waiting]:
        return [one for one in self._in_hand.values() if one.stream_id not in self._posting]

    def _abandon(self, waiting: Sequence[Waiting], reason: str) -> None:
        for one in waiting:
            self._record(one, domain.AbandonCallback(reason))

    def _deliver(self, waiting: Waiting, webhook: Webhook) -> None:
        try:
            with self._sending.slots:
                command = self._post(waiting, webhook)
            if command is not None:
                self._record(waiting, command)
        except TROUBLE as error:
            log.warning("callback has to wait", extra={"error": str(error)})
            self._resume_at_s = self._sending.now_s() + RETRY_S
        finally:
            self._posting.discard(waiting.stream_id)
            self._wake.set()

    def _post(self, waiting: Waiting, webhook: Webhook) -> domain.Command | None:
        """Make what is told, post it, and return what to record; None without a lease."""
        try:
            request = self._sending.request(waiting, webhook)
        except TROUBLE:
            raise
        except Exception as error:
            log.exception("callback can't be made", extra={"callback": waiting.callback_id})
            park(self._sending.log.pool, BY, waiting.stream_id, error)
            return domain.AbandonCallback(UNREADABLE)
        if self._stopping or not self._tenure.holds():
            return None
        answer = self._sending.post(request.url, request.body, request.headers)
        self._note_trouble(answer.status)
        return domain.RecordAnswer(
            status=answer.status,
            reason=answer.reason,
            jitter=random.random(),  # noqa: S311  nothing to guess
            patience=self._patience,
        )

    def _note_trouble(self, status: int) -> None:
        """Slow down when it is the receiver that has trouble, and not this one callback."""
        if status in domain.PASSING or status >= SERVER_ERROR or not status:
            self._troubles += 1
            pause_s = min(PAUSE_S_MAX, 2.0 ** min(self._troubles - 1, 10))
            self._resume_at_s = self._sending.now_s() + pause_s
        else:
            self._troubles, self._resume_at_s = 0, 0.0

    def _record(self, waiting: Waiting, command: domain.Command) -> None:
        """Store what became of it, and let go of it if that was the end."""
        event = self._store(waiting, command)
        if event is not None:
            waiting.take((event,), self._sending.now_s())
        if waiting.callback.settled:
            self._in_hand.pop(waiting.stream_id, None)
        if event is not None:
            self._sending.tell(waiting, event)

    def _store(self, waiting: Waiting, command: domain.Command) -> domain.Event | None:
        """Return what is stored now, however long that takes; None when nothing is to be stored.

        It tells of something that has happened: who comes in between is read, and it decides again.
        """
        stale = False
        while True:
            try:
                if stale:
                    waiting.read(self._sending.log)
                events = domain.decide(waiting.callback, command, self._sending.now_s())
                if events:
                    self._sending.journal.write(self._append(waiting, events))
            except Conflict:
                stale = True
            except FenceLost:
                self._stopping = True
                return None
            except Unavailable as error:
                log.warning("callback can't be recorded yet", extra={"error": error.reason})
                gevent.sleep(RETRY_S)
            else:
                return events[0] if events else None

    def _append(self, waiting: Waiting, events: Sequence[domain.Event]) -> Append:
        settled = not isinstance(events[-1], domain.CallbackFailed)
        return Append(
            writes=(Write(waiting.stream_id, waiting.version + 1, events, self._owner),),
            by=BY,
            fence=self._tenure.fence,
            done=(waiting.stream_id,) if settled else (),
        )
