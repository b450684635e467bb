"""Accounts on a test's own log, and users made on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from signalbox.actors.users import NewApp, Registered, Users
from signalbox.domain.account import UserRegistered

if TYPE_CHECKING:
    from signalbox.actors.accounts import Accounts
    from signalbox.eventstore.log import EventLog

EMAIL: Final = "Api-User@Example.com"
PASSWORD: Final = "strongpass"
APP: Final = NewApp(name="my-app", secret="my-secret")


def users_of(accounts: Accounts, log: EventLog) -> Users:
    """Return who administers users, without a projector: streams are found in the log."""

    def find_stream(user_id: int) -> str | None:
        for batch in log.everything():
            for one in batch:
                if isinstance(one.event, UserRegistered) and one.event.user_id == user_id:
                    return one.stream_id
        return None

    return Users(accounts.directory, accounts.passwords, find_stream)


def register(
    accounts: Accounts, email: str = EMAIL, password: str = PASSWORD, app: NewApp | None = APP
) -> Registered:
    """Make a user, with an application unless `app` is None."""
    users = Users(accounts.directory, accounts.passwords, lambda _: None)
    return users.register(email, password, app, by="admin-key", request_id="req-1")
