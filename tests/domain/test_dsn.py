"""Mails that came back, in the words of many servers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bounces import (
    ANSWER,
    EXCHANGE,
    EXIM,
    GMAIL,
    HEADERS_ONLY,
    PK,
    POSTFIX,
    POSTFIX_DELAYED,
    POSTFIX_SUCCESS,
    QMAIL,
    SEVERAL,
    VACATION,
    octets,
)

from signalbox.domain.bounce_rules import DEFAULT_RULES, BounceRules, Reason
from signalbox.domain.dsn import Bounce, Origin, read

OURS = Origin(pk=PK)


def bounce_of(text: str, rules: BounceRules = DEFAULT_RULES) -> Bounce:
    found = read(octets(text), rules)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "kind", "code", "reason"),
    [
        (POSTFIX, "hard", "511", "550 5.1.1 <ann@example.org>: Recipient address rejected: User"),
        (HEADERS_ONLY, "hard", "511", "550 5.1.1 <ann@example.org>: Recipient address rejected"),
        (POSTFIX_DELAYED, "soft", "441", "connect to mx: timed out"),
        (SEVERAL, "hard", "511", "550 5.1.1 <ann@example.org>"),
        (EXIM, "hard", "571", "This message was created automatically by mail delivery software."),
        (QMAIL, "hard", "511", "Hi. This is the qmail-send program"),
        (EXCHANGE, "hard", "522", "554 5.2.2 mailbox full; STOREDRV.Deliver.Exception"),
    ],
    ids=["postfix", "headers", "postfix delayed", "several", "exim", "qmail", "exchange"],
)
def test_a_bounce_says_which_mail_why_and_whether_for_good(
    text: str, kind: str, code: str, reason: str
) -> None:
    bounce = bounce_of(text)
    assert bounce.origin == OURS
    assert (bounce.kind, bounce.code) == (kind, code)
    assert bounce.reason.startswith(reason)
    assert len(bounce.reason) <= 500


def test_without_our_header_the_message_id_we_made_is_a_guess() -> None:
    bounce = bounce_of(GMAIL)
    assert bounce.origin == Origin(guess=PK)
    assert (bounce.kind, bounce.code, bounce.recipient) == ("hard", "511", "ann@example.org")


def test_what_only_the_original_would_have_sent_is_known_by_its_clients_id() -> None:
    without = POSTFIX.replace(f"X-Signalbox-Mail-ID: {PK}\n", "")
    origin = bounce_of(without).origin
    assert (origin.pk, origin.client_id) == ("", "store@uuid-1")


def test_the_address_it_came_back_to_may_hold_our_key() -> None:
    text = f"From: mailer-daemon@example.org\nDelivered-To: bounces+{PK}@example.com\n\nNo.\n"
    assert bounce_of(text).origin == Origin(guess=PK)


def test_a_key_that_can_be_none_is_not_taken_for_one() -> None:
    assert bounce_of(POSTFIX.replace(PK, "../../etc")).origin == Origin(client_id="store@uuid-1")


@pytest.mark.parametrize("text", [POSTFIX_SUCCESS, VACATION, ANSWER], ids=["success", "away", "re"])
def test_what_is_no_bounce_is_none(text: str) -> None:
    assert read(octets(text)) is None


def test_rules_say_what_a_mail_means_that_follows_no_standard() -> None:
    rules = BounceRules(
        subjects=("posta respinta",),
        reasons=(Reason(phrase="casella piena", kind="soft", code="452"),),
    )
    text = f"Subject: Posta RESPINTA\n\nLa Casella Piena.\n\nX-Signalbox-Mail-ID: {PK}\n"
    bounce = bounce_of(text, rules)
    assert (bounce.origin, bounce.kind, bounce.code) == (OURS, "soft", "452")
    assert read(octets(text)) is None


def test_without_any_word_of_why_a_bounce_is_hard() -> None:
    text = f"From: postmaster@example.org\nSubject: hm\n\nNo.\nX-Genro-Mail-ID: {PK}\n"
    bounce = bounce_of(text)
    assert (bounce.kind, bounce.code, bounce.reason) == (
        "hard",
        "500",
        "No. X-Genro-Mail-ID: " + PK,
    )


def test_a_report_as_plain_text_is_read_too() -> None:
    text = POSTFIX.replace(
        "Content-Type: message/delivery-status", "Content-Type: text/delivery-status"
    )
    assert (bounce_of(text).kind, bounce_of(text).code) == ("hard", "511")


def test_the_first_number_counts_where_there_is_no_status() -> None:
    text = (
        "From: mailer-daemon@example.org\nSubject: x\n\nSent 1550 bytes.\nServer said: 421 busy\n"
    )
    bounce = bounce_of(text)
    assert (bounce.kind, bounce.code) == ("soft", "421")


@given(st.binary(max_size=400))
def test_nothing_anybody_sends_is_too_odd(raw: bytes) -> None:
    read(raw)


@given(st.binary(max_size=60), st.integers(0, len(octets(POSTFIX))))
def test_no_damage_to_a_report_is_too_odd(noise: bytes, at: int) -> None:
    whole = octets(POSTFIX)
    bounce = read(whole[:at] + noise + whole[at:])
    if bounce is not None:
        (bounce.reason + bounce.recipient + bounce.origin.client_id).encode()
