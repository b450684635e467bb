"""Takes mails on: a hundred at a time, as if all were new.

That is one write, and nothing is read before it. Only if one of the hundred was there before are
they looked up, and decided again by what the log has.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import gevent
import msgspec

from signalbox.actors.mail_streams import UNKNOWN, Known, read_mails, row_of
from signalbox.actors.streams import until_stored
from signalbox.domain import mail as domain
from signalbox.domain.errors import InvalidField
from signalbox.domain.mail_account import require_id, require_value
from signalbox.eventstore.errors import Conflict, Unavailable
from signalbox.eventstore.journal import Append, Write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gevent.event import AsyncResult

    from signalbox.actors.tenants import Tenants
    from signalbox.domain.mail_content import MailContent
    from signalbox.domain.tenant import Tenant
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.recorder import InboxRow
    from signalbox.eventstore.secrets import SecretBox

BATCH: Final = 100
ALREADY_SENT: Final = "already sent"
_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMail:
    """What a client hands over, under an id of its own.

    `refused` says why that can't be a mail; it is kept as one that failed.
    """

    client_id: str
    account_id: str
    content: MailContent
    priority: int = domain.PRIORITY_DEFAULT
    deferred_until_s: float = 0.0
    batch_code: str = ""
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Added:
    """What became of it: it waits to be sent, or there is a reason why not."""

    client_id: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose personal content it is, and who wants it stored."""

    data_key: str
    by: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A mail on its way to its stream; without one it has no id, and can't be stored."""

    stream_id: str
    command: domain.QueueMail | domain.RejectMail

    @property
    def refused(self) -> str:
        """Why it can't be a mail."""
        command = self.command
        return command.reason if isinstance(command, domain.RejectMail) else ""


class MailIntake:
    """See the module."""

    def __init__(
        self, event_log: EventLog, journal: Journal, tenants: Tenants, address_characters_max: int
    ) -> None:
        self._log = event_log
        self._journal = journal
        self._tenants = tenants
        self._address_characters_max = address_characters_max

    def stream_of(self, tenant: Tenant, client_id: str) -> str:
        """Return the stream of a tenant's mail: 22 characters behind the prefix."""
        return stream_named(self._log.secrets, tenant.data_key, client_id)

    def add(
        self, tenant: Tenant, mails: Sequence[NewMail], by: str, request_id: str
    ) -> list[Added]:
        """Take mails on; return what became of each, in order.

        Raises: `InvalidField`, `TenantErased`, `Unavailable`.
        """
        asked = Asked(tenant.data_key, by, request_id)
        drafts = self._drafts(tenant, mails)
        batches = [drafts[i : i + BATCH] for i in range(0, len(drafts), BATCH)]
        started = [(batch, *self._start(batch, {}, asked)) for batch in batches]
        reasons = [reason for one in started for reason in self._finish(*one, asked)]
        return [Added(one.client_id, reason) for one, reason in zip(mails, reasons, strict=True)]

    def _drafts(self, tenant: Tenant, mails: Sequence[NewMail]) -> list[Draft]:
        accounts = {
            account_id: self._tenants.account(tenant.tenant_id, account_id)
            for account_id in dict.fromkeys(one.account_id for one in mails)
        }
        is_pec = {name: account.is_pec for name, account in accounts.items() if account}
        return [self._draft(tenant, one, is_pec=is_pec.get(one.account_id)) for one in mails]

    def _draft(self, tenant: Tenant, one: NewMail, *, is_pec: bool | None) -> Draft:
        """Return what is to be stored; `is_pec` None when there is no such account."""
        require_value("id", one.client_id)
        require_id("account_id", one.account_id)
        require_value("batch_code", one.batch_code)
        stream_id = self.stream_of(tenant, one.client_id) if one.client_id else ""
        content = _text(one.content)
        reason = one.refused or self._too_long(one.content)
        if is_pec is None or reason or not stream_id:
            reason = reason or (domain.NO_ACCOUNT if is_pec is None else "missing id")
            return Draft(
                stream_id,
                domain.RejectMail(
                    tenant_id=tenant.tenant_id,
                    client_id=one.client_id,
                    account_id=one.account_id,
                    content=content,
                    reason=reason,
                    priority=one.priority,
                    batch_code=one.batch_code,
                ),
            )
        return Draft(
            stream_id,
            domain.QueueMail(
                tenant_id=tenant.tenant_id,
                client_id=one.client_id,
                account_id=one.account_id,
                content=content,
                priority=one.priority,
                batch_code=one.batch_code,
                deferred_until_s=float(one.deferred_until_s),
                is_pec=is_pec,
            ),
        )

    def _too_long(self, content: MailContent) -> str:
        """Return why nobody will read all these addresses, "" if they will be."""
        longest = self._address_characters_max
        is_too_long = content.address_characters > longest
        return f"addresses longer than {longest} characters" if is_too_long else ""

    def _start(
        self, batch: Sequence[Draft], known: Mapping[str, Known], asked: Asked
    ) -> tuple[list[str], AsyncResult | None]:
        """Decide on a batch by what is known, and have it written."""
        decided = _Decided(known, self._journal.now().timestamp())
        reasons = [decided.decide(draft) for draft in batch]
        if not decided.events:
            return reasons, None
        return reasons, self._journal.append(decided.append(asked, self._journal.wait_s_max))

    def _finish(
        self, batch: Sequence[Draft], reasons: list[str], result: AsyncResult | None, asked: Asked
    ) -> list[str]:
        """Wait until it is stored; decide again by the log if somebody was first."""
        try:
            self._wait_for(result)
        except Conflict:
            return until_stored(lambda: self._again(batch, asked), "mails")
        return reasons

    def _again(self, batch: Sequence[Draft], asked: Asked) -> list[str]:
        known = read_mails(self._log, [draft.stream_id for draft in batch])
        reasons, result = self._start(batch, known, asked)
        self._wait_for(result)
        return reasons

    def _wait_for(self, result: AsyncResult | None) -> None:
        if result is None:
            return
        try:
            result.get(timeout=self._journal.wait_s_max + 1)
        except gevent.Timeout:
            raise Unavailable("store does not answer") from None


