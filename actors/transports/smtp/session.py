"""One connection to an SMTP server, from its greeting to QUIT; many mails may go through it.

    connect ─ TLS? ─ greeting ─ EHLO ─ STARTTLS? ─ AUTH? ─▶ MAIL ─ RCPT … ─ DATA ─ content ─ "."
                                                             ▲                              │
                                                             └────── RSET, if need be ──────┘

`smtplib` speaks, and is kept from what it does badly: looking our own name up in the DNS, waiting
for ever for a server that sends an octet now and then (its time limit is that of one read), making
one error of all that can happen after DATA, and passwords in ASCII only. Sources: RFC 5321, 4.5.3.2
for patience; RFC 3207; RFC 4954; RFC 6531.
"""

from __future__ import annotations

import hmac
import re
import socket
from base64 import b64decode, b64encode
from contextlib import suppress
from dataclasses import dataclass, field
from smtplib import SMTP, SMTPException
from time import monotonic
from typing import TYPE_CHECKING, Final

import gevent
from typing_extensions import override

from signalbox.actors.transports.smtp import faults
from signalbox.actors.transports.smtp.faults import Fault, Stage, Stopped, text_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Mapping
    from typing import TypeVar

    from signalbox.actors.transports.smtp.message import Envelope, Message
    from signalbox.domain.mail_account import Security

    T = TypeVar("T")

