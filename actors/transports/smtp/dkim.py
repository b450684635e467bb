"""DKIM signatures (RFC 6376): rsa-sha256 and ed25519-sha256 (RFC 8463), relaxed/relaxed.

dkimpy reads the mail and writes the field; OpenSSL signs, and the key decides which way. Fields
that matter are signed once more than they occur, so that nobody can add another one.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Final, NamedTuple

import dkim
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key
from dkim.canonicalization import CanonicalizationPolicy

SEED_OCTETS: Final = 32
OVERSIGNED: Final = (b"from", b"to", b"cc", b"subject", b"date", b"message-id", b"reply-to")
SIGNED_IF_THERE: Final = (
    *OVERSIGNED, b"mime-version", b"content-type", b"content-transfer-encoding", b"sender",
    b"list-unsubscribe", b"list-unsubscribe-post", b"list-id", b"in-reply-to", b"references",
)  # fmt: skip
RELAXED: Final = CanonicalizationPolicy.from_c_value(b"relaxed/relaxed")
_NAME: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")


@dataclass(eq=False)
class BadKey(Exception):  # noqa: N818  named after what was found
    """Nothing can be signed with the key, the domain or the selector of an account."""

    reason: str

    def __str__(self) -> str:
        return f"DKIM: {self.reason}"


class _Signature(NamedTuple):
    signature: bytes


@dataclass(frozen=True, slots=True)
class _OpensslKey:
    """A key as dkimpy uses those of PyNaCl, for Ed25519: it hands them a digest to sign.

    RSA it computes itself, in Python: 25 times as slowly as OpenSSL with 2048 bits.
    """

    key: RSAPrivateKey | Ed25519PrivateKey

    @property
    def algorithm(self) -> bytes:
        return b"rsa-sha256" if isinstance(self.key, RSAPrivateKey) else b"ed25519-sha256"

    def sign(self, digest: bytes) -> _Signature:
        if isinstance(self.key, RSAPrivateKey):
            return _Signature(self.key.sign(digest, PKCS1v15(), Prehashed(SHA256())))
        return _Signature(self.key.sign(digest))


def signed(message: bytes, domain: str, selector: str, private_key: str) -> bytes:
    """Return a mail with its signature before it.

    The key is in PEM, or Base64 of its DER form or of an Ed25519 seed. Raises: `BadKey`.
    """
    if not (_NAME.fullmatch(domain) and _NAME.fullmatch(selector)):
        raise BadKey("no proper domain or selector")
    key = _key(private_key)
    mail = dkim.DKIM(message, signature_algorithm=b"ed25519-sha256")  # So the key is asked to sign.
    mail.hasher = sha256
    present = (name.lower() for name, _ in mail.headers)
    names = [*(name for name in present if name in SIGNED_IF_THERE), *OVERSIGNED]
    body = RELAXED.canonicalize_body(mail.body)
    tags = _tags(key.algorithm, (domain, selector), names, sha256(body).digest())
    value = mail.gen_header(tags, names, RELAXED, b"DKIM-Signature", key)
    # With keys of some sizes dkimpy folds within the line end, or once more after it.
    return b"DKIM-Signature: %b\r\n%b" % (value.rstrip(), message)


def _tags(
    algorithm: bytes, signer: tuple[str, str], names: list[bytes], digest: bytes
) -> list[tuple[bytes, bytes]]:
    """Return what stands in the field, with line ends before what dkimpy would cut in two."""
    domain, selector = (name.encode("ascii") for name in signer)
    return [
        (b"v", b"1"), (b"a", algorithm), (b"c", RELAXED.to_c_value()),
        (b"\r\n d", domain), (b"s", selector), (b"\r\n h", b" : ".join(names)),
        (b"bh", b64encode(digest)), (b"b", b""),
    ]  # fmt: skip


@lru_cache(maxsize=256)
def _key(text: str) -> _OpensslKey:
    try:
        key = _loaded(text.strip())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadKey("the key can't be read") from error
    if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
        raise BadKey("the key is neither RSA nor Ed25519")
    return _OpensslKey(key)


def _loaded(text: str) -> object:
    if text.startswith("-----"):
        return load_pem_private_key(text.encode("ascii"), password=None)
    octets = b64decode("".join(text.split()), validate=True)
    if len(octets) == SEED_OCTETS:
        return Ed25519PrivateKey.from_private_bytes(octets)
    return load_der_private_key(octets, password=None)
