"""Users, applications and tokens, on a real log."""

import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import gevent
import jwt
import pytest
from eventsourcing.persistence import OperationalError
from support.accounts import EMAIL, PASSWORD, register

from signalbox.actors.accounts import AccountLimits, Accounts, Identity
from signalbox.actors.tokens import AUDIENCE, ISSUER
from signalbox.actors.users import Registered
from signalbox.domain.account import AppRegistered, UserRegistered
from signalbox.domain.errors import (
    InvalidField,
    TooManyAttempts,
    UnknownApplication,
    UserExists,
    WrongCredentials,
)
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.journal import Journal
from signalbox.eventstore.log import EventLog

PEER: Final = "192.0.2.1"
LIMITS: Final = AccountLimits(login_failures_max=3, login_failures_per_ip_max=6)

Make = Callable[..., Accounts]


class Clock:
    """The time, and how far it is put forward."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        """Tell it."""
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(event_log: EventLog, journal: Journal, clock: Clock) -> Iterator[Make]:
    made: list[Accounts] = []

    def make(limits: AccountLimits = LIMITS) -> Accounts:
        made.append(Accounts(event_log, journal, limits, clock))
        return made[-1]

    yield make
    for accounts in made:
        accounts.close()


@pytest.fixture
def accounts(make: Make) -> Accounts:
    return make()


@pytest.fixture
def registered(accounts: Accounts) -> Registered:
    return register(accounts, EMAIL)


@pytest.fixture
def app_id(registered: Registered) -> int:
    return registered.app_id


def log_in(
    accounts: Accounts, app_id: int, email: str = EMAIL, password: str = PASSWORD, peer: str = PEER
) -> str:
    return accounts.log_in(email, password, app_id, peer=peer)


def test_a_user_and_its_application_are_one_write(
    event_log: EventLog, accounts: Accounts, app_id: int
) -> None:
    user, app = [one for batch in event_log.everything() for one in batch]
    assert isinstance(user.event, UserRegistered)
    assert isinstance(app.event, AppRegistered)
    assert (user.event.email, user.event.app_id) == (EMAIL, app_id)
    assert (app.stream_id, app.event.name) == (f"app-{app_id}", "my-app")
    assert {(one.by, one.request_id, one.command_id) for one in (user, app)} == {
        ("admin-key", "req-1", user.command_id)
    }
    assert accounts.app(app_id) is not None


def test_nothing_secret_or_personal_can_be_read_in_the_log(
    event_log: EventLog, app_id: int
) -> None:
    assert app_id
    with event_log.pool.connection() as connection:
        rows = connection.execute(
            "SELECT originator_id || convert_from(state, 'UTF8') AS text"
            " FROM signalbox.stored_events"
        ).fetchall()
    text = "".join(row["text"] for row in rows).lower()
    assert "argon2id" in text
    assert not [word for word in (EMAIL, PASSWORD, "my-secret") if word.lower() in text]


def test_an_address_is_registered_once_whatever_its_case(accounts: Accounts, app_id: int) -> None:
    assert app_id
    with pytest.raises(UserExists):
        register(accounts, EMAIL.upper())


def test_two_registrations_at_once_make_one_user(event_log: EventLog, make: Make) -> None:
    both = [gevent.spawn(register, make(), EMAIL) for _ in range(2)]
    gevent.joinall(both)
    failed = [one.exception for one in both if one.exception]
    assert [type(error) for error in failed] == [UserExists]
    assert sum(len(batch) for batch in event_log.everything()) == 2


@pytest.mark.parametrize("email", ["", "nobody", "@example.com", "a@", "a b@example.com"])
def test_what_is_no_address_is_refused(accounts: Accounts, email: str) -> None:
    with pytest.raises(InvalidField):
        register(accounts, email)


@pytest.mark.parametrize("password", ["", "x" * 129, "ü" * 65])
def test_a_password_has_1_to_128_octets(accounts: Accounts, password: str) -> None:
    with pytest.raises(InvalidField):
        register(accounts, EMAIL, password)
    with pytest.raises(InvalidField):
        log_in(accounts, 1, password=password)


def test_a_token_tells_who_was_logged_in(accounts: Accounts, registered: Registered) -> None:
    user_id, app_id = registered.user_id, registered.app_id
    token = log_in(accounts, app_id, email=EMAIL.lower())
    assert accounts.authenticate(token, app_id) == Identity(user_id, app_id, is_admin=False)


def test_a_token_holds_what_the_reference_says_and_no_more(
    accounts: Accounts, registered: Registered
) -> None:
    token = log_in(accounts, registered.app_id)
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims.pop("exp") - claims.pop("iat") == LIMITS.token_ttl_s
    assert claims == {
        "uid": registered.user_id,
        "email": EMAIL,
        "app_id": registered.app_id,
        "iss": ISSUER,
        "aud": AUDIENCE,
    }


def test_another_process_knows_the_user_at_once(make: Make, app_id: int) -> None:
    other = make()
    assert other.authenticate(log_in(other, app_id), app_id) is not None


def test_a_user_who_was_unknown_a_moment_ago_can_log_in(make: Make) -> None:
    here, there = make(), make()
    with pytest.raises(UnknownApplication):
        log_in(there, 1)
    app_id = register(here, EMAIL).app_id
    there.forget(f"app-{app_id}")  # What the follower says.
    assert log_in(there, app_id)


@pytest.mark.parametrize(
    ("email", "password"), [(EMAIL, "wrong"), ("nobody@example.com", PASSWORD)]
)
def test_a_wrong_password_and_an_unknown_address_are_the_same(
    accounts: Accounts, app_id: int, email: str, password: str
) -> None:
    with pytest.raises(WrongCredentials) as caught:
        log_in(accounts, app_id, email, password)
    assert str(caught.value) == "invalid email or password"


def test_an_unknown_address_takes_as_long_as_a_wrong_password(make: Make, app_id: int) -> None:
    accounts = make(AccountLimits(login_failures_max=1_000, login_failures_per_ip_max=1_000))

    def fastest_s(email: str) -> float:
        return min(_failure_s(accounts, app_id, email) for _ in range(5))

    assert fastest_s("nobody@example.com") > 0.5 * fastest_s(EMAIL)


def test_a_user_logs_in_to_its_own_application_only(accounts: Accounts, app_id: int) -> None:
    other_app_id = register(accounts, "other@example.com").app_id
    for foreign in (other_app_id, other_app_id + 1):
        with pytest.raises(UnknownApplication):
            log_in(accounts, foreign)
    assert log_in(accounts, app_id)


def test_failures_lock_an_address_for_all_processes(make: Make, app_id: int) -> None:
    for peer in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        with pytest.raises(WrongCredentials):
            log_in(make(), app_id, password="wrong", peer=peer)
    with pytest.raises(TooManyAttempts) as caught:
        log_in(make(), app_id, email=EMAIL.upper())
    assert 0 < caught.value.retry_after_s <= LIMITS.login_window_s


def test_failures_lock_a_peer_out_of_every_address(accounts: Accounts, app_id: int) -> None:
    for number in range(LIMITS.login_failures_per_ip_max):
        with pytest.raises(WrongCredentials):
            log_in(accounts, app_id, f"user-{number}@example.com")
    with pytest.raises(TooManyAttempts):
        log_in(accounts, app_id)
    assert log_in(accounts, app_id, peer="192.0.2.99")


def test_a_success_forgives_the_failures_of_its_address(accounts: Accounts, app_id: int) -> None:
    for _ in range(2):
        for _ in range(LIMITS.login_failures_max - 1):
            with pytest.raises(WrongCredentials):
                log_in(accounts, app_id, password="wrong")
        assert log_in(accounts, app_id)


def test_a_lock_ends_with_its_window(make: Make, app_id: int) -> None:
    accounts = make(AccountLimits(login_failures_max=1, login_window_s=1))
    with pytest.raises(WrongCredentials):
        log_in(accounts, app_id, password="wrong")
    with pytest.raises(TooManyAttempts):
        log_in(accounts, app_id)
    gevent.sleep(1.1)
    assert log_in(accounts, app_id)


def test_guesses_at_the_same_time_do_not_get_around_the_lock(make: Make, app_id: int) -> None:
    accounts = make(AccountLimits(login_failures_max=3, hash_threads=1))
    guesses = [gevent.spawn(log_in, accounts, app_id, password=f"wrong-{n}") for n in range(10)]
    gevent.joinall(guesses, count=1)  # By now the others wait for the one thread.
    right = gevent.spawn(log_in, accounts, app_id)
    gevent.joinall([*guesses, right])
    assert isinstance(right.exception, TooManyAttempts)


def test_more_passwords_than_may_wait_are_turned_away(make: Make, app_id: int) -> None:
    accounts = make(AccountLimits(hash_threads=1, hash_queue_max=1))
    attempts = [gevent.spawn(log_in, accounts, app_id) for _ in range(4)]
    gevent.joinall(attempts)
    turned_away = [one for one in attempts if isinstance(one.exception, Unavailable)]
    assert (len(turned_away), sum(one.successful() for one in attempts)) == (2, 2)
    assert log_in(accounts, app_id)


def test_a_token_expires(accounts: Accounts, app_id: int, clock: Clock) -> None:
    token = log_in(accounts, app_id)
    clock.ahead = timedelta(seconds=LIMITS.token_ttl_s - 2)
    assert accounts.authenticate(token, app_id) is not None
    clock.ahead = timedelta(seconds=LIMITS.token_ttl_s + 1)
    assert accounts.authenticate(token, app_id) is None


def test_a_token_is_for_one_application(accounts: Accounts, app_id: int) -> None:
    other_app_id = register(accounts, "other@example.com").app_id
    token = log_in(accounts, app_id)
    assert accounts.authenticate(token, app_id) is not None
    assert accounts.authenticate(token, other_app_id) is None
    assert accounts.authenticate(token, other_app_id + 1) is None


def test_a_remembered_token_costs_no_signature(
    accounts: Accounts, app_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = log_in(accounts, app_id)
    assert accounts.authenticate(token, app_id) is not None
    monkeypatch.setattr(jwt, "decode", None)
    assert accounts.authenticate(token, app_id) is not None


def test_tokens_are_checked_again_when_their_application_changed(
    accounts: Accounts, app_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = log_in(accounts, app_id)
    assert accounts.authenticate(token, app_id) is not None
    accounts.forget(f"app-{app_id}")
    monkeypatch.setattr(jwt, "decode", _invalid)
    assert accounts.authenticate(token, app_id) is None


def _claims(registered: Registered, **changed: object) -> dict[str, Any]:
    """Return what a token says; `...` leaves a claim out, a `timedelta` is counted from now."""
    claims = {
        "uid": registered.user_id,
        "email": EMAIL,
        "app_id": registered.app_id,
        "iat": timedelta(),
        "exp": timedelta(seconds=60),
        "iss": ISSUER,
        "aud": AUDIENCE,
        **changed,
    }
    now_s = int(time.time())
    return {
        name: now_s + int(value.total_seconds()) if isinstance(value, timedelta) else value
        for name, value in claims.items()
        if value is not ...
    }


def _key(event_log: EventLog, app_id: int) -> bytes:
    return event_log.secrets.app_key(app_id, "my-secret")


def test_a_token_made_with_the_applications_key_is_taken(
    event_log: EventLog, accounts: Accounts, registered: Registered
) -> None:
    app_id = registered.app_id
    token = _sign(_claims(registered), _key(event_log, app_id))
    assert accounts.authenticate(token, app_id) is not None


@pytest.mark.parametrize(
    "changed",
    [
        *({name: ...} for name in ("uid", "email", "app_id", "exp", "iat", "iss", "aud")),
        {"uid": 0},
        {"uid": "1"},
        {"uid": True},
        {"email": "nobody@example.com"},
        {"email": 5},
        {"app_id": 0},
        {"app_id": True},
        {"exp": 10**30},
        {"exp": timedelta(seconds=-1)},
        {"exp": timedelta(days=1, seconds=10)},
        {"exp": "tomorrow"},
        {"exp": None},
        {"iat": timedelta(hours=1), "exp": timedelta(hours=2)},
        {"iat": "today"},
        {"nbf": timedelta(hours=1)},
        {"iss": "signalhouse"},
        {"aud": "signalhouse"},
    ],
    ids=str,
)
def test_a_signed_token_with_other_claims_is_refused(
    event_log: EventLog, accounts: Accounts, registered: Registered, changed: dict[str, object]
) -> None:
    token = _sign(_claims(registered, **changed), _key(event_log, registered.app_id))
    assert accounts.authenticate(token, registered.app_id) is None


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_another_algorithm_is_refused(
    event_log: EventLog, accounts: Accounts, registered: Registered, algorithm: str
) -> None:
    key = _key(event_log, registered.app_id)
    token = jwt.encode(_claims(registered), key, algorithm=algorithm)
    assert accounts.authenticate(token, registered.app_id) is None


@pytest.mark.parametrize("key", [b"my-secret", b"", b"a secret key for tests, long enough"])
def test_the_applications_secret_alone_signs_nothing(
    accounts: Accounts, registered: Registered, key: bytes
) -> None:
    token = _sign(_claims(registered), key)
    assert accounts.authenticate(token, registered.app_id) is None


@pytest.mark.parametrize(
    "header",
    [{"alg": "none"}, {"alg": "RS256"}, {"alg": "HS256", "crit": ["x"]}, {"alg": ["HS256"]}, {}],
    ids=str,
)
def test_a_token_with_a_strange_header_is_refused(
    event_log: EventLog, accounts: Accounts, registered: Registered, header: dict[str, object]
) -> None:
    key = _key(event_log, registered.app_id)
    for signature in (None, b""):
        token = _sign(_claims(registered), key, {"typ": "JWT", **header}, signature)
        assert accounts.authenticate(token, registered.app_id) is None


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "a.b.c", "e30.e30.", "ü", "x" * 10_000,
     base64.urlsafe_b64encode(b"[" * 3_000).decode()],
    ids=["empty", "dot", "dots", "abc", "unsigned", "umlaut", "long", "deep"],
)  # fmt: skip
def test_garbage_is_no_token(accounts: Accounts, app_id: int, token: str) -> None:
    assert accounts.authenticate(token, app_id) is None


def test_while_the_store_is_away_nobody_is_called_unknown(
    event_log: EventLog, accounts: Accounts, app_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = log_in(accounts, app_id)
    accounts.forget(f"app-{app_id}")
    with monkeypatch.context() as patch:
        patch.setattr(event_log, "read", _away)
        with pytest.raises(Unavailable):
            accounts.app(app_id)
        with pytest.raises(Unavailable):
            accounts.authenticate(token, app_id)
    assert accounts.authenticate(token, app_id) is not None


def _sign(
    claims: dict[str, Any],
    key: bytes,
    header: dict[str, object] | None = None,
    signature: bytes | None = None,
) -> str:
    """Sign whatever it is: the library would refuse to."""
    pieces = [_encoded(json.dumps(part).encode()) for part in (header or {"alg": "HS256"}, claims)]
    signing_input = ".".join(pieces)
    if signature is None:
        signature = hmac.digest(key, signing_input.encode(), "sha256")
    return f"{signing_input}.{_encoded(signature)}"


def _encoded(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _failure_s(accounts: Accounts, app_id: int, email: str) -> float:
    started_s = time.perf_counter()
    with pytest.raises(WrongCredentials):
        log_in(accounts, app_id, email, "wrong")
    return time.perf_counter() - started_s


def _invalid(*_: object, **__: object) -> dict[str, object]:
    raise jwt.InvalidSignatureError


def _away(_stream_id: str) -> list[object]:
    raise OperationalError("away")
