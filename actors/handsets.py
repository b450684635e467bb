"""Messages from handsets: stored part by part, joined, and closed when parts stay out."""

from __future__ import annotations

from itertools import count
from time import monotonic, time
from typing import TYPE_CHECKING, Final

from signalbox.actors.ids import uuid7
from signalbox.domain import inbound
from signalbox.domain import text as texts
from signalbox.eventstore import metrics
from signalbox.eventstore.recorder import InboxRow

if TYPE_CHECKING:
    from signalbox.actors.ledger import Ledger
    from signalbox.actors.transports.smpp.session import Delivery
    from signalbox.domain.link import Link
    from signalbox.eventstore.log import EventLog

CLOSE_S: Final = 60.0  # how often incomplete messages are looked at
UNKNOWN_CODING: Final = 4  # 8-bit binary (SMPP 3.4, 5.2.19)


class Handsets:
    """Used by one greenlet: it reads and writes the store, and waits for it."""

    def __init__(self, log_: EventLog, ledger: Ledger, link: Link, reassembly_s: float) -> None:
        assert link.spec is not None, link
        self._log = log_
        self._ledger = ledger
        self._link_id = link.link_id
        self._account = link.spec.account
        self._reassembly_s = reassembly_s
        self._close_at_s = 0.0

    def receive(self, delivery: Delivery) -> None:
        """Store one delivered part, then answer it."""
        pdu = delivery.pdu
        user_data = texts.UserData(pdu.sar, pdu.body, has_ports=False)
        if pdu.esm_class & texts.ESM_CLASS_UDHI:
            user_data = texts.split_udh(pdu.body)
        place = user_data.concatenation or texts.Concatenation(0, 1, 1)
        command = inbound.ReceivePart(
            link_id=self._link_id,
            source=pdu.source.digits,
            destination=pdu.destination.digits,
            text=_text_of(user_data, pdu.data_coding),
            number=place.number,
            total=place.total,
        )
        metrics.MO.labels(str(self._link_id)).inc()
        stream_id = self._stream(command, place.reference)
        self._store(stream_id, command)
        delivery.session.answer([delivery])

    def _stream(self, command: inbound.ReceivePart, reference: int) -> str:
        """Name the stream of a part.

        References come again: each time within one period is a generation of its own. And a
        message may have begun just before the period did.
        """
        if command.total == 1:
            return f"mo-{uuid7()}"
        period = int(time() // self._reassembly_s)
        parts_of = ("mo", self._account, command.source, command.destination, str(command.total))
        for begun in (period - 1, period):
            for generation in count():
                digest = self._log.secrets.digest(
                    *parts_of, str(reference), str(begun), str(generation)
                )
                mo, version = self._load(f"mo-{digest}")
                if mo.may_hold(command):
                    return f"mo-{digest}"
                if version == 0:
                    break
        return f"mo-{digest}"

    def _store(self, stream_id: str, command: inbound.ReceivePart) -> None:
        mo, version = self._load(stream_id)
        events = inbound.decide(mo, command)
        whole = any(isinstance(event, inbound.MoReceived) for event in events)
        row = InboxRow(self._ledger.actor_id, "mo", stream_id)
        self._ledger.write(
            stream_id,
            version + 1,
            events,
            tenant_id=self._ledger.actor_id,
            inbox=[row] if version == 0 and not whole else [],
            done=[stream_id] if whole and version else [],
        )

    def _load(self, stream_id: str) -> tuple[inbound.MoMessage, int]:
        mo, version = inbound.MoMessage(), 0
        for recorded in self._log.read(stream_id):
            assert isinstance(recorded.event, inbound.MoEvent), recorded
            mo, version = inbound.evolve(mo, recorded.event), recorded.version
        return mo, version

    def close_incomplete(self) -> None:
        """Give up messages whose parts did not all come."""
        if monotonic() < self._close_at_s:
            return
        self._close_at_s = monotonic() + min(self._reassembly_s, CLOSE_S)
        for stream_id in self._ledger.inbox("mo"):
            if time() - self._log.read(stream_id)[0].at_s <= self._reassembly_s:
                continue
            mo, version = self._load(stream_id)
            events = inbound.decide(mo, inbound.CloseIncomplete())
            self._ledger.write(
                stream_id, version + 1, events, tenant_id=self._ledger.actor_id, done=[stream_id]
            )


def _text_of(user_data: texts.UserData, data_coding: int) -> str:
    """Return the text, or the octets as hexadecimal digits where they are no text."""
    if user_data.has_ports or data_coding == UNKNOWN_CODING:
        return user_data.body.hex()
    return texts.decode(user_data.body, data_coding)
