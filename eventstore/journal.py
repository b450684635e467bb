"""The only writer: many appends, one transaction.

    append ──▶ waiting ──▶ the writer takes all that waits ──▶ one commit ──▶ results, in order

A commit costs about the same for one event as for a hundred, so everybody who waits shares it. A
batch that can't be written whole is halved until the append at fault stands alone. When a
connection breaks around a commit the outcome is ambiguous: the batch is tried again, and an append
whose version is taken looks for its own command id before it calls that a conflict.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from dataclasses import dataclass
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Final

import gevent
from eventsourcing.persistence import (
    IntegrityError,
    InterfaceError,
    OperationalError,
    PersistenceError,
)
from gevent.event import AsyncResult, Event

from signalbox.eventstore import metrics
from signalbox.eventstore.errors import Conflict, FenceLost, Unavailable
from signalbox.eventstore.mapper import Recorded, utc_now
from signalbox.eventstore.recorder import Beside, Fence, InboxRow, SubmittedPart

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from eventsourcing.persistence import StoredEvent

    from signalbox.domain import names
    from signalbox.eventstore.log import EventLog

log = logging.getLogger(__name__)

RETRY_S: Final = 0.2
HALVES: Final = 2


@dataclass(frozen=True, slots=True)
class Write:
    """Events for one stream, the first of them with this version."""

    stream_id: str
    first_version: int
    events: Sequence[names.Event]
    tenant_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """What is written together or not at all.

    `wait_s` bounds how long the store may be away before the caller gets `Unavailable`; None waits
    for ever, for events that tell of something that has happened already.
    """

    writes: Sequence[Write]
    by: str = ""
    request_id: str = ""
    fence: Fence | None = None
    inbox: Sequence[InboxRow] = ()
    done: Sequence[str] = ()
    submitted: Sequence[SubmittedPart] = ()
    wait_s: float | None = None


@dataclass(slots=True)
class _Waiting:
    append: Append
    command_id: str
    stored: list[StoredEvent]
    deadline_s: float
    result: AsyncResult


class Journal:
    """Group commit over one log. `append` never blocks; its result does."""

    def __init__(
        self,
        log_: EventLog,
        *,
        batch_events_max: int = 500,
        waiting_appends_max: int = 20_000,
        wait_s_max: float = 2.0,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._log = log_
        self._batch_events_max = batch_events_max
        self._waiting_appends_max = waiting_appends_max
        self.wait_s_max = wait_s_max
        self.now = now
        self._waiting: deque[_Waiting] = deque()
        self._wake = Event()
        self._idle = Event()
        self._idle.set()
        self._process = os.urandom(6).hex()
        self._numbers = count(1)
        self.last_position = 0
        self._writer = gevent.spawn(self._run)

    def append(self, append: Append, into: AsyncResult | None = None) -> AsyncResult:
        """Queue an append; the result (`into`, or a new one) is the position of its last event.

        Raises:
            Unavailable: too much waits already.
            TenantErased: personal content for an erased tenant.
        The result raises `Unavailable`, `Conflict` or `FenceLost`.
        """
        if len(self._waiting) >= self._waiting_appends_max:
            raise Unavailable("journal is full")
        command_id = f"{self._process}-{next(self._numbers)}"
        wait_s = float("inf") if append.wait_s is None else append.wait_s
        waiting = _Waiting(
            append,
            command_id,
            self._encode(append, command_id),
            monotonic() + wait_s,
            into or AsyncResult(),
        )
        self._waiting.append(waiting)
        self._idle.clear()
        self._wake.set()
        return waiting.result

    def write(self, append: Append) -> int:
        """Append and wait; for callers that have nothing else to do."""
        position: int = self.append(append).get()
        return position

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what waits, then stop."""
        self._idle.wait(timeout_s)
        self._writer.kill()

    def _encode(self, append: Append, command_id: str) -> list[StoredEvent]:
        at = self.now()
        return [
            self._log.codec.to_stored_event(
                Recorded(
                    stream_id=write.stream_id,
                    version=write.first_version + offset,
                    event=event,
                    at=at,
                    tenant_id=write.tenant_id,
                    command_id=command_id,
                    request_id=append.request_id,
                    by=append.by,
                )
            )
            for write in append.writes
            for offset, event in enumerate(write.events)
        ]

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while self._waiting:
                self._commit(self._take())
            self._idle.set()

    def _take(self) -> list[_Waiting]:
        batch = [self._waiting.popleft()]
        events = len(batch[0].stored)
        while self._waiting and events < self._batch_events_max:
            batch.append(self._waiting.popleft())
            events += len(batch[-1].stored)
        return batch

    def _commit(self, batch: list[_Waiting]) -> None:
        """Write a batch, whatever it takes; every result is set when this returns."""
        while batch := _unexpired(batch):
            try:
                self._insert(batch)
            except FenceLost as lost:
                batch = _without_lost(batch, lost)
            except IntegrityError:
                metrics.JOURNAL_TROUBLE.labels("conflict").inc()
                self._split(batch)
            except (OperationalError, InterfaceError) as error:
                metrics.JOURNAL_TROUBLE.labels("unavailable").inc()
                log.warning("store does not answer", extra={"error": str(error)})
                gevent.sleep(RETRY_S)
                continue
            except PersistenceError as error:
                log.exception("events can't be stored")
                self._split(batch, error)
            else:
                return
            if not batch or all(w.result.ready() for w in batch):
                return

    def _insert(self, batch: list[_Waiting]) -> None:
        stored = [event for waiting in batch for event in waiting.stored]
        if not stored:  # Somebody only wants to know that all before is stored.
            for waiting in batch:
                waiting.result.set(self.last_position)
            return
        with metrics.JOURNAL_COMMIT.time():
            positions = self._log.journal_recorder.insert_events(stored, beside=_beside(batch))
        assert positions is not None
        metrics.JOURNAL_BATCH.observe(len(stored))
        self.last_position = positions[-1]
        written = 0
        for waiting in batch:
            written += len(waiting.stored)
            waiting.result.set(positions[max(written - 1, 0)])

    def _split(self, batch: list[_Waiting], error: PersistenceError | None = None) -> None:
        if len(batch) > 1:
            middle = len(batch) // HALVES
            self._commit(batch[:middle])
            self._commit(batch[middle:])
        elif error is not None:
            batch[0].result.set_exception(error)
        else:
            self._settle(batch[0])

    def _settle(self, waiting: _Waiting) -> None:
        """Tell a conflict from an append of ours that was stored although its commit failed."""
        first = waiting.stored[0]
        try:
            position = self._log.position_of(
                str(first.originator_id), first.originator_version, waiting.command_id
            )
        except (OperationalError, InterfaceError):
            gevent.sleep(RETRY_S)
            self._commit([waiting])
            return
        if position is None:
            conflict = Conflict(str(first.originator_id), first.originator_version)
            waiting.result.set_exception(conflict)
        else:
            waiting.result.set(position)


def _unexpired(batch: list[_Waiting]) -> list[_Waiting]:
    now_s = monotonic()
    for waiting in batch:
        if waiting.deadline_s < now_s:
            waiting.result.set_exception(Unavailable("store does not answer"))
    return [waiting for waiting in batch if not waiting.result.ready()]


def _without_lost(batch: list[_Waiting], lost: FenceLost) -> list[_Waiting]:
    for waiting in batch:
        fence = waiting.append.fence
        if fence is not None and fence.partition in lost.partitions:
            waiting.result.set_exception(FenceLost(frozenset({fence.partition})))
    return [waiting for waiting in batch if not waiting.result.ready()]


def _beside(batch: list[_Waiting]) -> Beside:
    beside = Beside()
    for waiting in batch:
        append = waiting.append
        if append.fence is not None:
            beside.fences.add(append.fence)
        beside.inbox += append.inbox
        beside.done += append.done
        beside.submitted += append.submitted
    return beside
