"""Accounts below the Signalhouse surface: the domain's decisions, kept in memory."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final

from signalbox.actors.phone_accounts import NewPhone, Paired, Profile
from signalbox.actors.phone_callers import Caller, Revoked
from signalbox.actors.phone_sessions import Session
from signalbox.actors.phone_tokens import Access
from signalbox.domain import entered
from signalbox.domain import phone_account as accounts
from signalbox.domain.errors import (
    EmailTaken,
    InvalidInvite,
    TooManyAttempts,
    WrongCredentials,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.phone_surfaces import Store

    from signalbox.domain.phone_account import PhoneAccount

INVITE: Final = "your-invite-code"
PHONES_MAX: Final = 3


class FakeAccounts:
    """Accounts; `full` has every attempt be one too many."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.accounts: dict[str, PhoneAccount] = {}
        self.profiles: dict[str, tuple[str, str]] = {}
        self.passwords: dict[str, str] = {}
        self.callers: dict[str, Caller] = {}
        self.watchers: list[Callable[[Revoked], None]] = []
        self.full = False
        self.asked_from: list[str] = []
        self._ids = count(1)

    def register(
        self,
        email: str,
        password: str,
        name: str,
        invite_code: str,
        *,
        peer: str,
        request_id: str,
    ) -> str:
        assert request_id
        self._ask(peer)
        address = entered.normal_email(email)
        entered.require_name(name)
        entered.require_password(password)
        if invite_code != INVITE:
            raise InvalidInvite
        if any(address == known for known, _ in self.profiles.values()):
            raise EmailTaken
        account_id = self._id("usr_")
        opened = accounts.OpenAccount(
            account_id=account_id, email=email, name=name, password_hash="", key_id="key"
        )
        self._decide(account_id, opened)
        self.profiles[account_id] = (address, name)
        self.passwords[account_id] = password
        self.callers[f"sh_live_{account_id}"] = Caller(account_id, "live", key_id=account_id)
        self.callers[f"access.{account_id}"] = Caller(account_id, "token")
        return account_id

    def log_in(self, email: str, password: str, *, peer: str, request_id: str = "") -> Session:
        assert request_id
        self._ask(peer)
        for account_id, (address, _) in self.profiles.items():
            if address == email.casefold() and self.passwords[account_id] == password:
                access = Access(f"access.{account_id}", 7_776_000)
                return Session(access, f"refresh.{account_id}")
        raise WrongCredentials

    def refresh(self, token: str) -> Access | None:
        self._store.require()
        account_id = token.removeprefix("refresh.").removeprefix("access.")
        return Access(f"access.{account_id}", 7_776_000) if account_id in self.accounts else None

    def authenticate(self, credential: str, *, peer: str) -> Caller | None:
        self._ask(peer)
        return self.callers.get(credential)

    def account(self, account_id: str) -> PhoneAccount:
        self._store.require()
        return self.accounts[account_id]

    def profile(self, account_id: str) -> Profile:
        email, name = self.profiles[account_id]
        account = self.account(account_id)
        return Profile(
            account_id=account_id,
            email=email,
            name=name,
            role=account.role,
            opened_at_s=account.opened_at_s,
        )

    def live_key(self, account_id: str) -> str:
        self._store.require()
        return f"sh_live_{account_id}"

    def pair(self, account_id: str, phone: NewPhone, *, by: str, request_id: str) -> Paired:
        assert by
        assert request_id
        phone_id = self._id(f"{phone.kind}_")
        key = f"sh_device_{phone_id}" if phone.kind == "dev" else ""
        command = accounts.PairPhone(
            phone_id=phone_id,
            name=phone.name,
            model=phone.model,
            os_version=phone.os_version,
            key_id=key,
            phones_max=PHONES_MAX,
        )
        self._decide(account_id, command)
        if key:
            self.callers[key] = Caller(account_id, "device", phone_id, key)
        paired = self.accounts[account_id].phone(phone_id)
        assert paired
        return Paired(paired, key)

    def unpair(self, account_id: str, phone_id: str, *, by: str, request_id: str) -> None:
        assert by
        assert request_id
        self._decide(account_id, accounts.UnpairPhone(phone_id=phone_id))
        self.tell(Revoked(what="phone", account_id=account_id, phone_id=phone_id))
        self.callers.pop(f"sh_device_{phone_id}", None)

    def replace_key(self, account_id: str, *, by: str, request_id: str) -> str:
        assert by
        assert request_id
        self._store.require()
        before = next(key for key, one in self.callers.items()
                      if (one.account_id, one.kind) == (account_id, "live"))  # fmt: skip
        caller = self.callers.pop(before)
        self.tell(Revoked(what="key", account_id=account_id, key_id=caller.key_id))
        self.callers[f"{before}x"] = Caller(account_id, "live", key_id=f"{caller.key_id}x")
        return f"{before}x"

    def on_revoked(self, watch: Callable[[Revoked], None]) -> None:
        self.watchers.append(watch)

    def tell(self, revoked: Revoked) -> None:
        """Have all who watch hear of it, as the follower does."""
        for watch in self.watchers:
            watch(revoked)

    def _ask(self, peer: str) -> None:
        self._store.require()
        self.asked_from.append(peer)
        if self.full:
            raise TooManyAttempts(retry_after_s=42)

    def _decide(self, account_id: str, command: accounts.Command) -> None:
        self._store.require()
        account = self.accounts.get(account_id)
        for event in accounts.decide(account, command):
            account = accounts.evolve(account, event, self._store.now_s)
        assert account
        self.accounts[account_id] = account

    def _id(self, prefix: str) -> str:
        return f"{prefix}{next(self._ids):026}"
