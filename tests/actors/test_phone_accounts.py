"""Accounts with phones on a real log: opened with an invite, known by their keys, their phones."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import gevent
import pytest
from support.gateway import eventually
from support.phone_accounts import EMAIL, LIMITS, PASSWORD, PEER, Box

from signalbox.actors.phone_accounts import NewPhone, Paired
from signalbox.actors.phone_callers import Caller, Revoked
from signalbox.actors.phone_directory import PHONE_ACCOUNT_EVENTS
from signalbox.domain.api_key import ApiKeyIssued, id_of
from signalbox.domain.errors import (
    EmailTaken,
    InvalidField,
    InvalidInvite,
    TooManyAttempts,
    TooManyPhones,
    UnknownPhone,
)
from signalbox.domain.invite import InviteRedeemed
from signalbox.domain.personal import ERASED
from signalbox.domain.phone_account import EmailClaimed, PhoneAccountOpened
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.follower import Follower
from signalbox.eventstore.journal import Journal
from signalbox.eventstore.log import EventLog
from signalbox.eventstore.mapper import Recorded

SECRET_KEY: Final = "a secret key for tests, long enough"
PIXEL: Final = NewPhone(kind="dev", name="Pixel 6a", model="Pixel", os_version="Android 14")
GATEWAY: Final = NewPhone(kind="gw", name="Pixel 6a")
UNKNOWN_KEY: Final = "sh_live_" + "x" * 32


@pytest.fixture
def box(event_log: EventLog, journal: Journal) -> Iterator[Box]:
    box = Box(event_log, journal)
    yield box
    box.passwords.close()


@pytest.fixture
def other(database_url: str, event_log: EventLog) -> Iterator[Box]:
    """Another process on the same database."""
    assert event_log.pool
    log = EventLog(database_url, SECRET_KEY)
    journal = Journal(log)
    box = Box(log, journal)
    yield box
    box.passwords.close()
    journal.close()
    log.close()


@pytest.fixture
def told(box: Box) -> Iterator[list[Revoked]]:
    """What the process of `box` was told, with a follower as a web process has it."""
    told: list[Revoked] = []
    box.accounts.on_revoked(told.append)

    def tell(rows: list[Any]) -> None:
        for row in rows:
            box.accounts.follow(row)

    follower = Follower(box.log, PHONE_ACCOUNT_EVENTS, tell)
    assert follower.listening.wait(5)
    yield told
    follower.close()


def pair(box: Box, account_id: str, phone: NewPhone = PIXEL) -> Paired:
    return box.accounts.pair(account_id, phone, by=account_id, request_id="req-2")


def everything(log: EventLog) -> list[Recorded]:
    return [one for batch in log.everything() for one in batch]


def test_an_account_its_address_its_key_and_the_invite_are_one_write(box: Box) -> None:
    account_id = box.register()
    made, *rest = everything(box.log)
    assert {type(one.event) for one in rest} == {
        InviteRedeemed, EmailClaimed, PhoneAccountOpened, ApiKeyIssued
    }  # fmt: skip
    assert {(one.tenant_id, one.by, one.request_id, one.command_id) for one in rest} == {
        (account_id, account_id, "req-1", rest[0].command_id)
    }
    assert made.by == "test"


def test_ids_and_keys_are_long_and_random(box: Box) -> None:
    account_id = box.register()
    paired, gateway = pair(box, account_id), pair(box, account_id, GATEWAY)
    live_key = box.accounts.live_key(account_id)
    for prefix, text, characters in (
        ("usr_", account_id, 26),
        ("dev_", paired.phone.phone_id, 26),
        ("gw_", gateway.phone.phone_id, 26),
        ("sh_live_", live_key, 32),
        ("sh_device_", paired.key, 32),
    ):
        rest = text.removeprefix(prefix)
        assert text.startswith(prefix)
        assert len(rest) == characters
        assert rest.isascii()
        assert rest.isalnum()
    assert gateway.key == ""


def test_nothing_secret_or_personal_can_be_read_in_the_log(box: Box) -> None:
    code = box.invite()
    account_id = box.register(code=code)
    paired = pair(box, account_id)
    with box.log.pool.connection() as connection:
        rows = connection.execute(
            "SELECT originator_id || convert_from(state, 'UTF8') AS text"
            " FROM signalbox.stored_events"
        ).fetchall()
    text = "".join(row["text"] for row in rows).lower()
    assert "argon2id" in text
    hidden = (EMAIL, "Ada", PASSWORD, code, box.accounts.live_key(account_id), paired.key)
    # Random base64 may hold three letters by chance, but not these.
    assert not [word for word in hidden if len(word) > 3 and word.lower() in text]


def test_a_profile_has_the_name_and_the_address_as_they_were_given(box: Box) -> None:
    account_id = box.register()
    profile = box.accounts.profile(account_id)
    assert (profile.email, profile.name, profile.role) == (EMAIL, "Ada", "user")
    assert profile.opened_at_s == box.accounts.account(account_id).opened_at_s
    box.log.tenant_keys.destroy(account_id)
    profile = box.accounts.profile(account_id)
    assert (profile.email, profile.name) == (ERASED, ERASED)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"password": "short"}, "password"),
        ({"password": "1234567\ud800"}, "password"),
        ({"name": ""}, "name"),
    ],
)
def test_what_is_no_account_burns_no_invite_and_counts_as_no_guess(
    box: Box, changed: dict[str, str], field: str
) -> None:
    code = box.invite()
    asked = {"email": EMAIL, "password": PASSWORD, "name": "Ada", "invite_code": code, **changed}
    for _ in range(LIMITS.bad_keys_max + 1):
        with pytest.raises(InvalidField, match=f"invalid {field}"):
            box.accounts.register(**asked, peer=PEER)
    box.register(code=code)


def test_an_invite_is_redeemed_as_often_as_it_was_made_for(box: Box) -> None:
    code = box.invite(uses=2)
    box.register("a@example.com", code)
    box.register("b@example.com", f" {code.lower()}\n")
    with pytest.raises(InvalidInvite):
        box.register("c@example.com", code)


@pytest.mark.parametrize("code", ["", "AAAAA-BBBBB-CCCCC-DDDDD", "\ud800", "x" * 10_000], ids=ascii)
def test_without_an_invite_nobody_learns_which_addresses_are_taken(box: Box, code: str) -> None:
    box.register()
    hashed = box.passwords.hashed
    with pytest.raises(InvalidInvite):
        box.register(EMAIL, code)
    assert box.passwords.hashed == hashed


def test_an_invite_that_is_past_or_revoked_opens_nothing(box: Box) -> None:
    code, revoked = box.invite(days=1), box.invite()
    box.invites.revoke(box.invites.find(box.log, revoked), by="test")
    box.clock.ahead = timedelta(days=1, seconds=1)
    for dead in (code, revoked):
        with pytest.raises(InvalidInvite):
            box.register(code=dead)


def test_an_address_that_is_taken_leaves_the_invite_as_it_was(box: Box) -> None:
    box.register()
    code = box.invite()
    with pytest.raises(EmailTaken):
        box.register(EMAIL.upper(), code)
    box.register("other@example.com", code)


def test_registrations_that_are_refused_too_often_are_refused_before_the_invite(box: Box) -> None:
    code = box.invite()
    for _ in range(LIMITS.bad_keys_max):
        with pytest.raises(InvalidInvite):
            box.register(code="wrong")
    with pytest.raises(TooManyAttempts) as refused:
        box.register(code=code)
    assert 290 <= refused.value.retry_after_s <= 300
    box.accounts.register(EMAIL, PASSWORD, "Ada", code, peer="192.0.2.2")


def test_two_registrations_of_one_address_at_once_open_one_account(box: Box, other: Box) -> None:
    codes = [box.invite(), box.invite()]
    both = [
        gevent.spawn(one.register, email, code)
        for one, email, code in zip((box, other), (EMAIL, EMAIL.lower()), codes, strict=True)
    ]
    gevent.joinall(both)
    assert [type(one.exception) for one in both if one.exception] == [EmailTaken]
    lost = codes[0 if both[0].exception else 1]
    box.register("other@example.com", lost)  # The loser's invite is as it was.


def test_the_last_use_of_an_invite_opens_one_account(box: Box, other: Box) -> None:
    code = box.invite(uses=2)
    emails = [f"{name}@example.com" for name in "abcd"]
    asked = [
        gevent.spawn(one.register, email, code)
        for one, email in zip((box, other, box, other), emails, strict=True)
    ]
    gevent.joinall(asked)
    failed = [type(one.exception) for one in asked if one.exception]
    assert failed == [InvalidInvite, InvalidInvite]
    opened = [one for one in everything(box.log) if isinstance(one.event, PhoneAccountOpened)]
    redeemed = [one for one in everything(box.log) if isinstance(one.event, InviteRedeemed)]
    assert (len(opened), len(redeemed)) == (2, 2)


def test_the_account_key_and_a_phones_key_say_who_calls(box: Box) -> None:
    account_id = box.register()
    paired = pair(box, account_id)
    live_key = box.accounts.live_key(account_id)
    whole = box.accounts.authenticate(live_key, peer=PEER)
    one = box.accounts.authenticate(paired.key, peer=PEER)
    assert whole == Caller(account_id, "live", "", id_of(live_key))
    assert one == Caller(account_id, "device", paired.phone.phone_id, id_of(paired.key))
    assert whole is not None
    assert one is not None
    assert (whole.by, one.by) == (account_id, paired.phone.phone_id)


def test_the_accounts_key_can_be_looked_at_again(box: Box, other: Box) -> None:
    account_id = box.register()
    key = box.accounts.live_key(account_id)
    assert box.accounts.live_key(account_id) == other.accounts.live_key(account_id) == key


def test_of_guessed_keys_there_are_only_some_until_too_many(box: Box) -> None:
    account_id = box.register()
    key = box.accounts.live_key(account_id)
    for _ in range(LIMITS.bad_keys_max):
        assert box.accounts.authenticate(UNKNOWN_KEY, peer=PEER) is None
    with pytest.raises(TooManyAttempts) as refused:
        box.accounts.authenticate("sh_device_\ud800", peer=PEER)
    assert 290 <= refused.value.retry_after_s <= 300
    assert box.accounts.authenticate(UNKNOWN_KEY, peer="192.0.2.2") is None
    # Whoever shows a right key must not suffer for others behind the same router.
    assert box.key_caller_is_known(key)


@pytest.mark.parametrize("credential", ["", "sh_", "sh_live", "Bearer x", "x" * 5_000, "\ud800"])
def test_what_is_no_key_is_nobody_as_often_as_it_comes(box: Box, credential: str) -> None:
    for _ in range(LIMITS.bad_keys_max + 2):
        assert box.accounts.authenticate(credential, peer=PEER) is None


def test_phones_come_in_the_order_they_were_paired(box: Box) -> None:
    account_id = box.register()
    first, second = pair(box, account_id), pair(box, account_id, GATEWAY)
    account = box.accounts.account(account_id)
    assert account.phones == (first.phone, second.phone)
    assert (first.phone.name, first.phone.model, first.phone.os_version) == (
        "Pixel 6a", "Pixel", "Android 14"
    )  # fmt: skip
    assert (second.phone.model, second.phone.key_id) == ("", "")
    assert first.phone.key_id == id_of(first.key)


def test_an_account_has_no_more_phones_than_it_may_have(box: Box, other: Box) -> None:
    account_id = box.register()
    pair(box, account_id)
    both = [gevent.spawn(pair, one, account_id) for one in (box, other)]
    gevent.joinall(both)
    assert [type(one.exception) for one in both if one.exception] == [TooManyPhones]
    assert len(other.accounts.account(account_id).phones) == 2


def test_a_phone_without_a_name_gets_no_key(box: Box) -> None:
    account_id = box.register()
    before = len(everything(box.log))
    with pytest.raises(InvalidField, match="invalid name"):
        pair(box, account_id, replace(PIXEL, name=""))
    assert len(everything(box.log)) == before


def test_an_unpaired_phone_loses_its_key_everywhere(
    box: Box, other: Box, told: list[Revoked]
) -> None:
    account_id = box.register()
    paired, gateway = pair(box, account_id), pair(box, account_id, GATEWAY)
    phone_id, key_id = paired.phone.phone_id, paired.phone.key_id
    assert box.key_caller_is_known(paired.key)
    for gone in (phone_id, gateway.phone.phone_id):
        other.accounts.unpair(account_id, gone, by=account_id, request_id="")
    eventually(lambda: not box.key_caller_is_known(paired.key))
    eventually(lambda: len(told) == 3)
    assert told == [
        Revoked(what="phone", account_id=account_id, phone_id=phone_id),
        Revoked(what="key", account_id=account_id, phone_id=phone_id, key_id=key_id),
        Revoked(what="phone", account_id=account_id, phone_id=gateway.phone.phone_id),
    ]
    assert box.accounts.account(account_id).phones == ()
    with pytest.raises(UnknownPhone):
        box.accounts.unpair(account_id, phone_id, by=account_id, request_id="")
    assert box.key_caller_is_known(box.accounts.live_key(account_id))


def test_a_revoked_key_is_no_guess(box: Box) -> None:
    account_id = box.register()
    paired = pair(box, account_id)
    box.accounts.unpair(account_id, paired.phone.phone_id, by=account_id, request_id="")
    for _ in range(LIMITS.bad_keys_max + 2):
        assert not box.key_caller_is_known(paired.key)


def test_nobody_parts_the_phone_of_another_account(box: Box) -> None:
    phone_id = pair(box, box.register()).phone.phone_id
    stranger = box.register("other@example.com")
    with pytest.raises(UnknownPhone):
        box.accounts.unpair(stranger, phone_id, by=stranger, request_id="")


def test_a_replaced_key_is_worthless_and_the_new_one_is_shown(
    box: Box, other: Box, told: list[Revoked]
) -> None:
    account_id = box.register()
    old = box.accounts.live_key(account_id)
    assert box.key_caller_is_known(old)
    new = other.accounts.replace_key(account_id, by=account_id, request_id="")
    eventually(lambda: not box.key_caller_is_known(old))
    eventually(lambda: box.accounts.live_key(account_id) == new)
    assert box.key_caller_is_known(new)
    assert told == [Revoked(what="key", account_id=account_id, key_id=id_of(old))]


def test_who_watches_is_told_that_tokens_ended(box: Box, other: Box, told: list[Revoked]) -> None:
    account_id = box.register()
    token = box.accounts.log_in(EMAIL, PASSWORD, peer=PEER).access.token
    assert box.key_caller_is_known(token)
    other.accounts.change_password(account_id, "a new password", by=account_id, request_id="")
    eventually(lambda: not box.key_caller_is_known(token))
    assert told == [Revoked(what="tokens", account_id=account_id)]


def test_a_key_of_another_process_is_known_at_once(box: Box, other: Box) -> None:
    account_id = box.register()
    assert other.accounts.account(account_id).phones == ()
    paired = pair(box, account_id)
    assert other.key_caller_is_known(paired.key)


def test_while_the_store_is_away_nobody_is_called_unknown(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = box.accounts.live_key(box.register())

    def away(*_: object) -> list[Recorded]:
        raise Unavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(box.log, "read", away)
        with pytest.raises(Unavailable):
            box.accounts.authenticate(UNKNOWN_KEY, peer=PEER)
        with pytest.raises(Unavailable):
            box.accounts.log_in(EMAIL, PASSWORD, peer=PEER)
        with pytest.raises(Unavailable):
            box.register("other@example.com", "code")
    assert box.key_caller_is_known(key)


def test_what_could_not_be_stored_never_happened(box: Box, journal: Journal) -> None:
    code = box.invite()
    journal.close()
    with pytest.raises(Unavailable):
        box.register(code=code)
    assert len(everything(box.log)) == 1


def test_what_a_follower_can_not_read_stays_hidden_to_it(box: Box, told: list[Revoked]) -> None:
    """Nothing personal is decrypted by the follower: it must not wait for a key."""
    account_id = box.register()
    paired = pair(box, account_id)
    box.log.tenant_keys.destroy(account_id)
    box.accounts.unpair(account_id, paired.phone.phone_id, by=account_id, request_id="")
    eventually(lambda: len(told) == 2)