QUIT_S: Final = 1.0
LAST_WORDS_S: Final = 1.0
STOPPED: Final = "stopped"
_LINE_BEGINS_WITH_DOT: Final = re.compile(rb"(?m)^\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait (seconds): for a connection, a reply, the content to leave, its reply."""

    connect_s: float = 10.0
    reply_s: float = 30.0
    content_s: float = 120.0
    accept_s: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Whose connection it is, where to, and as whom; nobody else may use it."""

    tenant_id: str
    account_id: str
    host: str
    port: int
    security: Security
    user: str = ""
    password: str = field(default="", repr=False)
    source_ip: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The server took a mail; `refused` are recipients it did not take it for."""

    code: int
    reason: str
    refused: Mapping[str, tuple[int, str]]


class NoAnswer(Exception):  # noqa: N818  named after what was found
    """The server let us wait for too long."""

    def __str__(self) -> str:
        return "timeout: no answer in time"


class NotOffered(Exception):  # noqa: N818  same
    """The server does not offer what is needed."""


class _Client(SMTP):
    """Sends without closing what it can't send to: the server may have said why."""

    @override
    def send(self, s: str | bytes) -> None:  # type: ignore[override]  # typeshed: any buffer
        assert self.sock is not None
        self.sock.sendall(s.encode() if isinstance(s, str) else s)


class Session:
    """See the module. Whatever goes wrong is raised as `Fault`."""

    def __init__(
        self, endpoint: Endpoint, patience: Patience, tls: ssl.SSLContext, our_name: str
    ) -> None:
        """Connect and log in. Raises: `Fault`."""
        self.endpoint = endpoint
        self.opened_s = self.used_s = monotonic()
        self.is_over = False
        self._in_transaction = False
        self._patience = patience
        self._stage = Stage.CONNECT
        self._client = _Client(local_hostname=our_name)
        self._guarded(lambda: self._open(tls))

    def send(self, message: Message) -> Accepted:
        """Hand a mail over. Raises: `Fault`."""
        self._stage = Stage.MAIL
        return self._guarded(lambda: self._transact(message))

    def reset(self) -> bool:
        """Return whether the server still listens, with no mail begun."""
        try:
            with self._within(self._patience.reply_s):
                code, _ = self._client.rset()
        except (SMTPException, OSError, NoAnswer):
            code = 0
        self._in_transaction = False
        return code // 100 == 2  # noqa: PLR2004  positive completion

    @property
    def needs_reset(self) -> bool:
        """True when the last mail did not come to its end."""
        return self._in_transaction

    def close(self, *, politely: bool = False) -> None:
        """End the connection, with QUIT or without."""
        if politely and not self.is_over:
            with suppress(SMTPException, OSError, NoAnswer), self._within(QUIT_S):
                self._client.quit()
        self.is_over = True
        self._client.close()

    def _guarded(self, work: Callable[[], T]) -> T:
        """Run it; whatever is raised becomes a fault, and an end of the connection if it is one."""
        try:
            return work()
        except Fault as fault:
            if fault.over:
                self.close()
            raise
        except NotOffered as error:
            self.close()
            raise Fault(faults.by_words(str(error)), self._stage, reason=str(error)) from error
        except gevent.GreenletExit as error:
            self.close()
            result = "in_doubt" if self._stage == Stage.ACCEPT else "temporary"
            raise Stopped(result, self._stage, reason=STOPPED) from error
        except Exception as error:  # whatever it is, it matters how far the mail had come
            self.close()
            raise faults.lost(self._stage, error) from error

    def _within(self, seconds: float) -> gevent.Timeout:
        return gevent.Timeout(seconds, NoAnswer)

    # from the connection to the log-in

    def _open(self, tls: ssl.SSLContext) -> None:
        where = self.endpoint
        if not where.host:
            raise ValueError("the account has no host")
        if where.port not in range(1, 65_536):
            raise ValueError("the account has no proper port")
        with self._within(self._patience.connect_s):
            self._client.sock = _connected(where)
            if where.security == "implicit":
                self._wrap(tls)
        self._stage = Stage.HELLO
        self._expect(self._client.getreply, 220)
        self._hello()
        if where.security == "starttls":
            self._start_tls(tls)
        self._stage = Stage.LOGIN
        if where.user and where.password:
            self._log_in()

    def _wrap(self, tls: ssl.SSLContext) -> None:
        assert self._client.sock is not None
        self._client.sock = tls.wrap_socket(self._client.sock, server_hostname=self.endpoint.host)
        self._client.file = None  # What came before in clear is not read as if it came after.

    def _start_tls(self, tls: ssl.SSLContext) -> None:
        if not self._client.has_extn("starttls"):
            raise NotOffered("server does not offer STARTTLS")
        self._expect(lambda: self._client.docmd("STARTTLS"), 220)
        with self._within(self._patience.connect_s):
            self._wrap(tls)
        self._hello()

    def _hello(self) -> None:
        code, _ = self._ask(self._client.ehlo)
        if code != 250:  # noqa: PLR2004  RFC 5321, 4.2.2
            self._expect(self._client.helo, 250)

    def _log_in(self) -> None:
        offered = self._client.esmtp_features.get("auth", "").upper().split()
        known = [way for name, way in self._ways().items() if name in offered]
        if not known:
            raise NotOffered("server offers no AUTH that is known here")
        code, text = self._ask(known[0])
        if code not in {235, 503}:  # 503: it was logged in already.
            raise faults.refused(Stage.LOGIN, code, text)

    def _ways(self) -> dict[str, Callable[[], tuple[int, bytes]]]:
        """Return how to log in, the way to choose first; in clear nobody is told the password."""
        user, password = self.endpoint.user.encode(), self.endpoint.password.encode()
        docmd = self._client.docmd
        ways: dict[str, Callable[[], tuple[int, bytes]]] = {
            "PLAIN": lambda: docmd("AUTH PLAIN", _base64(b"\0%b\0%b" % (user, password))),
            "LOGIN": lambda: _answer(docmd, "AUTH LOGIN", [user, password]),
            "CRAM-MD5": lambda: _challenge(docmd, user, password),
        }
        if self.endpoint.security == "plain":
            ways = {"CRAM-MD5": ways["CRAM-MD5"], **ways}
        return ways

    # a mail

    def _transact(self, message: Message) -> Accepted:
        self._begin(message)
        refused = self._name_recipients(message.envelope)
        self._stage = Stage.DATA
        self._expect(lambda: self._client.docmd("DATA"), 354)
        self._stage = Stage.CONTENT
        self._pour(message.data)
        self._stage = Stage.ACCEPT
        code, text = self._ask(self._client.getreply, self._patience.accept_s)
        self._in_transaction = False
        if code not in range(200, 600):  # No reply that tells anything.
            raise Fault("in_doubt", Stage.ACCEPT, reason=faults.reason_of(code, text))
        if code // 100 != 2:  # noqa: PLR2004  positive completion
            raise faults.refused(Stage.ACCEPT, code, text)
        self.used_s = monotonic()
        return Accepted(code, faults.sentence(text), refused)

    def _begin(self, message: Message) -> None:
        options = self._options(message)
        self._in_transaction = True
        sender = f"FROM:<{message.envelope.sender}>"
        self._expect(lambda: self._client.docmd("MAIL", " ".join((sender, *options))), 250)

    def _options(self, message: Message) -> list[str]:
        options = []
        if self._client.has_extn("size"):
            options.append(f"SIZE={len(message.data)}")
        if message.needs_smtputf8:
            if not self._client.has_extn("smtputf8"):
                reason = "server does not know SMTPUTF8, which an address needs"
                raise Fault("permanent", Stage.MAIL, reason=reason, over=False)
            options += ["SMTPUTF8", "BODY=8BITMIME"]
        return options

    def _name_recipients(self, envelope: Envelope) -> dict[str, tuple[int, str]]:
        """Return those that are refused; all of them is a fault."""
        self._stage = Stage.RCPT
        refused = dict(envelope.refused)
        for address in envelope.recipients:
            reply = self._ask(lambda to=address: self._client.docmd("RCPT", f"TO:<{to}>"))
            if reply[0] not in {250, 251, 252}:
                refused[address] = (reply[0], faults.sentence(reply[1]))
        if len(refused) == len(envelope.recipients) + len(envelope.refused):
            raise faults.all_refused(refused)
        return refused

    def _pour(self, data: bytes) -> None:
        content = _LINE_BEGINS_WITH_DOT.sub(b"..", data) + b".\r\n"
        try:
            with self._within(self._patience.content_s):
                self._client.send(content)
        except OSError as error:
            self._last_words(error)

    def _last_words(self, error: OSError) -> None:
        """Raise what the server said before it hung up on us, or that it did."""
        try:
            with self._within(LAST_WORDS_S):
                code, text = self._client.getreply()
        except (SMTPException, OSError, NoAnswer):
            raise error from None
        raise faults.refused(Stage.CONTENT, code, text_of(text)) from error

    def _expect(self, ask: Callable[[], tuple[int, bytes]], wanted: int) -> None:
        code, text = self._ask(ask)
        if code != wanted:
            raise faults.refused(self._stage, code, text)

    def _ask(
        self, ask: Callable[[], tuple[int, bytes]], seconds: float | None = None
    ) -> tuple[int, str]:
        with self._within(seconds or self._patience.reply_s):
            code, text = ask()
        return code, text_of(text)


def _connected(where: Endpoint) -> socket.socket:
    source = (where.source_ip, 0) if where.source_ip else None
    connection = socket.create_connection((where.host, where.port), source_address=source)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _base64(secret: bytes) -> str:
    return b64encode(secret).decode("ascii")


def _answer(
    docmd: Callable[[str], tuple[int, bytes]], command: str, answers: Iterable[bytes]
) -> tuple[int, bytes]:
    """Give one answer after the other for as long as more is asked (334)."""
    reply = docmd(command)
    for answer in answers:
        if reply[0] != 334:  # noqa: PLR2004  RFC 4954, 4
            break
        reply = docmd(_base64(answer))
    return reply


def _challenge(
    docmd: Callable[[str], tuple[int, bytes]], user: bytes, password: bytes
) -> tuple[int, bytes]:
    """Log in by RFC 2195: the password itself is not sent."""
    code, text = docmd("AUTH CRAM-MD5")
    if code != 334:  # noqa: PLR2004  RFC 4954, 4
        return code, text
    digest = hmac.new(password, b64decode(text), "md5").hexdigest()
    return docmd(_base64(b"%b %b" % (user, digest.encode("ascii"))))
