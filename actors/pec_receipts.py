"""Reads receipts of certified mail from the mailboxes of the accounts that send it.

    mailboxes of all accounts ──▶ new since the last UID ──▶ a receipt? ──▶ PecReceiptRecorded
    sent, and no receipt in time ──▶ PecAcceptanceMissed: it went as an ordinary mail

One relay does it, that with the lease of this name's partition. How far a mailbox was read is a row
in `cursors`; a receipt that is read twice is recorded once.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

import gevent
from gevent.pool import Pool

from signalbox.actors.callback_inbox import TROUBLE
from signalbox.actors.mailbox_news import take_news
from signalbox.actors.transports.imap import MailboxAway, Place
from signalbox.domain import pec
from signalbox.eventstore import metrics
from signalbox.eventstore.leases import partition_of
from signalbox.eventstore.postgres import borrowed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from signalbox.actors.mails import Mails
    from signalbox.actors.tenants import Tenants
    from signalbox.actors.transports.imap import Access
    from signalbox.domain.mail_account import MailAccount
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.recorder import Fence

log = logging.getLogger(__name__)

NAME: Final = "pec-receipts"
MAILBOXES_MAX: Final = 8  # read at the same time
PAUSE_S_MAX: Final = 3_600.0  # between two tries at a mailbox that is away
OVERDUE_MAX: Final = 1_000
BEFORE: Final = timedelta(days=1)  # servers' days may begin elsewhere

_FIND: Final = "SELECT position FROM signalbox.cursors WHERE name = %s"
_MOVE: Final = """
    INSERT INTO signalbox.cursors (name, position) VALUES (%(name)s, %(to)s)
    ON CONFLICT (name) DO UPDATE SET position = excluded.position
    WHERE cursors.position < excluded.position
"""


class PecReads(Protocol):
    """What the read models have. Its methods raise `Unavailable`."""

    def tenant_ids(self) -> Sequence[str]:
        """Return the tenants that exist."""

    def pec_overdue(self, before_s: float, limit: int = ...) -> Sequence[str]:
        """Return certified mails sent before then of which nothing was heard, by pk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PecParts:
    """What receipts are read with, and how often; `acceptance_s` is how long one may take."""

    log: EventLog
    journal: Journal
    tenants: Tenants
    mails: Mails
    reads: PecReads
    access: Access
    poll_interval_s: float = 60.0
    acceptance_s: float = 1_800.0


@dataclass(slots=True)
class _Trouble:
    """How often in a row a mailbox was away, and when it is tried again."""

    failures: int = 0
    again_at_s: float = 0.0


