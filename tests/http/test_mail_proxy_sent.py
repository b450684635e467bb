"""Mails as the original put them on the wire, beside ours of the same messages.

Ours have a Date, a Message-ID and an id of ours besides. How parts are encoded, and what separates
them, is ours to choose.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import SMTPUTF8
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
import pytest

from signalbox.actors.transports.smtp.message import File, Ids, Message, compose
from signalbox.http.mail_proxy.wire_messages import MessageBody, with_sender

if TYPE_CHECKING:
    from email.message import EmailMessage

VECTORS: Final = Path(__file__).parents[1] / "vectors" / "mail_proxy_sent.json"
SENT: Final[list[dict[str, Any]]] = json.loads(VECTORS.read_text(encoding="utf-8"))
MASKED: Final = {"content-type", "content-transfer-encoding"}


def of_original(sent: dict[str, Any]) -> EmailMessage:
    return cast("EmailMessage", message_from_bytes(sent["data"].encode(), policy=SMTPUTF8))


def of_ours(sent: dict[str, Any]) -> Message:
    """Compose the same message, with the files that the original fetched."""
    (given,) = cast("Any", with_sender({"messages": [dict(sent["message"])]}))["messages"]
    body = msgspec.convert(given, MessageBody, strict=False)
    files = [
        File(part.get_filename() or "", part.get_payload(decode=True), part.get_content_type())
        for part in of_original(sent).iter_attachments()
    ]
    return compose(body.content(), Ids(body.id, "pk"), datetime.now(UTC), files)


def fields(mail: EmailMessage) -> dict[str, str]:
    return {name.lower(): str(value) for name, value in mail.items() if name.lower() not in MASKED}


def parts(mail: EmailMessage) -> list[tuple[str, str | None, bytes]]:
    """Return type, file name and content of each part; line ends as people see them."""
    return [
        (part.get_content_type(), part.get_filename(), _content(part))
        for part in mail.walk()
        if not part.is_multipart()
    ]


@pytest.mark.parametrize("sent", SENT, ids=[sent["message"]["id"] for sent in SENT])
def test_a_mail_is_what_the_original_made_of_it_and_more(sent: dict[str, Any]) -> None:
    theirs, made = of_original(sent), of_ours(sent)
    ours = cast("EmailMessage", message_from_bytes(made.data, policy=SMTPUTF8))
    assert made.envelope.sender == sent["mail_from"]
    assert list(made.envelope.recipients) == sent["rcpt_to"]
    assert fields(theirs).items() <= fields(ours).items()
    more = fields(ours).keys() - fields(theirs).keys()
    assert {"date", "x-signalbox-mail-id"} <= more <= {"date", "message-id", "x-signalbox-mail-id"}
    assert ours["Message-ID"]
    assert parts(ours) == parts(theirs)


def _content(part: EmailMessage) -> bytes:
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes), part
    return content.replace(b"\r\n", b"\n").rstrip(b"\n")
