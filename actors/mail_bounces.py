"""Reads the mailbox that mails come back to, in the relay with the lease of this name's partition.

    mailbox ──▶ new since the last UID ──▶ a bounce? of which mail? ──▶ MailBounced
                        ▲                                                   │
                        └──────────────── BouncePolled ◀────────────────────┘

A mail that comes back twice bounced once, so that reading a message again does no harm.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import gevent
from gevent.event import Event

from signalbox.actors.callback_inbox import TROUBLE
from signalbox.actors.mailbox_news import take_news
from signalbox.actors.transports.imap import ANYWHERE, Access, MailboxAway, Place
from signalbox.domain import dsn, mail_instance
from signalbox.domain.bounce_rules import DEFAULT_RULES
from signalbox.domain.mail import RecordBounce
from signalbox.domain.mail_instance import BouncePolled
from signalbox.eventstore import metrics
from signalbox.eventstore.errors import Conflict, FenceLost
from signalbox.eventstore.leases import partition_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from signalbox.actors.mail_instance import MailInstance
    from signalbox.actors.mails import Mails
    from signalbox.domain.bounce_rules import BounceRules
    from signalbox.domain.mail_instance import Instance
    from signalbox.eventstore.recorder import Fence

log = logging.getLogger(__name__)

NAME: Final = "bounces"
RETRY_S: Final = 1.0
PAUSE_S_MAX: Final = 600.0  # between two tries at a mailbox that is away
LOOK_S: Final = 3_600.0  # while nothing is configured; a change wakes it


class ByClientId(Protocol):
    """Mails by the ids of their clients."""

    def with_client_id(self, client_id: str, limit: int = ...) -> Sequence[tuple[str, str]]:
        """Return tenant and pk of the mails that any client calls so. Raises: `Unavailable`."""


@dataclass(frozen=True, slots=True)
class BounceParts:
    """What bounces are read with; `load_rules` raises `ValueError` if they make no sense."""

    instance: MailInstance
    mails: Mails
    by_client_id: ByClientId
    load_rules: Callable[[], BounceRules]
    access: Access = ANYWHERE


class MailBounces:
    """Polls while its lease lasts and the installation wants it."""

    def __init__(self, parts: BounceParts, partitions: int) -> None:
        self._parts = parts
        self._partition = partition_of(NAME, partitions)
        self._rules = _first_rules(parts.load_rules)
        self._failures = 0
        self._wake = Event()
        self._greenlet: gevent.Greenlet | None = None

    def gained(self, fence: Fence) -> None:
        """Begin to poll, at once."""
        if fence.partition == self._partition:
            self.close()
            self._greenlet = gevent.spawn(self._run, fence)

    def leaving(self, partition: int) -> None:
        """Stop: what was read and not noted is read again."""
        self.lost(partition)

    def lost(self, partition: int) -> None:
        """Stop at once."""
        if partition == self._partition:
            self.close()

    def changed(self, event: mail_instance.Event) -> None:
        """Take what became of the installation: poll anew, by the rules as they are now."""
        if isinstance(event, mail_instance.BouncesReloaded):
            self._reload()
        self._failures = 0
        self._wake.set()

    def close(self) -> None:
        """Stop polling."""
        if self._greenlet is not None:
            self._greenlet.kill(block=False)
            self._greenlet = None

    def _reload(self) -> None:
        try:
            self._rules = self._parts.load_rules()
        except ValueError as error:
            log.error("bounce rules stay as they were", extra={"error": str(error)})  # noqa: TRY400

    def _run(self, fence: Fence) -> None:
        while True:
            self._wake.clear()
            try:
                pause_s = self._step(fence)
            except TROUBLE as error:
                log.warning("bounces can't be recorded", extra={"error": str(error)})
                pause_s = RETRY_S
            except FenceLost:
                log.info("bounces are read elsewhere")
                return
            self._wake.wait(pause_s)

    def _step(self, fence: Fence) -> float:
        """Poll if that is wanted; return for how long there is nothing else to do."""
        instance = self._parts.instance.known()
        if not instance.bounce_enabled or not instance.bounce_imap_host:
            return LOOK_S
        try:
            self._poll(instance, fence)
        except (MailboxAway, ValueError) as error:
            log.warning("mailbox of bounces can't be read", extra={"error": str(error)})
            self._failures += 1
            pause_s = instance.bounce_poll_interval_s * 2.0 ** min(self._failures - 1, 10)
            return min(pause_s, PAUSE_S_MAX)
        self._failures = 0
        return instance.bounce_poll_interval_s

    def _poll(self, instance: Instance, fence: Fence) -> None:
        """Raise `ValueError` when the password was sealed with another SECRET_KEY."""
        password = self._parts.instance.open_secret(instance.bounce_imap_password_sealed)
        place = Place(
            host=instance.bounce_imap_host,
            port=instance.bounce_imap_port,
            user=instance.bounce_imap_user,
            password=password,
            folder=instance.bounce_imap_folder,
            tls=instance.bounce_imap_ssl,
        )
        mailbox = self._parts.instance.mailbox(place)
        taken = take_news(
            place,
            last_uid=lambda uidvalidity: self._last_uid(uidvalidity, mailbox),
            take=self.take,
            note=lambda uidvalidity, uid: self._note(
                BouncePolled(uidvalidity, uid, mailbox), fence
            ),
            access=self._parts.access,
        )
        if taken:
            log.info("mailbox of bounces read", extra={"messages": taken})

    def _last_uid(self, uidvalidity: int, mailbox: str) -> int:
        last = self._parts.instance.last_poll()
        if last is None or last.uidvalidity != uidvalidity:
            return 0
        return last.uid if last.mailbox in {"", mailbox} else 0

    def _note(self, poll: BouncePolled, fence: Fence) -> None:
        try:
            self._parts.instance.polled(poll, fence=fence)
        except Conflict as error:  # Whoever had the lease before was a moment earlier.
            log.info("poll not noted", extra={"error": str(error)})

    def take(self, raw: bytes) -> None:
        """Record what a message says of a mail of ours, if it does. Raises: `Unavailable`."""
        bounce = dsn.read(raw, self._rules)
        if bounce is None:
            metrics.MAIL_BOUNCES.labels("none").inc()
            return
        pk = self._pk_of(bounce.origin)
        if not pk or self._parts.mails.find(pk) is None:
            metrics.MAIL_BOUNCES.labels("unknown").inc()
            log.info("bounce of an unknown mail", extra={"code": bounce.code})
            return
        metrics.MAIL_BOUNCES.labels(bounce.kind).inc()
        command = RecordBounce(
            kind=bounce.kind, code=bounce.code, reason=bounce.reason, recipient=bounce.recipient
        )
        self._parts.mails.bounced(pk, command)

    def _pk_of(self, origin: dsn.Origin) -> str:
        """Return the mail; one that its client's id tells only if no other has that id."""
        if origin.pk:
            return origin.pk
        if origin.guess and self._parts.mails.find(origin.guess) is not None:
            return origin.guess
        if not origin.client_id:
            return ""
        found = self._parts.by_client_id.with_client_id(origin.client_id, 2)
        if not found:  # The original's clients call a mail by its pk there.
            return origin.client_id
        return found[0][1] if len(found) == 1 else ""


def _first_rules(load: Callable[[], BounceRules]) -> BounceRules:
    """Return the rules; those built in if the others make no sense, so that a relay can start."""
    try:
        return load()
    except ValueError as error:
        log.error("built-in bounce rules are used", extra={"error": str(error)})  # noqa: TRY400
        return DEFAULT_RULES