class PecReceipts:
    """Polls while its lease lasts."""

    def __init__(self, parts: PecParts, partitions: int) -> None:
        self._parts = parts
        self._partition = partition_of(NAME, partitions)
        self._troubles: dict[tuple[str, str], _Trouble] = {}
        self._mailboxes = Pool(MAILBOXES_MAX)
        self._greenlet: gevent.Greenlet | None = None

    def gained(self, fence: Fence) -> None:
        """Begin to poll, at once."""
        if fence.partition == self._partition:
            self.close()
            self._greenlet = gevent.spawn(self._run)

    def leaving(self, partition: int) -> None:
        """Stop: what was read and not noted is read again."""
        self.lost(partition)

    def lost(self, partition: int) -> None:
        """Stop at once."""
        if partition == self._partition:
            self.close()

    def close(self) -> None:
        """Stop polling."""
        if self._greenlet is not None:
            self._greenlet.kill(block=False)
            self._greenlet = None
        self._mailboxes.kill(block=False)

    def _run(self) -> None:
        while True:
            try:
                self._poll_all()
                self._give_up_overdue()
            except TROUBLE as error:
                log.warning("receipts can't be recorded", extra={"error": str(error)})
            gevent.sleep(self._parts.poll_interval_s)

    def _poll_all(self) -> None:
        """Look into every mailbox, a few at a time; one that is away holds up no other."""
        for tenant_id, account in self._accounts():
            self._mailboxes.spawn(self._poll, tenant_id, account)
        self._mailboxes.join()

    def _accounts(self) -> Iterator[tuple[str, MailAccount]]:
        now_s = self._now().timestamp()
        for tenant_id in self._parts.reads.tenant_ids():
            for account in self._parts.tenants.known(tenant_id).accounts.values():
                trouble = self._troubles.get((tenant_id, account.account_id))
                is_due = trouble is None or trouble.again_at_s <= now_s
                if account.is_pec and account.imap_host and is_due:
                    yield tenant_id, account

    def _poll(self, tenant_id: str, account: MailAccount) -> None:
        key = (tenant_id, account.account_id)
        try:
            self._read(tenant_id, account)
        except TROUBLE as error:
            log.warning("receipts can't be recorded", extra={"error": str(error)})
        except (MailboxAway, ValueError) as error:
            trouble = self._troubles.setdefault(key, _Trouble())
            trouble.failures += 1
            pause_s = self._parts.poll_interval_s * 2.0 ** min(trouble.failures, 10)
            trouble.again_at_s = self._now().timestamp() + min(pause_s, PAUSE_S_MAX)
            said = {"tenant": tenant_id, "account": account.account_id, "error": str(error)}
            log.warning("mailbox of receipts can't be read", extra=said)
        else:
            self._troubles.pop(key, None)

    def _read(self, tenant_id: str, account: MailAccount) -> None:
        """Raise `ValueError` when the password was sealed with another SECRET_KEY."""
        place = Place(
            host=account.imap_host,
            port=account.imap_port,
            user=account.imap_user or account.user,
            password=self._password(account),
            tls=account.imap_ssl,
        )
        name = f"pec/{tenant_id}/{account.account_id}/{self._parts.tenants.mailbox(place)}"
        take_news(
            place,
            last_uid=lambda uidvalidity: self._last_uid(f"{name}/{uidvalidity}"),
            take=lambda raw: self._take(raw, tenant_id, account),
            note=lambda uidvalidity, uid: self._note(f"{name}/{uidvalidity}", uid),
            access=self._parts.access,
            since=datetime.fromtimestamp(account.created_at_s, UTC).date() - BEFORE,
        )

    def _password(self, account: MailAccount) -> str:
        sealed = account.imap_password_sealed or account.password_sealed
        return self._parts.tenants.open_secret(sealed)

    def _take(self, raw: bytes, tenant_id: str, account: MailAccount) -> None:
        """Record a receipt, if it is about a mail of this account. Raises: `Unavailable`."""
        receipt = pec.read(raw)
        if receipt is None:
            return
        pk = receipt.origin.pk or receipt.origin.guess
        if not pk and receipt.origin.client_id:
            pk = self._parts.mails.pk_of(tenant_id, receipt.origin.client_id)
        mail = self._parts.mails.find(pk) if pk else None
        owner = (mail.tenant_id, mail.account_id) if mail else None
        if owner != (tenant_id, account.account_id):
            metrics.PEC_RECEIPTS.labels("unknown").inc()
            return
        metrics.PEC_RECEIPTS.labels(receipt.kind).inc()
        self._parts.mails.pec(pk, receipt.kind, receipt.details)

    def _give_up_overdue(self) -> None:
        """Take mails for ordinary ones of which no receipt came in time."""
        before_s = self._now().timestamp() - self._parts.acceptance_s
        for pk in self._parts.reads.pec_overdue(before_s, OVERDUE_MAX):
            self._parts.mails.pec_missed(pk)

    def _last_uid(self, name: str) -> int:
        with borrowed(self._parts.log.pool) as connection:
            row = connection.execute(_FIND, (name,)).fetchone()
        return int(row["position"]) if row else 0

    def _note(self, name: str, uid: int) -> None:
        with borrowed(self._parts.log.pool) as connection:
            connection.execute(_MOVE, {"name": name, "to": uid})

    def _now(self) -> datetime:
        return self._parts.journal.now()
