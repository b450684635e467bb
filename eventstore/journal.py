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
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Final

import gevent
from eventsourcing.persistence import IntegrityError, InterfaceError, OperationalError
from gevent.event import AsyncResult, Event

from signalbox.eventstore import metrics
from signalbox.eventstore.errors import FenceLost, Unavailable
from signalbox.eventstore.mapper import Recorded, utc_now
from signalbox.eventstore.postgres import Broken
from signalbox.eventstore.recorder import Fence, InboxRow, LineRow, StaleFences, SubmittedPart
from signalbox.eventstore.waiting import Waiting, rows_beside, without_result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from eventsourcing.persistence import StoredEvent

    from signalbox.domain import names
    from signalbox.eventstore.log import EventLog

log = logging.getLogger(__name__)

RETRY_S: Final = 0.2
CLOSE_S: Final = 1.0  # how long the writer may take to see that its connection is gone
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

    Inbox rows of `done` streams go, and those of the numbers in `taken`, if they are there still.
    `wait_s` bounds how long the store may be away before the caller gets `Unavailable`; None waits
    for ever, for events that tell of something that has happened already.
    """

    writes: Sequence[Write]
    by: str = ""
    request_id: str = ""
    traceparent: str = ""
    fence: Fence | None = None
    inbox: Sequence[InboxRow] = ()
    done: Sequence[str] = ()
    taken: Sequence[int] = ()
    submitted: Sequence[SubmittedPart] = ()
    lines: Sequence[LineRow] = ()
    wait_s: float | None = None


class Journal:
    """Group commit over one log. `append` never waits for a commit; its result does."""

    def __init__(
        self,
        log_: EventLog,
        *,
        batch_events_max: int = 500,
        waiting_appends_max: int = 20_000,
        wait_s_max: float = 2.0,
        answer_s_max: float = 12.0,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._log = log_
        self._batch_events_max = batch_events_max
        self._waiting_appends_max = waiting_appends_max
        self.wait_s_max = wait_s_max
        self._answer_s_max = answer_s_max
        self.now = now
        self._waiting: deque[Waiting] = deque()
        self._newest: dict[str, Waiting] = {}
        self._wake = Event()
        self._idle = Event()
        self._idle.set()
        self._closed = Event()
        self._process = os.urandom(6).hex()
        self._numbers = count(1)
        self.last_position = 0
        # Of this journal alone: whoever closes it must not close it under another one's writer.
        self.connection = log_.journal_recorder.own_connection()
        self._writer = gevent.spawn(self._run)

    def append(self, append: Append, into: AsyncResult | None = None) -> AsyncResult:
        """Queue an append; the result (`into`, or a new one) is the position of its last event.

        Without events it is the position of what was stored before. Who appends to a stream
        before the last append to it has its result relies on that one, and fails with it.

        Raises:
            Unavailable: too much waits already, the journal is closed, or the store is away and
                the tenant's key is not known here yet.
            TenantErased: personal content for an erased tenant.
        The result raises `Unavailable`, `Conflict` or `FenceLost`.
        """
        if self._closed.is_set() or self._writer.dead:
            raise Unavailable("journal is closed")
        if len(self._waiting) >= self._waiting_appends_max:
            raise Unavailable("journal is full")
        command_id = f"{self._process}-{next(self._numbers)}"
        wait_s = float("inf") if append.wait_s is None else append.wait_s
        waiting = Waiting(
            append,
            command_id,
            self._encode(append, command_id),
            monotonic() + wait_s,
            into or AsyncResult(),
        )
        self._rely(waiting)
        self._waiting.append(waiting)
        self._idle.clear()
        self._wake.set()
        return waiting.result

    def write(self, append: Append) -> int:
        """Append and wait; for callers that have nothing else to do."""
        position: int = self.append(append).get()
        return position

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what waits, then stop; what could not be written in time is `Unavailable`."""
        self._idle.wait(timeout_s)
        self._closed.set()
        self._wake.set()
        # Killed in a pipeline it would go on: the library lets another error take the kill's place.
        self.connection.cut()
        self._writer.join(CLOSE_S)
        self._writer.kill()
        self.connection.discard()

    def _encode(self, append: Append, command_id: str) -> list[StoredEvent]:
        at = self.now()
        try:
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
                        traceparent=append.traceparent,
                    )
                )
                for write in append.writes
                for offset, event in enumerate(write.events)
            ]
        except Broken as error:
            raise Unavailable(str(error)) from error

    def _rely(self, waiting: Waiting) -> None:
        """Note which appends without a result yet this one was decided upon."""
        for write in waiting.append.writes:
            before = self._newest.get(write.stream_id)
            if before is not None and before.versions[write.stream_id] < write.first_version:
                waiting.relies_on.append(before)
        self._newest.update(dict.fromkeys(waiting.versions, waiting))

    def _run(self) -> None:
        batch: list[Waiting] = []
        try:
            while not self._closed.is_set():
                self._wake.wait()
                self._wake.clear()
                while self._waiting and not self._closed.is_set():
                    batch = self._take()
                    self._commit(batch)
                self._idle.set()
        finally:
            for waiting in without_result([*batch, *self._waiting]):
                waiting.result.set_exception(Unavailable("journal is closed"))

    def _take(self) -> list[Waiting]:
        batch = [self._waiting.popleft()]
        events = len(batch[0].stored)
        while self._waiting and events < self._batch_events_max:
            batch.append(self._waiting.popleft())
            events += len(batch[-1].stored)
        return batch

    def _commit(self, batch: list[Waiting]) -> None:
        """Write a batch, whatever it takes; every result is set when this returns."""
        while not self._closed.is_set() and (batch := self._still_wanted(batch)):
            try:
                self._insert(batch)
            except StaleFences as stale:
                self._refuse(batch, stale.fences)
            except IntegrityError:
                metrics.JOURNAL_TROUBLE.labels("conflict").inc()
                self._split(batch)
            except (OperationalError, InterfaceError) as error:
                if self._closed.is_set():
                    return
                metrics.JOURNAL_TROUBLE.labels("unavailable").inc()
                log.warning("store does not answer", extra={"error": str(error)})
                gevent.sleep(RETRY_S)
            except Exception as error:
                log.exception("events can't be stored")
                self._split(batch, error)

    def _insert(self, batch: list[Waiting]) -> None:
        stored = [event for waiting in batch for event in waiting.stored]
        beside = rows_beside(batch)
        positions: Iterator[int] = iter(())
        if stored or beside.rows:  # Else somebody only wants to know that all before is stored.
            with metrics.JOURNAL_COMMIT.time(), self._bounded():
                recorder = self._log.journal_recorder
                written = recorder.insert_events(stored, beside=beside, own=self.connection)
                positions = iter(written or ())
            metrics.JOURNAL_BATCH.observe(len(stored))
        for waiting in batch:
            for _ in waiting.stored:
                self.last_position = next(positions)
            self._succeed(waiting, self.last_position)

    @contextmanager
    def _bounded(self) -> Iterator[None]:
        """Break the connection when the store neither answers nor closes it, as when it hangs."""
        alarm = gevent.spawn_later(self._answer_s_max, self.connection.cut)
        try:
            yield
        finally:
            alarm.kill(block=False)

    def _split(self, batch: list[Waiting], error: Exception | None = None) -> None:
        if len(batch) > 1:
            middle = len(batch) // HALVES
            self._commit(batch[:middle])
            self._commit(batch[middle:])
        elif error is not None:
            self._fail(batch[0], error)
        else:
            self._settle(batch[0])

    def _settle(self, waiting: Waiting) -> None:
        """Tell a conflict from an append of ours that was stored although its commit failed."""
        position = None
        if waiting.stored:
            last = waiting.stored[-1]
            stream_id, version = str(last.originator_id), last.originator_version
            try:
                position = self._log.position_of(stream_id, version, waiting.command_id)
            except Unavailable:
                gevent.sleep(RETRY_S)
                return  # Not known yet: the insertion is tried again.
        if position is None:
            self._fail(waiting, waiting.conflict())
        else:
            self.last_position = max(self.last_position, position)
            self._succeed(waiting, position)

    def _still_wanted(self, batch: list[Waiting]) -> list[Waiting]:
        """Fail what waited too long or relies on something that failed; return the rest."""
        now_s = monotonic()
        for waiting in without_result(batch):
            if waiting.deadline_s < now_s:
                self._fail(waiting, Unavailable("store does not answer"))
            elif waiting.abandoned:
                self._fail(waiting, waiting.conflict())
        return without_result(batch)

    def _refuse(self, batch: list[Waiting], stale: frozenset[Fence]) -> None:
        for waiting in batch:
            fence = waiting.append.fence
            if fence in stale:
                self._fail(waiting, FenceLost(frozenset({fence.partition})))

    def _succeed(self, waiting: Waiting, position: int) -> None:
        self._forget(waiting)
        waiting.result.set(position)

    def _fail(self, waiting: Waiting, error: Exception) -> None:
        self._forget(waiting)
        waiting.result.set_exception(error)

    def _forget(self, waiting: Waiting) -> None:
        waiting.relies_on.clear()
        for stream_id in waiting.versions:
            if self._newest.get(stream_id) is waiting:
                del self._newest[stream_id]
