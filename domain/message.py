"""One text message, from acceptance to its last receipt.

    AcceptMessage ──▶ MessageAccepted ─▶ SubmitAttempted ─▶ MessageSubmitted ─▶ ReceiptRecorded
                      └▶ MessageRerouted      ├─▶ SubmitRefused (retried, or final)
                                              └─▶ SubmitOutcomeUnknown (resent, held or failed)

A message may change its link until its first part was attempted; all its parts leave by one link.
Everything else is told per part (1-based). An attempt is an event before its PDU may leave, so a
crash leaves the same evidence as a lost connection: an attempt without an outcome.
Sources: SMPP 3.4 sections 4.4 and 5.1.3; part states after section 5.2.28.
"""

from dataclasses import dataclass, replace
from typing import Final, Self, assert_never

from signalbox.domain import text as texts
from signalbox.domain.command_status import describe, submit_policy
from signalbox.domain.errors import InvalidField, TextTooLong
from signalbox.domain.link import InDoubt, Link
from signalbox.domain.personal import Personal
from signalbox.domain.receipts import FINAL, PartStatus, Receipt, next_status

UNKNOWN_OUTCOMES_MAX: Final = 3  # an SMSC that never answers for a part gets it three times at most
REROUTES_MAX: Final = 10  # a message that found no rest in so many queues stays where it is


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptMessage:
    """An application asks for one text to go to one destination over one link.

    `requested_link_id` is the link it named when another of its pool takes the message, else 0.
    """

    app_id: int
    task_id: int
    source: str
    destination: str
    text: str
    transaction_id: str = ""
    campaign: str = ""
    request_digest: str = ""
    parts_max: int = 10
    requested_link_id: int = 0


@dataclass(frozen=True, slots=True)
class RerouteMessage:
    """The message's link can't take it now, another one of the pool can."""

    link_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class AttemptSubmit:
    """The link has room for this part now."""

    part: int
    link_id: int


@dataclass(frozen=True, slots=True)
class RecordResponse:
    """The SMSC answered: `command_status` 0 with its message id, or an error.

    `pause_s` is how long the link pauses on throttling; `age_s_max` bounds how long a part is
    retried.
    """

    part: int
    command_status: int
    smsc_id: str
    pause_s: float
    age_s_max: float


@dataclass(frozen=True, slots=True)
class RecordSilence:
    """No answer came, or the connection or the process ended first; the link's policy decides."""

    part: int
    reason: str
    in_doubt: InDoubt


@dataclass(frozen=True, slots=True)
class RecordReceipt:
    """The SMSC told what became of a part it had accepted."""

    part: int
    smsc_id: str
    status: PartStatus
    stat: str
    error_code: str
    done_date: str

    @classmethod
    def of(cls, part: int, receipt: Receipt) -> Self:
        """Make the command for a receipt as it was read."""
        return cls(
            part,
            receipt.smsc_id,
            receipt.status,
            receipt.stat,
            receipt.error_code,
            receipt.done_date,
        )


Command = RerouteMessage | AttemptSubmit | RecordResponse | RecordSilence | RecordReceipt


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageAccepted:
    """An application's text was accepted and waits for its link.

    `link_id` is the link that was asked for; `carrier_id`, when it is not 0, the one of its pool
    that took the message.
    """

    link_id: int
    app_id: int
    task_id: int
    source: Personal
    destination: Personal
    text: Personal
    encoding: texts.Encoding
    long_mode: texts.LongMode
    parts: int
    transaction_id: str = ""
    campaign: str = ""
    request_digest: str = ""
    carrier_id: int = 0

    @property
    def first_link_id(self) -> int:
        """The link in whose queue the message began."""
        return self.carrier_id or self.link_id


@dataclass(frozen=True, slots=True)
class MessageRerouted:
    """A message none of whose parts had left went over to another link of its pool."""

    link_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class SubmitAttempted:
    """A part may have left for the SMSC from now on."""

    part: int
    attempt: int
    link_id: int


@dataclass(frozen=True, slots=True)
class MessageSubmitted:
    """The SMSC accepted a part under its own id."""

    part: int
    smsc_id: str
    link_id: int


@dataclass(frozen=True, slots=True)
class SubmitRefused:
    """The SMSC refused a part; `retry_in_s` is None when that is final."""

    part: int
    command_status: int
    error: str
    retry_in_s: float | None


@dataclass(frozen=True, slots=True)
class SubmitOutcomeUnknown:
    """A part may or may not have reached the SMSC; `resolution` is what is done about it."""

    part: int
    reason: str
    resolution: InDoubt


