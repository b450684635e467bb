"""What can happen to accounts with phones."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.domain.entered import (
    PASSWORD_CHARACTERS_MAX,
    normal_email,
    require_name,
    require_password,
)
from signalbox.domain.errors import InvalidField, Refused, TooManyPhones, UnknownPhone
from signalbox.domain.phone_account import (
    ChangePassword,
    Command,
    Event,
    OpenAccount,
    PairedPhone,
    PairPhone,
    PhoneAccount,
    PhoneAccountKeyReplaced,
    PhoneAccountOpened,
    PhoneAccountPasswordChanged,
    PhoneAccountPasswordRehashed,
    PhonePaired,
    PhoneUnpaired,
    RehashPassword,
    ReplaceKey,
    UnpairPhone,
    decide,
    email_stream_of,
    evolve,
    stream_of,
)

OPEN: Final = OpenAccount(
    account_id="usr_1", email="Ada@example.com", name="Ada", password_hash="old", key_id="k1"
)
OPENED: Final = PhoneAccountOpened(
    account_id="usr_1", email="Ada@example.com", name="Ada", password_hash="old", key_id="k1"
)
PAIR: Final = PairPhone(phone_id="dev_1", name="Pixel", phones_max=2, key_id="d1")
PAIRED: Final = PhonePaired(phone_id="dev_1", name="Pixel", key_id="d1")
UNPAIRED: Final = PhoneUnpaired(phone_id="dev_1")
ADA: Final = PhoneAccount(
    account_id="usr_1", role="user", password_hash="old", key_id="k1", opened_at_s=0.0
)


def replay(history: Sequence[Event]) -> PhoneAccount | None:
    """Apply a history whose events happened a second apart, from 0 on."""
    account = None
    for at_s, event in enumerate(history):
        account = evolve(account, event, float(at_s))
    return account


def when(command: Command, given: Sequence[Event] = ()) -> tuple[Event, ...]:
    return decide(replay(given), command)


def test_an_account_is_opened() -> None:
    assert when(OPEN) == (OPENED,)
    assert replay((OPENED,)) == ADA


def test_a_phone_is_paired_and_unpaired() -> None:
    assert when(PAIR, given=(OPENED,)) == (PAIRED,)
    account = replay((OPENED, PAIRED))
    assert account is not None
    assert account.phone("dev_1") == PairedPhone(
        phone_id="dev_1", name="Pixel", model="", os_version="", paired_at_s=1.0, key_id="d1"
    )
    assert account.phone("dev_2") is None
    assert when(UnpairPhone(phone_id="dev_1"), given=(OPENED, PAIRED)) == (UNPAIRED,)
    assert replay((OPENED, PAIRED, UNPAIRED)) == ADA


@pytest.mark.parametrize("history", [(OPENED,), (OPENED, PAIRED, UNPAIRED)])
def test_a_phone_that_is_not_there_can_not_be_unpaired(history: Sequence[Event]) -> None:
    with pytest.raises(UnknownPhone, match="device not found"):
        when(UnpairPhone(phone_id="dev_1"), given=history)


def test_phones_have_a_bound() -> None:
    second = PhonePaired(phone_id="gw_2", name="Pixel")
    with pytest.raises(TooManyPhones, match="2 devices are paired"):
        when(PAIR, given=(OPENED, PAIRED, second))
    assert when(PAIR, given=(OPENED, PAIRED, second, UNPAIRED))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "  "),
        ("name", "x" * 65),
        ("name", "a\nb"),
        ("name", "\ud800"),
        ("model", "x" * 65),
        ("os_version", "\x00"),
    ],
)
def test_what_can_not_be_shown_is_no_phone(field: str, value: str) -> None:
    with pytest.raises(InvalidField, match=f"invalid {field}"):
        when(replace(PAIR, **{field: value}), given=(OPENED,))


@pytest.mark.parametrize(
    "name", ["\N{MOBILE PHONE} Ada\u2019s", "\u0645\u06cc\u200c\u0631", "x" * 64]
)
def test_a_phone_may_have_a_name_in_any_script(name: str) -> None:
    assert when(replace(PAIR, name=name), given=(OPENED,))


def test_a_new_password_begins_a_new_generation() -> None:
    (changed,) = when(ChangePassword(password_hash="new"), given=(OPENED,))
    assert changed == PhoneAccountPasswordChanged(password_hash="new")
    assert replay((OPENED, changed)) == replace(ADA, password_hash="new", generation=2)


def test_a_password_is_hashed_anew_once_and_stays_the_same_password() -> None:
    rehash = RehashPassword(old_hash="old", password_hash="harder")
    (rehashed,) = when(rehash, given=(OPENED,))
    assert rehashed == PhoneAccountPasswordRehashed(password_hash="harder")
    assert replay((OPENED, rehashed)) == replace(ADA, password_hash="harder")
    assert when(rehash, given=(OPENED, rehashed)) == ()


def test_a_key_is_replaced() -> None:
    (replaced,) = when(ReplaceKey(key_id="k2"), given=(OPENED,))
    assert replaced == PhoneAccountKeyReplaced(key_id="k2")
    assert replay((OPENED, replaced)) == replace(ADA, key_id="k2")


@pytest.mark.parametrize(
    "email",
    [
        "a@b",
        "Ada+sms@Example.co.uk",
        "\u00e4@\u00f6.example",
        "'x'@example.com",
        "a" * 64 + "@b.example",
    ],
)
def test_an_address_of_mail_is_taken(email: str) -> None:
    assert normal_email(email) == email.casefold()
    assert when(replace(OPEN, email=email))


@pytest.mark.parametrize(
    "email",
    ["", "ada", "@example.com", "ada@", "a b@example.com", "a@b@example.com", "a@b\n", "a@b\x00",
     "a@\ud800", "a" * 65 + "@b.example", "a@" + "b" * 253, "a@b\u00a0"],
    ids=ascii,
)  # fmt: skip
def test_what_is_no_address_of_mail_is_refused(email: str) -> None:
    with pytest.raises(InvalidField, match="invalid email: not an address"):
        normal_email(email)
    with pytest.raises(InvalidField):
        when(replace(OPEN, email=email))


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "a\tb", "\udfff"], ids=ascii)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidField, match="invalid name"):
        require_name(name)
    with pytest.raises(InvalidField):
        when(replace(OPEN, name=name))


@pytest.mark.parametrize(
    "password", ["x" * 8, "\u00fc" * PASSWORD_CHARACTERS_MAX, "        ", "1\n2\x003456"]
)
def test_a_password_is_any_text_of_8_to_128_characters(password: str) -> None:
    require_password(password)


@pytest.mark.parametrize("password", ["", "x" * 7, "x" * 129, "1234567\ud800"], ids=ascii)
def test_what_is_no_password_is_refused_without_being_quoted(password: str) -> None:
    with pytest.raises(InvalidField) as refused:
        require_password(password)
    assert str(refused.value) == "invalid password: expected 8 to 128 characters"


def test_streams_are_named_after_id_and_digest() -> None:
    assert stream_of("usr_1") == "phone_account-usr_1"
    assert email_stream_of("5d41") == "email-5d41"


PHONE_IDS: Final = st.sampled_from(["dev_1", "dev_2", "gw_3"])
COMMANDS: Final = st.one_of(
    st.builds(
        PairPhone, phone_id=PHONE_IDS, name=st.sampled_from(["a", ""]), phones_max=st.just(2)
    ),
    st.builds(UnpairPhone, phone_id=PHONE_IDS),
    st.builds(ChangePassword, password_hash=st.sampled_from("ab")),
    st.builds(RehashPassword, old_hash=st.sampled_from("ab"), password_hash=st.sampled_from("ab")),
    st.builds(ReplaceKey, key_id=st.sampled_from("ab")),
)


@given(st.lists(COMMANDS, max_size=30))
def test_whatever_is_asked_an_account_keeps_to_its_bounds(commands: list[Any]) -> None:
    history: list[Event] = [OPENED]
    changes = 0
    for command in commands:
        with suppress(Refused):
            events = when(command, given=history)
            changes += sum(isinstance(event, PhoneAccountPasswordChanged) for event in events)
            history += events
    account = replay(history)
    assert account is not None
    assert len(account.phones) <= 2
    assert account.generation == 1 + changes
