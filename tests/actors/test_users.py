"""Users made, changed and removed, on a real log, and what that does to their tokens."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import gevent
import pytest
from argon2 import PasswordHasher
from support.accounts import APP, EMAIL, PASSWORD, register, users_of
from support.gateway import eventually

from signalbox.actors.accounts import AccountLimits, Accounts
from signalbox.actors.directory import ACCOUNT_EVENTS, DECISIONS_MAX
from signalbox.actors.users import NewApp, Registered, Users
from signalbox.domain.account import (
    AdminGranted,
    AdminRevoked,
    AppRegistered,
    PasswordRehashed,
    User,
    UserRegistered,
    UserRemoved,
)
from signalbox.domain.errors import InvalidField, UnknownUser, UserExists, UserIsAdmin
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.follower import Follower
from signalbox.eventstore.journal import Journal
from signalbox.eventstore.log import EventLog
from signalbox.eventstore.mapper import Recorded, utc_now

WHO: Final[dict[str, str]] = {"by": "admin-key", "request_id": "req-9"}

Make = Callable[[], Accounts]


@pytest.fixture
def make(event_log: EventLog, journal: Journal) -> Iterator[Make]:
    made: list[Accounts] = []

    def make() -> Accounts:
        made.append(Accounts(event_log, journal, AccountLimits(), utc_now))
        return made[-1]

    yield make
    for accounts in made:
        accounts.close()


@pytest.fixture
def accounts(make: Make) -> Accounts:
    return make()


@pytest.fixture
def users(accounts: Accounts, event_log: EventLog) -> Users:
    return users_of(accounts, event_log)


@pytest.fixture
def registered(accounts: Accounts) -> Registered:
    return register(accounts)


@pytest.fixture
def user_id(registered: Registered) -> int:
    return registered.user_id


def log_in(accounts: Accounts, app_id: int, email: str = EMAIL) -> str:
    return accounts.log_in(email, PASSWORD, app_id, peer="192.0.2.1")


def told(event_log: EventLog) -> list[Recorded]:
    return [one for batch in event_log.everything() for one in batch]


def classes(event_log: EventLog) -> list[type]:
    return [type(one.event) for one in told(event_log)]


def test_a_user_without_an_application_may_use_any(
    event_log: EventLog, accounts: Accounts, registered: Registered
) -> None:
    other = register(accounts, "other@example.com", app=None)
    assert other == Registered(registered.user_id + 1, 0)
    assert classes(event_log) == [UserRegistered, AppRegistered, UserRegistered]
    assert told(event_log)[-1].tenant_id == f"user-{other.user_id}"
    token = log_in(accounts, registered.app_id, "other@example.com")
    assert accounts.authenticate(token, registered.app_id) is not None


def test_an_application_keeps_the_networks_it_was_registered_with(
    make: Make, accounts: Accounts
) -> None:
    app = NewApp(name="shop", secret="s", allowed_ips=("10.0.0.0/8",))
    app_id = register(accounts, app=app).app_id
    found = make().app(app_id)
    assert found is not None
    assert found.allowed_ips == ("10.0.0.0/8",)


def test_nobody_is_registered_with_networks_that_are_none(
    event_log: EventLog, accounts: Accounts
) -> None:
    app = NewApp(name="shop", secret="s", allowed_ips=("everywhere",))
    with pytest.raises(InvalidField):
        register(accounts, app=app)
    assert told(event_log) == []


def test_a_removed_user_has_no_valid_token_any_more(
    accounts: Accounts, users: Users, registered: Registered
) -> None:
    token = log_in(accounts, registered.app_id)
    assert accounts.authenticate(token, registered.app_id) is not None
    users.remove(registered.user_id, admins_too=False, **WHO)
    assert accounts.authenticate(token, registered.app_id) is None


def test_whoever_registers_the_address_again_is_somebody_else(
    event_log: EventLog, accounts: Accounts, users: Users, registered: Registered
) -> None:
    token = log_in(accounts, registered.app_id)
    users.remove(registered.user_id, admins_too=False, **WHO)
    again = register(accounts, EMAIL.upper())
    assert again.user_id > registered.user_id
    assert accounts.authenticate(token, registered.app_id) is None
    assert log_in(accounts, again.app_id)
    first, last = (one for one in told(event_log) if isinstance(one.event, UserRegistered))
    assert (first.stream_id, first.version) == (last.stream_id, last.version - 2)
    with pytest.raises(UnknownUser):
        users.toggle_admin(registered.user_id, **WHO)
    with pytest.raises(UserExists):
        register(accounts)


def test_an_administrator_is_made_told_and_unmade(
    event_log: EventLog, accounts: Accounts, users: Users, registered: Registered
) -> None:
    token = log_in(accounts, registered.app_id)
    seen = []
    for _ in range(2):
        seen.append(users.toggle_admin(registered.user_id, **WHO))
        assert users.is_admin(registered.user_id) is seen[-1]
        identity = accounts.authenticate(token, registered.app_id)
        assert identity is not None
        assert identity.is_admin is seen[-1]
    assert seen == [True, False]
    granted, revoked = told(event_log)[2:]
    assert (type(granted.event), type(revoked.event)) == (AdminGranted, AdminRevoked)
    assert {(one.by, one.request_id) for one in (granted, revoked)} == {("admin-key", "req-9")}


def test_an_administrator_is_only_removed_with_intent(users: Users, user_id: int) -> None:
    users.toggle_admin(user_id, **WHO)
    with pytest.raises(UserIsAdmin):
        users.remove(user_id, admins_too=False, **WHO)
    users.remove(user_id, admins_too=True, **WHO)
    with pytest.raises(UnknownUser):
        users.is_admin(user_id)


def test_a_user_nobody_knows_can_have_nothing_done_to_it(users: Users, user_id: int) -> None:
    with pytest.raises(UnknownUser):
        users.is_admin(user_id + 1)
    with pytest.raises(UnknownUser):
        users.toggle_admin(user_id + 1, **WHO)
    with pytest.raises(UnknownUser):
        users.remove(user_id + 1, admins_too=True, **WHO)


def test_many_toggles_at_once_are_one_after_the_other(
    make: Make, event_log: EventLog, user_id: int
) -> None:
    everybody = [users_of(make(), event_log) for _ in range(4)]
    toggles = [gevent.spawn(users.toggle_admin, user_id, **WHO) for users in everybody]
    gevent.joinall(toggles, raise_error=True)
    assert sorted(toggle.value for toggle in toggles) == [False, False, True, True]
    assert classes(event_log)[2:] == [AdminGranted, AdminRevoked] * 2


def _before_writing(
    monkeypatch: pytest.MonkeyPatch, accounts: Accounts, meanwhile: Callable[[], object]
) -> list[int]:
    """Do something between a decision's reading and its writing; return when it was read."""
    read: Any = accounts.directory.newest_user
    reads: list[int] = []

    def newest_user(stream: str) -> tuple[User | None, int]:
        found: tuple[User | None, int] = read(stream)
        reads.append(found[1])
        meanwhile()
        return found

    monkeypatch.setattr(accounts.directory, "newest_user", newest_user)
    return reads


