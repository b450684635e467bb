"""`signalbox audit`: what the log says, for people (`timeline`) and for programs (`export`).

The timeline shows no text, shortens numbers and hides mailboxes. The export shows personal content
as `[sealed]` unless it is asked for; what belongs to an erased tenant stays `[erased]` even then.
"""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING, Final, LiteralString

import msgspec

from signalbox.domain import message, phone_message
from signalbox.domain.names import EVENT_CLASSES, UPCASTS
from signalbox.domain.personal import ERASED
from signalbox.eventstore.mapper import read_envelope
from signalbox.eventstore.postgres import borrowed
from signalbox.ops import audit_mail, moments, tables
from signalbox.ops.logs import shorten
from signalbox.ops.settings import SettingsError
from signalbox.ops.store import open_log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg.rows import TupleRow
    from rich.console import Console

    from signalbox.domain.names import Event
    from signalbox.eventstore.log import EventLog
    from signalbox.ops.settings import Settings

SEALED: Final = "[sealed]"
BATCH_EVENTS: Final = 1000
PHONES_ID: Final = "msg_"
OF_SMS: Final = (message.stream_of(""), phone_message.PREFIX)
UNKNOWN: Final = 1  # exit code

_SELECT: Final[LiteralString] = """
    SELECT notification_id, originator_id, originator_version, topic, state
    FROM signalbox.stored_events
    WHERE notification_id > %(after)s AND notification_id <= %(end)s
      AND (%(stream)s::text IS NULL OR originator_id = %(stream)s)
      AND (%(topic)s::text IS NULL OR topic = %(topic)s)
    ORDER BY notification_id LIMIT %(limit)s
"""
_FIND: Final[LiteralString] = """
    SELECT originator_id FROM signalbox.stored_events
    WHERE originator_id >= 'sms-' AND originator_id < 'sms.' AND originator_version = 1
      AND split_part(originator_id, '-', -1) = %s
    LIMIT 1
"""


def timeline(settings: Settings, message_id: str, tenant_id: str | None = None) -> int:
    """Print the events of one message; return the exit code, 1 when there is no such message.

    With a tenant it is a mail, by its client's id.

    Raises:
        SettingsError: several tenants have a mail with this id.
    """
    with closing(open_log(settings)) as log:
        if print_timeline(log, message_id, tables.standard_output(), tenant_id):
            return 0
    of_tenant = "" if tenant_id is None else f" of tenant {tenant_id!r}"
    sys.stderr.write(f"signalbox: no message {message_id!r}{of_tenant}\n")
    return UNKNOWN


def print_timeline(
    log: EventLog, message_id: str, console: Console, tenant_id: str | None = None
) -> bool:
    """Print the events of one message; False when there are none. Raises as `timeline`."""
    stream = find_stream(log, message_id, tenant_id)
    events = log.read(stream) if stream else []
    if not events:
        return False
    shown = tables.table("time", "event", "part", "what", "by")
    for recorded in events:
        event = recorded.event
        shown.add_row(
            tables.clock(recorded.at),
            type(event).__name__,
            tables.cell(getattr(event, "part", "")),
            tables.cell(_what(event)),
            tables.cell(recorded.by),
        )
    tables.show(console, f"Message {message_id}", shown)
    return True


def find_stream(log: EventLog, message_id: str, tenant_id: str | None = None) -> str | None:
    """Return the stream of a message: by its API's id (`msg_…` for phones'), or by its own name.

    With a tenant it is one of its mails. Raises as `timeline`.
    """
    if tenant_id is not None:
        return audit_mail.find_stream(log, message_id, tenant_id)
    for stream in (_of_phones(log, message_id), message_id, message.stream_of(message_id)):
        if stream is not None and stream.startswith(OF_SMS) and log.last_version(stream):
            return stream
    return audit_mail.find_stream(log, message_id)


def _of_phones(log: EventLog, message_id: str) -> str | None:
    if not message_id.startswith(PHONES_ID):
        return None
    with borrowed(log.pool) as connection:
        row = connection.execute(_FIND, (message_id.removeprefix(PHONES_ID),)).fetchone()
    return row["originator_id"] if row else None


