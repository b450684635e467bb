"""The actor that acts for a link: it runs in the one process that holds the link's lease.

    inbox ─ Feeder ─▶ Work ─▶ line ─ window, rate ─▶ SubmitAttempted ─ commit ─▶ PDUs ─▶ Session
    Session ─▶ answers ─▶ MessageSubmitted, SubmitRefused … ─ commit
    Session ─▶ receipts ─▶ ReceiptRecorded ─ commit ─▶ deliver_sm_resp

Decisions are made on the state as it will be when the appends before are stored; appends of one
process are stored in order. If one fails, its messages are read anew. Nothing leaves before its
attempt is durable, nothing at all once the lease is not certain any more.
"""

from __future__ import annotations

import logging
from random import random
from time import monotonic, time
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from signalbox.actors.changes import Changes
from signalbox.actors.desk import Desk, Located
from signalbox.actors.feeder import Feeder, Work
from signalbox.actors.link_messages import (
    Attempted,
    Connect,
    LinkChanged,
    LinkPlan,
    Pump,
    Stop,
    Stored,
    Tenure,
    Tick,
    WorkWaits,
)
from signalbox.actors.runtime import Actor
from signalbox.actors.spans import Receipts, Submits
from signalbox.actors.transports.smpp import codec
from signalbox.actors.transports.smpp.session import (
    Bound,
    Delivery,
    Ended,
    Received,
    Session,
)
from signalbox.actors.window import Window
from signalbox.actors.wire_log import WireLog
from signalbox.actors.work import Line, Memory, Slot, Tracked
from signalbox.domain import link as links
from signalbox.domain import message as messages
from signalbox.domain import session as sessions
from signalbox.domain.command_status import CommandStatus, bind_policy, submit_policy
from signalbox.domain.pacing import Backoff, Throttle, TokenBucket
from signalbox.domain.receipts import (
    Receipt,
    correlation_key,
    is_receipt,
    lookup_keys,
    receipt_text,
)
from signalbox.domain.receipts import read_receipt as read_receipt_of
from signalbox.eventstore import metrics
from signalbox.eventstore.errors import Conflict, FenceLost
from signalbox.eventstore.journal import Append, Write
from signalbox.eventstore.recorder import SubmittedPart

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gevent.event import AsyncResult
    from gevent.event import Event as GeventEvent

    from signalbox.actors.loads import Vitals
    from signalbox.actors.relief import Relief
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog

log = logging.getLogger(__name__)

TICK_S: Final = 0.25
IDLE_TICK_S: Final = 1.0  # a thousand links with nothing to do must not keep a processor busy
FETCH_MIN: Final = 50
NAMELESS_RECEIPT: Final = Receipt(
    smsc_id="", status="unknown", error_code="", stat="", submit_date="", done_date=""
)  # It matches nothing, but it is no message from a handset either.


