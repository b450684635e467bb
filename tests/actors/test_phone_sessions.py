"""Logging in to accounts with phones: passwords, tokens, and what makes them worthless."""

import base64
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any, Final

import gevent
import jwt
import pytest
from support.accounts import register
from support.phone_accounts import EMAIL, LIMITS, PASSWORD, PEER, Box

from signalbox.actors.accounts import AccountLimits, Accounts
from signalbox.actors.phone_accounts import PhoneAccountLimits
from signalbox.actors.phone_callers import Caller
from signalbox.actors.phone_sessions import Session
from signalbox.actors.phone_tokens import ISSUER, is_ours
from signalbox.actors.tokens import ISSUER as ISSUER_OF_LINKS
from signalbox.actors.tokens import issuer_of
from signalbox.domain.errors import InvalidField, TooManyAttempts, WrongCredentials
from signalbox.domain.phone_account import PhoneAccountPasswordRehashed
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.journal import Journal
from signalbox.eventstore.log import EventLog
from signalbox.eventstore.mapper import utc_now

DAY_S: Final = 86_400


@pytest.fixture
def box(event_log: EventLog, journal: Journal) -> Iterator[Box]:
    box = Box(event_log, journal)
    yield box
    box.passwords.close()


@pytest.fixture
def account_id(box: Box) -> str:
    return box.register()


def log_in(box: Box, email: str = EMAIL, password: str = PASSWORD, peer: str = PEER) -> Session:
    return box.accounts.log_in(email, password, peer=peer, request_id="req-3")


def caller(box: Box, token: str) -> Caller | None:
    return box.accounts.authenticate(token, peer=PEER)


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def test_whoever_knows_the_password_gets_tokens(box: Box, account_id: str) -> None:
    session = log_in(box, EMAIL.upper())
    assert session.access.expires_in_s == 7_776_000
    assert caller(box, session.access.token) == Caller(account_id, "token")
    access, refresh = claims_of(session.access.token), claims_of(session.refresh_token)
    assert access["exp"] - access["iat"] == 7_776_000
    assert refresh["exp"] - refresh["iat"] == 15_552_000
    assert (access["iss"], access["aud"], access["sub"]) == (ISSUER, "signalhouse", account_id)
    assert (access["typ"], refresh["typ"]) == ("access", "refresh")
    assert access["jti"] != refresh["jti"]
    assert jwt.get_unverified_header(session.access.token)["alg"] == "HS256"


@pytest.mark.parametrize(
    ("email", "password"),
    [
        (EMAIL, "another password"),
        (EMAIL, ""),
        (EMAIL, "x" * 5_000),
        (EMAIL, "\ud800" * 9),
        ("nobody@example.com", PASSWORD),
        ("", PASSWORD),
        ("\ud800@example.com", PASSWORD),
    ],
    ids=ascii,
)
def test_a_wrong_password_and_an_unknown_address_take_the_same_work(
    box: Box, account_id: str, email: str, password: str
) -> None:
    assert account_id
    hashed = box.passwords.hashed
    with pytest.raises(WrongCredentials, match="invalid email or password"):
        log_in(box, email, password)
    assert box.passwords.hashed == hashed + 1


def test_failures_lock_an_address_of_mail_for_one_peer(box: Box, account_id: str) -> None:
    for _ in range(LIMITS.login_failures_max):
        with pytest.raises(WrongCredentials):
            log_in(box, password="another password")
    hashed = box.passwords.hashed
    with pytest.raises(TooManyAttempts) as refused:
        log_in(box)
    assert 890 <= refused.value.retry_after_s <= 900
    assert box.passwords.hashed == hashed
    assert caller(box, log_in(box, peer="192.0.2.2").access.token) == Caller(account_id, "token")


def test_a_success_clears_the_failures_of_the_address(box: Box, account_id: str) -> None:
    assert account_id
    for _ in range(2):
        for _ in range(LIMITS.login_failures_max - 1):
            with pytest.raises(WrongCredentials):
                log_in(box, password="another password")
        log_in(box)


def test_who_tries_many_addresses_is_stopped_too(box: Box, account_id: str) -> None:
    assert account_id
    for number in range(LIMITS.login_failures_per_ip_max):
        with pytest.raises(WrongCredentials):
            log_in(box, f"{number}@example.com")
    with pytest.raises(TooManyAttempts):
        log_in(box)


