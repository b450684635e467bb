"""What can happen to users and applications."""

from collections.abc import Sequence
from contextlib import suppress
from functools import reduce
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.domain.account import (
    ALLOWED_IPS_MAX,
    AdminGranted,
    AdminRevoked,
    App,
    AppRegistered,
    PasswordRehashed,
    RegisterApp,
    RegisterUser,
    RehashPassword,
    RemoveUser,
    ToggleAdmin,
    User,
    UserCommand,
    UserEvent,
    UserRegistered,
    UserRemoved,
    app_stream_of,
    decide_app,
    decide_user,
    evolve_app,
    evolve_user,
    user_stream_of,
)
from signalbox.domain.errors import InvalidField, Refused, UnknownUser, UserExists, UserIsAdmin

EMAIL: Final = "ada@example.com"
REGISTER: Final = RegisterUser(user_id=1, email=EMAIL, password_hash="old", app_id=7)
REGISTERED: Final = UserRegistered(user_id=1, email=EMAIL, password_hash="old", app_id=7)
GRANTED: Final = AdminGranted(user_id=1)
REVOKED: Final = AdminRevoked(user_id=1)
REMOVED: Final = UserRemoved(user_id=1)
REHASHED: Final = PasswordRehashed(user_id=1, password_hash="new")
ADA: Final = User(user_id=1, password_hash="old", app_id=7, is_admin=False)


def replay(history: Sequence[UserEvent]) -> User | None:
    user: User | None = None
    return reduce(evolve_user, history, user)


def when(command: UserCommand, given: Sequence[UserEvent] = ()) -> tuple[UserEvent, ...]:
    return decide_user(replay(given), command)


def test_a_user_is_registered() -> None:
    assert when(REGISTER) == (REGISTERED,)
    assert replay((REGISTERED,)) == ADA


def test_an_address_is_registered_once() -> None:
    with pytest.raises(UserExists, match="user already exists"):
        when(REGISTER, given=(REGISTERED,))


@pytest.mark.parametrize("email", ["", "ada", "@example.com", "ada@", "a da@example.com"])
def test_a_user_needs_an_address(email: str) -> None:
    with pytest.raises(InvalidField, match="invalid email"):
        when(RegisterUser(user_id=1, email=email, password_hash=""))


def test_a_removed_user_is_gone() -> None:
    assert when(RemoveUser(user_id=1), given=(REGISTERED,)) == (REMOVED,)
    assert replay((REGISTERED, REMOVED)) is None


def test_an_administrator_is_only_removed_with_intent() -> None:
    history = (REGISTERED, GRANTED)
    with pytest.raises(UserIsAdmin, match="user is an admin"):
        when(RemoveUser(user_id=1), given=history)
    assert when(RemoveUser(user_id=1, admins_too=True), given=history) == (REMOVED,)
    assert when(RemoveUser(user_id=1), given=(*history, REVOKED)) == (REMOVED,)


def test_an_address_is_free_again_after_its_user_was_removed() -> None:
    again = RegisterUser(user_id=2, email=EMAIL, password_hash="other")
    (registered,) = when(again, given=(REGISTERED, GRANTED, REMOVED))
    assert replay((REGISTERED, GRANTED, REMOVED, registered)) == User(
        user_id=2, password_hash="other", app_id=0, is_admin=False
    )


@pytest.mark.parametrize(
    "command",
    [RemoveUser(user_id=1), RemoveUser(user_id=1, admins_too=True), ToggleAdmin(user_id=1)],
)
@pytest.mark.parametrize(
    "history",
    [(), (REGISTERED, REMOVED), (REGISTERED, REMOVED, UserRegistered(
        user_id=2, email=EMAIL, password_hash="", app_id=0))],
    ids=["never there", "removed", "followed by another"],
)  # fmt: skip
def test_who_is_not_there_any_more_is_unknown(
    command: UserCommand, history: tuple[UserEvent, ...]
) -> None:
    with pytest.raises(UnknownUser, match="user not found"):
        when(command, given=history)


