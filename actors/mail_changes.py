"""What one append of a mail dispatcher will hold, applied to the mails in hand already."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from signalbox.actors.mail_series import labels_of
from signalbox.actors.mail_streams import HELD, row_of
from signalbox.actors.mail_trouble import kind_of, server_of
from signalbox.domain import mail as domain
from signalbox.domain import tenant as tenants
from signalbox.eventstore import metrics
from signalbox.eventstore.journal import Append, Write
from signalbox.eventstore.recorder import InboxRow

if TYPE_CHECKING:
    from signalbox.actors.mail_feeder import Tracked
    from signalbox.actors.mail_warmth import Warm
    from signalbox.domain.mail_account import MailAccount
    from signalbox.domain.tenant import Tenant
    from signalbox.eventstore.recorder import Fence

log = logging.getLogger(__name__)

BY = "gateway"

Stage = Literal["asking", "storing", "flying", "over"]


@dataclass(slots=True, eq=False)
class Flight:
    """A mail that left the lanes: asked for, about to be attempted, being sent, or over.

    `command` is what it came to; with `has_slot` it counts among those that are sent at once.
    `newer` is its mail by another row, that was read meanwhile and passed over.
    """

    tracked: Tracked
    stage: Stage = "over"
    account: MailAccount | None = None
    warm: Warm | None = None
    command: domain.Command | None = None
    has_slot: bool = False
    is_held: bool = False
    newer: Tracked | None = None


class MailChanges:
    """Collects events and rows, and the flights that wait for them to be stored."""

    def __init__(self) -> None:
        self._writes: dict[str, Write] = {}
        self.flights: list[Flight] = []
        self.taken: list[int] = []
        self.usage: Counter[str] = Counter()
        self._done: list[str] = []
        self._inbox: list[InboxRow] = []

    def __len__(self) -> int:
        return len(self._writes) + len(self.taken)

    def decide(
        self, flight: Flight, command: domain.Command, now_s: float
    ) -> tuple[domain.Event, ...]:
        """Decide, apply, and keep what is to be stored; nothing when nothing changes."""
        tracked = flight.tracked
        events = domain.decide(tracked.mail, command, now_s)
        if events:
            write = Write(tracked.stream_id, tracked.version + 1, events, tracked.data_key)
            self._writes[tracked.stream_id] = write
            tracked.evolve(events, now_s)
            self._place(tracked, events, now_s)
            self.flights.append(flight)
        return events

    def hold(self, flight: Flight) -> None:
        """Have a mail wait for its batch."""
        tracked = flight.tracked
        mail = tracked.mail
        actor_id, kind = tenants.stream_of(mail.tenant_id), f"{HELD}{mail.account_id}"
        self.taken.append(tracked.seq)
        self._inbox.append(InboxRow(actor_id, kind, tracked.stream_id))
        self.flights.append(flight)

    def append(self, fence: Fence, usage: list[Write]) -> Append:
        """Return it all, to be written together."""
        return Append(
            writes=[*self._writes.values(), *usage],
            by=BY,
            fence=fence,
            inbox=self._inbox,
            done=self._done,
            taken=self.taken,
        )

    def without(self, data_key: str) -> tuple[MailChanges, MailChanges]:
        """Return what is left once that key is gone: rows of its mails that go, and the others.

        The others are to be decided anew; they tell no more than which mails and accounts.
        """
        gone, others = MailChanges(), MailChanges()
        for flight in self.flights:
            (gone if flight.tracked.data_key == data_key else others).flights.append(flight)
        for flight in gone.flights:
            flight.stage, flight.command = "over", None
        kept = {flight.tracked.seq for flight in others.flights}
        rows = [flight.tracked.seq for flight in gone.flights]
        gone.taken = [*(seq for seq in self.taken if seq not in kept), *rows]
        others.usage = self.usage
        return gone, others

    def _place(self, tracked: Tracked, events: tuple[domain.Event, ...], now_s: float) -> None:
        """Keep the mail's row where it belongs from now on."""
        if not tracked.mail.is_open:
            self._done.append(tracked.stream_id)
        elif isinstance(events[-1], domain.MailDeferred):
            self._done.append(tracked.stream_id)
            self._inbox.append(row_of(tracked.stream_id, tracked.mail, now_s))


def tell_operators(tenant: Tenant, tracked: Tracked, events: tuple[domain.Event, ...]) -> None:
    """Count what became of a mail; log what went wrong, by the mail's key alone."""
    account_id = tracked.mail.account_id
    labels = labels_of(tenant, account_id)
    about: dict[str, object] = {
        "tenant": tenant.tenant_id,
        "mail": domain.pk_of(tracked.stream_id),
        "server": server_of(tenant.accounts.get(account_id)),
    }
    for event in events:
        match event:
            case domain.MailSent(code, reason):
                metrics.MAIL_SENT.labels(*labels).inc()
                if not domain.is_good(code):
                    why = kind_of(code, reason)
                    log.info("mail not sent to all", extra={**about, "code": code, "why": why})
            case domain.MailFailed(code, reason):
                metrics.MAIL_ERRORS.labels(*labels).inc()
                log.info("mail failed", extra={**about, "code": code, "why": kind_of(code, reason)})
            case domain.MailDeferred(reason=reason, retry=retry, code=code):
                metrics.MAIL_DEFERRED.labels(*labels).inc()
                if retry:  # Else it is a limit, which is no news.
                    why = kind_of(code, reason)
                    log.info("mail deferred", extra={**about, "code": code, "why": why})
            case domain.MailInDoubt(resolution=resolution):
                metrics.MAIL_IN_DOUBT.labels(resolution).inc()
                log.warning("mail in doubt", extra={**about, "resolution": resolution})
            case _:
                pass


def tell_limited(tenant: Tenant, account_id: str) -> None:
    """Count a mail that was too much for its account."""
    metrics.MAIL_RATE_LIMITED.labels(*labels_of(tenant, account_id)).inc()
