"""One text message through a phone, from acceptance to what the phone said became of it.

    QueueOutbound ──▶ OutboundQueued ──▶ OutboundPushed ──▶ StatusReported: sent, delivered, failed
                            │               │  ▲ again, over a newer connection of the same phone
                            │               └──┘
                            └──▶ OutboundExpired, OutboundGivenUp
    ReceiveInbound ──▶ InboundReceived;  both ──▶ PhoneMessageArchived

A push is stored before the phone gets it, so a message may reach a phone twice (it tells them apart
by their id) and never two phones. A status only ever moves forward: queued, sending, sent, then
delivered or failed. What contradicts that is kept as `StatusReportIgnored`.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal, assert_never

from signalbox.domain.errors import NotPushedToPhone, UnknownPhoneMessage
from signalbox.domain.personal import Personal

Sim = int | str
"""A slot (0-based index) or a SIM's own number, as the sender named it."""

Reported = Literal["sent", "delivered", "failed"]
Status = Literal["queued", "sending", "sent", "delivered", "failed", "received"]
"""`received` is what inbound messages are; all others are of outbound ones."""

Direction = Literal["inbound", "outbound"]

SEPARATORS: Final = " \u00a0()-./"  # what people put between the digits of a number
PREFIX: Final = "sms-"
EXPIRED: Final = "expired"
NO_CONFIRMATION: Final = "no confirmation"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueOutbound:
    """Somebody sends a text of so many `segments`; at `expires_at_s` (Unix) it is too late for it.

    `peer_digest` stands for the recipient where addresses may not be. `number` is its place among
    the owner's messages, 0 where those are not numbered.
    """

    owner: str
    to: str
    text: str
    segments: int
    expires_at_s: float
    peer_digest: str
    number: int = 0
    sim: Sim | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PushOutbound:
    """A phone's connection has room for it.

    `is_same_phone` tells that the phone is the one it was pushed to before, if it was.
    """

    phone_id: str
    connection: int
    is_same_phone: bool
    repush_s: float = 30.0
    attempts_max: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportStatus:
    """A phone said what became of it, at `at_s` (Unix); `phone_id` "" when any phone may say it.

    What was pushed to no phone yet belongs to the one that tells of it.

    Its clock is believed between what is known of the message already and now. With
    `overrides_failure` a good word after a bad one counts for a message of one segment, with
    `keeps_success` a bad word after a good one never does.
    """

    status: Reported
    at_s: float
    phone_id: str = ""
    error: str = ""
    overrides_failure: bool = False
    keeps_success: bool = False


@dataclass(frozen=True, slots=True)
class ExpireOutbound:
    """Time passes; nothing follows before the message is due."""


@dataclass(frozen=True, slots=True)
class Archive:
    """The owner is done with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveInbound:
    """A phone got a text, at `received_at_s` (Unix) by its own clock, unless that is ahead of ours.

    `device_ts_ms` is the phone's time as it came, None when it gave none.
    """

    owner: str
    sender: str
    text: str
    phone_id: str
    received_at_s: float
    peer_digest: str
    number: int = 0
    device_ts_ms: int | None = None
    sim_slot: int | None = None
    sim_number: str = ""


Command = QueueOutbound | PushOutbound | ReportStatus | ExpireOutbound | Archive | ReceiveInbound


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundQueued:
    """The gateway took on to deliver a text through a phone of the owner."""

    owner: str
    to: Personal
    text: Personal
    segments: int
    expires_at_s: float
    peer_digest: str
    number: int = 0
    sim: Sim | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundPushed:
    """The text is about to be handed to a phone's connection, for the n-th time."""

    phone_id: str
    connection: int
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReported:
    """A phone told the next status; `at_s` is when that came about (Unix)."""

    status: Reported
    at_s: float
    phone_id: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReportIgnored:
    """A phone told a status that does not follow from the `current` one."""

    status: Reported
    current: Status
    phone_id: str = ""


@dataclass(frozen=True, slots=True)
class OutboundExpired:
    """No phone confirmed it in time: it counts as failed."""


@dataclass(frozen=True, slots=True)
class OutboundGivenUp:
    """It was pushed as often as allowed and never confirmed: it counts as failed."""

    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundReceived:
    """A phone got a text."""

    owner: str
    sender: Personal
    text: Personal
    phone_id: str
    received_at_s: float
    peer_digest: str
    number: int = 0
    device_ts_ms: int | None = None
    sim_slot: int | None = None
    sim_number: str = ""


