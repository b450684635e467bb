"""Mails as octets: what stands in them, and that nothing a client writes gets out of its place."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import SMTPUTF8
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.actors.transports.smtp import addresses
from signalbox.actors.transports.smtp.headers import Unsendable
from signalbox.actors.transports.smtp.message import File, Ids, Message, compose
from signalbox.domain.mail_content import MailContent

if TYPE_CHECKING:
    from email.message import EmailMessage

AT = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
IDS = Ids("m-1", "0190-pk")


def composed(*files: File, ids: Ids = IDS, **changes: Any) -> Message:  # noqa: ANN401
    given: dict[str, Any] = {"sender": "me@acme.test", "to": ("you@example.test",), "subject": "Hi"}
    return compose(MailContent(**{**given, **changes}), ids, AT, files)


def read(message: Message) -> EmailMessage:
    return cast("EmailMessage", message_from_bytes(message.data, policy=SMTPUTF8))


def text_of(message: Message) -> str:
    part = read(message)
    if part.is_multipart():
        part = cast("EmailMessage", next(iter(part.iter_parts())))
    return cast("str", part.get_content()).replace("\r\n", "\n")


def test_a_plain_mail_is_exactly_this() -> None:
    assert composed(body="Hello\nyou").data.decode("ascii").split("\r\n") == [
        "From: me@acme.test",
        "To: you@example.test",
        "Subject: Hi",
        "Date: Sat, 21 Nov 2026 08:30:00 +0000",
        "Message-ID: <0190-pk@acme.test>",
        "MIME-Version: 1.0",
        "X-Genro-Mail-ID: m-1",
        "X-Signalbox-Mail-ID: 0190-pk",
        'Content-Type: text/plain; charset="utf-8"',
        "Content-Transfer-Encoding: 7bit",
        "",
        "Hello",
        "you",
        "",
    ]


def test_a_full_mail_has_all_of_it_but_never_bcc() -> None:
    message = composed(
        to=("a@x.test, b@x.test",),
        cc=("c@x.test", '"Doe, Jane" <d@x.test>'),
        bcc=("e@x.test",),
        reply_to="r@acme.test",
        return_path="bounce@acme.test",
        message_id="<fixed@acme.test>",
    )
    assert message.envelope.sender == "bounce@acme.test"
    assert message.envelope.recipients == tuple(f"{who}@x.test" for who in "abcde")
    mail = read(message)
    assert mail["To"] == "a@x.test, b@x.test"
    assert mail["Cc"] == 'c@x.test, "Doe, Jane" <d@x.test>'
    assert (mail["Reply-To"], mail["Message-ID"]) == ("r@acme.test", "<fixed@acme.test>")
    assert b"e@x.test" not in message.data


def test_headers_replace_those_of_their_name_and_null_is_left_out() -> None:
    mail = read(
        composed(headers={"subject": "Other", "X-Num": 7, "X-None": None, "X-Object": {"a": 1}})
    )
    assert mail.get_all("Subject") == ["Other"]
    assert (mail["X-Num"], mail["X-None"], mail["X-Object"]) == ("7", None, "{'a': 1}")


@pytest.mark.parametrize("name", ["Bcc", "content-type", "Content-Transfer-Encoding"])
def test_headers_that_tell_how_to_read_it_and_bcc_are_not_the_clients(name: str) -> None:
    mail = read(composed(headers={name: "x@y.test"}, body="text"))
    assert mail["Bcc"] is None
    assert mail.get_all("Content-Type") == ['text/plain; charset="utf-8"']
    assert mail.get_all("Content-Transfer-Encoding") == ["7bit"]


def test_the_id_of_the_client_is_not_replaced_by_a_header() -> None:
    mail = read(composed(headers={"X-Genro-Mail-ID": "other", "x-signalbox-mail-id": "other"}))
    assert mail.get_all("X-Genro-Mail-ID") == ["m-1"]
    assert mail.get_all("X-Signalbox-Mail-ID") == ["0190-pk"]


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("html", "text/html"),
        ("plain", "text/plain"),
        ("text/html", "text/plain"),
        ("HTML", "text/plain"),
    ],
)
def test_only_the_exact_word_makes_html(content_type: str, expected: str) -> None:
    assert read(composed(content_type=content_type)).get_content_type() == expected


INJECTIONS = ["a\r\nBcc: evil@x.test", "a\nX-Evil: 1", "a\rX-Evil: 1", "a\x00b", "a\r\n\r\nbody"]


@pytest.mark.parametrize("evil", INJECTIONS)
@pytest.mark.parametrize(
    "place",
    [
        "sender",
        "to",
        "cc",
        "reply_to",
        "return_path",
        "message_id",
        "subject",
        "header",
        "name",
        "id",
    ],
)
def test_a_line_break_in_a_header_refuses_the_mail_or_the_address(place: str, evil: str) -> None:
    changes: dict[str, Any] = {
        "to": {"to": (evil,)},
        "cc": {"cc": (evil,)},
        "header": {"headers": {"X-A": evil}},
        "name": {"headers": {f"X-{evil}": "a"}},
        "id": {"ids": Ids(evil, "pk")},
    }.get(place, {place: evil})
    with pytest.raises(Unsendable):
        composed(**changes)


@pytest.mark.parametrize(
    "evil", ["a\x0bX: 1", "a\x0cX: 1", "a\x1cX: 1", "a\x85X: 1", "a\u2028X: 1"]
)
def test_other_line_breaks_become_blanks(evil: str) -> None:
    mail = read(composed(subject=evil, headers={"X-A": evil}))
    assert (mail["Subject"], mail["X-A"], mail["X"]) == ("a X: 1", "a X: 1", None)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXTS, TEXTS, st.sampled_from(["plain", "html"]))
def test_any_text_comes_through_and_no_line_end_is_half(
    subject: str, body: str, content_type: str
) -> None:
    try:
        message = composed(subject=subject, body=body, content_type=content_type)
    except Unsendable:
        assert any(char in subject for char in "\r\n\0")
        return
    assert message.data.isascii()
    assert not _has_half_line_end(message.data)
    assert max(map(len, message.data.split(b"\r\n"))) <= 998
    lines = body.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n")
    assert text_of(message).removesuffix("\n") == lines


def _has_half_line_end(data: bytes) -> bool:
    rest = data.replace(b"\r\n", b"")
    return b"\r" in rest or b"\n" in rest


@pytest.mark.parametrize("end", ["\n.\n", "\r.\r", "\n.\r\n", "\r\n.\r", "\r\n.\n", "\r.\n"])
def test_no_line_end_of_a_body_can_smuggle_a_second_mail(end: str) -> None:
    message = composed(body=f"first{end}MAIL FROM:<evil@x.test>{end}")
    assert not _has_half_line_end(message.data)
    assert b"\r\n.\r\nMAIL" in message.data  # Its dot is doubled when it is sent.


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        ("ascii", "7bit"),
        ("ein Gruß aus der kleinen Stadt", "quoted-printable"),
        ("一" * 400, "base64"),
        ("x" * 2_000, "quoted-printable"),
        ("nul \x00 and bell \x07", "quoted-printable"),
        ("trailing  \nünd so", "quoted-printable"),
    ],
)
def test_a_text_is_encoded_as_it_needs_it(body: str, encoding: str) -> None:
    message = composed(body=body)
    assert read(message)["Content-Transfer-Encoding"] == encoding
    assert text_of(message).removesuffix("\n") == body
    assert max(map(len, message.data.split(b"\r\n"))) <= 998


def test_files_are_attached_in_base64_with_names_of_any_kind() -> None:
    content = bytes(range(256)) * 50
    message = composed(
        File("a.txt", b"hello", "text/x-odd"),
        File("b.bin", content),
        File("doc.pdf", b""),
        File('Über "quoted" \\ name.html', b"<b>"),
        body="h\u00e9",
        content_type="html",
    )
    mail = read(message)
    assert mail.get_content_type() == "multipart/mixed"
    text, *files = [cast("EmailMessage", part) for part in mail.iter_parts()]
    assert text.get_content() == "h\u00e9\r\n"
    assert [part.get_content_type() for part in files] == [
        "text/x-odd", "application/octet-stream", "application/pdf", "text/html",
    ]  # fmt: skip
    assert [part.get_filename() for part in files] == [
        "a.txt", "b.bin", "doc.pdf", 'Über "quoted" \\ name.html',
    ]  # fmt: skip
    assert [part.get_payload(decode=True) for part in files] == [b"hello", content, b"", b"<b>"]
    assert not _has_half_line_end(message.data)


@pytest.mark.parametrize(
    ("given_type", "name", "expected"),
    [
        ("text/plain; charset=utf-8", "a.bin", "text/plain"),
        ("nonsense", "a.png", "image/png"),
        ("text/plain\r\nX-Evil: 1", "a", "application/octet-stream"),
        ("message/rfc822", "a.eml", "application/octet-stream"),
        ("multipart/mixed", "a", "application/octet-stream"),
        ("", "a.eml", "application/octet-stream"),
        ("IMAGE/PNG", "a", "image/png"),
    ],
)
def test_a_file_has_the_type_it_is_given_or_that_of_its_name(
    given_type: str, name: str, expected: str
) -> None:
    mail = read(composed(File(name, b"x", given_type)))
    part = list(mail.iter_parts())[1]
    assert part.get_content_type() == expected
    assert mail["X-Evil"] is None


@pytest.mark.parametrize("name", ["a\r\nX-Evil: 1", "a\nb", "a\x00b"])
def test_a_line_break_in_a_files_name_refuses_the_mail(name: str) -> None:
    with pytest.raises(Unsendable):
        composed(File(name, b"x"))


def test_an_international_domain_is_sent_in_its_ascii_form() -> None:
    message = composed(to=("you@b\u00fccher.example",), sender="J\u00f6rg <me@m\u00fcller.example>")
    assert message.envelope.recipients == ("you@xn--bcher-kva.example",)
    assert message.envelope.sender == "me@xn--mller-kva.example"
    assert not message.needs_smtputf8
    assert read(message)["From"] == "J\u00f6rg <me@xn--mller-kva.example>"
    assert b"<0190-pk@xn--mller-kva.example>" in message.data


def test_only_a_local_part_beyond_ascii_needs_smtputf8() -> None:
    message = composed(to=("j\u00f6rg@example.test",), subject="Gr\u00fc\u00dfe")
    assert message.needs_smtputf8
    assert "To: j\u00f6rg@example.test\r\n".encode() in message.data
    assert "Subject: Gr\u00fc\u00dfe\r\n".encode() in message.data
    assert not composed(subject="Gr\u00fc\u00dfe").needs_smtputf8
    assert composed(reply_to="j\u00f6rg@example.test").needs_smtputf8


@pytest.mark.parametrize(
    ("entry", "recipients"),
    [
        ("a@x.test,,b@x.test,", ("a@x.test", "b@x.test")),
        ('"a b"@x.test', ('"a b"@x.test',)),
        ("root", ("root",)),
        ("a@[127.0.0.1]", ("a@[127.0.0.1]",)),
        ("friends: a@x.test, b@x.test;", ("a@x.test", "b@x.test")),
        ("a@x.test, a@x.test", ("a@x.test",)),
    ],
)
def test_recipients_are_read_as_people_write_them(entry: str, recipients: tuple[str, ...]) -> None:
    assert composed(to=(entry,)).envelope.recipients == recipients


@pytest.mark.parametrize(
    "entry",
    ["junk address", "a@", "@b", "a b@x.test", "a@b c@d", "a@x.test>", "<>", "\ud800@x.test", "",
     "a@x.test> SIZE=1", f"a@{'x' * 300}.test", "a@.\u00fc..test", "a@x@y.test"],
)  # fmt: skip
def test_what_is_no_address_is_told_to_no_server(entry: str) -> None:
    with pytest.raises(Unsendable):
        composed(to=(entry,))
    if entry:
        message = composed(to=("you@example.test", entry))
        assert message.envelope.recipients == ("you@example.test",)
        assert list(message.envelope.refused.values()) == [(553, "invalid address")]
        assert read(message)["To"] == "you@example.test"


@pytest.mark.parametrize("nested", ["(" * 1_200, "a:" * 5_000])
def test_an_address_of_nothing_but_brackets_is_none_and_others_are_told(nested: str) -> None:
    with pytest.raises(Unsendable, match="no valid recipient"):
        composed(to=(nested,))
    message = composed(to=(nested, "k@example.com"))
    assert message.envelope.recipients == ("k@example.com",)
    assert list(message.envelope.refused) == [nested]


def test_a_mail_may_want_no_bounces() -> None:
    assert not composed(return_path="<>").envelope.sender
    with pytest.raises(Unsendable, match="invalid sender"):
        composed(sender="<>")


def test_a_long_list_is_read_without_the_slow_parser_unless_there_are_names_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, parse = [], addresses.getaddresses
    monkeypatch.setattr(addresses, "getaddresses", lambda one: (asked.append(one), parse(one))[1])
    plain = [f"someone{n}@example.com" for n in range(5_000)]
    boxes = [addresses.Mailbox("", one) for one in plain]
    assert addresses.mailboxes(", ".join(plain)) == tuple(boxes)
    assert asked == []
    named = addresses.mailboxes(", ".join([*plain, "Ann <ann@example.com>"]))
    assert named == (*boxes, addresses.Mailbox("Ann", "ann@example.com"))


def test_many_recipients_make_many_short_lines() -> None:
    to = tuple(f"recipient-{n}@example.test" for n in range(300))
    message = composed(to=to)
    assert message.envelope.recipients == to
    assert max(map(len, message.data.split(b"\r\n"))) <= 78
    assert len(read(message)["To"].addresses) == 300


def test_a_long_id_of_the_client_is_not_folded() -> None:
    long = "store@" + "x" * 300
    assert f"X-Genro-Mail-ID: {long}\r\n".encode() in composed(ids=Ids(long, "pk")).data
    odd = "m 1 \u00e9"
    assert read(composed(ids=Ids(odd, "pk")))["X-Genro-Mail-ID"] == odd


@pytest.mark.parametrize("field", ["subject", "body"])
def test_half_a_character_is_no_text(field: str) -> None:
    with pytest.raises(Unsendable):
        composed(**{field: "a\ud800"})


@given(TEXTS)
def test_an_address_whatever_it_is_never_ends_its_command(entry: str) -> None:
    try:
        message = composed(to=(entry,))
    except Unsendable:
        return
    for address in message.envelope.recipients:
        assert not any(char in address for char in "\r\n\0<>") or address.startswith('"')
        assert len(address.splitlines()) == 1
