"""DKIM signatures, as dkimpy as it is checks them, and what is wrapped of it and why."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from hashlib import sha256
from time import process_time
from typing import TYPE_CHECKING, Final

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from signalbox.actors.transports.smtp.dkim import BadKey, signed
from signalbox.actors.transports.smtp.message import File, Ids, compose
from signalbox.domain.mail_content import MailContent

if TYPE_CHECKING:
    from collections.abc import Callable

RSA: Final = rsa.generate_private_key(65_537, 2_048)
ED25519: Final = ed25519.Ed25519PrivateKey.generate()


def pem(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> str:
    octets = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return octets.decode("ascii")


def seed() -> str:
    raw = ED25519.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    return b64encode(raw).decode("ascii")


def der() -> str:
    octets = RSA.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return b64encode(octets).decode("ascii")


def published(name: bytes, timeout: int = 5) -> bytes:  # noqa: ARG001  dkimpy gives it
    assert name == b"mail._domainkey.acme.test."
    return record(RSA)


def record(key: rsa.RSAPrivateKey) -> bytes:
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return b"v=DKIM1; k=rsa; p=" + b64encode(spki)


def published_ed25519(name: bytes, timeout: int = 5) -> bytes:  # noqa: ARG001  same
    assert name == b"mail._domainkey.acme.test."
    raw = ED25519.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return b"v=DKIM1; k=ed25519; p=" + b64encode(raw)


def mail(*files: File, subject: str = "Gr\u00fc\u00dfe", body: str = "Hello  you \n\n\n") -> bytes:
    content = MailContent(
        sender="J\u00f6rg <me@acme.test>",
        to=tuple(f"you{n}@x.test" for n in range(9)),
        subject=subject,
        body=body,
        headers={"List-Unsubscribe": "<https://acme.test/u>"},
    )
    return compose(content, Ids("m-1", "pk"), datetime.now(UTC), files).data


def is_signed(message: bytes, dns: Callable[..., bytes] = published) -> bool:
    return bool(dkim.verify(message, dnsfunc=dns))


@pytest.mark.parametrize("key", [pem(RSA), der()])
def test_a_signature_is_accepted_until_something_is_changed(key: str) -> None:
    message = signed(mail(File("a.bin", bytes(300))), "acme.test", "mail", key)
    assert is_signed(message)
    assert not is_signed(message.replace(b"Hello", b"Hallo"))
    assert not is_signed(message.replace(b"you1@x.test", b"you9@x.test"))
    for added in (b"Subject: evil\r\n", b"From: evil@x.test\r\n", b"Reply-To: evil@x.test\r\n"):
        assert not is_signed(message.replace(b"MIME-Version", added + b"MIME-Version"))


def test_a_key_may_be_a_seed_of_ed25519() -> None:
    for key in (pem(ED25519), seed()):
        assert is_signed(signed(mail(), "acme.test", "mail", key), published_ed25519)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0")),
       st.text(st.sampled_from("a \t\r\n.=\u00e9")))  # fmt: skip
def test_whatever_is_in_a_mail_its_signature_holds(subject: str, body: str) -> None:
    assert is_signed(signed(mail(subject=subject, body=body), "acme.test", "mail", pem(RSA)))


def test_no_line_of_a_signature_is_too_long() -> None:
    message = signed(mail(), "newsletters.acme.test", "signalbox-2026", pem(RSA))
    head = message.partition(b"\r\n\r\n")[0]
    assert max(map(len, head.split(b"\r\n"))) <= 78


def test_every_field_that_matters_is_signed_if_it_is_there() -> None:
    names = (
        b"From", b"To", b"Cc", b"Subject", b"Date", b"Message-ID", b"Reply-To", b"Sender",
        b"MIME-Version", b"Content-Type", b"Content-Transfer-Encoding", b"List-Unsubscribe",
        b"List-Unsubscribe-Post", b"List-ID", b"In-Reply-To", b"References",
    )  # fmt: skip
    fields = b"".join(b"%b: 1\r\n" % name for name in (*names, b"Received"))
    message = signed(fields + b"\r\n", "acme.test", "mail", pem(RSA))
    changed = (message.replace(b"\n%b: 1" % name, b"\n%b: 2" % name) for name in names)
    assert not any(map(is_signed, changed))
    assert is_signed(message.replace(b"Received: 1", b"Received: 2"))


def test_what_is_signed_is_what_the_rfc_says() -> None:
    """The example of RFC 6376, 3.4.5, and more; no library writes what is expected."""
    message = (
        b"From: <me@acme.test> \r\nX-Other: 1\r\n"
        b"subject:\t Two \r\n\t lines\r\nTo: \xc3\xa9@x.test\r\n"
        b"\r\n C \r\nD \t E\r\n\r\n\r\n"
    )
    field = signed(message, "acme.test", "mail", pem(RSA)).removesuffix(message)
    tags, _, signature = re.sub(rb"\s+", b" ", field).partition(b"; b=")
    digest = b64encode(sha256(b" C\r\nD E\r\n").digest())
    expected = (
        b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=acme.test; s=mail; "
        b"h=from : subject : to : from : to : cc : subject : date : message-id : reply-to; bh=%b"
    )
    assert tags == expected % digest
    covered = (
        b"from:<me@acme.test>\r\nsubject:Two lines\r\nto:\xc3\xa9@x.test\r\ndkim-signature:%b; b="
    ) % tags.removeprefix(b"DKIM-Signature: ")
    RSA.public_key().verify(b64decode(signature), covered, padding.PKCS1v15(), SHA256())


def cpu_seconds(sign: Callable[[], bytes]) -> float:
    """Return what the fastest of some took."""

    def once() -> float:
        began = process_time()
        sign()
        return process_time() - began

    return min(once() for _ in range(7))


def test_openssl_signs_in_a_fraction_of_the_time_dkimpy_takes() -> None:
    """Should this fail, dkimpy computes RSA fast and need not be handed a key that signs."""
    message, key = mail(), pem(RSA)
    by_dkimpy = cpu_seconds(lambda: dkim.sign(message, b"mail", b"acme.test", key.encode()))
    assert cpu_seconds(lambda: signed(message, "acme.test", "mail", key)) < by_dkimpy / 3


def test_ed25519_needs_no_library_that_dkimpy_would_need(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as without:
        without.delattr(dkim, "nacl")
        with pytest.raises(dkim.NaClNotFoundError):
            dkim.sign(mail(), b"mail", b"acme.test", seed().encode(), None,
                      signature_algorithm=b"ed25519-sha256")  # fmt: skip
        message = signed(mail(), "acme.test", "mail", seed())
    assert is_signed(message, published_ed25519)


def test_names_of_any_length_stay_whole_though_dkimpy_would_cut_them() -> None:
    domain, selector = f"{'a' * 60}.{'b' * 60}.test", "s" * 72
    asked: list[bytes] = []

    def dns(name: bytes, timeout: int) -> bytes:  # noqa: ARG001  dkimpy gives it
        asked.append(name)
        return record(RSA)

    message = mail()
    plain = dkim.sign(message, selector.encode(), domain.encode(), pem(RSA).encode()) + message
    assert not is_signed(plain, dns)
    asked.clear()
    assert is_signed(signed(message, domain, selector, pem(RSA)), dns)
    assert asked == [f"{selector}._domainkey.{domain}.".encode()]


@pytest.mark.parametrize("bits", [2_104, 2_536])
def test_a_line_ends_once_though_dkimpy_would_fold_within_its_end(bits: int) -> None:
    message, key = mail(), rsa.generate_private_key(65_537, bits)
    plain = dkim.sign(message, b"mail", b"acme.test", pem(key).encode())
    assert plain.endswith((b" \n", b" \r\n"))
    found = signed(message, "acme.test", "mail", pem(key))
    assert is_signed(found, lambda _, timeout: record(key))  # noqa: ARG005  dkimpy gives it
    assert re.search(rb"(?<!\r)\n|\r(?!\n)|\r\n[ \t]*\r\n", found.removesuffix(message)) is None


@pytest.mark.parametrize(
    ("domain", "selector", "key", "reason"),
    [
        ("acme.test", "mail", "nonsense", "can't be read"),
        ("acme.test", "mail", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END", "can't be read"),
        ("acme.test", "mail", pem(ec.generate_private_key(ec.SECP256R1())), "neither RSA nor"),
        ("acme.test; h=", "mail", pem(RSA), "no proper domain"),
        ("acme.test", "a\r\nb", pem(RSA), "no proper domain"),
    ],
)
def test_what_nothing_can_be_signed_with_is_told(
    domain: str, selector: str, key: str, reason: str
) -> None:
    with pytest.raises(BadKey, match=reason):
        signed(mail(), domain, selector, key)
