"""DKIM signatures (RFC 6376): rsa-sha256 and ed25519-sha256 (RFC 8463), relaxed/relaxed.

The key decides which. Fields that matter are signed once more than they occur, so that nobody can
add another one. Python's libraries for it compute RSA without OpenSSL, ten times as slowly.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

SEED_OCTETS: Final = 32
OVERSIGNED: Final = ("from", "to", "cc", "subject", "date", "message-id", "reply-to")
SIGNED_IF_THERE: Final = (
    "mime-version", "content-type", "content-transfer-encoding", "list-unsubscribe",
    "list-unsubscribe-post", "list-id", "in-reply-to", "references", "sender",
)  # fmt: skip
_NAME: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")
_WSP: Final = re.compile(rb"[ \t]+")
_WSP_AT_END: Final = re.compile(rb"[ \t]+(?=\r\n)")
_FOLD: Final = re.compile(rb"\r\n(?=[ \t])")


@dataclass(eq=False)
class BadKey(Exception):  # noqa: N818  named after what was found
    """Nothing can be signed with the key, the domain or the selector of an account."""

    reason: str

    def __str__(self) -> str:
        return f"DKIM: {self.reason}"


def signed(message: bytes, domain: str, selector: str, private_key: str) -> bytes:
    """Return a mail with its signature before it.

    The key is in PEM, or Base64 of its DER form or of an Ed25519 seed. Raises: `BadKey`.
    """
    if not (_NAME.fullmatch(domain) and _NAME.fullmatch(selector)):
        raise BadKey("no proper domain or selector")
    key = _key(private_key)
    head, _, body = message.partition(b"\r\n\r\n")
    present = _fields(head)
    names = _signed_names(present)
    algorithm = "rsa" if isinstance(key, RSAPrivateKey) else "ed25519"
    digest = b64encode(sha256(_relaxed_body(body)).digest()).decode("ascii")
    tags = (
        f" v=1; a={algorithm}-sha256; c=relaxed/relaxed; d={domain}; s={selector};\r\n"
        f" h={_in_lines(names)};\r\n bh={digest};\r\n b="
    ).encode("ascii")
    covered = _covered(present, names) + _relaxed(b"DKIM-Signature", tags).removesuffix(b"\r\n")
    signature = _folded(b64encode(_sign(key, covered)))
    return b"DKIM-Signature:%b%b\r\n%b" % (tags, signature, message)


def _fields(head: bytes) -> dict[str, list[tuple[bytes, bytes]]]:
    """Return the header fields by name, the last first, which is the order they are signed in."""
    found: dict[str, list[tuple[bytes, bytes]]] = {}
    for line in reversed(_FOLD.sub(b"", head).split(b"\r\n")):
        name, _, value = line.partition(b":")
        found.setdefault(name.strip().lower().decode("ascii"), []).append((name, value))
    return found


def _signed_names(present: dict[str, list[tuple[bytes, bytes]]]) -> list[str]:
    names = [name for name in OVERSIGNED for _ in range(len(present.get(name, ())) + 1)]
    return names + [name for name in SIGNED_IF_THERE for _ in present.get(name, ())]


def _covered(present: dict[str, list[tuple[bytes, bytes]]], names: list[str]) -> bytes:
    rest = {name: iter(fields) for name, fields in present.items()}
    found = (next(rest[name], None) for name in names if name in rest)
    return b"".join(_relaxed(*header) for header in found if header)


def _relaxed(name: bytes, value: bytes) -> bytes:
    """Return a field in the form of RFC 6376, 3.4.2."""
    value = _WSP.sub(b" ", _FOLD.sub(b"", value)).strip()
    return b"%b:%b\r\n" % (name.strip().lower(), value)


def _relaxed_body(body: bytes) -> bytes:
    """Return a body in the form of RFC 6376, 3.4.4."""
    body = _WSP.sub(b" ", _WSP_AT_END.sub(b"", body)).rstrip(b"\r\n")
    return body + b"\r\n" if body else b""


def _in_lines(names: list[str]) -> str:
    return ":\r\n  ".join(":".join(names[at : at + 5]) for at in range(0, len(names), 5))


def _folded(signature: bytes) -> bytes:
    return b"\r\n  ".join(signature[at : at + 72] for at in range(0, len(signature), 72))


def _sign(key: RSAPrivateKey | Ed25519PrivateKey, covered: bytes) -> bytes:
    if isinstance(key, Ed25519PrivateKey):
        return key.sign(sha256(covered).digest())
    return key.sign(covered, PKCS1v15(), SHA256())


@lru_cache(maxsize=256)
def _key(text: str) -> RSAPrivateKey | Ed25519PrivateKey:
    try:
        key = _loaded(text.strip())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadKey("the key can't be read") from error
    if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
        raise BadKey("the key is neither RSA nor Ed25519")
    return key


def _loaded(text: str) -> object:
    if text.startswith("-----"):
        return load_pem_private_key(text.encode("ascii"), password=None)
    octets = b64decode("".join(text.split()), validate=True)
    if len(octets) == SEED_OCTETS:
        return Ed25519PrivateKey.from_private_bytes(octets)
    return load_der_private_key(octets, password=None)
