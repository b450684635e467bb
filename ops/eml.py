"""A mail in a file (`.eml`, RFC 5322) as an item of the mail proxy's add-messages.

From, To, Cc, Bcc, Reply-To, Subject ──▶ the item's own fields
text/html, else text/plain ────────────▶ body
every other part ──────────────────────▶ attachments, in Base64
other header fields ───────────────────▶ headers, but for those of its way until now

An item has one text, and no attachment has a Content-ID: what is lost by that is told beside it.
"""

from __future__ import annotations

import hashlib
import mimetypes
from base64 import b64encode
from email import message_from_bytes
from email.headerregistry import AddressHeader
from email.policy import default
from typing import TYPE_CHECKING, Any, Final, cast

from signalbox.actors.transports.smtp import addresses

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from email.message import EmailMessage, MIMEPart

Item = dict[str, Any]

FILENAME_CHARS_MAX: Final = 255
DIGEST_CHARS: Final = 32
OWN_FIELDS: Final = frozenset({
    "from", "to", "cc", "bcc", "reply-to", "return-path", "subject", "message-id", "mime-version",
})  # fmt: skip
# What servers wrote on the way, and signatures of what will not be sent octet by octet.
TRACE_FIELDS: Final = frozenset({
    "received", "delivered-to", "x-original-to", "dkim-signature", "domainkey-signature",
    "authentication-results", "received-spf",
})  # fmt: skip
TRACE_PREFIXES: Final = ("content-", "arc-", "resent-")
NO_SUBJECT: Final = " "  # add-messages wants at least one character
NO_PLAIN: Final = "the plain text is left out: the HTML is sent alone"
ONLY_COPIES: Final = "it has nobody in To, where somebody has to be: Cc and Bcc are not enough"


class BadEml(Exception):  # noqa: N818  what it is
    """It is no mail; `str()` says why."""


def item_of(octets: bytes) -> tuple[Item, list[str]]:
    """Return the item, and in words what is not in it as it was in the file.

    It is without its ids: whose it is, which account it takes, what it is called.

    Raises:
        BadEml: nobody it is from or to.
    """
    mail = message_from_bytes(octets, policy=default)
    try:
        item = _fields(mail)
    except (IndexError, ValueError, AttributeError):  # The library's, over an odd address.
        raise BadEml("a field of its header can't be read") from None
    _require_addresses(item)
    parts, left_out = _parts(mail)
    return {name: value for name, value in (item | parts).items() if value}, left_out


def id_of(octets: bytes) -> str:
    """Return an id by which the same file is the same mail: sent twice, it goes once."""
    return f"eml-{hashlib.sha256(octets).hexdigest()[:DIGEST_CHARS]}"


def _fields(mail: EmailMessage) -> Item:
    return {
        "from": _text(mail, "From"),
        "to": _addresses(mail, "To"),
        "cc": _addresses(mail, "Cc"),
        "bcc": _addresses(mail, "Bcc"),
        "reply_to": _text(mail, "Reply-To"),
        "return_path": _text(mail, "Return-Path").strip("<>"),
        "subject": _text(mail, "Subject") or NO_SUBJECT,
        "message_id": _text(mail, "Message-ID"),
        "headers": _others(mail),
    }


def _require_addresses(item: Item) -> None:
    if not item["from"]:
        raise BadEml("it has no From")
    senders, _ = addresses.read([item["from"]])
    if not senders or "@" not in senders[0].address:
        raise BadEml("there is no address in its From")
    if not item["to"]:
        raise BadEml(ONLY_COPIES if item["cc"] or item["bcc"] else "it has no To")


def _parts(mail: EmailMessage) -> tuple[Item, list[str]]:
    """Return text and attachments, and in words what is lost of them."""
    body, plain = mail.get_body(("html", "plain")), mail.get_body(("plain",))
    spoken = {id(part) for part in (body, plain)}
    leaves = [part for part in _leaves(mail) if id(part) not in spoken]
    attachments = [_attachment(part, number) for number, part in enumerate(leaves, 1)]
    is_html = body is not None and body.get_content_subtype() == "html"
    text = "" if body is None else _said(body)
    item: Item = {
        "body": text,
        "content_type": "html" if is_html else "plain",
        "attachments": attachments,
    }
    if not is_html:
        return item, []
    names = [one["filename"] for one in attachments]
    lost = [NO_PLAIN] if plain is not None else []
    return item, [*lost, *_out_of_place(text, zip(names, leaves, strict=True))]


def _out_of_place(html: str, named: Iterable[tuple[str, EmailMessage]]) -> Iterator[str]:
    """Tell of parts that HTML shows by their Content-ID (RFC 2392), which attachments lack."""
    for name, part in named:
        cid = _text(part, "Content-ID").strip("<>")
        if cid and f"cid:{cid}" in html:
            shown = f"cid:{cid}"  # Both are written by whoever wrote the mail: repr() tames them.
            yield f"{name!r} becomes an attachment: the HTML loses it as {shown!r}"


def _leaves(part: EmailMessage) -> Iterator[EmailMessage]:
    """Yield the parts that have no parts; a mail in a mail is one."""
    if not part.is_multipart() or part.get_content_maintype() == "message":
        yield part
        return
    for inner in cast("list[EmailMessage]", part.get_payload()):
        yield from _leaves(inner)


def _attachment(part: EmailMessage, number: int) -> Item:
    mime_type = part.get_content_type()
    suffix = ".eml" if mime_type == "message/rfc822" else mimetypes.guess_extension(mime_type)
    name = part.get_filename() or f"part-{number}{suffix or '.bin'}"
    return {
        "filename": name[-FILENAME_CHARS_MAX:],
        "storage_path": b64encode(_octets(part)).decode() or "base64:",
        "mime_type": mime_type,
        "fetch_mode": "base64",
    }


def _said(part: MIMEPart) -> str:
    """Return the text of a part."""
    try:
        return str(part.get_content())
    except (KeyError, LookupError):  # A type or charset that the library has no reader for.
        return _octets(part).decode(errors="replace")


def _octets(part: MIMEPart) -> bytes:
    """Return what is in a part as it is, a mail in it whole."""
    if part.get_content_maintype() == "message" and part.is_multipart():
        return b"".join(inner.as_bytes() for inner in part.iter_parts())
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _text(mail: EmailMessage, name: str) -> str:
    return " ".join(str(mail[name] or "").split())


def _addresses(mail: EmailMessage, name: str) -> list[str]:
    fields = mail.get_all(name) or []
    addressed = [field for field in fields if isinstance(field, AddressHeader)]
    return [str(one) for field in addressed for one in field.addresses]


def _others(mail: EmailMessage) -> dict[str, str]:
    others: dict[str, str] = {}
    for name in mail.keys():  # noqa: SIM118  names come as often as they stand there
        low = name.lower()
        if low not in OWN_FIELDS | TRACE_FIELDS and not low.startswith(TRACE_PREFIXES):
            others[name] = ", ".join(" ".join(str(one).split()) for one in mail.get_all(name) or [])
    return others
