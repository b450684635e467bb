"""A mail as octets: what stands in the envelope and what follows DATA (RFC 5321, 5322, 2045).

    MailContent ─┬─▶ Envelope: who it is from and who gets it, Bcc among them
    files ───────┴─▶ header fields ── one text ── its attachments in Base64

Lines end in CRLF and nowhere is there a CR or LF alone, so that no server sees the end of a mail
where another does not ("SMTP smuggling"). All of it is 7-bit but for the header fields of a mail
that needs SMTPUTF8; no server has to know 8BITMIME. Dots are doubled by whoever sends it.
"""

from __future__ import annotations

import mimetypes
import re
import secrets
from dataclasses import dataclass, field
from email.generator import BytesGenerator
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from signalbox.actors.transports.smtp import addresses, headers
from signalbox.actors.transports.smtp.headers import Unsendable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from signalbox.domain.mail_content import MailContent

LINE_OCTETS_MAX: Final = 998  # RFC 5322, 2.1.1
ENCODED_LINE_OCTETS: Final = 76  # RFC 2045, 6.7 and 6.8
SYNTAX_CODE: Final = 553  # RFC 5321, 4.2.3: mailbox name not allowed
OUR_OWN: Final = frozenset({"bcc", "content-type", "content-transfer-encoding", "mime-version"})
BINARY: Final = "application/octet-stream"
_NOT_PLAIN: Final = re.compile(r"[^\t\r\n -~]")
_LINE_END: Final = re.compile(r"\r\n?|\n")
_BEYOND_ASCII: Final = bytes(range(128, 256))
_MIME_TYPE: Final = re.compile(
    r"(?!(?:message|multipart)/)[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+"
    r'(?: ?; ?[a-z0-9!#$&^_.+-]+=(?:[a-z0-9!#$&^_.+-]+|"[ !#-\[\]-~]*"))*',
    re.IGNORECASE | re.ASCII,
)


class _Wire(EmailPolicy):
    """Fields stand in a message as `headers` has written them.

    The library would read each of them, to write it as it was: fourteen times the time of the rest.
    """

    @override
    def header_store_parse(self, name: str, value: Any) -> tuple[str, Any]:
        return name, value

    @override
    def header_fetch_parse(self, name: str, value: Any) -> Any:
        return value

    @override
    def fold_binary(self, name: str, value: Any) -> bytes:
        return value if isinstance(value, bytes) else f"{name}: {value}\r\n".encode("ascii")


WIRE: Final = _Wire(linesep="\r\n", max_line_length=ENCODED_LINE_OCTETS)


@dataclass(frozen=True, slots=True)
class File:
    """A file to attach; an empty `mime_type` is found by the name."""

    name: str
    content: bytes
    mime_type: str = ""