@dataclass(frozen=True, slots=True)
class ReceiptRecorded:
    """A receipt told what became of a part."""

    part: int
    smsc_id: str
    status: PartStatus
    stat: str
    error_code: str
    done_date: str


PartEvent = (
    SubmitAttempted | MessageSubmitted | SubmitRefused | SubmitOutcomeUnknown | ReceiptRecorded
)
Event = MessageAccepted | MessageRerouted | PartEvent


@dataclass(frozen=True, slots=True)
class Part:
    """One part: `in_flight` between an attempt and its outcome, `retry_at_s` while it must wait."""

    status: PartStatus = "pending"
    in_flight: bool = False
    attempts: int = 0
    refusals: int = 0
    unknown_outcomes: int = 0
    first_refused_at_s: float = 0.0
    retry_at_s: float = 0.0
    smsc_id: str = ""
    error: str = ""
    reported: frozenset[PartStatus] = frozenset()

    @property
    def waits_for_submit(self) -> bool:
        """True while a PDU has yet to leave for this part."""
        return self.status == "pending" and not self.in_flight

    @property
    def needs_work(self) -> bool:
        """True until the SMSC accepted the part or it failed."""
        return self.status == "pending"


@dataclass(frozen=True, slots=True)
class Message:
    """What later decisions read: the parts, and which link carries them."""

    link_id: int
    parts: tuple[Part, ...]
    reroutes: int = 0

    def part(self, number: int) -> Part:
        """Return part `number` (1-based)."""
        return self.parts[number - 1]

    @property
    def needs_work(self) -> bool:
        """True until every part was accepted by the SMSC or failed."""
        return any(part.needs_work for part in self.parts)

    @property
    def may_move(self) -> bool:
        """True while no part was ever attempted, and it has not been moved too often."""
        untouched = all(part.needs_work and not part.attempts for part in self.parts)
        return untouched and self.reroutes < REROUTES_MAX


def stream_of(message_id: str) -> str:
    """Name a message's stream."""
    return f"message-{message_id}"


def id_of(stream_id: str) -> str:
    """Return the message id a stream name holds."""
    return stream_id.removeprefix("message-")


def accept(link: Link, command: AcceptMessage) -> tuple[MessageAccepted]:
    """Decide on a new message.

    Raises: `LinkIsDisabled`, `InvalidField` (nothing to send), `TextTooLong`.
    """
    link.require_enabled()
    spec = link.spec
    assert spec is not None, link
    if not command.text:
        raise InvalidField("message", "empty")
    encoding = texts.choose_encoding(command.text, spec.default_alphabet)
    parts = texts.count_parts(command.text, encoding, spec.long_mode)
    if parts > command.parts_max:
        raise TextTooLong(parts, command.parts_max)
    requested_id = command.requested_link_id or link.link_id
    accepted = MessageAccepted(
        link_id=requested_id,
        app_id=command.app_id,
        task_id=command.task_id,
        source=command.source,
        destination=command.destination,
        text=command.text,
        encoding=encoding,
        long_mode=spec.long_mode,
        parts=parts,
        transaction_id=command.transaction_id,
        campaign=command.campaign,
        request_digest=command.request_digest,
        carrier_id=0 if requested_id == link.link_id else link.link_id,
    )
    return (accepted,)


def decide(message: Message, command: Command, now_s: float) -> tuple[Event, ...]:
    """Return the events of one command on an accepted message; nothing when it changes nothing."""
    match command:
        case RerouteMessage(link_id, reason):
            moves = message.may_move and link_id != message.link_id
            return (MessageRerouted(link_id, reason),) if moves else ()
        case AttemptSubmit(number, link_id):
            part = message.part(number)
            if not part.waits_for_submit or part.retry_at_s > now_s:
                return ()
            return (SubmitAttempted(number, part.attempts + 1, link_id),)
        case RecordResponse():
            return _respond(message, command, now_s)
        case RecordSilence():
            return _doubt(message, command)
        case RecordReceipt():
            return _receive(message, command)
        case _:
            assert_never(command)


