"""Mails as the log has them, and the inbox rows by which they wait.

An open mail has one row in the inbox of its tenant; its kind tells how it waits:

    mail<priority>/<account>   to leave, in the order of the rows
    later/<account>            until its time, the row's `due_s`
    held/<account>             until its batch is activated
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final, get_args

from signalbox.domain import mail as domain
from signalbox.domain import tenant as tenants
from signalbox.domain.names import names_of
from signalbox.eventstore.postgres import borrowed
from signalbox.eventstore.recorder import InboxRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from signalbox.domain.mail import Mail
    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.mapper import Recorded

MAIL_EVENTS: Final = names_of(*get_args(domain.Event))
LATER: Final = "later/"
HELD: Final = "held/"
READ_AT_ONCE: Final = 10

_READ: Final = """
    SELECT notification_id, originator_id, originator_version, topic, state
    FROM signalbox.stored_events WHERE originator_id = ANY(%s)
    ORDER BY originator_id, originator_version
"""


@dataclass(frozen=True, slots=True)
class Known:
    """A mail, the version its stream has (0: there is none) and whose key seals its content."""

    version: int = 0
    mail: Mail | None = None
    data_key: str = ""


UNKNOWN: Final = Known()


def read_mails(event_log: EventLog, stream_ids: Sequence[str]) -> dict[str, Known]:
    """Return the mails there are of these streams, without their content. Raises: `Unavailable`.

    A few at a time: attachments may be in what is stored.
    """
    known: dict[str, Known] = {}
    for start in range(0, len(stream_ids), READ_AT_ONCE):
        known |= _read_few(event_log, stream_ids[start : start + READ_AT_ONCE])
    return known


def _read_few(event_log: EventLog, stream_ids: Sequence[str]) -> dict[str, Known]:
    with event_log.turns, borrowed(event_log.pool) as connection:
        rows = connection.execute(_READ, (list(stream_ids),), binary=True).fetchall()
    recorded = [event_log.decode_row(tuple(row.values()), hidden="") for row in rows]
    return {
        stream_id: fold(list(group))
        for stream_id, group in groupby(recorded, lambda one: one.stream_id)
    }


def fold(recorded: Iterable[Recorded]) -> Known:
    """Return a mail from its whole stream."""
    known = UNKNOWN
    for one in recorded:
        assert isinstance(one.event, domain.Event), one
        mail = domain.evolve(known.mail, one.event, one.at_s)
        known = Known(one.version, mail, known.data_key or one.tenant_id)
    return known


def waiting_kind(priority: int, account_id: str) -> str:
    """Return the kind of the rows of mails that may leave at once."""
    return f"mail{priority}/{account_id}"


def account_of(kind: str) -> str:
    """Return the account that rows of a kind wait for."""
    return kind.partition("/")[2]


def row_of(stream_id: str, mail: Mail, now_s: float) -> InboxRow:
    """Return the row by which an open mail waits from now on."""
    actor_id = tenants.stream_of(mail.tenant_id)
    if mail.deferred_until_s > now_s:
        return InboxRow(actor_id, f"{LATER}{mail.account_id}", stream_id, mail.deferred_until_s)
    return InboxRow(actor_id, waiting_kind(mail.priority, mail.account_id), stream_id)
