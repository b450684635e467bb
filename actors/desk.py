"""The slow counter beside a link session: deliveries that need a look into the database.

Receipts whose message is not in hand are looked up; those nobody knows yet are stored as
`ReceiptUnmatched`, answered, and tried again every second until their message turns up or they are
too old. Messages from handsets are joined part by part. One greenlet, one delivery at a time.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from time import time
from typing import TYPE_CHECKING, Final

import gevent
from eventsourcing.persistence import PersistenceError
from gevent.event import Event

from signalbox.actors.feeder import track
from signalbox.actors.handsets import Handsets
from signalbox.actors.ids import uuid7
from signalbox.actors.ledger import Ledger
from signalbox.actors.spans import receipt_span
from signalbox.domain import inbound
from signalbox.domain import link as links
from signalbox.domain import message as messages
from signalbox.domain.command_status import CommandStatus
from signalbox.domain.receipts import FINAL, Receipt, lookup_keys
from signalbox.eventstore import metrics
from signalbox.eventstore.errors import Conflict, FenceLost, Unavailable
from signalbox.eventstore.postgres import Broken
from signalbox.eventstore.recorder import Fence, InboxRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from signalbox.actors.transports.smpp.session import Delivery
    from signalbox.actors.work import Tracked
    from signalbox.domain.names import Event as DomainEvent
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog

log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
CLOSE_S: Final = 60.0
WAITING_MAX: Final = 10_000
CANDIDATES_MAX: Final = 20
CONFLICTS_MAX: Final = 10
UNKNOWN_CODING: Final = 4  # 8-bit binary (SMPP 3.4, 5.2.19)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long receipts wait for their message, and parts of a handset's message for each other."""

    receipt_park_s: float = 600
    mo_reassembly_s: float = 1800


@dataclass(frozen=True, slots=True)
class Located:
    """The message of a receipt was found; the session records it if it has the message in hand."""

    tracked: Tracked
    part: int
    receipt: Receipt
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class _Parked:
    stream_id: str
    receipt: Receipt
    since_s: float


