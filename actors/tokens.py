"""Tokens that tell who logged in to which application (JWT, RFC 7519).

Each application's tokens are signed with a key of its own (HS256), made from its secret and the
SECRET_KEY: who knows only one of the two signs nothing.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import jwt
import msgspec

if TYPE_CHECKING:
    from signalbox.domain.account import App
    from signalbox.eventstore.secrets import SecretBox

ISSUER: Final = "signalbox/sms-proxy"
AUDIENCE: Final = "sms-proxy"
ALGORITHM: Final = "HS256"
CLOCK_SKEW_S: Final = 5  # between the machines that give tokens and those that check them
CHARACTERS_MAX: Final = 4_096
PARTS: Final = 3  # header, claims, signature


C = TypeVar("C", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Seal:
    """Signs claims in one issuer's name for one audience, and reads no others."""

    issuer: str
    audience: str

    def sign(self, claims: msgspec.Struct, key: bytes) -> str:
        """Return a token."""
        own = {"iss": self.issuer, "aud": self.audience}
        return jwt.encode({**msgspec.structs.asdict(claims), **own}, key, algorithm=ALGORITHM)

    def read(self, token: str, key: bytes, kind: type[C]) -> C | None:
        """Return the claims of a token that is valid now; None for any other.

        All of the struct's fields need to be there, `iat` and `exp` among them.
        """
        if len(token) > CHARACTERS_MAX:
            return None
        try:
            payload = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                options={"require": [*kind.__struct_fields__, "iss", "aud"]},
                issuer=self.issuer,
                audience=self.audience,
                leeway=CLOCK_SKEW_S,
            )
            return msgspec.convert(payload, kind)
        except (jwt.PyJWTError, msgspec.ValidationError, ValueError, RecursionError):
            return None


SEAL: Final = Seal(ISSUER, AUDIENCE)


class Claims(msgspec.Struct, frozen=True):
    """What a token says. `iat` and `exp` are Unix seconds: given at, and not valid from then on."""

    uid: int
    email: str
    app_id: int
    iat: int
    exp: int


class Tokens:
    """Gives and reads tokens that live for `ttl_s` seconds."""

    def __init__(self, secrets: SecretBox, ttl_s: int) -> None:
        self._secrets = secrets
        self._ttl_s = ttl_s

    def give(self, app: App, app_id: int, *, user_id: int, email: str, now_s: int) -> str:
        """Return a signed token."""
        claims = Claims(user_id, email, app_id, now_s, now_s + self._ttl_s)
        return SEAL.sign(claims, self._key(app, app_id))

    def read(self, app: App, app_id: int, token: str) -> Claims | None:
        """Return what a token says that we gave for this application; None for any other."""
        claims = SEAL.read(token, self._key(app, app_id), Claims)
        if claims is None:
            return None
        ours = claims.app_id == app_id and claims.exp - claims.iat <= self._ttl_s
        return claims if ours else None

    def _key(self, app: App, app_id: int) -> bytes:
        return self._secrets.app_key(app_id, self._secrets.open(app.secret_sealed))


class _Issued(msgspec.Struct):
    iss: str = ""


def issuer_of(token: str) -> str:
    """Return who a token says gave it, which nobody has checked; empty when it says nothing.

    >>> issuer_of("no token")
    ''
    """
    parts = token.split(".")
    if len(token) > CHARACTERS_MAX or len(parts) != PARTS:
        return ""
    try:
        octets = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return msgspec.json.decode(octets, type=_Issued).iss
    except (ValueError, RecursionError):
        return ""
