"""Mail accounts: how they are reached, what they limit, and what no store could hold."""

import math
from typing import Any

import pytest

from signalbox.domain.errors import InvalidField
from signalbox.domain.mail_account import (
    DAY_S,
    HOUR_S,
    ID_OCTETS_MAX,
    MINUTE_S,
    NUMBER_MAX,
    TEXT_CHARACTERS_MAX,
    MailAccount,
    Sealed,
    can_be_id,
    require_storable,
)


def account(**fields: Any) -> MailAccount:  # noqa: ANN401  fields of MailAccount
    return MailAccount(**{"account_id": "smtp1", "host": "mail.example.com", "port": 25, **fields})


@pytest.mark.parametrize(
    ("use_tls", "port", "security"),
    [
        (None, 465, "implicit"),
        (None, 25, "plain"),
        (None, 587, "plain"),
        (True, 465, "implicit"),
        (True, 587, "starttls"),
        (True, 25, "starttls"),
        (False, 465, "plain"),
        (False, 587, "plain"),
    ],
)
def test_the_port_and_the_wish_say_how_a_connection_is_protected(
    use_tls: bool | None,  # noqa: FBT001  a column of the table
    port: int,
    security: str,
) -> None:
    assert account(use_tls=use_tls, port=port).security == security


@pytest.mark.parametrize(
    ("user", "sealed", "logs_in"), [("u", "s", True), ("u", "", False), ("", "s", False)]
)
def test_user_and_password_together_log_in(user: str, sealed: str, *, logs_in: bool) -> None:
    assert account(user=user, password_sealed=Sealed(sealed)).logs_in is logs_in


def test_limits_in_force_are_told_shortest_first() -> None:
    limited = account(limit_per_day=1_000, limit_per_minute=2, limit_per_hour=50)
    assert limited.limits == ((MINUTE_S, 2), (HOUR_S, 50), (DAY_S, 1_000))


@pytest.mark.parametrize("off", [None, 0, -1])
def test_a_limit_that_is_nothing_or_less_is_none(off: int | None) -> None:
    unlimited = account(limit_per_minute=off, limit_per_hour=off, limit_per_day=3)
    assert unlimited.limits == ((DAY_S, 3),)


@pytest.mark.parametrize(
    ("behavior", "rejects"), [("reject", True), ("defer", False), ("whatever", False)]
)
def test_only_one_word_rejects(behavior: str, *, rejects: bool) -> None:
    assert account(limit_behavior=behavior).rejects_over_limit is rejects


def test_secrets_are_not_shown() -> None:
    secret = Sealed("c2VhbGVk")
    shown = repr(
        account(password_sealed=secret, imap_password_sealed=secret, dkim_private_key_sealed=secret)
    )
    assert secret not in shown


@pytest.mark.parametrize("fields", [{"host": ""}, {"port": 70_000}, {"limit_per_minute": -1}])
def test_what_can_be_stored_is_taken_as_it_is(fields: dict[str, Any]) -> None:
    require_storable(account(**fields))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("account_id", "a\0b"),
        ("account_id", "é" * (ID_OCTETS_MAX // 2 + 1)),
        ("host", "\0"),
        ("user", "\ud800"),
        ("password_sealed", "x" * (TEXT_CHARACTERS_MAX + 1)),
        ("port", NUMBER_MAX + 1),
        ("limit_per_day", -NUMBER_MAX - 1),
        ("ttl_s", math.nan),
    ],
)
def test_what_no_store_can_hold_is_refused(field: str, value: object) -> None:
    with pytest.raises(InvalidField) as refused:
        require_storable(account(**{field: value}))
    assert refused.value.field == ("id" if field == "account_id" else field)


@pytest.mark.parametrize("value", ["", "bad id/é", "x" * ID_OCTETS_MAX, "tenant-x/1", "*"])
def test_nearly_any_text_is_an_id(value: str) -> None:
    assert can_be_id(value)


@pytest.mark.parametrize("value", ["\0", "\udfff", "x" * (ID_OCTETS_MAX + 1)])
def test_what_names_no_stream_is_no_id(value: str) -> None:
    assert not can_be_id(value)
