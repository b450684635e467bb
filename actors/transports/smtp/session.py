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

import re
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from smtplib import SMTP, SMTPException
from time import monotonic
from typing import TYPE_CHECKING, Final

import gevent
from typing_extensions import override

from signalbox.actors.transports.smtp import faults
from signalbox.actors.transports.smtp.faults import Fault, Stage, Stopped, text_of
from signalbox.actors.transports.smtp.login import way_in
from signalbox.domain.mail import is_good

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    from signalbox.actors.transports.smtp.connecting import Endpoint, Means
    from signalbox.actors.transports.smtp.job import Result
    from signalbox.actors.transports.smtp.message import Envelope, Message

    T = TypeVar("T")

QUIT_S: Final = 1.0
RESET_S: Final = 5.0  # somebody who has been silent for a while may be gone for good
LAST_WORDS_S: Final = 1.0
STOPPED: Final = "stopped"
_LINE_BEGINS_WITH_DOT: Final = re.compile(rb"(?m)^\.")


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

    def __init__(self, endpoint: Endpoint, means: Means) -> None:
        """Connect and log in. Raises: `Fault`."""
        self.endpoint = endpoint
        self.opened_s = self.used_s = monotonic()
        self.is_over = False
        self._in_transaction = False
        self._means = means
        self._patience = means.patience
        self._stage = Stage.CONNECT
        self._client = _Client(local_hostname=means.our_name)
        self._guarded(self._open)

    def send(self, message: Message) -> Accepted:
        """Hand a mail over. Raises: `Fault`."""
        self._stage = Stage.MAIL
        return self._guarded(lambda: self._transact(message))

    def reset(self) -> bool:
        """Return whether the server still listens, with no mail begun."""
        try:
            with self._within(min(RESET_S, self._patience.reply_s)):
                code, _ = self._client.rset()
        except (SMTPException, OSError, NoAnswer):
            code = 0
        self._in_transaction = False
        return is_good(code)

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
            result: Result = "in_doubt" if self._stage == Stage.ACCEPT else "temporary"
            raise Stopped(result, self._stage, reason=STOPPED) from error
        except Exception as error:  # whatever it is, it matters how far the mail had come
            self.close()
            raise faults.lost(self._stage, error) from error

    def _within(self, seconds: float) -> gevent.Timeout:
        return gevent.Timeout(seconds, NoAnswer)

    # from the connection to the log-in

    def _open(self) -> None:
        where = self.endpoint
        if not where.host:
            raise ValueError("the account has no host")
        if where.port not in range(1, 65_536):
            raise ValueError("the account has no proper port")
        with self._within(self._patience.connect_s):
            self._client.sock = self._means.connect(where)
            if where.security == "implicit":
                self._wrap()
        self._stage = Stage.HELLO
        self._expect(self._client.getreply, 220)
        self._hello()
        if where.security == "starttls":
            self._start_tls()
        self._stage = Stage.LOGIN
        if where.user and where.password:
            self._log_in()

    def _wrap(self) -> None:
        assert self._client.sock is not None
        self._client.sock = self._means.tls.wrap_socket(
            self._client.sock, server_hostname=self.endpoint.host
        )
        self._client.file = None  # What came before in clear is not read as if it came after.

    def _start_tls(self) -> None:
        if not self._client.has_extn("starttls"):
            raise NotOffered("server does not offer STARTTLS")
        self._expect(lambda: self._client.docmd("STARTTLS"), 220)
        with self._within(self._patience.connect_s):
            self._wrap()
        self._hello()

    def _hello(self) -> None:
        code, _ = self._ask(self._client.ehlo)
        if code != 250:  # noqa: PLR2004  RFC 5321, 4.2.2
            self._expect(self._client.helo, 250)

    def _log_in(self) -> None:
        where = self.endpoint
        offered = self._client.esmtp_features.get("auth", "")
        way = way_in(offered, where.user, where.password, in_clear=where.security == "plain")
        if way is None:
            raise NotOffered("server offers no AUTH that is known here")
        code, text = self._ask(partial(way, self._client.docmd))
        if code not in {235, 503}:  # 503: it was logged in already.
            raise faults.refused(Stage.LOGIN, code, text)

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
        if not is_good(code):
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
            reply = self._ask(partial(self._client.docmd, "RCPT", f"TO:<{address}>"))
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
