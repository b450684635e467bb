"""DKIM signatures, as somebody else's library checks them."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
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
    spki = RSA.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
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
    message = signed(mail(), "acme.test", "mail", pem(RSA))
    head = message.partition(b"\r\n\r\n")[0]
    assert max(map(len, head.split(b"\r\n"))) <= 78


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