def _once(action: Callable[[], object]) -> Callable[[], object]:
    waiting = [action]
    return lambda: waiting.pop()() if waiting else None


def test_a_removal_decides_again_when_the_user_became_an_administrator_meanwhile(
    make: Make, event_log: EventLog, user_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = make(), users_of(make(), event_log)
    once = _once(lambda: there.toggle_admin(user_id, **WHO))
    reads = _before_writing(monkeypatch, here, once)
    with pytest.raises(UserIsAdmin):
        users_of(here, event_log).remove(user_id, admins_too=False, **WHO)
    assert reads == [1, 2]
    assert classes(event_log)[2:] == [AdminGranted]


def test_a_toggle_finds_nobody_when_the_user_was_removed_meanwhile(
    make: Make, event_log: EventLog, user_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = make(), users_of(make(), event_log)
    once = _once(lambda: there.remove(user_id, admins_too=False, **WHO))
    _before_writing(monkeypatch, here, once)
    with pytest.raises(UnknownUser):
        users_of(here, event_log).toggle_admin(user_id, **WHO)
    assert classes(event_log)[2:] == [UserRemoved]


def test_a_decision_is_not_tried_for_ever(
    make: Make, event_log: EventLog, user_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = make(), users_of(make(), event_log)
    reads = _before_writing(monkeypatch, here, lambda: there.toggle_admin(user_id, **WHO))
    with pytest.raises(Unavailable):
        users_of(here, event_log).toggle_admin(user_id, **WHO)
    assert len(reads) == DECISIONS_MAX


def test_other_processes_hear_of_it_from_the_log(
    make: Make, event_log: EventLog, users: Users, registered: Registered
) -> None:
    user_id, app_id = registered.user_id, registered.app_id
    there = make()
    follower = Follower(
        event_log, ACCOUNT_EVENTS, lambda rows: [there.forget(row[1]) for row in rows] and None
    )
    try:
        assert follower.listening.wait(5)
        token = log_in(there, app_id)

        def is_admin() -> bool | None:
            identity = there.authenticate(token, app_id)
            return identity.is_admin if identity else None

        assert is_admin() is False
        users.toggle_admin(user_id, **WHO)
        eventually(lambda: is_admin() is True)
        users.remove(user_id, admins_too=True, **WHO)
        eventually(lambda: is_admin() is None)
    finally:
        follower.close()


@pytest.fixture
def old_user(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> Registered:
    """Return a user whose password was hashed with less effort."""
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with monkeypatch.context() as patch:
        patch.setattr(accounts.passwords, "_hasher", weak)
        return register(accounts, app=APP)


def test_a_password_hashed_with_less_effort_is_hashed_anew_at_log_in(
    make: Make, event_log: EventLog, accounts: Accounts, old_user: Registered
) -> None:
    accounts.log_in(EMAIL, PASSWORD, old_user.app_id, peer="192.0.2.1", request_id="req-2")
    rehashed = told(event_log)[-1]
    assert isinstance(rehashed.event, PasswordRehashed)
    assert (rehashed.by, rehashed.request_id) == (f"user-{old_user.user_id}", "req-2")
    for process in (accounts, make()):
        assert log_in(process, old_user.app_id)
    assert classes(event_log)[2:] == [PasswordRehashed]


def test_a_password_is_hashed_anew_once_however_many_log_in(
    make: Make, event_log: EventLog, old_user: Registered
) -> None:
    everybody = [make() for _ in range(3)]
    logging_in = [gevent.spawn(log_in, process, old_user.app_id) for process in everybody]
    gevent.joinall(logging_in, raise_error=True)
    assert classes(event_log)[2:] == [PasswordRehashed]


def test_a_log_in_succeeds_when_its_password_can_not_be_hashed_anew(
    event_log: EventLog,
    accounts: Accounts,
    old_user: Registered,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise Unavailable("store does not answer")

    monkeypatch.setattr(accounts.directory, "change", fail)
    token = log_in(accounts, old_user.app_id)
    assert accounts.authenticate(token, old_user.app_id) is not None
    assert classes(event_log) == [UserRegistered, AppRegistered]
