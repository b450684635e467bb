"""Mails for `signalbox audit timeline`: whose they are, and what happened to them in words.

    mail-<pk>, <pk>          the mail itself
    TENANT/ID, or ID alone   what its client calls it, also after it was deleted

The words show a server's answers, but of the addresses in them only the domains.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, LiteralString

from signalbox.actors.mail_intake import stream_named
from signalbox.domain import mail, tenant
from signalbox.domain.names import names_of
from signalbox.domain.tenant import TenantCreated
from signalbox.eventstore.postgres import borrowed
from signalbox.ops import tables
from signalbox.ops.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from signalbox.domain.names import Event
    from signalbox.eventstore.log import EventLog

NAMED_MAX: Final = 10
_MAILBOX: Final = re.compile(r"[^\s<>\"'(),:;]+@")
_TENANTS: Final[LiteralString] = """
    SELECT originator_id FROM signalbox.stored_events
    WHERE originator_id >= 'tenant-' AND originator_id < 'tenant.' AND originator_version = 1
"""
_THERE: Final[LiteralString] = """
    SELECT originator_id FROM signalbox.stored_events
    WHERE originator_id = ANY(%s) AND originator_version = 1
"""


def find_stream(log: EventLog, name: str, tenant_id: str | None = None) -> str | None:
    """Return the stream of a mail; None when there is none.

    Raises:
        SettingsError: several tenants have one with this id.
    """
    if tenant_id is not None:
        return _of_tenants(log, name, [tenant.stream_of(tenant_id)]).get(tenant_id)
    stream = name if name.startswith(mail.STREAM_PREFIX) else mail.stream_of(name)
    if log.last_version(stream):
        return stream
    found = _of_tenants(log, name, _tenants(log))
    if len(found) > 1:
        raise SettingsError(f"several tenants have a mail {name!r}: {_named(found, name)}")
    if found:
        return next(iter(found.values()))
    owner, slash, client_id = name.partition("/")
    return find_stream(log, client_id, owner) if slash else None


def what(event: Event) -> str:
    """Tell in a few words what the event's name does not; nothing of an event of no mail."""
    said = ""
    match event:
        case mail.MailQueued() | mail.MailReplaced():
            said = _queued(event)
        case mail.MailRejected(reason=reason):
            said = f"{event.tenant_id}/{event.client_id}, {_shown(reason)}"
        case mail.MailAttempted(attempt, source_ip):
            said = _joined(f"attempt {attempt}", f"from {source_ip}" if source_ip else "")
        case mail.MailSent(code, response, refused):
            said = _joined(
                _answer(code, response), f"refused recipients: {refused}" * (refused > 0)
            )
        case mail.MailPartlySent(code, response, remaining, refused):
            said = _joined(
                _answer(code, response),
                f"remaining recipients: {len(remaining)}",
                f"refused recipients: {refused}" * (refused > 0),
            )
        case mail.MailDeferred(until_s, reason, retry, code):
            wait = "again at" if retry else "not before"
            said = _joined(_answer(code, reason), f"{wait} {_clock(until_s)}")
        case mail.MailFailed(code, reason):
            said = _answer(code, reason)
        case mail.MailInDoubt(attempt, resolution, reason):
            said = _joined(f"attempt {attempt}", _shown(reason), resolution)
        case _:
            said = _what_came_back(event)
    return said


def _what_came_back(event: Event) -> str:
    said = ""
    match event:
        case mail.MailBounced(kind, code, reason):
            said = _joined(kind, code, _shown(reason))
        case mail.PecReceiptRecorded(kind, details):
            said = _joined(kind, _shown(details))
        case mail.PecAcceptanceMissed():
            said = "no receipt in time, so it was no certified mail"
        case mail.MailDeleted(why):
            said = why
    return said


def _queued(event: mail.MailQueued | mail.MailReplaced) -> str:
    return _joined(
        f"{event.tenant_id}/{event.client_id}",
        f"account {event.account_id}",
        f"priority {event.priority}",
        f"batch {event.batch_code}" if event.batch_code else "",
        "certified" if event.is_pec else "",
        f"not before {_clock(event.deferred_until_s)}" if event.deferred_until_s else "",
    )


def _answer(code: int, text: str) -> str:
    """Return what a server said; many a text has the code in it."""
    return _shown(text) if not code or str(code) in text else f"{code} {_shown(text)}"


def _shown(text: str) -> str:
    return _MAILBOX.sub("…@", text)


def _joined(*words: str) -> str:
    return ", ".join(filter(None, words))


def _clock(at_s: float) -> str:
    return tables.clock(datetime.fromtimestamp(at_s, UTC))


def _tenants(log: EventLog) -> list[str]:
    with borrowed(log.pool) as connection:
        rows = connection.execute(_TENANTS).fetchall()
    return [row["originator_id"] for row in rows]


def _of_tenants(log: EventLog, client_id: str, tenant_streams: list[str]) -> dict[str, str]:
    """Return the streams of what clients call so, by tenant; of its newest generation."""
    created = log.read_many(tenant_streams, names_of(TenantCreated))
    known: dict[str, str] = {}
    for one in created:
        assert isinstance(one.event, TenantCreated), one
        tenant_id = tenant.id_of(one.stream_id)
        key = tenant.data_key_of(tenant_id, one.event.generation)
        known[stream_named(log.secrets, key, client_id)] = tenant_id
    with borrowed(log.pool) as connection:
        rows = connection.execute(_THERE, (list(known),)).fetchall()
    there = {row["originator_id"] for row in rows}
    return {tenant_id: stream for stream, tenant_id in known.items() if stream in there}


def _named(tenant_ids: Iterable[str], client_id: str) -> str:
    names = [f"{tenant_id}/{client_id}" for tenant_id in sorted(tenant_ids)]
    more = [f"and {len(names) - NAMED_MAX} more"] if len(names) > NAMED_MAX else []
    return ", ".join([*names[:NAMED_MAX], *more])
