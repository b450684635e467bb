"""Who calls for an account with phones: recognised by a key or a token, until that is revoked.

authenticate ──▶ Caller
follow ──▶ what the log has of accounts and keys ──▶ Revoked, for whoever watches
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from signalbox.actors.phone_tokens import is_key
from signalbox.domain import api_key
from signalbox.domain.names import names_of
from signalbox.domain.phone_account import PhoneAccountPasswordChanged, PhoneUnpaired

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg.rows import TupleRow

    from signalbox.actors.attempts import Attempts
    from signalbox.actors.phone_directory import PhoneDirectory
    from signalbox.actors.phone_tokens import Claims, SessionTokens
    from signalbox.domain.phone_account import PhoneAccount
    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.mapper import Recorded

ENDINGS: Final = frozenset(
    names_of(PhoneUnpaired, PhoneAccountPasswordChanged, api_key.ApiKeyRevoked)
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls; `phone_id` is the one phone that a phone's own key may act for.

    `key_id` is empty for a token.
    """

    account_id: str
    kind: Literal["token", "live", "device"]
    phone_id: str = ""
    key_id: str = ""

    @property
    def by(self) -> str:
        """The caller as events name it."""
        return self.phone_id or self.account_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """A right that ended: of a key, of a phone with all it had, or of the tokens of an account."""

    what: Literal["key", "phone", "tokens"]
    account_id: str
    phone_id: str = ""
    key_id: str = ""


class PhoneCallers:
    """Recognises callers. `keys_max` keys nobody ever had may be tried from one address."""

    def __init__(
        self, directory: PhoneDirectory, tokens: SessionTokens, guesses: Attempts, keys_max: int
    ) -> None:
        self._directory = directory
        self._tokens = tokens
        self._guesses = guesses
        self._keys_max = keys_max
        self._watchers: list[Callable[[Revoked], None]] = []

    def authenticate(self, credential: str, *, peer: str) -> Caller | None:
        """Return who shows a key or an access token; None when it is not valid now.

        A right key is taken from any address, whatever was tried from there: a phone must not
        suffer for others behind the same router.

        Raises:
            TooManyAttempts: too many keys were tried from the address `peer` that nobody ever had.
            Unavailable: the store is away.
        """
        if not is_key(credential):
            claims = self._tokens.read(credential)
            account = self.logged_in(claims) if claims and claims.typ == "access" else None
            return Caller(account.account_id, "token") if account else None
        key_id = api_key.id_of(credential)
        key = self._directory.key(key_id)
        if key is None:
            self._count_guess(peer)
            return None
        return None if key.is_revoked else Caller(key.account_id, key.kind, key.phone_id, key_id)

    def logged_in(self, claims: Claims) -> PhoneAccount | None:
        """Return the account a token is for; None when its password is another one by now."""
        account = self._directory.account(claims.sub)
        return account if account and account.generation == claims.gen else None

    def on_revoked(self, watch: Callable[[Revoked], None]) -> None:
        """Have `watch` called, by the follower, for every right that ends; it must not block."""
        self._watchers.append(watch)

    def follow(self, log: EventLog, row: TupleRow) -> None:
        """Take what the log has of an account or a key."""
        _, stream_id, _, name, _ = row
        self._directory.forget(stream_id)
        if name in ENDINGS:
            revoked = _revoked(log.decode_row(row))
            for watch in self._watchers:
                watch(revoked)

    def _count_guess(self, peer: str) -> None:
        failures_max = {self._directory.secrets.digest("unknown key", peer): self._keys_max}
        self._guesses.refuse_beyond(failures_max)
        self._guesses.count(failures_max)


def _revoked(recorded: Recorded) -> Revoked:
    account_id = recorded.tenant_id
    match recorded.event:
        case api_key.ApiKeyRevoked(phone_id=phone_id):
            key_id = api_key.key_id_in(recorded.stream_id)
            return Revoked(what="key", account_id=account_id, phone_id=phone_id, key_id=key_id)
        case PhoneUnpaired(phone_id=phone_id):
            return Revoked(what="phone", account_id=account_id, phone_id=phone_id)
        case _:
            return Revoked(what="tokens", account_id=account_id)