@dataclass(frozen=True, slots=True)
class PhoneMessageArchived:
    """The owner put it aside."""


Event = (
    OutboundQueued
    | OutboundPushed
    | StatusReported
    | StatusReportIgnored
    | OutboundExpired
    | OutboundGivenUp
    | InboundReceived
    | PhoneMessageArchived
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneMessage:
    """A message; `peer` is who it goes to or comes from, times are Unix seconds."""

    owner: str
    direction: Direction
    peer: str
    text: str
    peer_digest: str
    accepted_at_s: float
    status: Status
    number: int = 0
    segments: int = 1
    sim: Sim | None = None
    expires_at_s: float = float("inf")
    attempts: int = 0
    phone_id: str = ""
    connection: int = 0
    pushed_at_s: float = 0.0
    sent_at_s: float | None = None
    delivered_at_s: float | None = None
    error: str = ""
    is_guess: bool = False
    """True when it failed by our own reckoning, without a word from the phone."""
    ignored: frozenset[Reported] = frozenset()
    archived: bool = False
    received_at_s: float = 0.0
    device_ts_ms: int | None = None
    sim_slot: int | None = None
    sim_number: str = ""

    @property
    def is_open(self) -> bool:
        """True while the gateway still has to see to it that a phone sends it."""
        return self.status in {"queued", "sending"}


def decide(message: PhoneMessage | None, command: Command, at_s: float) -> tuple[Event, ...]:
    """Return the events of one command at `at_s` (Unix); none when nothing changes.

    Raises: `UnknownPhoneMessage`, `NotPushedToPhone`.
    """
    match command:
        case QueueOutbound():
            return () if message else (_queued(command),)
        case ReceiveInbound():
            return () if message else (_received(command, at_s),)
    if message is None:
        raise UnknownPhoneMessage
    match command:
        case PushOutbound():
            return _push(message, command, at_s)
        case ReportStatus():
            return _report(message, command, at_s)
        case ExpireOutbound():
            due = message.is_open and at_s >= message.expires_at_s
            return (OutboundExpired(),) if due else ()
        case Archive():
            return () if message.archived else (PhoneMessageArchived(),)
        case _:
            assert_never(command)


def evolve(  # noqa: PLR0911  one for each event
    message: PhoneMessage | None, event: Event, at_s: float
) -> PhoneMessage:
    """Apply one event that was stored at `at_s`."""
    match event:
        case OutboundQueued():
            return _outbound(event, at_s)
        case InboundReceived():
            return _inbound(event, at_s)
    assert message is not None, event
    match event:
        case OutboundPushed():
            return replace(
                message,
                status="sending",
                attempts=event.attempt,
                phone_id=event.phone_id,
                connection=event.connection,
                pushed_at_s=at_s,
            )
        case StatusReported():
            return _told(message, event)
        case StatusReportIgnored():
            return replace(message, ignored=message.ignored | {event.status})
        case OutboundExpired():
            return replace(message, status="failed", error=EXPIRED, is_guess=True)
        case OutboundGivenUp():
            return replace(message, status="failed", error=NO_CONFIRMATION, is_guess=True)
        case PhoneMessageArchived():
            return replace(message, archived=True)
        case _:
            assert_never(event)


def stream_of(owner: str, key: str) -> str:
    """Return the stream of a message; `key` has no hyphen and is unique for its owner."""
    return f"{PREFIX}{owner}-{key}"


def owner_of(stream_id: str) -> str:
    """Return whose message a stream is."""
    return stream_id.removeprefix(PREFIX).rpartition("-")[0]


def key_of(stream_id: str) -> str:
    """Return what tells a message from its owner's others."""
    return stream_id.rpartition("-")[2]


def comparable(peer: str) -> str:
    """Return what two spellings of one peer's number or name have in common."""
    return "".join(character for character in peer if character not in SEPARATORS).casefold()


def inbox_of(owner: str) -> str:
    """Return the inbox that an owner's open messages wait in."""
    return f"phones-{owner}"


def _push(message: PhoneMessage, command: PushOutbound, at_s: float) -> tuple[Event, ...]:
    if not message.is_open:
        return ()
    if at_s >= message.expires_at_s:
        return (OutboundExpired(),)
    if message.attempts:
        is_newer = command.is_same_phone and command.connection > message.connection
        if not is_newer or at_s < message.pushed_at_s + command.repush_s:
            return ()
        if message.attempts >= command.attempts_max:
            return (OutboundGivenUp(message.attempts),)
    pushed = OutboundPushed(
        phone_id=command.phone_id, connection=command.connection, attempt=message.attempts + 1
    )
    return (pushed,)


def _report(message: PhoneMessage, command: ReportStatus, at_s: float) -> tuple[Event, ...]:
    if message.direction == "inbound":
        raise UnknownPhoneMessage
    if command.phone_id and message.phone_id not in {"", command.phone_id}:
        raise NotPushedToPhone
    if command.status == message.status and not message.is_guess:
        return ()
    if _follows(message, command):
        told = StatusReported(
            status=command.status,
            at_s=_possible_s(message, command.at_s, at_s),
            phone_id=command.phone_id,
            error=command.error,
        )
        return (told,)
    if command.status in message.ignored:
        return ()
    ignored = StatusReportIgnored(
        status=command.status, current=message.status, phone_id=command.phone_id
    )
    return (ignored,)


def _follows(message: PhoneMessage, command: ReportStatus) -> bool:
    """Tell whether a report moves a message on; a part that failed spoils a long one for good."""
    match message.status:
        case "queued" | "sending":
            return True
        case "sent":
            return not (command.keeps_success and command.status == "failed")
        case "failed":
            if message.is_guess or command.overrides_failure:
                return command.status != "failed" and (message.is_guess or message.segments == 1)
            return command.status == "delivered" and message.segments == 1
        case _:
            return False


def _possible_s(message: PhoneMessage, told_s: float, now_s: float) -> float:
    """Return what a phone's clock says, as far as it can be true: not to come, nothing undone."""
    earliest_s = message.accepted_at_s if message.sent_at_s is None else message.sent_at_s
    return max(earliest_s, min(told_s, now_s))


def _told(message: PhoneMessage, event: StatusReported) -> PhoneMessage:
    message = replace(message, phone_id=message.phone_id or event.phone_id)
    if event.status == "failed":
        return replace(message, status="failed", error=event.error)
    sent_at_s = event.at_s if message.sent_at_s is None else message.sent_at_s
    told = replace(message, status=event.status, sent_at_s=sent_at_s, error="", is_guess=False)
    return replace(told, delivered_at_s=event.at_s) if event.status == "delivered" else told


def _queued(command: QueueOutbound) -> OutboundQueued:
    return OutboundQueued(
        owner=command.owner,
        to=command.to,
        text=command.text,
        segments=command.segments,
        expires_at_s=command.expires_at_s,
        peer_digest=command.peer_digest,
        number=command.number,
        sim=command.sim,
    )


def _received(command: ReceiveInbound, at_s: float) -> InboundReceived:
    return InboundReceived(
        owner=command.owner,
        sender=command.sender,
        text=command.text,
        phone_id=command.phone_id,
        received_at_s=min(command.received_at_s, at_s),
        peer_digest=command.peer_digest,
        number=command.number,
        device_ts_ms=command.device_ts_ms,
        sim_slot=command.sim_slot,
        sim_number=command.sim_number,
    )


def _outbound(event: OutboundQueued, at_s: float) -> PhoneMessage:
    return PhoneMessage(
        owner=event.owner,
        direction="outbound",
        peer=event.to,
        text=event.text,
        peer_digest=event.peer_digest,
        accepted_at_s=at_s,
        status="queued",
        number=event.number,
        segments=event.segments,
        sim=event.sim,
        expires_at_s=event.expires_at_s,
    )


def _inbound(event: InboundReceived, at_s: float) -> PhoneMessage:
    return PhoneMessage(
        owner=event.owner,
        direction="inbound",
        peer=event.sender,
        text=event.text,
        peer_digest=event.peer_digest,
        accepted_at_s=at_s,
        status="received",
        number=event.number,
        phone_id=event.phone_id,
        received_at_s=event.received_at_s,
        device_ts_ms=event.device_ts_ms,
        sim_slot=event.sim_slot,
        sim_number=event.sim_number,
    )
