"""Reading a mailbox over IMAP (RFC 3501): what is new in it, without changing anything there.

    with open_mailbox(place) as mailbox:
        for uid in mailbox.uids(after=41): mailbox.fetch(uid)

The folder is only examined: whoever else reads it finds what is unread still unread.
"""

from __future__ import annotations

import imaplib
import re
import socket
import ssl
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import gevent
from typing_extensions import override

from signalbox.actors.transports.outside import NotOutside, Unresolved

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from signalbox.actors.transports.outside import Outside

TIMEOUT_S: Final = 30.0  # without an octet
ANSWER_S: Final = 120.0  # for a whole answer, however slowly it comes
LOGOUT_S: Final = 5.0
ANSWER_OCTETS_MAX: Final = 8_388_608  # of one answer, whatever the server says that it has
MESSAGE_OCTETS_MAX: Final = 1_048_576  # what a bounce says is at its beginning
WINDOW_UIDS: Final = 10_000
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
_MONTHS: Final = "JanFebMarAprMayJunJulAugSepOctNovDec"  # RFC 3501, 9: never translated
_TROUBLE: Final = (imaplib.IMAP4.error, OSError, UnicodeError, NotOutside, Unresolved)


@dataclass(eq=False)
class MailboxAway(Exception):  # noqa: N818  named after what is the matter
    """The mailbox can't be read now."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a mailbox is, and who reads it."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    folder: str = "INBOX"
    tls: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where mailboxes may be, and which certificates are trusted; None: anywhere, the system's."""

    outside: Outside | None = None
    tls: ssl.SSLContext | None = None


ANYWHERE: Final = Access()


class Mailbox:
    """A folder that is open. Its methods raise `MailboxAway`."""

    def __init__(self, client: _Client) -> None:
        self._client = client
        self.uidvalidity = self._number("UIDVALIDITY")
        self._uidnext = self._number("UIDNEXT")

    def uids(self, after: int, since: date | None = None) -> Iterator[int]:
        """Yield the UIDs behind `after`, in order; with `since`, of what came then or later."""
        for first in range(after + 1, self._uidnext, WINDOW_UIDS):
            last = min(first + WINDOW_UIDS, self._uidnext) - 1
            wanted = f"UID {first}:{last}" + (f" SINCE {_imap_date(since)}" if since else "")
            found = self._ask("SEARCH", wanted)
            lines = [line for line in found if isinstance(line, bytes)]
            uids = sorted(int(one) for line in lines for one in line.split() if one.isdigit())
            yield from (uid for uid in uids if first <= uid <= last)

    def fetch(self, uid: int) -> bytes:
        """Return the beginning of a message; nothing if it is gone."""
        found = self._ask("FETCH", str(uid), f"(BODY.PEEK[]<0.{MESSAGE_OCTETS_MAX}>)")
        return next((bytes(one[1]) for one in found if isinstance(one, tuple)), b"")

    def _ask(self, command: str, *words: str) -> list[object]:
        self._client.octets_left = ANSWER_OCTETS_MAX
        with _told():
            status, found = self._client.uid(command, *words)
        if status != "OK":
            raise MailboxAway(f"{command} was refused")
        return list(found)

    def _number(self, name: str) -> int:
        _, found = self._client.response(name)
        text = found[0] if found else None
        if not isinstance(text, bytes) or not text.isdigit():
            raise MailboxAway(f"the server gives no {name}")
        return int(text)


@contextmanager
def open_mailbox(place: Place, access: Access = ANYWHERE) -> Iterator[Mailbox]:
    """Open a folder. Raises: `MailboxAway`."""
    with _told():
        client = _Client(_connection(place, access))
    try:
        with _told():
            _log_in(client, place)
            status, _ = client.select(_quoted(place.folder), readonly=True)
        if status != "OK":
            raise MailboxAway("there is no such folder")
        yield Mailbox(client)
    finally:
        with suppress(imaplib.IMAP4.error, OSError), gevent.Timeout(LOGOUT_S, False):  # noqa: FBT003
            client.logout()


class _Client(imaplib.IMAP4):
    """The library's client on a connection that is there already; no answer fills the memory."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.octets_left = ANSWER_OCTETS_MAX
        super().__init__()

    @override
    def read(self, size: int) -> bytes:
        self._spend(size)
        return super().read(size)

    @override
    def readline(self) -> bytes:
        line = super().readline()
        self._spend(len(line))
        return line

    def _spend(self, octets: int) -> None:
        self.octets_left -= octets
        if self.octets_left < 0:
            raise self.abort("the answer is too long")

    def _create_socket(self, timeout: float | None = None) -> socket.socket:  # noqa: ARG002
        return self._connection


@contextmanager
def _told() -> Iterator[None]:
    """Tell what went wrong; a server's words may be octets."""
    try:
        with gevent.Timeout(ANSWER_S, MailboxAway("no answer in time")):
            yield
    except _TROUBLE as error:
        said = error.args[0] if error.args else str(error)
        reason = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(error)
        raise MailboxAway(reason or type(error).__name__) from error


def _connection(place: Place, access: Access) -> socket.socket:
    outside = access.outside
    hosts = outside.addresses(place.host, place.port) if outside else [place.host]
    connection = _connect(hosts, place.port)
    if not place.tls:
        return connection
    try:
        context = access.tls or ssl.create_default_context()
        return context.wrap_socket(connection, server_hostname=place.host)
    except BaseException:
        connection.close()
        raise


def _connect(hosts: list[str], port: int) -> socket.socket:
    *others, last = hosts
    for host in others:
        with suppress(OSError):
            return socket.create_connection((host, port), TIMEOUT_S)
    return socket.create_connection((last, port), TIMEOUT_S)


def _log_in(client: imaplib.IMAP4, place: Place) -> None:
    """Log in; by AUTHENTICATE where the server can, since LOGIN knows ASCII only."""
    if _CONTROLS.search(place.user + place.password):
        raise MailboxAway("user and password must be on one line")
    if "AUTH=PLAIN" in client.capabilities:
        client.authenticate("PLAIN", lambda _: f"\0{place.user}\0{place.password}".encode())
    else:
        client.login(place.user, place.password)


def _quoted(folder: str) -> str:
    if _CONTROLS.search(folder) or not folder.isascii():
        raise MailboxAway("the folder's name must be ASCII")
    escaped = folder.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _imap_date(day: date) -> str:
    month = _MONTHS[3 * day.month - 3 : 3 * day.month]
    return f"{day.day:02}-{month}-{day.year}"