def export(
    settings: Settings,
    since: str | None,
    until: str | None,
    stream: str | None,
    topic: str | None,
    *,
    personal: bool = False,
) -> int:
    """Print events as JSON Lines, oldest first; return the exit code.

    `since` and `until` are positions or ISO times, both inclusive; `stream` and `topic` are exact.

    Raises:
        SettingsError: an option that can't be read, or a topic that doesn't exist.
    """
    if topic is not None and topic not in {*EVENT_CLASSES, *UPCASTS}:
        raise SettingsError(f"--topic: no event is called {topic!r}")
    first = moments.parse("--since", since) if since else 0
    last = moments.parse("--until", until) if until else None
    write = sys.stdout.buffer.write
    with closing(open_log(settings)) as log:
        after = moments.last_position_before(log, first)
        end = log.head() if last is None else moments.last_position(log, last)
        for row in _rows(log, after, end, stream, topic):
            write(_line(log, row, None if personal else SEALED) + b"\n")
        sys.stdout.flush()
    return 0


def _rows(
    log: EventLog, after: int, end: int, stream: str | None, topic: str | None
) -> Iterator[TupleRow]:
    own = log.own_connection("export")
    chosen = {"end": end, "stream": stream, "topic": topic, "limit": BATCH_EVENTS}
    try:
        while True:
            cursor = own.get().execute(_SELECT, {**chosen, "after": after}, binary=True)
            rows = cursor.fetchall()
            yield from rows
            if len(rows) < BATCH_EVENTS:
                return
            after = rows[-1][0]
    finally:
        own.discard()


def _line(log: EventLog, row: TupleRow, hidden: str | None) -> bytes:
    position, stream, version, topic, state = row
    envelope = read_envelope(bytes(state))
    line = {
        "position": position,
        "stream": stream,
        "version": version,
        "topic": topic,
        "at": envelope.at,
        "tenant": envelope.tenant,
        "by": envelope.by,
        "request": envelope.request,
        "command": envelope.command,
    }
    try:
        line["event"] = log.decode_row(row, hidden).event
    except (KeyError, msgspec.ValidationError) as error:
        line["error"] = f"can't be read: {error}"  # A newer version may have written it.
    return msgspec.json.encode(line)


def _what(event: Event) -> str:
    """Tell in a few words what the event's name does not."""
    what = ""
    match event:
        case message.MessageAccepted():
            sender, to = _short(event.source), _short(event.destination)
            long = f"{event.parts} x {event.encoding}, {event.long_mode}"
            what = f"from {sender} to {to}, link {event.link_id}, {long}"
        case message.SubmitAttempted(attempt=attempt, link_id=link_id):
            what = f"attempt {attempt}, link {link_id}"
        case message.MessageSubmitted(smsc_id=smsc_id):
            what = f"SMSC id {smsc_id}"
        case message.SubmitRefused(error=error, retry_in_s=retry_in_s):
            what = f"{error}, {'final' if retry_in_s is None else f'again in {retry_in_s:g} s'}"
        case message.SubmitOutcomeUnknown(reason=reason, resolution=resolution):
            what = f"{reason}, {resolution}"
        case message.ReceiptRecorded(status=status, stat=stat, error_code=code):
            what = f"{status} ({stat or '-'}, error {code or '-'}), SMSC id {event.smsc_id}"
        case _:
            what = _what_of_phones(event) or audit_mail.what(event)
    return what


def _what_of_phones(event: Event) -> str:
    what = ""
    match event:
        case phone_message.OutboundQueued(to=to, segments=segments, sim=sim):
            many = f"{segments} segment{'' if segments == 1 else 's'}"
            what = f"to {_short(to)}, {many}{'' if sim is None else f', SIM {sim}'}"
        case phone_message.OutboundPushed(attempt=attempt, phone_id=phone_id):
            what = f"attempt {attempt}, {phone_id}"
        case phone_message.StatusReported(status=status, error=error):
            what = f"{status}: {error}" if error else status
        case phone_message.StatusReportIgnored(status=status, current=current):
            what = f"{status}, but it is {current}"
        case phone_message.InboundReceived(sender=sender, phone_id=phone_id):
            what = f"from {_short(sender)}, {phone_id}"
    return what


def _short(address: str) -> str:
    """Return an address as it may be shown; a sender's name is nobody's number."""
    is_name = address == ERASED or any(c.isalpha() for c in address)
    return address if is_name else shorten(address)