class _Decided:
    """What a batch comes to, mail after mail: an id may be in it more than once."""

    def __init__(self, known: Mapping[str, Known], now_s: float) -> None:
        self._known = dict(known)
        self._first = {stream_id: one.version + 1 for stream_id, one in known.items()}
        self._now_s = now_s
        self.events: dict[str, list[domain.Event]] = {}

    def decide(self, draft: Draft) -> str:
        """Return why a mail isn't taken on, "" when it is."""
        stream_id = draft.stream_id
        if not stream_id:
            return draft.refused
        known = self._known.get(stream_id, UNKNOWN)
        events = domain.decide(known.mail, draft.command, self._now_s)
        for event in events:
            mail = domain.evolve(known.mail, event, self._now_s)
            self._known[stream_id] = Known(known.version + 1, mail)
            self.events.setdefault(stream_id, []).append(event)
        return draft.refused or ("" if events else ALREADY_SENT)

    def append(self, asked: Asked, wait_s: float) -> Append:
        """Return it all, to be written together."""
        writes = [
            Write(stream_id, self._first.get(stream_id, 1), events, asked.data_key)
            for stream_id, events in self.events.items()
        ]
        return Append(
            writes=writes,
            by=asked.by,
            request_id=asked.request_id,
            inbox=self._rows(),
            done=[write.stream_id for write in writes if write.first_version > 1],
            wait_s=wait_s,
        )

    def _rows(self) -> list[InboxRow]:
        mails = ((stream_id, self._known[stream_id].mail) for stream_id in self.events)
        return [
            row_of(stream_id, mail, self._now_s)
            for stream_id, mail in mails
            if mail and mail.is_open
        ]


def stream_named(secrets: SecretBox, data_key: str, client_id: str) -> str:
    """Return the stream of the mail that a client calls so, by its tenant's data key."""
    octets = secrets.uuid("mail", data_key, client_id).bytes
    return domain.stream_of(base64.urlsafe_b64encode(octets).rstrip(b"=").decode())


def _text(content: MailContent) -> str:
    try:
        return _encode(content).decode()
    except UnicodeEncodeError:
        raise InvalidField("message", "expected text, and half of a character is none") from None