class Desk:
    """See the module."""

    def __init__(
        self,
        log_: EventLog,
        journal: Journal,
        link: links.Link,
        limits: Patience,
        fence: Fence,
        tell: Callable[[object], None],
    ) -> None:
        assert link.spec is not None, link
        self._log = log_
        self._ledger = Ledger(log_, journal, links.stream_of(link.link_id), fence)
        self._handsets = Handsets(log_, self._ledger, link, limits.mo_reassembly_s)
        self._link_id = link.link_id
        self._account = link.spec.account
        self._dlr_msgid = link.spec.dlr_msgid
        self._receipt_park_s = limits.receipt_park_s
        self._tell = tell
        self._waiting: deque[tuple[Delivery, Receipt | None]] = deque()
        self._parked: dict[str, _Parked] = {}
        self._wake = Event()
        self._greenlet = gevent.spawn(self._run)

    def take(self, delivery: Delivery, receipt: Receipt | None) -> None:
        """Take a delivery: a receipt to be looked up, or (None) a message from a handset."""
        if len(self._waiting) >= WAITING_MAX:
            delivery.session.answer([delivery], CommandStatus.ESME_RX_T_APPN)
            return
        self._waiting.append((delivery, receipt))
        self._wake.set()

    def look_again(self) -> None:
        """New parts are known: what is parked may match now."""
        if self._parked:
            self._wake.set()

    def close(self) -> None:
        """Stop; what was not answered comes again."""
        self._greenlet.kill(block=False)

    def _run(self) -> None:
        loaded = False
        while True:
            try:
                if not loaded:
                    self._load_parked()
                    loaded = True
                self._work()
                self._try_parked()
                self._handsets.close_incomplete()
            except FenceLost:
                return
            except (*Broken, PersistenceError, Unavailable) as error:
                log.warning("deliveries have to wait", extra={"error": str(error)})
                gevent.sleep(LOOK_S)
                continue
            except Exception:
                log.exception("what was parked can't be read", extra={"link": self._link_id})
                metrics.DEAD_LETTERS.labels("Desk").inc()
            self._wake.wait(LOOK_S)
            self._wake.clear()

    def _work(self) -> None:
        while self._waiting:
            delivery, receipt = self._waiting[0]
            try:
                if receipt is None:
                    self._handsets.receive(delivery)
                else:
                    self._receive_receipt(delivery, receipt)
            except (*Broken, PersistenceError, Unavailable, FenceLost):
                raise
            except Exception:
                # One delivery that can't be handled must not hold up the others.
                log.exception("delivery refused", extra={"link": self._link_id})
                metrics.DEAD_LETTERS.labels("Desk").inc()
                delivery.session.answer([delivery], CommandStatus.ESME_RX_T_APPN)
            self._waiting.popleft()

    # receipts

    def _receive_receipt(self, delivery: Delivery, receipt: Receipt) -> None:
        found = self._find(receipt, delivery.pdu.source.digits)
        if found is not None and found[0].message.needs_work:
            self._tell(Located(*found, receipt, delivery))
            return
        if found is not None:
            self._record(*found, receipt)
            delivery.session.answer([delivery])
            return
        metrics.RECEIPTS_PARKED.labels(str(self._link_id)).inc()
        stream_id = f"receipt-{uuid7()}"
        unmatched = inbound.ReceiptUnmatched(
            self._link_id,
            self._account,
            receipt.smsc_id,
            receipt.status,
            receipt.stat,
            receipt.error_code,
            receipt.done_date,
        )
        row = InboxRow(self._ledger.actor_id, "receipt", stream_id)
        self._ledger.write(stream_id, 1, [unmatched], inbox=[row])
        delivery.session.answer([delivery])
        self._parked[stream_id] = _Parked(stream_id, receipt, time())

    def _find(self, receipt: Receipt, handset: str) -> tuple[Tracked, int] | None:
        """Return the newest part with that id, preferring unfinished ones to the same number."""
        with self._log.pool.connection() as connection:
            rows = connection.execute(
                "SELECT stream_id, part FROM signalbox.submitted_parts"
                " WHERE account = %s AND smsc_key = ANY(%s) ORDER BY recorded_at DESC LIMIT %s",
                (self._account, list(lookup_keys(receipt.smsc_id, self._dlr_msgid)),
                 CANDIDATES_MAX),
            ).fetchall()  # fmt: skip
        found = [(track(0, self._log.read(row["stream_id"])), row["part"]) for row in rows]
        if len(found) > 1:
            found.sort(key=lambda one: _fits(one[0], one[1], handset), reverse=True)
        return found[0] if found else None

    def _record(self, tracked: Tracked, part: int, receipt: Receipt) -> None:
        """Record a receipt of a message the session is done with."""
        for _ in range(CONFLICTS_MAX):
            command = messages.RecordReceipt.of(part, receipt)
            events = messages.decide(tracked.message, command, time())
            if not events:
                return
            try:
                with receipt_span(self._link_id, tracked, part, receipt.status):
                    self._ledger.write(
                        tracked.stream_id, tracked.version + 1, events, tenant_id=tracked.tenant_id
                    )
            except Conflict:
                tracked = track(0, self._log.read(tracked.stream_id))
                continue
            metrics.RECEIPTS.labels(str(self._link_id), receipt.status).inc()
            return
        raise Unavailable("the message changes too fast")

    def _load_parked(self) -> None:
        for stream_id in self._ledger.inbox("receipt"):
            first = self._log.read(stream_id)[0]
            event = first.event
            assert isinstance(event, inbound.ReceiptUnmatched), first
            receipt = Receipt(
                smsc_id=event.smsc_id,
                status=event.status,
                error_code=event.error_code,
                stat=event.stat,
                submit_date="",
                done_date=event.done_date,
            )
            self._parked[stream_id] = _Parked(stream_id, receipt, first.at_s)

    def _try_parked(self) -> None:
        for parked in list(self._parked.values()):
            found = self._find(parked.receipt, "")
            waited_s = time() - parked.since_s
            if found is not None:
                tracked, part = found
                if tracked.message.needs_work:
                    continue  # The session writes to that stream until the last part has left.
                self._record(tracked, part, parked.receipt)
                message_id = messages.id_of(tracked.stream_id)
                event: DomainEvent = inbound.ReceiptMatched(message_id, part)
            elif waited_s > self._receipt_park_s:
                log.warning("receipt without message", extra={"link": self._link_id})
                event = inbound.ReceiptAbandoned(waited_s)
            else:
                continue
            self._ledger.write(parked.stream_id, 2, [event], done=[parked.stream_id])
            del self._parked[parked.stream_id]


def _fits(tracked: Tracked, part: int, handset: str) -> tuple[bool, bool]:
    same_number = tracked.accepted.destination.lstrip("+") == handset.lstrip("+")
    return same_number, tracked.message.part(part).status not in FINAL
