"""Tokens that tell who logged in to which application (JWT, RFC 7519).

Each application's tokens are signed with a key of its own (HS256), made from its secret and the
SECRET_KEY: who knows only one of the two signs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import jwt
import msgspec

if TYPE_CHECKING:
    from signalbox.domain.account import App
    from signalbox.eventstore.secrets import SecretBox

ISSUER: Final = "signalbox/sms-proxy"
AUDIENCE: Final = "sms-proxy"
ALGORITHM: Final = "HS256"
REQUIRED: Final = ("uid", "email", "app_id", "exp", "iat", "iss", "aud")
CLOCK_SKEW_S: Final = 5  # between the machines that give tokens and those that check them
CHARACTERS_MAX: Final = 4_096


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
        payload = {**msgspec.structs.asdict(claims), "iss": ISSUER, "aud": AUDIENCE}
        return jwt.encode(payload, self._key(app, app_id), algorithm=ALGORITHM)

    def read(self, app: App, app_id: int, token: str) -> Claims | None:
        """Return what a token says that we gave for this application; None for any other."""
        if len(token) > CHARACTERS_MAX:
            return None
        try:
            payload = jwt.decode(
                token,
                self._key(app, app_id),
                algorithms=[ALGORITHM],
                options={"require": list(REQUIRED)},
                issuer=ISSUER,
                audience=AUDIENCE,
                leeway=CLOCK_SKEW_S,
            )
            claims = msgspec.convert(payload, Claims)
        except (jwt.PyJWTError, msgspec.ValidationError, ValueError, RecursionError):
            return None
        ours = claims.app_id == app_id and claims.exp - claims.iat <= self._ttl_s
        return claims if ours else None

    def _key(self, app: App, app_id: int) -> bytes:
        return self._secrets.app_key(app_id, self._secrets.open(app.secret_sealed))