def test_an_administrator_is_made_and_unmade() -> None:
    assert when(ToggleAdmin(user_id=1), given=(REGISTERED,)) == (GRANTED,)
    assert when(ToggleAdmin(user_id=1), given=(REGISTERED, GRANTED)) == (REVOKED,)
    user = replay((REGISTERED, GRANTED))
    assert user is not None
    assert user.is_admin
    assert replay((REGISTERED, GRANTED, REVOKED)) == ADA


def test_a_password_is_hashed_anew_once() -> None:
    rehash = RehashPassword(old_hash="old", password_hash="new")
    assert when(rehash, given=(REGISTERED,)) == (REHASHED,)
    assert when(rehash, given=(REGISTERED, REHASHED)) == ()
    assert when(rehash, given=(REGISTERED, REMOVED)) == ()
    user = replay((REGISTERED, GRANTED, REHASHED))
    assert user == User(user_id=1, password_hash="new", app_id=7, is_admin=True)


COMMANDS: Final = st.one_of(
    st.builds(
        RegisterUser,
        user_id=st.integers(1, 3),
        email=st.sampled_from([EMAIL, "nobody"]),
        password_hash=st.sampled_from("ab"),
        app_id=st.integers(0, 2),
    ),
    st.builds(RemoveUser, user_id=st.integers(1, 3), admins_too=st.booleans()),
    st.builds(ToggleAdmin, user_id=st.integers(1, 3)),
    st.builds(RehashPassword, old_hash=st.sampled_from("ab"), password_hash=st.sampled_from("ab")),
)


@given(st.lists(COMMANDS, max_size=30))
def test_whatever_is_asked_the_events_tell_the_same_as_what_was_allowed(
    commands: list[UserCommand],
) -> None:
    history: list[UserEvent] = []
    there: set[int] = set()
    admins: set[int] = set()
    for command in commands:
        events: tuple[UserEvent, ...] = ()
        with suppress(Refused):
            events = when(command, given=history)
        assert len(events) <= 1
        history += events
        for event in events:
            match event:
                case UserRegistered(user_id=user_id):
                    assert not there
                    there.add(user_id)
                case UserRemoved(user_id=user_id):
                    assert isinstance(command, RemoveUser)
                    assert user_id not in admins or command.admins_too
                    there.remove(user_id)
                    admins.discard(user_id)
                case AdminGranted(user_id=user_id):
                    admins.add(user_id)
                case AdminRevoked(user_id=user_id):
                    admins.remove(user_id)
        user = replay(history)
        assert there == ({user.user_id} if user else set())
        assert admins == ({user.user_id} if user and user.is_admin else set())


def test_an_application_is_registered_with_its_networks() -> None:
    command = RegisterApp(
        name="shop",
        secret_sealed="sealed",
        secret_fingerprint="print",
        allowed_ips=("10.0.0.0/8", "2001:db8::1"),
    )
    (event,) = decide_app(None, command)
    assert event == AppRegistered(
        name="shop",
        secret_sealed="sealed",
        secret_fingerprint="print",
        allowed_ips=("10.0.0.0/8", "2001:db8::1"),
    )
    assert evolve_app(None, event) == App(
        name="shop",
        secret_sealed="sealed",
        secret_fingerprint="print",
        allowed_ips=("10.0.0.0/8", "2001:db8::1"),
    )


@pytest.mark.parametrize(
    "network", ["", "everywhere", "10.0.0.1/8", "10.0.0.0/33", "10.0.0", "2001:db8::1/32", "::g"]
)
def test_what_is_no_network_is_refused(network: str) -> None:
    with pytest.raises(InvalidField, match="invalid allowed_ips"):
        decide_app(None, _bound_to("192.0.2.1", network))


def test_networks_have_a_bound() -> None:
    assert decide_app(None, _bound_to(*["192.0.2.1"] * ALLOWED_IPS_MAX))
    with pytest.raises(InvalidField, match="at most 100"):
        decide_app(None, _bound_to(*["192.0.2.1"] * (ALLOWED_IPS_MAX + 1)))


def test_streams_are_named_after_digest_and_number() -> None:
    assert (user_stream_of("5d41"), app_stream_of(12)) == ("user-5d41", "app-12")


def _bound_to(*allowed_ips: str) -> RegisterApp:
    return RegisterApp(name="", secret_sealed="", secret_fingerprint="", allowed_ips=allowed_ips)
