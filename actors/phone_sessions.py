"""Logging in to an account with phones, and staying so.

log_in ──▶ an access token and a refresh token        refresh ──▶ another access token
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from signalbox.domain.entered import require_password
from signalbox.domain.errors import InvalidField
from signalbox.domain.phone_account import RehashPassword
from signalbox.eventstore.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from signalbox.actors.attempts import Attempts
    from signalbox.actors.passwords import Passwords
    from signalbox.actors.phone_directory import PhoneDirectory
    from signalbox.actors.phone_tokens import Access, SessionTokens
    from signalbox.domain.phone_account import PhoneAccount

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Session:
    """What a log-in gives."""

    access: Access
    refresh_token: str


@dataclass(frozen=True, slots=True)
class FailuresMax:
    """Failed log-ins per window: of an address of mail from an address, and of the latter alone."""

    of_email: int
    of_peer: int


class PhoneSessions:
    """Exchanges passwords and tokens for tokens. Its methods raise `Unavailable`."""

    def __init__(
        self,
        directory: PhoneDirectory,
        passwords: Passwords,
        tokens: SessionTokens,
        attempts: Attempts,
        failures_max: FailuresMax,
        now: Callable[[], datetime],
    ) -> None:
        self._directory = directory
        self._passwords = passwords
        self._tokens = tokens
        self._attempts = attempts
        self._failures_max = failures_max
        self._now = now

    def log_in(self, email: str, password: str, *, peer: str, request_id: str = "") -> Session:
        """Return tokens for the account with that address. `peer` is the caller's IP address.

        Raises:
            WrongCredentials: no such account, or another password; both take the same time.
            TooManyAttempts: too many failures with this address from this peer, or from this peer.
        """
        stream = self._directory.email_stream(email)
        digest = self._directory.secrets.digest
        here = digest("phone log-in", stream, peer)
        failures_max = {
            here: self._failures_max.of_email,
            digest("phone log-in", peer): self._failures_max.of_peer,
        }
        account = self._attempts.log_in(failures_max, here, lambda: self._find(stream, password))
        if self._passwords.is_outdated(account.password_hash):
            self._rehash(account, password, request_id)
        return self._begin(account)

    def refresh(self, token: str) -> Access | None:
        """Return a new access token for a refresh token, or for an access token that still holds.

        None when it is not valid now, or when the password was given too long ago.
        """
        claims = self._tokens.read(token)
        account = self._directory.account(claims.sub) if claims else None
        if claims is None or account is None or account.generation != claims.gen:
            return None
        return self._tokens.give(account, "access", auth_time=claims.auth_time, now_s=self._now_s())

    def _find(self, email_stream: str, password: str) -> PhoneAccount | None:
        """Return the account if the password is its own; one hash is made in any case."""
        # Who reads no account for an unknown address is faster by that.
        account, _ = self._directory.newest_account(self._directory.id_behind(email_stream))
        password_hash = account.password_hash if account else None
        matched = self._passwords.matches(_possible(password), password_hash)
        return account if matched else None

    def _begin(self, account: PhoneAccount) -> Session:
        now_s = self._now_s()
        access = self._tokens.give(account, "access", auth_time=now_s, now_s=now_s)
        refresh = self._tokens.give(account, "refresh", auth_time=now_s, now_s=now_s)
        assert access is not None, "tokens live for a while"
        assert refresh is not None, "tokens live for a while"
        return Session(access, refresh.token)

    def _rehash(self, account: PhoneAccount, password: str, request_id: str) -> None:
        """Hash a password as new ones are; when that can't be now, the next log-in does it."""
        try:
            command = RehashPassword(
                old_hash=account.password_hash, password_hash=self._passwords.hash(password)
            )
            self._directory.change(
                lambda: (self._directory.on_account(account.account_id, command),),
                by=account.account_id,
                request_id=request_id,
            )
        except Unavailable as error:
            log.warning("password not hashed anew", extra={"reason": str(error)})

    def _now_s(self) -> int:
        return int(self._now().timestamp())


def _possible(password: str) -> str:
    """Return the password, or one nobody has in place of what nobody can have."""
    try:
        require_password(password)
    except InvalidField:
        return ""
    return password
