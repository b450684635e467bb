"""Licence files: what they look like, and who vouches for them.

With a key a licence is a compact JWS (RFC 7515), without one it is bare JSON. The key alone decides
how it must be signed, never the file: a PEM public key means EdDSA (Ed25519, RFC 8037), anything
else is a secret for HS256.
"""

from __future__ import annotations

import hashlib
from datetime import date
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from msgspec import Meta

from signalbox.domain.errors import BadLicense
from signalbox.domain.license import UploadLicense

if TYPE_CHECKING:
    from typing import Literal

SECRET_OCTETS_MIN: Final = 32  # RFC 7518, 3.2
PEM: Final = "-----BEGIN "

Limit = Annotated[int, Meta(ge=1, le=1_000_000)]
Serial = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a licence says. `serial`, or else the time it was issued at (`iat`), orders licences."""

    company: Annotated[str, Meta(max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
    valid_until: Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    max_connections: Limit
    max_tps: Limit
    serial: Serial | None = None
    iat: Serial = 0


class LicenseKey:
    """What licences are checked with. An empty `key` checks nothing.

    Raises: `ValueError` for a secret that is too short or a PEM that holds no Ed25519 public key.
    """

    def __init__(self, key: str) -> None:
        self._algorithm: Literal["EdDSA", "HS256", ""] = ""
        self._key: Ed25519PublicKey | bytes = b""
        if key.lstrip().startswith(PEM):
            self._algorithm, self._key = "EdDSA", _public_key(key)
        elif key:
            self._algorithm, self._key = "HS256", _secret(key)

    def read(self, octets: bytes) -> UploadLicense:
        """Return what a licence file brings. Raises: `BadLicense`."""
        content = octets.strip()
        if not content:
            raise BadLicense("the file is empty")
        claims = _claims(self._payload(content))
        return UploadLicense(
            company=claims.company,
            valid_until=_date(claims.valid_until),
            max_connections=claims.max_connections,
            max_tps=claims.max_tps,
            serial=claims.iat if claims.serial is None else claims.serial,
            signed=bool(self._algorithm),
            digest=hashlib.sha256(content).hexdigest(),
        )

    def _payload(self, content: bytes) -> bytes:
        is_json = content.startswith(b"{")
        if not self._algorithm:
            if not is_json:
                raise BadLicense("it can't be checked, LICENSE_KEY is not set")
            return content
        if is_json:
            raise BadLicense("it is not signed")
        # It brings in `ssl`, which must not be there before gevent has patched it.
        import jwt  # noqa: PLC0415

        try:
            payload: bytes = jwt.PyJWS().decode(content, self._key, algorithms=[self._algorithm])
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise BadLicense("the signature does not match") from None
        return payload


def _public_key(pem: str) -> Ed25519PublicKey:
    try:
        # Where a variable can't hold several lines, \n stands for their ends.
        key = load_pem_public_key(pem.replace("\\n", "\n").strip().encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("expected an Ed25519 public key in PEM")  # noqa: TRY004  its content
    return key


def _secret(key: str) -> bytes:
    secret = key.encode()
    if len(secret) < SECRET_OCTETS_MIN:
        raise ValueError(f"expected at least {SECRET_OCTETS_MIN} bytes, got {len(secret)}")
    return secret


def _claims(payload: bytes) -> Claims:
    try:
        return msgspec.json.decode(payload, type=Claims)
    except msgspec.ValidationError as error:
        raise BadLicense(str(error).replace("`", "").replace("$.", "")) from None
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise BadLicense("not valid JSON") from None


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadLicense("valid_until is no date") from None