def evolve(message: Message | None, event: Event, at_s: float) -> Message:
    """Apply one event that happened at `at_s` (Unix seconds)."""
    if isinstance(event, MessageAccepted):
        return Message(event.first_link_id, (Part(),) * event.parts)
    assert message is not None, event
    if isinstance(event, MessageRerouted):
        return replace(message, link_id=event.link_id, reroutes=message.reroutes + 1)
    part = message.part(event.part)
    match event:
        case SubmitAttempted(attempt=attempt):
            part = replace(part, in_flight=True, attempts=attempt, retry_at_s=0.0)
        case MessageSubmitted(smsc_id=smsc_id):
            part = replace(
                part,
                in_flight=False,
                status="submitted" if part.status in _UNSETTLED else part.status,
                smsc_id=smsc_id,
                error="",
            )
        case SubmitRefused():
            part = _refused(part, event, at_s)
        case SubmitOutcomeUnknown(reason=reason, resolution=resolution):
            status: PartStatus = _RESOLVED[resolution]
            part = replace(
                part,
                in_flight=False,
                status=status,
                unknown_outcomes=part.unknown_outcomes + 1,
                error="" if status == "pending" else reason,
            )
        case ReceiptRecorded(status=status):
            part = replace(
                part,
                in_flight=False,
                status=next_status(part.status, status),
                reported=part.reported | {status},
            )
        case _:
            assert_never(event)
    parts = (*message.parts[: event.part - 1], part, *message.parts[event.part :])
    return replace(message, parts=parts)


_UNSETTLED: Final = frozenset({"pending", "unknown", "failed"})  # a late answer settles these
_RESOLVED: Final[dict[InDoubt, PartStatus]] = {
    "resend": "pending",
    "hold": "unknown",
    "fail": "failed",
}


def message_status(parts: tuple[PartStatus, ...]) -> str:
    """Sum part states up to the one word a caller reads.

    queued, sending, submitted, delivered, partially_delivered, or the worst final state of the
    parts.
    """
    kinds = set(parts)
    if kinds == {"pending"}:
        return "queued"
    if kinds == {"delivered"}:
        return "delivered"
    if kinds <= FINAL:
        return "partially_delivered" if "delivered" in kinds else _worst(kinds)
    if kinds <= _AT_THE_SMSC:
        return "submitted"
    return "unknown" if kinds == {"unknown"} else "sending"


_AT_THE_SMSC: Final = frozenset({"submitted", "enroute", "accepted"})
_WORST_FIRST: Final = ("failed", "rejected", "undeliverable", "deleted", "expired")


def _worst(kinds: set[PartStatus]) -> str:
    return next(kind for kind in _WORST_FIRST if kind in kinds)


def _respond(message: Message, command: RecordResponse, now_s: float) -> tuple[Event, ...]:
    part = message.part(command.part)
    policy = submit_policy(command.command_status)
    if policy.kind == "accepted":
        if part.smsc_id == command.smsc_id and not part.needs_work:
            return ()  # The answer came twice.
        return (MessageSubmitted(command.part, command.smsc_id, message.link_id),)
    if not part.in_flight:
        return ()  # A late refusal of an attempt that was already given up changes nothing.
    refused_since_s = part.first_refused_at_s or now_s
    if policy.kind == "throttle":
        retry_in_s: float | None = command.pause_s
    elif policy.kind == "session":
        retry_in_s = 0.0 if part.refusals + 1 < UNKNOWN_OUTCOMES_MAX else None
    elif policy.kind == "transient" and part.refusals + 1 < policy.attempts_max:
        retry_in_s = policy.retry_delay_s
    else:
        retry_in_s = None
    if now_s - refused_since_s > command.age_s_max:
        retry_in_s = None
    error = describe(command.command_status)
    return (SubmitRefused(command.part, command.command_status, error, retry_in_s),)


def _doubt(message: Message, command: RecordSilence) -> tuple[Event, ...]:
    part = message.part(command.part)
    if not part.in_flight:
        return ()
    exhausted = part.unknown_outcomes + 1 >= UNKNOWN_OUTCOMES_MAX
    resolution: InDoubt = "hold" if command.in_doubt == "resend" and exhausted else command.in_doubt
    return (SubmitOutcomeUnknown(command.part, command.reason, resolution),)


def _receive(message: Message, command: RecordReceipt) -> tuple[Event, ...]:
    part = message.part(command.part)
    if command.status in part.reported:
        return ()  # The same receipt again: the SMSC repeats until it is answered.
    recorded = ReceiptRecorded(
        command.part,
        command.smsc_id,
        command.status,
        command.stat,
        command.error_code,
        command.done_date,
    )
    return (recorded,)


def _refused(part: Part, event: SubmitRefused, at_s: float) -> Part:
    retried = event.retry_in_s is not None
    throttled = submit_policy(event.command_status).kind == "throttle"
    return replace(
        part,
        in_flight=False,
        status=part.status if retried else "failed",
        refusals=part.refusals + (0 if throttled else 1),
        first_refused_at_s=part.first_refused_at_s or at_s,
        retry_at_s=at_s + (event.retry_in_s or 0.0),
        error=event.error,
    )
