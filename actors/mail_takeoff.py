"""What blocks between a dispatcher and its transport: the warm-up gate, before and after."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import gevent
import msgspec
import psycopg

from signalbox.actors.mail_feeder import TROUBLE
from signalbox.actors.mail_messages import Judged, Told, Withdrawn
from signalbox.actors.mail_warmth import Cold
from signalbox.actors.mails import read_content
from signalbox.actors.transports.smtp.job import SmtpJob, SmtpOutcome
from signalbox.domain import mail as domain
from signalbox.eventstore.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from signalbox.actors.mail_changes import Flight
    from signalbox.actors.mail_messages import Parts
    from signalbox.actors.mail_warmth import Warm
    from signalbox.actors.tenures import Tenure
    from signalbox.domain.tenant import Tenant

log = logging.getLogger(__name__)

UNREADABLE: Final = "the mail can't be read"


class Takeoff:
    """Its methods return at once; `tell` gets `Judged`, `Withdrawn` or `Told`."""

    def __init__(self, parts: Parts, tenure: Tenure, tell: Callable[[object], None]) -> None:
        self._parts = parts
        self._tenure = tenure
        self._tell = tell

    def ask(self, flight: Flight) -> None:
        """Ask the gate."""
        gevent.spawn(self._ask, flight)

    def send(self, flight: Flight, tenant: Tenant) -> None:
        """Send a mail, if the lease and the gate still allow it."""
        if flight.warm is not None and flight.warm.shares:
            gevent.spawn(self._send_if_allowed, flight, tenant)
        else:
            self._send(flight, tenant)

    def settle(self, warm: Warm, outcome: SmtpOutcome | None) -> None:
        """Tell the gate what became of it."""
        if warm.shares and self._parts.warmth is not None:
            gevent.spawn(self._parts.warmth.settle, warm, outcome)

    def release(self, warm: Warm | None) -> None:
        """Tell the gate that nothing became of it."""
        if warm is not None and warm.shares and self._parts.warmth is not None:
            gevent.spawn(self._parts.warmth.release, warm)

    def _ask(self, flight: Flight) -> None:
        warmth, account = self._parts.warmth, flight.account
        assert warmth is not None, flight
        assert account is not None, flight
        answer = None
        try:
            content = read_content(flight.tracked.content)
            if content is not None:
                answer = warmth.ask(account, flight.tracked.mail, content)
        except (*TROUBLE, psycopg.Error) as error:
            log.warning("gate can't be asked", extra={"error": str(error)})
        except Exception as error:  # Asked again it would fail again, for ever.
            log.exception("gate failed", extra={"mail": domain.pk_of(flight.tracked.stream_id)})
            answer = Cold(f"gate failed: {type(error).__name__}", None)
        self._tell(Judged(flight, answer))

    def _send_if_allowed(self, flight: Flight, tenant: Tenant) -> None:
        warm, warmth = flight.warm, self._parts.warmth
        assert warm is not None, flight
        assert warmth is not None, flight
        try:
            is_allowed = warmth.allows(warm)
        except Unavailable:
            is_allowed = False
        if is_allowed:
            self._send(flight, tenant)
        else:
            self._tell(Withdrawn(flight, "warmup: held"))

    def _send(self, flight: Flight, tenant: Tenant) -> None:
        if not self._tenure.holds():
            # Nobody decides on that here unless the lease becomes certain again.
            self._tell(Withdrawn(flight, "lease uncertain"))
            return
        try:
            job = self._job(flight, tenant)
        except (ValueError, msgspec.MsgspecError) as error:
            log.exception(
                "mail can't be sent", extra={"mail": domain.pk_of(flight.tracked.stream_id)}
            )
            reason = f"{UNREADABLE}: {type(error).__name__}"
            self._tell(Told(SmtpOutcome(key=flight, result="permanent", reason=reason)))
            return
        self._parts.transport.send(job, lambda outcome: self._tell(Told(outcome)))

    def _job(self, flight: Flight, tenant: Tenant) -> SmtpJob:
        tracked, account = flight.tracked, flight.account
        content = read_content(tracked.content)
        if account is None or content is None:
            raise ValueError(UNREADABLE)
        open_secret = self._parts.tenants.open_secret
        return SmtpJob(
            key=flight,
            tenant_id=tenant.tenant_id,
            account=account,
            password=open_secret(account.password_sealed),
            mail=content,
            client_id=tracked.mail.client_id,
            pk=domain.pk_of(tracked.stream_id),
            source_ip=flight.warm.source_ip if flight.warm else "",
            remaining=tracked.mail.remaining,
            dkim_private_key=open_secret(account.dkim_private_key_sealed),
        )
