"""Accounts with phones, their keys and addresses, as the log has them.

Their streams have few events, so no actor keeps them: the log is read on demand, and what was found
stays in mind until the follower says that it changed (`forget`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

import gevent

from signalbox.actors.memory import Memory
from signalbox.actors.streams import DECIDE_TRIES, REMEMBERED_MAX, pause_s
from signalbox.domain import api_key, phone_account
from signalbox.domain.errors import EmailTaken
from signalbox.domain.names import names_of
from signalbox.eventstore.errors import Conflict, Unavailable
from signalbox.eventstore.journal import Append, Write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from signalbox.domain.api_key import ApiKey
    from signalbox.domain.phone_account import PhoneAccount
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.mapper import Recorded
    from signalbox.eventstore.secrets import SecretBox

PHONE_ACCOUNT_EVENTS: Final = names_of(*get_args(phone_account.Event), *get_args(api_key.Event))
ABSENCE_S: Final = 1.0  # how long "not there" is believed without asking again


class PhoneDirectory:
    """Every account with phones. One per process; its methods raise `Unavailable`."""

    def __init__(self, log: EventLog, journal: Journal) -> None:
        self._log = log
        self._journal = journal
        self._accounts: Memory[str, PhoneAccount] = Memory(REMEMBERED_MAX, ABSENCE_S)
        self._keys: Memory[str, ApiKey] = Memory(REMEMBERED_MAX, ABSENCE_S)

    @property
    def secrets(self) -> SecretBox:
        """What seals keys and makes digests."""
        return self._log.secrets

    def account(self, account_id: str) -> PhoneAccount | None:
        """Return an account as far as this process was told."""
        stream = phone_account.stream_of(account_id)
        return self._accounts.get(stream, lambda: self.newest_account(account_id)[0])

    def key(self, key_id: str) -> ApiKey | None:
        """Return a key as far as this process was told, revoked ones too; None if never issued."""
        stream = api_key.stream_of(key_id)
        return self._keys.get(stream, lambda: self.newest_key(key_id)[0])

    def newest_account(self, account_id: str) -> tuple[PhoneAccount | None, int]:
        """Return an account by the log, and its stream's version."""
        account, version = None, 0
        for recorded in self.read(phone_account.stream_of(account_id)):
            assert isinstance(recorded.event, phone_account.Event), recorded
            account = phone_account.evolve(account, recorded.event, recorded.at_s)
            version = recorded.version
        return account, version

    def existing(self, account_id: str) -> PhoneAccount:
        """Return an account by the log that is known to be there: none is ever removed."""
        account, _ = self.newest_account(account_id)
        assert account is not None, account_id
        return account

    def newest_key(self, key_id: str) -> tuple[ApiKey | None, int]:
        """Return a key by the log, and its stream's version."""
        key, version = None, 0
        for recorded in self.read(api_key.stream_of(key_id)):
            assert isinstance(recorded.event, api_key.Event), recorded
            key, version = api_key.evolve(key, recorded.event), recorded.version
        return key, version

    def email_stream(self, email: str) -> str:
        """Return the stream of an address, whatever its case."""
        sane = email.casefold().encode(errors="backslashreplace").decode()
        return phone_account.email_stream_of(self.secrets.digest("account email", sane))

    def id_behind(self, email_stream: str) -> str:
        """Return the account that has the address of a stream; empty when nobody has."""
        for recorded in self.read(email_stream):
            assert isinstance(recorded.event, phone_account.EmailClaimed), recorded
            return recorded.event.account_id
        return ""

    def claim(self, email_stream: str, account_id: str) -> Write:
        """Return the write that gives an account its address. Raises: `EmailTaken`."""
        if self.id_behind(email_stream):
            raise EmailTaken
        claimed = phone_account.EmailClaimed(account_id=account_id)
        return Write(email_stream, 1, (claimed,), account_id)

    def on_account(self, account_id: str, command: phone_account.Command) -> Write:
        """Return the write of a decision on an account as it is now. Raises: `Refused`."""
        account, version = self.newest_account(account_id)
        events = phone_account.decide(account, command)
        return Write(phone_account.stream_of(account_id), version + 1, events, account_id)

    def on_key(self, account_id: str, key_id: str, command: api_key.Command) -> Write:
        """Return the write of a decision on one of an account's keys as it is now."""
        key, version = self.newest_key(key_id)
        events = api_key.decide(key, command)
        return Write(api_key.stream_of(key_id), version + 1, events, account_id)

    def change(self, plan: Callable[[], Sequence[Write]], *, by: str, request_id: str) -> None:
        """Write what `plan` returns, all or nothing; on return it is stored.

        `plan` reads the log; it is called again when somebody came between.

        Raises: what `plan` refuses with.
        """
        for failed in range(DECIDE_TRIES):
            writes = [write for write in plan() if write.events]
            if not writes or self._stored(writes, by, request_id):
                return
            gevent.sleep(pause_s(failed))
        raise Unavailable("an account changes all the time")

    def read(self, stream: str) -> list[Recorded]:
        """Return a stream, when it is this caller's turn."""
        with self._log.turns:
            return self._log.read(stream)

    def forget(self, stream: str) -> None:
        """Look a stream up again when it is asked for."""
        self._accounts.forget(stream)
        self._keys.forget(stream)

    def _stored(self, writes: Sequence[Write], by: str, request_id: str) -> bool:
        wait_s = self._journal.wait_s_max
        append = Append(writes=writes, by=by, request_id=request_id, wait_s=wait_s)
        try:
            self._journal.append(append).get(timeout=wait_s + 1)
        except Conflict:
            return False
        except gevent.Timeout:
            raise Unavailable("store does not answer") from None
        finally:
            for write in writes:
                self.forget(write.stream_id)
        return True