class LinkSession(Actor):
    """See the module. One for each link and lease."""

    def __init__(
        self,
        link: links.Link,
        plan: LinkPlan,
        log_: EventLog,
        journal: Journal,
        tenure: Tenure,
        relief: Relief | None = None,
    ) -> None:
        super().__init__(links.stream_of(link.link_id), log_.pool)
        self._link = plan.connected(link)
        self._plan = plan
        self._submission = plan.submission
        self._log = log_
        self._journal = journal
        self._tenure = tenure
        self._relief = relief
        self._session: Session | None = None
        self._feeder: Feeder | None = None
        self._desk: Desk | None = None
        self._done: GeventEvent | None = None
        self._is_bound = self._draining = self._unbinding = self._is_paced = False
        self._label = str(link.link_id)
        spec = self._spec
        self._bucket = TokenBucket(spec.tps, max(spec.tps, 1))
        self._throttle = Throttle()
        self._backoff = Backoff(
            self._submission.reconnect_initial_s, self._submission.reconnect_max_s
        )

    # life

    @override
    def restore(self) -> None:
        """Begin anew: no connection, nothing in hand; the inbox has it all."""
        self._close_session("restarted")
        self._close_helpers()
        self._is_bound = self._unbinding = self._fetching = False
        self._draining = self._done is not None
        self._more, self._news = True, False
        self._memory, self._line = Memory(), Line()
        self._window = Window(self._label)
        self._spans = Submits(self._link.link_id)
        self._unsent: list[Slot] = []
        self._pump_at_s = 0.0
        self._down_since_s = self._moved_at_s = monotonic()
        self._wire_log = WireLog(
            self._link.link_id, self._log, self._journal, self._store_wire_events
        )
        self._feeder = Feeder(self._log, self.name, self.actor_ref.tell)
        self._desk = Desk(
            self._log,
            self._journal,
            self._link,
            self._plan.patience,
            self._tenure.fence,
            self.actor_ref.tell,
        )
        self._wire_log.tell(sessions.ClaimLink(self._tenure.owner, self._tenure.fence.epoch))
        self._connect_in(0)
        self.tell_later(TICK_S, Tick())

    @override
    def on_stop(self) -> None:
        super().on_stop()
        self._close_session("stopped")
        self._close_helpers()

    @override
    def receive(self, message: object) -> None:  # noqa: C901, PLR0912  the table of messages
        match message:
            case Tick():
                self._tick()
            case Connect():
                self._connect()
            case Pump():
                self._pump_at_s = 0.0
            case WorkWaits():
                self._more = self._news = True
            case Work():
                self._take(message)
            case Attempted():
                self._attempted(message)
            case Stored():
                self._stored(message)
            case Received(session, responses, deliveries) if session is self._session:
                self._respond(responses)
                self._deliver(deliveries)
            case Located():
                self._record_receipts(
                    [(message.tracked, message.part, message.receipt)], [message.delivery]
                )
            case Bound(session, smsc_id) if session is self._session:
                self._bound(smsc_id)
            case Ended(session) if session is self._session:
                self._ended(message)
            case LinkChanged(link):
                self._changed(link)
            case Stop(done):
                self._done, self._draining = done, True
        self._pump()

    @property
    def _spec(self) -> links.LinkSpec:
        assert self._link.spec is not None, self._link
        return self._link.spec

    @property
    def _wants_connection(self) -> bool:
        tenure = self._tenure
        is_on = self._link.enabled and tenure.licensed()
        return is_on and not self._draining and tenure.holds()

    @property
    def _is_idle(self) -> bool:
        """True when the next tick has time: a submit that leaves before it is overdue later."""
        return self._is_bound and not self._window.in_use and not len(self._line)

    # the session

    def _connect(self) -> None:
        is_due = monotonic() >= self._connect_at_s
        if self._session is None and is_due and self._wants_connection:
            self._session = Session(self._plan.endpoint, self.actor_ref.tell, self._tenure.holds)

    def _bound(self, smsc_id: str) -> None:
        self._is_bound = True
        self._backoff.bound(monotonic())
        metrics.BOUND.labels(self._label).set(1)
        log.info("link bound", extra={"link": self._link.link_id})
        self._wire_log.tell(sessions.RecordBind(smsc_id))
        self._send(self._unsent)
        self._unsent = []

    def _ended(self, ended: Ended) -> None:
        self._session = None
        self._is_bound = self._unbinding = False
        self._backoff.lost(monotonic())
        metrics.BOUND.labels(self._label).set(0)
        self._doubt(self._window.abandon(), ended.reason)
        retry_in_s = self._retry_in_s(ended.bind_status) if self._wants_connection else 0.0
        level = logging.WARNING if self._wants_connection else logging.INFO
        log.log(level, "link down", extra={"link": self._link.link_id, "reason": ended.reason})
        if ended.bind_status is None:
            self._wire_log.tell(sessions.RecordLoss(ended.reason, retry_in_s))
        else:
            self._wire_log.tell(sessions.RecordBindRefusal(ended.reason, retry_in_s))
        self._connect_in(retry_in_s)
        self.tell_later(TICK_S, Tick())  # The last one may have thought that there is time.

    def _connect_in(self, delay_s: float) -> None:
        self._connect_at_s = monotonic() + delay_s
        self.tell_later(delay_s, Connect())

    def _retry_in_s(self, bind_status: int | None) -> float:
        backoff_s = self._backoff.next_s(random())  # noqa: S311  jitter
        if bind_status is None:
            return backoff_s
        return max(backoff_s, bind_policy(bind_status).delay_s)

    def _changed(self, link: links.Link) -> None:
        self._link = self._plan.connected(link)
        if link.enabled:
            self._connect_in(0)

    def _leave(self) -> None:
        """Unbind once nothing waits for an answer any more."""
        if self._window.in_use:
            return
        if self._session is None:
            if self._done is not None:
                # With the lease goes the right to write, so first all that waits is stored.
                self._append(Changes(self._label)).rawlink(lambda _, done=self._done: done.set())
        elif self._is_bound:
            self._is_bound, self._unbinding = False, True
            self._session.unbind()
        elif not self._unbinding:
            self._session.abort("not wanted any more")

    def _close_session(self, reason: str) -> None:
        if self._session is not None:
            self._session.abort(reason)
            self._session = None
        metrics.BOUND.labels(self._label).set(0)

    def _close_helpers(self) -> None:
        for helper in (self._feeder, self._desk):
            if helper is not None:
                helper.close()

    # submitting

    def _take(self, work: Work) -> None:
        self._fetching = False
        self._more = work.more or self._news
        for tracked in work.messages:
            if tracked.stream_id in self._memory:
                continue
            self._memory.add(tracked)
            cut_off = [n for n, part in enumerate(tracked.message.parts, 1) if part.in_flight]
            if cut_off:
                slots = [Slot(tracked.seq, n, tracked.stream_id) for n in cut_off]
                self._doubt(slots, "the process that submitted it ended")
            self._line_up(tracked, set(range(1, len(tracked.message.parts) + 1)) - set(cut_off))

    def _line_up(self, tracked: Tracked, parts: Iterable[int]) -> None:
        for number in parts:
            part = tracked.message.part(number)
            if part.waits_for_submit:
                self._line.put(Slot(tracked.seq, number, tracked.stream_id), part.retry_at_s)

    def _pump(self) -> None:
        """Attempt what window, rate and pauses allow; ask for more when the line is short."""
        if self._draining or not self._link.enabled or not self._tenure.licensed():
            self._leave()
            return
        if not self._is_bound:
            return
        now_s, now_mono_s = time(), monotonic()
        self._line.ripen(now_s)
        slots = self._admit(now_mono_s)
        if slots:
            self._moved_at_s = now_mono_s
            if self._relief is not None:
                self._relief.vitals.attempted += len(slots)
            self._attempt(slots, now_s)
        self._fetch()
        self._schedule(now_s, now_mono_s)

    def _fetch(self) -> None:
        if self._more and not self._fetching and self._line.ready < self._spec.window:
            self._fetching, self._news = True, False
            assert self._feeder is not None
            self._feeder.want(max(2 * self._spec.window, FETCH_MIN))

    def _admit(self, now_mono_s: float) -> list[Slot]:
        slots: list[Slot] = []
        pace, self._is_paced = self._tenure.pace, False
        room = self._spec.window - self._window.in_use
        if now_mono_s < self._throttle.paused_until_s or not self._tenure.holds():
            return slots
        self._bucket.set_rate(self._spec.tps * self._throttle.factor, now_mono_s)
        while len(slots) < room and self._line.ready and not self._bucket.wait_s(now_mono_s):
            if pace is not None and not pace.take():
                self._is_paced = True
                pace.want(self._pace_allows)
                break
            self._bucket.take(now_mono_s)
            slots.append(self._line.take())
        return slots

    def _pace_allows(self) -> None:
        self._tell_self(Pump())

    def _schedule(self, now_s: float, now_mono_s: float) -> None:
        """Come back when a token, the end of a pause or a retry is due."""
        delays = []
        if self._line.ready and self._window.in_use < self._spec.window and not self._is_paced:
            pause_s = self._throttle.paused_until_s - now_mono_s
            delays.append(max(pause_s, self._bucket.wait_s(now_mono_s)))
        retry_at_s = self._line.next_at_s()
        if retry_at_s is not None:
            delays.append(retry_at_s - now_s)
        if not delays:
            return
        due_s = now_mono_s + max(min(delays), 0.001)
        if not self._pump_at_s or due_s < self._pump_at_s:
            self._pump_at_s = due_s
            self.tell_later(due_s - now_mono_s, Pump())

    def _attempt(self, slots: list[Slot], now_s: float) -> None:
        attempted: list[Slot] = []
        changes = Changes(self._label)
        for slot in slots:
            tracked = self._memory.get(slot.stream_id)
            if tracked is None:
                continue
            command = messages.AttemptSubmit(slot.part, self._link.link_id)
            if changes.decide(tracked, command, now_s):
                attempted.append(slot)
        if attempted:
            self._window.reserve(len(attempted))
            result = self._append(changes)
            result.rawlink(lambda done: self._tell_self(Attempted(attempted, done)))

    def _attempted(self, attempted: Attempted) -> None:
        self._window.reserve(-len(attempted.slots))
        if not attempted.result.successful():
            self._failed({slot.stream_id for slot in attempted.slots}, attempted.result)
        elif self._is_bound:
            self._send(attempted.slots)
        else:
            self._unsent += attempted.slots

    def _send(self, slots: Sequence[Slot]) -> None:
        assert self._session is not None or not slots
        pdus: list[bytes] = []
        sent_s = monotonic()
        for slot in slots:
            tracked = self._memory.get(slot.stream_id)
            if tracked is None or not tracked.message.part(slot.part).in_flight:
                continue
            assert self._session is not None
            sequence = self._session.next_sequence()
            try:
                pdus.append(self._pdu(sequence, tracked, slot.part))
            except codec.EncodeError as error:
                self._unencodable(tracked, slot.part, error)
                continue
            self._window.sent(sequence, slot, sent_s)
            self._spans.sent(slot, tracked)
        if pdus and self._session is not None:
            self._session.send(pdus)

    def _pdu(self, sequence: int, tracked: Tracked, part: int) -> bytes:
        how = self._submission
        return codec.encode_submit_sm(
            sequence,
            codec.source_address(tracked.accepted.source),
            codec.destination_address(tracked.accepted.destination),
            tracked.pdu(part),
            how.registered_delivery,
            service_type=how.service_type,
            validity_period=how.validity_period,
        )

    def _unencodable(self, tracked: Tracked, part: int, error: codec.EncodeError) -> None:
        """A part that can't be put into a PDU is refused here, as an SMSC would refuse it."""
        log.error("part can't be encoded", extra={"link": self._link.link_id, "error": str(error)})
        response = codec.SubmitSmResp(0, CommandStatus.ESME_RINVMSGLEN, "")
        self._settle([(Slot(tracked.seq, part, tracked.stream_id), response)])

    def _respond(self, responses: Iterable[codec.SubmitSmResp]) -> None:
        settled: list[tuple[Slot, codec.SubmitSmResp]] = []
        for response in responses:
            slot = self._window.answered(response.sequence)
            if slot is None:
                metrics.STRAY_PDUS.labels(self._label, "response").inc()
            else:
                settled.append((slot, response))
        if settled:
            self._settle(settled)

    def _settle(self, settled: list[tuple[Slot, codec.SubmitSmResp]]) -> None:
        now_s = time()
        changes = Changes(self._label)
        for slot, response in settled:
            self._spans.answered(slot, response.status)
            tracked = self._memory.get(slot.stream_id)
            if tracked is None:
                continue
            command = messages.RecordResponse(
                slot.part,
                response.status,
                response.message_id,
                self._throttled(response.status),
                self._submission.retry_age_s_max,
            )
            if changes.decide(tracked, command, now_s) and response.status == 0:
                changes.submitted += self._named(tracked, slot.part, response.message_id)
            self._after(tracked, slot, changes)
        result = self._store(changes)
        if changes.submitted:
            result.rawlink(self._look_again)
        if any(submit_policy(r.status).kind == "session" for _, r in settled):
            self._break("the SMSC lost the session")

    def _look_again(self, _: AsyncResult) -> None:
        if self._desk is not None:
            self._desk.look_again()

    def _throttled(self, status: int) -> float:
        """Adapt the link's pace to an answer; return how long it pauses."""
        now_s = monotonic()
        if submit_policy(status).kind != "throttle":
            if status == 0:
                self._throttle.on_accepted(now_s)
            return 0.0
        paused_s = self._throttle.paused_until_s
        self._throttle.on_throttled(now_s)
        pause_s = self._throttle.paused_until_s - now_s
        if self._throttle.paused_until_s != paused_s:
            self._wire_log.tell(sessions.RecordThrottle(pause_s, self._throttle.factor))
        return pause_s

    def _named(self, tracked: Tracked, part: int, smsc_id: str) -> list[SubmittedPart]:
        """Make the part findable by the SMSC's id; without an id its receipts can't be matched."""
        key = correlation_key(smsc_id)
        if not key:
            return []
        self._memory.name(key, tracked.stream_id, part)
        return [SubmittedPart(self._spec.account, key, tracked.stream_id, part)]

    def _after(self, tracked: Tracked, slot: Slot, changes: Changes) -> None:
        """Line the part up again if it is to be retried; close the message's work if it is over."""
        self._line_up(tracked, [slot.part])
        if not tracked.message.needs_work:
            changes.done.append(tracked.stream_id)
            self._memory.settled(tracked)

    def _doubt(self, slots: Iterable[Slot], reason: str) -> None:
        """Nobody knows whether these parts arrived; the link's policy says what follows."""
        changes = Changes(self._label)
        for slot in slots:
            self._spans.lost(slot, reason)
            tracked = self._memory.get(slot.stream_id)
            if tracked is None:
                continue
            command = messages.RecordSilence(slot.part, reason, self._spec.in_doubt)
            changes.decide(tracked, command, time())
            self._after(tracked, slot, changes)
        self._store(changes)

    def _break(self, reason: str) -> None:
        self._is_bound = False  # Nothing more goes to that session, though its end is yet to come.
        if self._session is not None:
            self._session.abort(reason)

    # receipts and messages from handsets

    def _deliver(self, deliveries: Iterable[Delivery]) -> None:
        known: list[tuple[Tracked, int, Receipt]] = []
        stored_with: list[Delivery] = []
        assert self._desk is not None
        for delivery in deliveries:
            receipt = self._receipt_of(delivery)
            found = None
            if receipt is not None:
                keys = lookup_keys(receipt.smsc_id, self._spec.dlr_msgid)
                found = self._memory.find(keys)
            if receipt is None or found is None:
                self._desk.take(delivery, receipt)
            else:
                known.append((*found, receipt))
                stored_with.append(delivery)
        if known:
            self._record_receipts(known, stored_with)

    def _receipt_of(self, delivery: Delivery) -> Receipt | None:
        pdu = delivery.pdu
        text = receipt_text(pdu.body, pdu.data_coding)
        has_id = pdu.receipted_message_id is not None
        by_text = self._submission.dlr_by_text
        if not is_receipt(pdu.esm_class, has_receipted_id=has_id, text=text, by_text=by_text):
            return None
        receipt = read_receipt_of(
            text, receipted_id=pdu.receipted_message_id, message_state=pdu.message_state
        )
        return receipt or NAMELESS_RECEIPT

    def _record_receipts(
        self, known: list[tuple[Tracked, int, Receipt]], deliveries: Sequence[Delivery]
    ) -> None:
        now_s = time()
        changes, spans = Changes(self._label), Receipts(self._link.link_id)
        for tracked, part, receipt in known:
            current = self._memory.get(tracked.stream_id) or tracked
            command = messages.RecordReceipt.of(part, receipt)
            had_work = current.message.needs_work
            if changes.decide(current, command, now_s):
                spans.begin(current, part, receipt.status)
            if had_work and not current.message.needs_work:
                changes.done.append(current.stream_id)
        # Without news the answer still waits for what was stored before: an empty append is free.
        spans.end_with(self._store(changes, deliveries))

    # the log

    def _append(self, changes: Changes) -> AsyncResult:
        append = Append(
            writes=changes.writes,
            by=self.name,
            fence=self._tenure.fence,
            inbox=changes.inbox,
            done=changes.done,
            submitted=changes.submitted,
        )
        return self._journal.append(append)

    def _store(self, changes: Changes, deliveries: Sequence[Delivery] = ()) -> AsyncResult:
        """Append, and come back to `Stored`."""
        result, stream_ids = self._append(changes), changes.stream_ids
        result.rawlink(lambda done: self._tell_self(Stored(stream_ids, deliveries, done)))
        return result

    def _stored(self, stored: Stored) -> None:
        if not stored.result.successful():
            self._failed(set(stored.stream_ids), stored.result)
            # Unanswered, the SMSC repeats it; by then the state is fresh.
            self._answer(stored.deliveries, CommandStatus.ESME_RX_T_APPN)
        else:
            self._answer(stored.deliveries, 0)

    def _answer(self, deliveries: Iterable[Delivery], status: int) -> None:
        mine = [d for d in deliveries if d.session is self._session]
        if mine and self._session is not None:
            self._session.answer(mine, status)

    def _failed(self, stream_ids: set[str], result: AsyncResult) -> None:
        """Read anew what could not be stored; without the lease do nothing more at all."""
        error = result.exception
        if isinstance(error, FenceLost):
            log.error("lease lost", extra={"link": self._link.link_id})
            self._close_session("lease lost")
            self.stop()
            return
        if not isinstance(error, Conflict):
            assert isinstance(error, Exception), error
            raise error
        log.warning("stale state", extra={"link": self._link.link_id, "streams": len(stream_ids)})
        for stream_id in stream_ids:
            self._memory.forget(stream_id)
        assert self._feeder is not None
        self._feeder.want_again(stream_ids)

    def _store_wire_events(self, write: Write) -> None:
        changes = Changes(self._label)
        changes.writes.append(write)
        self._store(changes)

    # time

    def _tick(self) -> None:
        self.tell_later(IDLE_TICK_S if self._is_idle else TICK_S, Tick())
        self._connect()  # The lease may have been uncertain when it was due.
        if self._relief is not None:
            self._relieve(self._relief)
        overdue = self._window.overdue(monotonic() - self._spec.response_timeout_s)
        if overdue:
            self._doubt(overdue, "no answer in time")

    def _relieve(self, relief: Relief) -> None:
        """Say how the link is, and pass on what others of its pool would send sooner."""
        now_s = monotonic()
        self._note(relief.vitals, now_s)
        if self._is_bound:
            self._down_since_s = now_s
        down_s = now_s - self._down_since_s
        trouble = relief.trouble(enabled=self._link.enabled, down_s=down_s)
        if trouble is None or self._draining or not self._tenure.holds():
            return
        self._fetch()
        changes = Changes(self._label)
        relief.move(self._line, self._memory, trouble, changes)
        if changes.writes:
            told = {"reason": trouble.reason, "messages": len(changes.writes)}
            log.info("messages rerouted", extra={"link": self._link.link_id, **told})
            self._store(changes)

    def _note(self, vitals: Vitals, now_s: float) -> None:
        """Take down what others judge this link by."""
        if not self._line.ready:
            self._moved_at_s = now_s
        room = self._spec.window - self._window.in_use
        vitals.bound = self._is_bound and not self._draining
        vitals.in_use = self._window.in_use
        vitals.free_parts = int(max(0, min(room, self._bucket.available(now_s))))
        vitals.rate_per_s = self._spec.tps * self._throttle.factor
        vitals.held_up_s = max(now_s - self._moved_at_s, self._throttle.paused_until_s - now_s)
