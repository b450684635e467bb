"""What a mail dispatcher is told, and what it is made with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gevent.event import AsyncResult
    from gevent.event import Event as Flag

    from signalbox.actors.mail_changes import Flight, MailChanges
    from signalbox.actors.mail_slots import Slots
    from signalbox.actors.mail_warmth import Cold, Warm, Warmth
    from signalbox.actors.tenants import Tenants
    from signalbox.actors.transports.smtp.job import MailTransport, SmtpOutcome
    from signalbox.domain.tenant import Event
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchLimits:
    """How much is sent at once, in hand, and how long after a failure it is tried again.

    `page_mails` are in hand of one tenant, about.
    """

    in_flight_per_account_max: int = 10
    in_flight_max: int = 100
    retry_delays_s: tuple[float, ...] = (60.0, 300.0, 900.0, 3_600.0, 7_200.0)
    page_mails: int = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What all dispatchers of a process share."""

    log: EventLog
    journal: Journal
    tenants: Tenants
    transport: MailTransport
    warmth: Warmth | None
    limits: DispatchLimits
    slots: Slots
    ended: Callable[[str], None]
    """Called with the tenant of a dispatcher that has nothing left to do, before it stops."""


@dataclass(frozen=True, slots=True)
class News:
    """The inbox has rows up to this one; None: look."""

    seq: int | None = None


@dataclass(frozen=True, slots=True)
class Pump:
    """See what may go now."""


@dataclass(frozen=True, slots=True)
class Changed:
    """Something about the tenant is different."""

    event: Event


@dataclass(frozen=True, slots=True)
class Judged:
    """The warm-up gate has answered; None: it could not be asked."""

    flight: Flight
    answer: Warm | Cold | None


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What was allowed before, isn't now; nothing left."""

    flight: Flight
    reason: str


@dataclass(frozen=True, slots=True)
class Stored:
    """An append has its result."""

    changes: MailChanges
    result: AsyncResult


@dataclass(frozen=True, slots=True, eq=False)
class Stale:
    """These are not stored, and won't be as they are."""

    changes: MailChanges


@dataclass(frozen=True, slots=True)
class Told:
    """The transport says what became of a mail."""

    outcome: SmtpOutcome


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a mail came to was stored after all, or need not be."""

    flight: Flight


@dataclass(frozen=True, slots=True)
class Stop:
    """Send nothing more; set the flag when all that was sent is over and stored."""

    done: Flag
