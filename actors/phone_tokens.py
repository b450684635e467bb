"""Tokens that a password was exchanged for (JWT, RFC 7519).

    log-in ──▶ access token ──▶ opens the account's paths
           └─▶ refresh token ──▶ fetches new access tokens

`auth_time` is when the password was given: it goes from token to token, and ends them all. `gen` is
which of the account's passwords it was: a new one makes all tokens before it worthless.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from signalbox.actors.tokens import Seal, issuer_of
from signalbox.domain.api_key import PREFIXES

if TYPE_CHECKING:
    from signalbox.domain.phone_account import PhoneAccount
    from signalbox.eventstore.secrets import SecretBox

ISSUER: Final = "signalbox/signalhouse"
SEAL: Final = Seal(ISSUER, "signalhouse")
JTI_OCTETS: Final = 16

Use = Literal["access", "refresh"]


class Claims(msgspec.Struct, frozen=True):
    """What a token says. `auth_time`, `iat` and `exp` are Unix seconds."""

    sub: str
    typ: Use
    jti: str
    gen: int
    auth_time: int
    iat: int
    exp: int


@dataclass(frozen=True, slots=True)
class Access:
    """A token that opens an account's paths for so many seconds."""

    token: str
    expires_in_s: int


class SessionTokens:
    """Gives and reads tokens.

    Those of each use live for their time, and none longer than `age_s_max` after the password.
    """

    def __init__(self, box: SecretBox, ttls_s: dict[Use, int], age_s_max: int) -> None:
        self._key = box.token_key(ISSUER)
        self._ttls_s = ttls_s
        self._age_s_max = age_s_max

    def give(self, account: PhoneAccount, use: Use, *, auth_time: int, now_s: int) -> Access | None:
        """Return a signed token; None when the password was given too long ago."""
        exp = min(now_s + self._ttls_s[use], auth_time + self._age_s_max)
        if exp <= now_s:
            return None
        claims = Claims(
            sub=account.account_id,
            typ=use,
            jti=secrets.token_hex(JTI_OCTETS),
            gen=account.generation,
            auth_time=auth_time,
            iat=now_s,
            exp=exp,
        )
        return Access(SEAL.sign(claims, self._key), exp - now_s)

    def read(self, token: str) -> Claims | None:
        """Return what a token says that we gave and that is valid now; None for any other."""
        claims = SEAL.read(token, self._key, Claims)
        if claims is None or claims.exp - claims.iat > self._ttls_s[claims.typ]:
            return None
        return claims


def is_key(credential: str) -> bool:
    """Tell whether a credential looks like a key; if not, it may be a token."""
    return credential.startswith(tuple(PREFIXES.values()))


def is_ours(credential: str) -> bool:
    """Tell whether a credential claims to be one of a phone account's, which nobody has checked."""
    return is_key(credential) or issuer_of(credential) == ISSUER