@dataclass(frozen=True, slots=True)
class Ids:
    """What a mail is known by: to its client, and to us."""

    client_id: str
    pk: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the server is told about a mail; `refused` are entries that are no addresses."""

    sender: str
    recipients: tuple[str, ...]
    refused: Mapping[str, tuple[int, str]] = field(default_factory=dict)

    @property
    def needs_smtputf8(self) -> bool:
        """True when only a server that knows SMTPUTF8 can take it."""
        return not (self.sender.isascii() and all(map(str.isascii, self.recipients)))

    def at(self, places: Collection[int]) -> Envelope:
        """Return it for the recipients at these places alone; for all when there are none."""
        if not places:
            return self
        named = enumerate(self.recipients)
        return Envelope(self.sender, tuple(address for place, address in named if place in places))


@dataclass(frozen=True, slots=True)
class Message:
    """A mail that can be sent."""

    envelope: Envelope
    data: bytes
    needs_smtputf8: bool = False


def compose(mail: MailContent, ids: Ids, at: datetime, files: Sequence[File] = ()) -> Message:
    """Return a mail with these files in place of its attachments.

    Raises:
        Unsendable: something in it can't be put on the wire, or nobody would get it.
    """
    envelope = envelope_of(mail)
    utf8 = envelope.needs_smtputf8 or _has_utf8(mail)
    message = EmailMessage(policy=WIRE)
    for name, written in _fields(mail, ids, at, utf8=utf8).items():
        message[name] = written
    _set_text(message, mail)
    if files:
        message.make_mixed(boundary=f"=_{secrets.token_hex(16)}")  # Which nobody guesses.
        for file in files:
            message.attach(_part(file))
    octets = BytesIO()
    BytesGenerator(octets, mangle_from_=False, policy=WIRE).flatten(message)
    return Message(envelope, octets.getvalue(), utf8)


def envelope_of(mail: MailContent) -> Envelope:
    """Return sender and recipients, each of these once. Raises: `Unsendable`."""
    sender = _sender(mail)
    found, bad = addresses.unique((*mail.to, *mail.cc, *mail.bcc))
    if any(map(headers.BREAKS.search, bad)):
        raise Unsendable("a recipient has a line break or NUL in it")
    if not found:
        raise Unsendable("no valid recipient" if bad else "no recipient")
    refused = dict.fromkeys(bad, (SYNTAX_CODE, "invalid address"))
    return Envelope(sender, tuple(found), refused)


def _sender(mail: MailContent) -> str:
    if mail.return_path.strip() == "<>":  # It wants no bounces (RFC 5321, 4.5.5).
        return ""
    wanted = mail.return_path.strip() or mail.sender
    found, _ = addresses.read([wanted])
    if not found:
        raise Unsendable("invalid sender")
    return found[0].address


def _has_utf8(mail: MailContent) -> bool:
    found, _ = addresses.read((mail.sender, mail.reply_to))
    return any(mailbox.needs_smtputf8 for mailbox in found)


def _fields(mail: MailContent, ids: Ids, at: datetime, *, utf8: bool) -> dict[str, bytes]:
    """Return the header fields by their names in small letters."""
    found = {
        "from": _addresses("From", [mail.sender], utf8=utf8),
        "to": _addresses("To", mail.to, utf8=utf8),
        "subject": headers.field("Subject", mail.subject, utf8=utf8),
    }
    if any(entry.strip() for entry in mail.cc):
        found["cc"] = _addresses("Cc", mail.cc, utf8=utf8)
    if mail.reply_to:
        found["reply-to"] = _addresses("Reply-To", [mail.reply_to], utf8=utf8)
    found["date"] = headers.field("Date", format_datetime(at))
    found["message-id"] = headers.identifier(
        "Message-ID", mail.message_id or _message_id(mail, ids)
    )
    found["mime-version"] = b"MIME-Version: 1.0\r\n"
    for name, value in mail.headers.items():
        if value is not None and name.lower() not in OUR_OWN:
            found[name.lower()] = headers.field(name, str(value), utf8=utf8)
    found["x-genro-mail-id"] = headers.identifier("X-Genro-Mail-ID", ids.client_id)
    found["x-signalbox-mail-id"] = headers.identifier("X-Signalbox-Mail-ID", ids.pk)
    return found


def _addresses(name: str, entries: Sequence[str], *, utf8: bool) -> bytes:
    found, bad = addresses.read(entry for entry in entries if entry.strip())
    texts = [mailbox.text for mailbox in found]
    if not texts:
        return headers.field(name, ", ".join(bad), utf8=utf8)
    return headers.addresses(name, texts, utf8=utf8)


def _message_id(mail: MailContent, ids: Ids) -> str:
    """Return one that is the same for every attempt, so that a mail sent twice can be told."""
    found, _ = addresses.read([mail.sender])
    domain = found[0].address.rpartition("@")[2] if found else ""
    return f"<{ids.pk}@{domain if domain.isascii() and domain else 'localhost'}>"


def _set_text(message: EmailMessage, mail: MailContent) -> None:
    body = _LINE_END.sub("\n", mail.body)
    subtype = "html" if mail.content_type == "html" else "plain"
    try:
        message.set_content(body, subtype=subtype, charset="utf-8", cte=_encoding(body))
    except UnicodeEncodeError as error:
        raise Unsendable("the body is no text") from error


def _encoding(body: str) -> str:
    """Return how a text is encoded (RFC 2045, 6)."""
    octets = body.encode()
    if _NOT_PLAIN.search(body) is None and max(map(len, octets.split(b"\n"))) <= LINE_OCTETS_MAX:
        return "7bit"
    beyond_ascii = len(octets) - len(octets.translate(None, _BEYOND_ASCII))
    return "base64" if beyond_ascii * 6 > len(octets) else "quoted-printable"


def _part(file: File) -> EmailMessage:
    part = EmailMessage(policy=WIRE)
    part.set_content(file.content, maintype="application", subtype="octet-stream")
    part.replace_header("Content-Type", headers.field("Content-Type", mime_type_of(file)))
    name = file.name.replace("\\", "\\\\").replace('"', '\\"')
    disposition = headers.field("Content-Disposition", f'attachment; filename="{name}"')
    part["Content-Disposition"] = disposition
    del part["MIME-Version"]  # It is the whole mail's.
    return part


def mime_type_of(file: File) -> str:
    """Return the type a file was given, else that of its name.

    What would have to be a mail or several parts is only octets: these may not be in Base64
    (RFC 2046, 5).
    """
    if _MIME_TYPE.fullmatch(file.mime_type):
        return file.mime_type
    guessed = mimetypes.guess_type(file.name)[0] or BINARY
    return guessed if _MIME_TYPE.fullmatch(guessed) else BINARY
