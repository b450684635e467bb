"""Phones as gateways, put together: their messages and lines, whoever they belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import msgspec

from signalbox.actors.orgs import OrgLimits, Orgs
from signalbox.actors.phone_accounts import PhoneAccountLimits, PhoneAccounts
from signalbox.actors.phone_directory import PHONE_ACCOUNT_EVENTS
from signalbox.actors.phone_expiry import PhoneExpiry
from signalbox.actors.phone_lines import PHONE_EVENTS, PhoneLines, Timing
from signalbox.actors.phone_messages import PHONE_MESSAGE_EVENTS, PhoneMessages
from signalbox.actors.webhooks import WEBHOOK_EVENTS
from signalbox.domain.org import OWNER_PREFIX
from signalbox.domain.phone_rules import PhoneRules
from signalbox.eventstore.mapper import utc_now
from signalbox.http.peer import Peers
from signalbox.http.signalhouse.routes import Signalhouse
from signalbox.http.trucopilot.routes import Trucopilot
from signalbox.ops.callbacks import webhooks_of
from signalbox.projections.readers import ReadModels

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg.rows import TupleRow

    from signalbox.actors.passwords import Passwords
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog
    from signalbox.http.body import BodyReader
    from signalbox.ops.reads import PhoneReads
    from signalbox.ops.settings import Settings

Told = tuple[tuple[str, ...], "Callable[[TupleRow], None]"]


class Phones:
    """What a web process needs to serve phones and those who send by them."""

    def __init__(
        self,
        settings: Settings,
        event_log: EventLog,
        journal: Journal,
        read_models: ReadModels,
        passwords: Passwords,
    ) -> None:
        self._log = event_log
        self._settings = settings
        rules_of = rules(settings)
        accounts, orgs = settings.signalhouse, settings.trucopilot
        self.accounts = PhoneAccounts(
            event_log,
            journal,
            msgspec.convert(accounts, PhoneAccountLimits, from_attributes=True),
            utc_now,
            passwords=passwords,
        )
        org_limits = msgspec.convert(orgs, OrgLimits, from_attributes=True)
        self.orgs = Orgs(event_log, journal, org_limits, passwords)
        self.webhooks = webhooks_of(settings, event_log, journal)
        self.messages = PhoneMessages(event_log, journal, rules_of)
        self.lines = PhoneLines(
            event_log,
            journal,
            rules_of,
            f"web-{uuid4().hex[:12]}",
            read_models.last_phone,
            timing=Timing(renew_s=settings.phones.line_renew_s, ttl_s=settings.phones.line_ttl_s),
        )

    @property
    def told(self) -> tuple[Told, ...]:
        """What of the log is news to whom."""
        decode = self._log.decode_row
        return (
            (PHONE_ACCOUNT_EVENTS, self.accounts.follow),
            (WEBHOOK_EVENTS, lambda row: self.webhooks.follow(decode(row))),
            (PHONE_EVENTS, lambda row: self.lines.follow(decode(row))),
            (PHONE_MESSAGE_EVENTS, self._follow_message),
        )

    def signalhouse(
        self, reads: PhoneReads, body: BodyReader, limiter: Callable[[str], None]
    ) -> Signalhouse:
        """Return the surface of accounts; `limiter` is told the account of each send."""
        given, server = self._settings.signalhouse, self._settings.server
        return Signalhouse(
            accounts=self.accounts,
            messages=self.messages,
            lines=self.lines,
            reads=reads,
            webhooks=self.webhooks,
            body=body,
            peers=Peers(server.trusted_proxies),
            limiter=limiter,
            public_url=given.public_url,
            require_phone=given.require_phone,
            trusted_proxies=server.trusted_proxies,
            strangers_per_ip_max=given.strangers_per_ip_max,
            bad_frames_per_minute_max=given.bad_frames_per_minute_max,
        )

    def trucopilot(self, reads: PhoneReads, body: BodyReader) -> Trucopilot:
        """Return the surface of organisations."""
        given, server = self._settings.trucopilot, self._settings.server
        return Trucopilot(
            orgs=self.orgs,
            messages=self.messages,
            lines=self.lines,
            reads=reads,
            webhooks=self.webhooks,
            body=body,
            peers=Peers(server.trusted_proxies),
            trusted_proxies=server.trusted_proxies,
            public_url=given.public_url,
            strangers_per_ip_max=given.strangers_per_ip_max,
            bad_frames_per_minute_max=given.bad_frames_per_minute_max,
        )

    def close(self) -> None:
        """End all lines, and store that they ended."""
        self.lines.close()

    def _follow_message(self, row: TupleRow) -> None:
        recorded = self._log.decode_row(row)
        self.messages.follow(recorded)
        self.lines.follow(recorded)


def expiry(settings: Settings, event_log: EventLog, journal: Journal) -> PhoneExpiry:
    """Begin to give up messages that no phone sent in time; for a relay."""
    messages = PhoneMessages(event_log, journal, rules(settings))
    due = ReadModels(event_log).due
    return PhoneExpiry(due, messages.expire, look_s=settings.phones.expiry_every_s)


def rules(settings: Settings) -> Callable[[str], PhoneRules]:
    """Return how an owner is served, by its id."""
    shared = {
        "window": settings.phones.window,
        "rate_per_s": settings.phones.sim_rate_per_s,
        "burst": settings.phones.sim_burst,
        "repush_s": settings.phones.repush_s,
        "attempts_max": settings.phones.attempts_max,
        "idempotency_window_s": float(settings.phones.idempotency_window_s),
    }
    of_accounts = msgspec.convert(
        {
            **shared,
            "ttl_s": float(settings.signalhouse.message_ttl_s),
            "pending_max": settings.signalhouse.pending_max,
            "lines_max": settings.signalhouse.phones_max,
        },
        PhoneRules,
    )
    of_orgs = msgspec.convert(
        {
            **shared,
            "ttl_s": float(settings.trucopilot.message_ttl_s),
            "pending_max": settings.trucopilot.pending_max,
            "lines_max": settings.trucopilot.lines_max,
            "numbered": True,
            "first_connected": True,
        },
        PhoneRules,
    )
    return lambda owner: of_orgs if owner.startswith(OWNER_PREFIX) else of_accounts
