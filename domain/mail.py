"""One mail of a tenant, from the call that queued it to its last receipt.

    QueueMail ──▶ MailQueued ──▶ MailAttempted ──▶ MailSent ──▶ MailBounced, PecReceiptRecorded
                   │     ▲              │ ├──▶ MailFailed
    MailReplaced ◀─┘     │              │ ├──▶ MailInDoubt (resent, or held and failed)
                         │              │ └──▶ MailPartlySent (to the others again)
                         └─ MailDeferred ◀┘        a retry, or no attempt at all: limits, warm-up
    RejectMail ──▶ MailRejected                    DeleteMail ──▶ MailDeleted

The stream is `mail-<pk>`, and the pk depends on the tenant and the id its client gave: so the id is
unique, and whoever queues it again finds what became of it. What is queued again while it waits
replaces what waited. What was deleted or rejected may come again and begins anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, assert_never

from signalbox.domain.personal import Personal, Private
from signalbox.domain.tenant_config import InDoubt

STREAM_PREFIX: Final = "mail-"
PRIORITIES: Final = range(4)  # 0 is immediate, 3 is low
PRIORITY_DEFAULT: Final = 2
NO_ACCOUNT: Final = "account not found for tenant"
RETRY_DELAYS_S: Final = (60.0, 300.0, 900.0, 3_600.0, 7_200.0)
"""How long a mail waits after each temporary failure; one more is its last."""

Status = Literal["pending", "deferred", "sent", "error", "deleted"]
BounceKind = Literal["hard", "soft"]
PecReceipt = Literal["pec_acceptance", "pec_delivery", "pec_error"]
Deletion = Literal["asked", "cleanup"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What warm-up granted to the recipients of one grouping, on one day ("yyyy-mm-dd").

    `repeats` are recipients that were counted on that day before.
    """

    grouping: str
    date: str
    recipients: int
    repeats: int = 0
    reservation_id: str = ""
    over_target: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueMail:
    """A client hands a mail over; `content` is JSON. It is not to leave before `deferred_until_s`.

    Times are Unix seconds, here and below; 0: at once.
    """

    tenant_id: str
    client_id: str
    account_id: str
    content: str
    priority: int = PRIORITY_DEFAULT
    batch_code: str = ""
    deferred_until_s: float = 0.0
    is_pec: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectMail:
    """A client hands over what can't be a mail: it is kept as one that failed."""

    tenant_id: str
    client_id: str
    account_id: str
    content: str
    reason: str
    priority: int = PRIORITY_DEFAULT
    batch_code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptMail:
    """The mail is about to leave, from an address if one was chosen."""

    source_ip: str = ""
    shares: tuple[Share, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordDelivery:
    """The server took it, but for `refused` of its recipients not at all, for `remaining` not yet.

    `refusals` says whom it didn't take it for (JSON); `remaining` are places in the envelope, and
    `remaining_reply` the server's code for one of those and its words.
    """

    code: int
    response: str
    refused: int = 0
    refusals: str = ""
    remaining: tuple[int, ...] = ()
    remaining_reply: tuple[int, str] = (0, "")
    delays_s: tuple[float, ...] = RETRY_DELAYS_S


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordTrouble:
    """The server did not take it, or wasn't there: it may do so later. `code` 0: no answer.

    `released`: no server was told of its recipients, so warm-up doesn't count them.
    """

    code: int
    reason: str
    delays_s: tuple[float, ...] = RETRY_DELAYS_S
    released: bool = False


@dataclass(frozen=True, slots=True)
class FailMail:
    """It won't be sent, whoever tries again."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordDoubt:
    """Nobody knows whether the attempt sent it; `delay_s` is how long it waits to be resent."""

    in_doubt: InDoubt
    reason: str
    delay_s: float = 0.0
    doubts_max: int = len(RETRY_DELAYS_S)


@dataclass(frozen=True, slots=True)
class DeferMail:
    """It may not leave before then; that costs no retry."""

    until_s: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordBounce:
    """The mail came back, from that recipient if anybody said so."""

    kind: BounceKind
    code: str
    reason: str
    recipient: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPecReceipt:
    """A receipt of certified mail came."""

    kind: PecReceipt
    details: str = ""


@dataclass(frozen=True, slots=True)
class MissPecAcceptance:
    """No receipt of certified mail came in time: it was none."""


@dataclass(frozen=True, slots=True)
class DeleteMail:
    """It is wanted no more; if `if_settled` only in case it waits no more."""

    why: Deletion = "asked"
    if_settled: bool = False


Command = (
    QueueMail
    | RejectMail
    | AttemptMail
    | RecordDelivery
    | RecordTrouble
    | FailMail
    | RecordDoubt
    | DeferMail
    | RecordBounce
    | RecordPecReceipt
    | MissPecAcceptance
    | DeleteMail
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailQueued:
    """A client handed a mail over, and it waits to leave."""

    tenant_id: str
    client_id: str
    account_id: str
    content: Personal
    priority: int = PRIORITY_DEFAULT
    batch_code: str = ""
    deferred_until_s: float = 0.0
    is_pec: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MailReplaced:
    """The client handed it over again while it waited: this one counts, and begins anew."""

    tenant_id: str
    client_id: str
    account_id: str
    content: Personal
    priority: int = PRIORITY_DEFAULT
    batch_code: str = ""
    deferred_until_s: float = 0.0
    is_pec: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MailRejected:
    """What a client handed over can't be a mail; it failed without an attempt."""

    tenant_id: str
    client_id: str
    account_id: str
    content: Personal
    reason: Private
    priority: int = PRIORITY_DEFAULT
    batch_code: str = ""


@dataclass(frozen=True, slots=True)
class MailAttempted:
    """The mail leaves now, for the `attempt`-th time; `shares` are what warm-up counts for it."""

    attempt: int
    source_ip: str = ""
    shares: tuple[Share, ...] = ()


@dataclass(frozen=True, slots=True)
class MailSent:
    """The server took it; `refused_recipients` of its recipients it did not (`refusals`, JSON)."""

    code: int
    response: Private
    refused_recipients: int = 0
    refusals: Personal = ""


@dataclass(frozen=True, slots=True)
class MailPartlySent:
    """The server took it for some; those at the places `remaining` of the envelope may follow.

    The rest as in `MailSent`: `refused_recipients` are those that it won't be sent to again.
    """

    code: int
    response: Private
    remaining: tuple[int, ...]
    refused_recipients: int = 0
    refusals: Personal = ""


@dataclass(frozen=True, slots=True)
class MailDeferred:
    """It waits until then; `retry` tells a failed attempt from a limit that is no failure.

    `released`: warm-up doesn't count the attempt before it.
    """

    until_s: float
    reason: Private
    retry: bool = False
    code: int = 0
    released: bool = True


@dataclass(frozen=True, slots=True)
class MailFailed:
    """It won't be sent; `code` is the server's, 0 if it was none of its."""

    code: int
    reason: Private


@dataclass(frozen=True, slots=True)
class MailInDoubt:
    """Nobody knows whether that attempt sent it. What is held is over (the next event)."""

    attempt: int
    resolution: InDoubt
    reason: Private = ""


@dataclass(frozen=True, slots=True)
class MailBounced:
    """It came back after it was sent, from that recipient if anybody said so."""

    kind: BounceKind
    code: str
    reason: Private
    recipient: Personal = ""


@dataclass(frozen=True, slots=True)
class PecReceiptRecorded:
    """Certified mail was accepted, delivered, or not."""

    kind: PecReceipt
    details: Private = ""


@dataclass(frozen=True, slots=True)
class PecAcceptanceMissed:
    """No receipt came in time: the mail went as an ordinary one."""


@dataclass(frozen=True, slots=True)
class MailDeleted:
    """Nobody wants to know of it any more."""

    why: Deletion = "asked"


Event = (
    MailQueued
    | MailReplaced
    | MailRejected
    | MailAttempted
    | MailSent
    | MailPartlySent
    | MailDeferred
    | MailFailed
    | MailInDoubt
    | MailBounced
    | PecReceiptRecorded
    | PecAcceptanceMissed
    | MailDeleted
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A mail as far as it got. Its content is in the event that queued it, not here.

    `retries` counts temporary failures, `doubts` attempts without an outcome. `counted` is how many
    recipients warm-up has counted, by address, grouping and date. `remaining` are the recipients it
    is for, by their places in the envelope, when others have it; else it is for all.
    """

    tenant_id: str
    client_id: str
    account_id: str
    priority: int
    batch_code: str
    is_pec: bool
    status: Status
    queued_at_s: float
    deferred_until_s: float = 0.0
    attempts: int = 0
    retries: int = 0
    doubts: int = 0
    in_flight: bool = False
    source_ip: str = ""
    shares: tuple[Share, ...] = ()
    counted: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    sent_at_s: float = 0.0
    error_at_s: float = 0.0
    error: str = ""
    rejected: bool = False
    refused_recipients: int = 0
    remaining: tuple[int, ...] = ()
    bounced: BounceKind | None = None
    pec: frozenset[str] = frozenset()

    @property
    def is_open(self) -> bool:
        """True while it waits to be sent, or is being sent."""
        return self.status in {"pending", "deferred"}

    @property
    def may_come_again(self) -> bool:
        """True when its client may hand it over under the same id."""
        waits = self.is_open and not self.in_flight and not self.remaining
        return self.status == "deleted" or self.rejected or waits


def decide(  # noqa: C901, PLR0911  the table of commands
    mail: Mail | None, command: Command, now_s: float
) -> tuple[Event, ...]:
    """Return what happens now (Unix seconds); nothing when the mail is past it, or there is none.

    To a mail that was sent already, or is being sent, queueing changes nothing.
    """
    match command:
        case QueueMail():
            return _queue(mail, command)
        case RejectMail():
            return _reject(mail, command)
    if mail is None or mail.status == "deleted":
        return ()
    match command:
        case AttemptMail(source_ip=source_ip, shares=shares):
            may_leave = mail.is_open and not mail.in_flight
            return (MailAttempted(mail.attempts + 1, source_ip, shares),) if may_leave else ()
        case DeferMail(until_s=until_s, reason=reason):
            return (MailDeferred(until_s, reason),) if mail.is_open else ()
        case FailMail(code=code, reason=reason):
            return (_given_up(mail, code, reason),) if mail.is_open else ()
        case RecordDelivery() | RecordTrouble() | RecordDoubt():
            return _settle(mail, command, now_s) if mail.in_flight else ()
        case RecordBounce(kind=kind, code=code, reason=reason, recipient=recipient):
            bounced = MailBounced(kind, code, reason, recipient)
            return (bounced,) if _may_bounce(mail, kind) else ()
        case RecordPecReceipt(kind=kind, details=details):
            return (PecReceiptRecorded(kind, details),) if kind not in mail.pec else ()
        case MissPecAcceptance():
            return (PecAcceptanceMissed(),) if mail.is_pec and not mail.pec else ()
        case DeleteMail(why, if_settled):
            return (MailDeleted(why),) if not (if_settled and mail.is_open) else ()
        case _:
            assert_never(command)


def evolve(  # noqa: C901, PLR0911  the table of events
    mail: Mail | None, event: Event, at_s: float
) -> Mail:
    """Apply one event that happened at `at_s` (Unix)."""
    match event:
        case MailQueued() | MailReplaced() | MailRejected():
            return _begun(event, at_s)
    assert mail is not None, event
    match event:
        case MailAttempted(attempt, source_ip, shares):
            return replace(
                mail, attempts=attempt, in_flight=True, source_ip=source_ip, shares=shares
            )
        case MailSent(refused_recipients=refused):
            sent = replace(_counted(mail), status="sent", sent_at_s=at_s, deferred_until_s=0.0)
            return replace(sent, refused_recipients=refused, remaining=())
        case MailPartlySent(remaining=remaining, refused_recipients=refused):
            refused += mail.refused_recipients
            # Somebody got it, so the patience with the others begins anew.
            return replace(
                _counted(mail), remaining=remaining, refused_recipients=refused, retries=0
            )
        case MailDeferred(until_s, retry=retry, released=released):
            waiting = replace(mail, in_flight=False, shares=()) if released else _counted(mail)
            retries = mail.retries + retry
            return replace(waiting, status="deferred", deferred_until_s=until_s, retries=retries)
        case MailFailed(reason=reason):
            failed = replace(_counted(mail), status="error", error=reason, error_at_s=at_s)
            return replace(failed, deferred_until_s=0.0)
        case MailInDoubt():
            doubtful = replace(_counted(mail), status="pending", deferred_until_s=0.0)
            return replace(doubtful, doubts=mail.doubts + 1)
        case MailBounced(kind):
            return replace(mail, bounced=kind)
        case PecReceiptRecorded(kind):
            return replace(mail, pec=mail.pec | {kind})
        case PecAcceptanceMissed():
            return replace(mail, is_pec=False)
        case MailDeleted():
            return replace(mail, status="deleted", in_flight=False)
        case _:
            assert_never(event)


def is_good(code: int) -> bool:
    """Tell whether a server's code says that it took a mail (RFC 5321, 4.2.1)."""
    return code // 100 == 2  # noqa: PLR2004  positive completion


def stream_of(pk: str) -> str:
    """Return the stream of a mail."""
    return f"{STREAM_PREFIX}{pk}"


def pk_of(stream_id: str) -> str:
    """Return the key that a stream's name holds."""
    return stream_id.removeprefix(STREAM_PREFIX)


def _queue(mail: Mail | None, command: QueueMail) -> tuple[Event, ...]:
    if mail is not None and not mail.may_come_again:
        return ()
    kind = MailReplaced if mail is not None and mail.is_open else MailQueued
    return (
        kind(
            tenant_id=command.tenant_id,
            client_id=command.client_id,
            account_id=command.account_id,
            content=command.content,
            priority=min(max(command.priority, PRIORITIES[0]), PRIORITIES[-1]),
            batch_code=command.batch_code,
            deferred_until_s=command.deferred_until_s,
            is_pec=command.is_pec,
        ),
    )


def _reject(mail: Mail | None, command: RejectMail) -> tuple[Event, ...]:
    """What can't be a mail takes no place that another has."""
    if mail is not None and mail.status != "deleted":
        return ()
    return (
        MailRejected(
            tenant_id=command.tenant_id,
            client_id=command.client_id,
            account_id=command.account_id,
            content=command.content,
            reason=command.reason,
            priority=command.priority,
            batch_code=command.batch_code,
        ),
    )


def _settle(
    mail: Mail, command: RecordDelivery | RecordTrouble | RecordDoubt, now_s: float
) -> tuple[Event, ...]:
    """Return what an attempt comes to."""
    match command:
        case RecordDelivery():
            return _deliver(mail, command, now_s)
        case RecordTrouble(code=code, reason=reason, delays_s=delays_s):
            if mail.retries >= len(delays_s):
                reason = f"Max retries ({len(delays_s)}) exceeded: {reason}"
                return (_given_up(mail, code, reason),)
            until_s, released = now_s + delays_s[mail.retries], command.released
            return (MailDeferred(until_s, reason, retry=True, code=code, released=released),)
        case RecordDoubt():
            return _doubt(mail, command, now_s)
        case _:
            assert_never(command)


def _deliver(mail: Mail, command: RecordDelivery, now_s: float) -> tuple[Event, ...]:
    """Whoever may have it later gets it later, however often only some of them do."""
    code, response, refused = command.code, command.response, command.refused
    remaining, refusals = command.remaining, command.refusals
    if not (remaining and command.delays_s):
        refused += mail.refused_recipients + len(remaining)
        return (MailSent(code, response, refused, refusals),)
    reply_code, reason = command.remaining_reply
    until_s = now_s + command.delays_s[0]
    return (
        MailPartlySent(code, response, remaining, refused, refusals),
        MailDeferred(until_s, reason, retry=True, code=reply_code, released=False),
    )


def _given_up(mail: Mail, code: int, reason: str) -> Event:
    """Nobody will get it any more: it failed, unless some have it."""
    if mail.remaining:
        return MailSent(code, reason, mail.refused_recipients + len(mail.remaining))
    return MailFailed(code, reason)


def _doubt(mail: Mail, command: RecordDoubt, now_s: float) -> tuple[Event, ...]:
    """Resend, unless the tenant wants none of that, or it was in vain too often."""
    reason = command.reason
    if command.in_doubt == "hold" or mail.doubts >= command.doubts_max:
        doubt = MailInDoubt(mail.attempts, "hold", reason)
        return doubt, _given_up(mail, 0, f"Delivery in doubt, not sent again: {reason}")
    doubt = MailInDoubt(mail.attempts, "resend", reason)
    if not command.delay_s:
        return (doubt,)
    return doubt, MailDeferred(now_s + command.delay_s, reason)


def _may_bounce(mail: Mail, kind: BounceKind) -> bool:
    """A mail that left may come back once for good, and once before that for the time being."""
    news = {None: True, "soft": kind == "hard", "hard": False}
    return mail.attempts > 0 and news[mail.bounced]


def _begun(event: MailQueued | MailReplaced | MailRejected, at_s: float) -> Mail:
    rejected = isinstance(event, MailRejected)
    until_s = 0.0 if isinstance(event, MailRejected) else event.deferred_until_s
    return Mail(
        tenant_id=event.tenant_id,
        client_id=event.client_id,
        account_id=event.account_id,
        priority=event.priority,
        batch_code=event.batch_code,
        is_pec=not isinstance(event, MailRejected) and event.is_pec,
        status="error" if rejected else "deferred" if until_s > at_s else "pending",
        queued_at_s=at_s,
        deferred_until_s=until_s,
        error_at_s=at_s if rejected else 0.0,
        error=event.reason if isinstance(event, MailRejected) else "",
        rejected=rejected,
    )


def _counted(mail: Mail) -> Mail:
    """Note whom warm-up has counted, now that the attempt is over."""
    counted = dict(mail.counted)
    for share in mail.shares:
        key = (mail.source_ip, share.grouping, share.date)
        counted[key] = max(counted.get(key, 0), share.recipients + share.repeats)
    return replace(mail, in_flight=False, shares=(), counted=counted)
