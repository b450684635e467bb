"""The mails of all tenants: queued, deleted, bounced; in any process, stored on return.

    add ──▶ MailQueued, or MailReplaced of one that waits, and a row in the tenant's inbox
            ──▶ whichever relay holds the tenant's lease sends it (actors/mail_dispatch.py)

The key of a mail depends on its tenant and its client's id alone: a call that is made again changes
nothing for what was sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import gevent
import msgspec

from signalbox.actors.mail_intake import Added, Asked, MailIntake, NewMail
from signalbox.actors.mail_streams import UNKNOWN, read_mails
from signalbox.actors.streams import until_stored
from signalbox.domain import mail as domain
from signalbox.domain.errors import TenantErased
from signalbox.domain.mail_content import MailContent
from signalbox.domain.personal import ERASED
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.journal import Append, Write

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from signalbox.actors.tenants import Tenants
    from signalbox.domain.mail import Mail, PecReceipt
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog

__all__ = ["Added", "Mails", "NewMail", "Removed", "read_content"]

BATCH: Final = 100
ADDRESS_CHARACTERS_MAX: Final = 262_144
BY: Final = "gateway"
_BEGINNINGS: Final = (domain.MailQueued, domain.MailReplaced, domain.MailRejected)
_decode: Final = msgspec.json.Decoder(MailContent).decode


@dataclass(frozen=True, slots=True)
class Removed:
    """How many mails are gone, and the ids of which there was none."""

    count: int
    unknown: tuple[str, ...]


class Mails:
    """See the module. Its methods raise `Unavailable`."""

    def __init__(
        self,
        event_log: EventLog,
        journal: Journal,
        tenants: Tenants,
        address_characters_max: int = ADDRESS_CHARACTERS_MAX,
    ) -> None:
        self._log = event_log
        self._journal = journal
        self._tenants = tenants
        self._intake = MailIntake(event_log, journal, tenants, address_characters_max)

    def add(
        self, tenant_id: str, mails: Sequence[NewMail], *, by: str, request_id: str = ""
    ) -> list[Added]:
        """Take mails on; return what became of each, in order. Raises: `InvalidField`."""
        try:
            return self._intake.add(self._tenants.known(tenant_id), mails, by, request_id)
        except TenantErased:  # It was deleted, and this process is yet to be told.
            return self._intake.add(self._tenants.newest(tenant_id), mails, by, request_id)

    def delete(
        self, tenant_id: str, client_ids: Sequence[str], *, by: str, request_id: str = ""
    ) -> Removed:
        """Delete mails of a tenant, sent or not, by their client's ids."""
        tenant = self._tenants.known(tenant_id)
        asked = Asked(tenant.data_key, by, request_id)
        streams = {self._intake.stream_of(tenant, one): one for one in client_ids}
        gone = self._delete(list(streams), domain.DeleteMail(), asked)
        unknown = tuple(client_id for stream, client_id in streams.items() if stream not in gone)
        return Removed(len(gone), unknown)

    def cleanup(self, tenant_id: str, pks: Iterable[str], *, by: str, request_id: str = "") -> int:
        """Delete those of a tenant's mails that wait no more; return how many."""
        asked = Asked(self._tenants.known(tenant_id).data_key, by, request_id)
        command = domain.DeleteMail("cleanup", if_settled=True)
        return len(self._delete([domain.stream_of(pk) for pk in pks], command, asked))

    def bounced(self, pk: str, bounce: domain.RecordBounce, *, by: str = BY) -> bool:
        """Note that a mail came back; tell whether that is news of a mail that left."""
        return self._change(pk, bounce, by)

    def pec(self, pk: str, kind: PecReceipt, details: str = "", *, by: str = BY) -> bool:
        """Note a receipt of certified mail; tell whether it is news."""
        return self._change(pk, domain.RecordPecReceipt(kind=kind, details=details), by)

    def pec_missed(self, pk: str, *, by: str = BY) -> bool:
        """Note that no receipt of certified mail came in time; tell whether it is news."""
        return self._change(pk, domain.MissPecAcceptance(), by)

    def find(self, pk: str) -> Mail | None:
        """Return a mail as the log has it, one that was deleted too."""
        stream_id = domain.stream_of(pk)
        return read_mails(self._log, [stream_id]).get(stream_id, UNKNOWN).mail

    def content(self, pk: str) -> MailContent | None:
        """Return what is in a mail; None when there is none, or nobody can read it any more."""
        with self._log.turns:
            recorded = self._log.read(domain.stream_of(pk))
        texts = [one.event.content for one in recorded if isinstance(one.event, _BEGINNINGS)]
        return read_content(texts[-1]) if texts else None

    def pk_of(self, tenant_id: str, client_id: str) -> str:
        """Return the key of a tenant's mail, whether there is one or not."""
        return domain.pk_of(self._intake.stream_of(self._tenants.known(tenant_id), client_id))

    def _delete(
        self, stream_ids: Sequence[str], command: domain.DeleteMail, asked: Asked
    ) -> set[str]:
        gone: set[str] = set()
        for start in range(0, len(stream_ids), BATCH):
            batch = stream_ids[start : start + BATCH]
            gone |= until_stored(partial(self._decide, batch, command, asked), "mails")
        return gone

    def _change(self, pk: str, command: domain.Command, by: str) -> bool:
        batch = [domain.stream_of(pk)]
        try:
            return bool(until_stored(lambda: self._decide(batch, command, Asked("", by, "")), pk))
        except TenantErased:
            return False  # With its tenant the mail is gone: nobody is to be told.

    def _decide(self, stream_ids: Sequence[str], command: domain.Command, asked: Asked) -> set[str]:
        """Decide on some mails alike, by what the log has of them; return which it changed."""
        now_s = self._journal.now().timestamp()
        writes: list[Write] = []
        for stream_id, known in read_mails(self._log, stream_ids).items():
            events = domain.decide(known.mail, command, now_s)
            if events:
                writes.append(Write(stream_id, known.version + 1, events, known.data_key))
        changed = {write.stream_id for write in writes}
        if not writes:
            return changed
        append = Append(
            writes=writes,
            by=asked.by,
            request_id=asked.request_id,
            done=list(changed) if isinstance(command, domain.DeleteMail) else (),
            wait_s=self._journal.wait_s_max,
        )
        try:
            self._journal.append(append).get(timeout=self._journal.wait_s_max + 1)
        except gevent.Timeout:
            raise Unavailable("store does not answer") from None
        return changed


def read_content(text: str) -> MailContent | None:
    """Return what a mail's event holds; None when it was erased."""
    return None if text == ERASED else _decode(text)
