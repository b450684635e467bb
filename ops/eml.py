"""A mail in a file (`.eml`, RFC 5322) as an item of the mail proxy's add-messages.

From, To, Cc, Bcc, Reply-To, Subject ──▶ the item's own fields
text/html, else text/plain ────────────▶ body
every other part ──────────────────────▶ attachments, in Base64
other header fields ───────────────────▶ headers, but for those of its way until now
"""

from __future__ import annotations

import hashlib
import mimetypes
from base64 import b64encode
from email import message_from_bytes
from email.headerregistry import AddressHeader
from email.policy import default
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Iterator
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


class BadEml(Exception):  # noqa: N818  what it is
    """It is no mail; `str()` says why."""


def item_of(octets: bytes) -> Item:
    """Return the item without its ids: whose it is, which account it takes, what it is called.

    Raises:
        BadEml: nobody it is from or to.
    """
    mail = message_from_bytes(octets, policy=default)
    item: Item = {
        "from": _text(mail, "From"),
        "to": _addresses(mail, "To"),
        "cc": _addresses(mail, "Cc"),
        "bcc": _addresses(mail, "Bcc"),
        "reply_to": _text(mail, "Reply-To"),
        "return_path": _text(mail, "Return-Path").strip("<>"),
        "subject": _text(mail, "Subject"),
        "message_id": _text(mail, "Message-ID"),
        "headers": _others(mail),
    }
    for field in ("from", "to"):
        if not item[field]:
            raise BadEml(f"it has no {field.title()}")
    return {name: value for name, value in (item | _parts(mail)).items() if value}


def id_of(octets: bytes) -> str:
    """Return an id by which the same file is the same mail: sent twice, it goes once."""
    return f"eml-{hashlib.sha256(octets).hexdigest()[:DIGEST_CHARS]}"


def _parts(mail: EmailMessage) -> Item:
    body = mail.get_body(("html", "plain"))
    spoken = {id(part) for part in (body, mail.get_body(("plain",)))}
    leaves = [part for part in _leaves(mail) if id(part) not in spoken]
    is_html = body is not None and body.get_content_subtype() == "html"
    return {
        "body": "" if body is None else _said(body),
        "content_type": "html" if is_html else "plain",
        "attachments": [_attachment(part, number) for number, part in enumerate(leaves, 1)],
    }


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
