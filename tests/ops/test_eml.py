"""Mails in files, as programs write them, become items of add-messages."""

from base64 import b64decode
from email.message import EmailMessage
from email.policy import SMTP

import pytest

from signalbox.ops import eml
from signalbox.ops.eml import BadEml, Item, id_of

PLAIN = b"""Return-Path: <bounces@example.com>
Received: from a by b; Sat, 21 Nov 2026 08:00:00 +0000
DKIM-Signature: v=1; a=rsa-sha256
From: =?utf-8?q?J=C3=BCrgen?= <j@example.com>
To: "Doe, Jane" <jane@example.net>, bob@example.net
Cc: carol@example.net
Bcc: dave@example.net
Reply-To: answers@example.com
Subject: =?utf-8?b?R3LDvMOfZQ==?=
Message-ID: <1@example.com>
In-Reply-To: <0@example.com>
X-Campaign: spring,
 second line
MIME-Version: 1.0
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: 8bit

Sch\xf6nen Tag
"""


def test_the_header_fills_the_item_and_the_way_until_now_is_left_out() -> None:
    assert item_of(PLAIN) == {
        "from": "Jürgen <j@example.com>",
        "to": ['"Doe, Jane" <jane@example.net>', "bob@example.net"],
        "cc": ["carol@example.net"],
        "bcc": ["dave@example.net"],
        "reply_to": "answers@example.com",
        "return_path": "bounces@example.com",
        "subject": "Grüße",
        "message_id": "<1@example.com>",
        "headers": {"In-Reply-To": "<0@example.com>", "X-Campaign": "spring, second line"},
        "body": "Schönen Tag\n",
        "content_type": "plain",
    }


def item_of(octets: bytes) -> Item:
    item, _ = eml.item_of(octets)
    return item


def left_out(octets: bytes) -> list[str]:
    _, words = eml.item_of(octets)
    return words


def composed() -> EmailMessage:
    mail = EmailMessage(policy=SMTP)
    mail["From"] = "a@example.com"
    mail["To"] = "b@example.com"
    mail["Subject"] = "of many parts"
    mail.set_content("plain")
    mail.add_alternative("<p>rich</p>", subtype="html")
    return mail


def test_html_is_the_body_where_there_is_both_and_plain_text_is_no_attachment() -> None:
    item = item_of(composed().as_bytes())
    assert (item["body"].strip(), item["content_type"]) == ("<p>rich</p>", "html")
    assert "attachments" not in item


def test_every_other_part_is_an_attachment() -> None:
    mail = composed()
    inner = EmailMessage()
    inner["Subject"] = "inside"
    mail.add_attachment(b"\0\1", maintype="application", subtype="pdf", filename="ü.pdf")
    mail.add_attachment(inner)
    mail.add_attachment("text,too", subtype="csv")
    pdf, inside, csv = item_of(mail.as_bytes())["attachments"]
    assert (pdf["filename"], pdf["mime_type"]) == ("ü.pdf", "application/pdf")
    assert b64decode(pdf["storage_path"]) == b"\0\1"
    assert inside["filename"] == "part-2.eml"
    assert b"Subject: inside" in b64decode(inside["storage_path"])
    assert (csv["filename"], b64decode(csv["storage_path"])) == ("part-3.csv", b"text,too\r\n")
    assert {one["fetch_mode"] for one in (pdf, inside, csv)} == {"base64"}


def test_pictures_of_an_html_body_go_along() -> None:
    mail = composed()
    html = mail.get_body(("html",))
    assert html is not None
    html.add_related(b"GIF89a", maintype="image", subtype="gif", cid="<1>")
    (picture,) = item_of(mail.as_bytes())["attachments"]
    assert picture["mime_type"] == "image/gif"


def test_what_is_lost_of_the_text_is_told() -> None:
    mail = composed()
    html = mail.get_body(("html",))
    assert html is not None
    html.set_content('<p><img src="cid:img1"></p>', subtype="html")
    html.add_related(b"PNG", maintype="image", subtype="png", cid="<img1>")
    html.add_related(b"GIF", maintype="image", subtype="gif", cid="<nowhere>")
    mail.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="a.pdf")
    assert left_out(mail.as_bytes()) == [
        "the plain text is left out: the HTML is sent alone",
        "'part-1.png' becomes an attachment: the HTML loses it as 'cid:img1'",
    ]


@pytest.mark.parametrize("subtype", ["plain", "html"])
def test_of_one_text_with_attachments_nothing_is_lost(subtype: str) -> None:
    mail = EmailMessage(policy=SMTP)
    mail["From"] = mail["To"] = "a@example.com"
    mail.set_content("hello", subtype=subtype)
    mail.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="a.pdf")
    assert left_out(mail.as_bytes()) == []


def test_a_mail_without_a_subject_gets_an_empty_one() -> None:
    assert item_of(b"From: a@b.c\nTo: d@e.f\n\nhello")["subject"] == " "


@pytest.mark.parametrize("sender", ["nonsense", "Ann <ann>", "<>"])
def test_what_is_from_no_address_is_refused(sender: str) -> None:
    with pytest.raises(BadEml, match="there is no address in its From"):
        item_of(f"From: {sender}\nTo: d@e.f\n\nhello".encode())


def test_an_address_that_the_library_stumbles_over_is_refused() -> None:
    with pytest.raises(BadEml, match=r"can't be read|no address in its From"):
        item_of(b"From: a@\nTo: d@e.f\n\nhello")


def test_copies_alone_are_refused() -> None:
    hidden = b"From: a@b.c\nTo: undisclosed-recipients:;\nBcc: d@e.f\n\nhello"
    with pytest.raises(BadEml, match="nobody in To, where somebody has to be"):
        item_of(hidden)


def test_an_empty_file_and_an_unknown_charset_are_carried_along() -> None:
    mail = composed()
    mail.add_attachment(b"", maintype="application", subtype="x", filename="empty")
    (empty,) = item_of(mail.as_bytes())["attachments"]
    assert empty["storage_path"] == "base64:"
    strange = b"From: a@b.c\nTo: d@e.f\nContent-Type: text/plain; charset=x-none\n\nhello\n"
    assert item_of(strange)["body"] == "hello\n"


@pytest.mark.parametrize("octets", [b"", b"From: a@b.c\n\nhello", b"To: a@b.c\n\nhello"])
def test_what_is_from_or_to_nobody_is_no_mail(octets: bytes) -> None:
    with pytest.raises(BadEml, match=r"it has no (From|To)"):
        item_of(octets)


def test_the_same_file_has_the_same_id() -> None:
    assert id_of(PLAIN) == id_of(PLAIN) != id_of(PLAIN + b" ")
