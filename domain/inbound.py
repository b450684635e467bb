"""What an SMSC delivers to us: messages from handsets, and receipts that match nothing yet.

`ReceivePart` ──▶ `MoPartReceived` (… ──▶ `MoReceived` once whole or given up), stream `mo-<id>`.
`ReceiptUnmatched` waits in `receipt-<id>` until its message is known (`ReceiptMatched`) or it is
too late (`ReceiptAbandoned`). Every one is stored before the SMSC gets its deliver_sm_resp.
"""

from dataclasses import dataclass, field, replace
from typing import assert_never

from signalbox.domain.personal import Personal
from signalbox.domain.receipts import PartStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivePart:
    """The SMSC delivered one part (1-based `number` of `total`) from a handset."""

    link_id: int
    source: str
    destination: str
    text: str
    number: int = 1
    total: int = 1


@dataclass(frozen=True, slots=True)
class CloseIncomplete:
    """The missing parts are not waited for any longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoPartReceived:
    """One part of a text from a handset arrived."""

    link_id: int
    source: Personal
    destination: Personal
    text: Personal
    number: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MoReceived:
    """A text from a handset is whole, or was given up with `parts_missing`."""

    link_id: int
    source: Personal
    destination: Personal
    text: Personal
    parts: int
    parts_missing: int = 0


@dataclass(frozen=True, slots=True)
class ReceiptUnmatched:
    """A receipt came for an id that no part is known by, yet."""

    link_id: int
    account: str
    smsc_id: str
    status: PartStatus
    stat: str
    error_code: str
    done_date: str


@dataclass(frozen=True, slots=True)
class ReceiptMatched:
    """The part a waiting receipt belongs to was found."""

    message_id: str
    part: int


@dataclass(frozen=True, slots=True)
class ReceiptAbandoned:
    """No part turned up for the receipt in time."""

    waited_s: float


MoEvent = MoPartReceived | MoReceived
ReceiptEvent = ReceiptUnmatched | ReceiptMatched | ReceiptAbandoned


@dataclass(frozen=True, slots=True)
class MoMessage:
    """The parts so far, by number."""

    link_id: int = 0
    source: str = ""
    destination: str = ""
    total: int = 0
    texts: dict[int, str] = field(default_factory=dict)
    closed: bool = False

    def may_hold(self, part: ReceivePart) -> bool:
        """True when the part is missing here, or came before; empty ones are yet to begin."""
        if part.number in self.texts:
            return self.texts[part.number] == part.text
        return bool(self.texts) and not self.closed


def decide(mo: MoMessage, command: ReceivePart | CloseIncomplete) -> tuple[MoEvent, ...]:
    """Return the events of one command; nothing for a part that came before."""
    match command:
        case ReceivePart():
            if mo.closed or command.number in mo.texts:
                return ()
            part = MoPartReceived(
                link_id=command.link_id,
                source=command.source,
                destination=command.destination,
                text=command.text,
                number=command.number,
                total=command.total,
            )
            now = evolve(mo, part)
            return (part, _whole(now)) if len(now.texts) == now.total else (part,)
        case CloseIncomplete():
            return () if mo.closed or not mo.texts else (_whole(mo),)
        case _:
            assert_never(command)


def evolve(mo: MoMessage, event: MoEvent) -> MoMessage:
    """Apply one event."""
    match event:
        case MoPartReceived():
            return replace(
                mo,
                link_id=event.link_id,
                source=event.source,
                destination=event.destination,
                total=event.total,
                texts={**mo.texts, event.number: event.text},
            )
        case MoReceived():
            return replace(mo, closed=True)
        case _:
            assert_never(event)


def _whole(mo: MoMessage) -> MoReceived:
    return MoReceived(
        link_id=mo.link_id,
        source=mo.source,
        destination=mo.destination,
        text="".join(mo.texts[number] for number in sorted(mo.texts)),
        parts=mo.total,
        parts_missing=mo.total - len(mo.texts),
    )