def test_guesses_at_the_same_time_do_not_exceed_the_limit(box: Box, account_id: str) -> None:
    assert account_id
    guesses = [gevent.spawn(log_in, box, EMAIL, f"guess {n:04}") for n in range(8)]
    gevent.joinall(guesses)
    kinds = {type(guess.exception) for guess in guesses}
    assert kinds <= {WrongCredentials, TooManyAttempts}
    with pytest.raises(TooManyAttempts):
        log_in(box)


def test_an_outdated_hash_is_made_anew_and_tokens_stay_good(box: Box, account_id: str) -> None:
    token = log_in(box).access.token
    box.passwords.outdated = True
    log_in(box)
    *_, last = (one for batch in box.log.everything() for one in batch)
    assert isinstance(last.event, PhoneAccountPasswordRehashed)
    assert (last.by, last.request_id) == (account_id, "req-3")
    assert caller(box, token) is not None
    log_in(box)


def test_a_hash_that_can_not_be_made_anew_now_stops_no_log_in(
    box: Box, account_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(_password: str) -> str:
        raise Unavailable("too many passwords wait to be checked")

    box.passwords.outdated = True
    with monkeypatch.context() as patch:
        patch.setattr(box.passwords, "hash", busy)
        token = log_in(box).access.token
    assert caller(box, token) == Caller(account_id, "token")


def test_a_refresh_token_fetches_access_tokens_and_opens_nothing_itself(
    box: Box, account_id: str
) -> None:
    session = log_in(box)
    assert caller(box, session.refresh_token) is None
    for _ in range(2):
        fetched = box.accounts.refresh(session.refresh_token)
        assert fetched is not None
        assert fetched.expires_in_s == 7_776_000
        assert caller(box, fetched.token) == Caller(account_id, "token")


def test_an_access_token_that_holds_fetches_the_next_one(box: Box, account_id: str) -> None:
    fetched = box.accounts.refresh(log_in(box).access.token)
    assert fetched is not None
    assert caller(box, fetched.token) == Caller(account_id, "token")


def test_a_new_password_makes_all_tokens_worthless(box: Box, account_id: str) -> None:
    session = log_in(box)
    key = box.accounts.live_key(account_id)
    box.accounts.change_password(account_id, "a new password", by=account_id, request_id="")
    assert caller(box, session.access.token) is None
    assert box.accounts.refresh(session.refresh_token) is None
    assert box.accounts.refresh(session.access.token) is None
    assert caller(box, key) is not None
    with pytest.raises(WrongCredentials):
        log_in(box)
    assert caller(box, log_in(box, password="a new password").access.token) is not None


def test_a_new_password_needs_its_length(box: Box, account_id: str) -> None:
    with pytest.raises(InvalidField, match="invalid password"):
        box.accounts.change_password(account_id, "short", by=account_id, request_id="")


def test_tokens_of_links_and_of_phones_open_nothing_of_each_other(
    box: Box, account_id: str, journal: Journal
) -> None:
    assert account_id
    accounts = Accounts(box.log, journal, AccountLimits(), utc_now)
    app_id = register(accounts, EMAIL, PASSWORD).app_id
    of_links = accounts.log_in(EMAIL, PASSWORD, app_id, peer=PEER)
    session = log_in(box)
    assert caller(box, of_links) is None
    assert box.accounts.refresh(of_links) is None
    for token in (session.access.token, session.refresh_token):
        assert accounts.authenticate(token, app_id) is None
    accounts.close()
    assert issuer_of(of_links) == ISSUER_OF_LINKS
    assert not is_ours(of_links)
    assert is_ours(session.access.token)


def _signed(box: Box, claims: dict[str, Any], key: bytes | None = None, **header: object) -> str:
    """Sign whatever it is: the library would refuse to."""
    head = {"alg": "HS256", "typ": "JWT", **header}
    pieces = [_encoded(json.dumps(part).encode()) for part in (head, claims)]
    signing_input = ".".join(pieces)
    key = box.log.secrets.token_key(ISSUER) if key is None else key
    return f"{signing_input}.{_encoded(hmac.digest(key, signing_input.encode(), 'sha256'))}"


def _encoded(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _claims(account_id: str, **changed: object) -> dict[str, Any]:
    now_s = int(time.time())
    claims = {
        "iss": ISSUER, "aud": "signalhouse", "sub": account_id, "typ": "access", "jti": "1",
        "gen": 1, "auth_time": now_s, "iat": now_s, "exp": now_s + 60, **changed,
    }  # fmt: skip
    return {name: value for name, value in claims.items() if value is not ...}


def test_a_token_signed_with_the_right_key_is_taken(box: Box, account_id: str) -> None:
    assert caller(box, _signed(box, _claims(account_id))) == Caller(account_id, "token")


@pytest.mark.parametrize(
    "changed",
    [
        *({name: ...} for name in ("iss", "aud", "sub", "typ", "jti", "gen", "iat", "exp")),
        {"auth_time": ...},
        {"sub": "usr_nobody"},
        {"sub": 1},
        {"typ": "refresh"},
        {"typ": "other"},
        {"gen": 0},
        {"gen": 2},
        {"gen": "1"},
        {"iss": ISSUER_OF_LINKS},
        {"aud": "sms-proxy"},
        {"exp": 1},
        {"exp": 10**30},
        {"exp": int(time.time()) + 100 * DAY_S},
        {"iat": int(time.time()) + 3_600, "exp": int(time.time()) + 3_700},
    ],
    ids=str,
)
def test_a_signed_token_with_other_claims_is_refused(
    box: Box, account_id: str, changed: dict[str, object]
) -> None:
    assert caller(box, _signed(box, _claims(account_id, **changed))) is None


def test_unsigned_and_otherwise_signed_tokens_are_refused(box: Box, account_id: str) -> None:
    claims = _claims(account_id)
    assert caller(box, _signed(box, claims, b"another key")) is None
    assert caller(box, _signed(box, claims, alg="none")) is None
    assert caller(box, jwt.encode(claims, "", algorithm="none")) is None
    key = box.log.secrets.token_key(ISSUER)
    with pytest.warns(jwt.warnings.InsecureKeyLengthWarning):
        stronger = jwt.encode(claims, key, algorithm="HS512")
    assert caller(box, stronger) is None


@pytest.mark.parametrize(("age_d", "left_d"), [(0, 90), (275, 90), (300, 65), (364, 1)])
@pytest.mark.parametrize("use", ["access", "refresh"])
def test_no_chain_of_tokens_outlives_a_year_since_the_password(
    box: Box, account_id: str, use: str, age_d: int, left_d: int
) -> None:
    begun_s = int(time.time()) - age_d * DAY_S
    fetched = box.accounts.refresh(_signed(box, _claims(account_id, typ=use, auth_time=begun_s)))
    assert fetched is not None
    assert 0 <= left_d * DAY_S - fetched.expires_in_s <= 10
    assert claims_of(fetched.token)["auth_time"] == begun_s
    assert caller(box, fetched.token) == Caller(account_id, "token")


def test_after_a_year_the_password_is_asked_for_again(box: Box, account_id: str) -> None:
    begun_s = int(time.time()) - 365 * DAY_S
    token = _signed(box, _claims(account_id, auth_time=begun_s))
    assert caller(box, token) is not None
    assert box.accounts.refresh(token) is None


def test_a_shorter_life_of_tokens_holds_for_those_given_before(
    event_log: EventLog, journal: Journal, box: Box, account_id: str
) -> None:
    assert account_id
    session = log_in(box)
    strict = Box(event_log, journal, PhoneAccountLimits(access_token_ttl_s=60))
    assert caller(strict, session.access.token) is None
    fetched = strict.accounts.refresh(session.refresh_token)
    assert fetched is not None
    assert fetched.expires_in_s == 60
    strict.passwords.close()


@pytest.mark.parametrize(
    "token",
    ["", "a.b", "a.b.c", "a.b.c.d", "..", f"a.{_encoded(b'[]')}.c", f"a.{_encoded(b'{}')}.c",
     f"a.{_encoded(b'[' * 3_000)}.c", f"a.{_encoded(json.dumps({'iss': 5}).encode())}.c",
     f"a.{_encoded(json.dumps({'iss': ISSUER, 'x': 'y' * 5000}).encode())}.c",
     "ü.ü.ü"],
)  # fmt: skip
def test_what_says_no_issuer_has_none(token: str) -> None:
    assert issuer_of(token) == ""
    assert not is_ours(token)


@pytest.mark.parametrize("credential", ["sh_live_x", "sh_device_x"])
def test_keys_are_ours_by_their_prefix(credential: str) -> None:
    assert is_ours(credential)
