"""Mails: queued, looked at, sent once, forgotten."""

from __future__ import annotations

import pytest
from support.mail_proxy import Surface, message
from support.mail_proxy_calls import add, ask, shown

from signalbox.domain import mail


@pytest.fixture
def surface() -> Surface:
    surface = Surface()
    surface.tenant("acme")
    return surface


def test_mails_wait_to_be_sent(surface: Surface) -> None:
    assert add(surface, message("m-1"), message("m-2")).json == {
        "ok": True,
        "queued": 2,
        "rejected": [],
    }
    assert [one["id"] for one in shown(surface)] == ["m-1", "m-2"]


def test_none_is_fine(surface: Surface) -> None:
    assert add(surface).json == {"ok": True, "queued": 0, "rejected": []}


@pytest.mark.parametrize(
    ("more", "reason", "stays"),
    [
        ({"from": ""}, "missing from", True),
        ({"to": []}, "missing to", True),
        ({"to": ""}, "missing to", True),
        ({"to": [" , "]}, "missing to", True),
        ({"account_id": "none"}, "account not found for tenant", True),
        ({"tenant_id": "ghost"}, "account not found for tenant", False),
        ({"tenant_id": ""}, "missing tenant_id", False),
        ({"id": ""}, "missing id", False),
    ],
)
def test_what_can_be_no_mail_is_refused_alone(
    surface: Surface, more: dict[str, object], reason: str, *, stays: bool
) -> None:
    bad = {**message("bad"), **more}
    answer = add(surface, message("good"), bad)
    rejected = [{"id": bad["id"], "reason": reason}]
    assert answer.json == {"ok": True, "queued": 1, "rejected": rejected}
    answer = add(surface, bad)
    assert answer.status_code == 400
    assert answer.json == {"detail": {"error": None, "rejected": rejected}}
    assert [one.get("error") for one in shown(surface)] == [None, *([reason] if stays else [])]


def test_what_was_sent_is_not_sent_again(surface: Surface) -> None:
    add(surface, message("m-1"))
    ask(surface, "POST", "/commands/run-now")
    rejected = [{"id": "m-1", "reason": "already sent"}]
    answer = add(surface, message("m-1"))
    assert (answer.status_code, answer.json) == (
        200,
        {"ok": True, "queued": 0, "rejected": rejected},
    )
    answer = add(surface, message("m-1"), message("m-2"))
    assert answer.json == {"ok": True, "queued": 1, "rejected": rejected}


def test_what_waits_is_replaced(surface: Surface) -> None:
    add(surface, message("m-1"))
    assert add(surface, message("m-1", subject="another")).json["queued"] == 1
    (found,) = shown(surface)
    assert found["message"]["subject"] == "another"


def test_more_than_a_thousand_are_too_many(surface: Surface) -> None:
    assert add(surface, *[message(str(n)) for n in range(1_000)]).json["queued"] == 1_000
    answer = add(surface, *[message(f"more {n}") for n in range(1_001)])
    error = "Cannot enqueue more than 1000 messages at once"
    assert answer.status_code == 400
    assert answer.json == {"detail": {"error": error, "rejected": []}}
    assert len(surface.mails.states) == 1_000


def test_mails_of_several_tenants_come_in_one_call(surface: Surface) -> None:
    surface.tenant("beta")
    answer = add(
        surface,
        message("m-1", "acme"),
        message("m-1", "beta"),
        message("m-2", "beta", account_id="none"),
        message("m-2", "acme"),
    )
    rejected = [{"id": "m-2", "reason": "account not found for tenant"}]
    assert answer.json == {"ok": True, "queued": 3, "rejected": rejected}
    assert [one["id"] for one in shown(surface)] == ["m-1", "m-2"]


@pytest.mark.parametrize(
    ("default", "expected"), [("immediate", 0), (3, 3), ("1", 1), (99, 3), (None, 2)]
)
def test_a_mail_without_a_priority_has_that_of_its_call(
    surface: Surface, default: object, expected: int
) -> None:
    add(surface, message("m-1"), message("m-2", priority=1), default_priority=default)
    found = {one["id"]: one["priority"] for one in shown(surface)}
    assert found == {"m-1": expected, "m-2": 1}


def test_a_mail_tells_what_became_of_it(surface: Surface) -> None:
    add(surface, message("waits", deferred_ts=2_000_000_000), message("sent"), message("failed"))
    for name, outcome in {
        "sent": mail.RecordDelivery(code=250, response="OK"),
        "failed": mail.FailMail(code=550, reason="(550, 'no') (SMTP 550)"),
    }.items():
        surface.mails.happen(("acme", name), mail.AttemptMail())
        surface.mails.happen(("acme", name), outcome)
    found = {one["id"]: one for one in shown(surface)}
    at = int(surface.store.now_s)
    assert found["waits"]["deferred_ts"] == 2_000_000_000
    assert found["sent"]["sent_ts"] == at
    assert (found["failed"]["error_ts"], found["failed"]["error"]) == (
        at,
        "(550, 'no') (SMTP 550)",
    )
    assert "sent_ts" not in found["failed"]
    assert [one["id"] for one in shown(surface, "&active_only=yes")] == ["waits"]


@pytest.mark.parametrize("given", ["a@x.test", "a@x.test, b@x.test", ["Doe, Jo <j@x.test>"]])
def test_addresses_are_shown_as_they_were_given(surface: Surface, given: object) -> None:
    add(surface, message("m-1", to=given, cc=given, bcc=given))
    (found,) = shown(surface)
    assert [found["message"][name] for name in ("to", "cc", "bcc")] == [given] * 3


def test_a_message_is_shown_as_it_was_given_whenever_it_is_sent(surface: Surface) -> None:
    add(surface, message("m-1", deferred_ts=5))
    surface.mails.happen(("acme", "m-1"), mail.AttemptMail())
    surface.mails.happen(("acme", "m-1"), mail.RecordDelivery(code=250, response="OK"))
    (found,) = shown(surface)
    assert found["message"]["deferred_ts"] == 5
    assert "deferred_ts" not in found


def test_a_retry_is_not_when_the_client_wanted_it(surface: Surface) -> None:
    add(surface, message("m-1"))
    surface.mails.happen(("acme", "m-1"), mail.AttemptMail())
    surface.mails.happen(("acme", "m-1"), mail.RecordTrouble(code=451, reason="later"))
    (found,) = shown(surface)
    assert found["deferred_ts"] == int(surface.store.now_s + 60)
    assert found["message"]["retry_count"] == 1
    assert "deferred_ts" not in found["message"]


def test_a_history_is_shown_to_whoever_asks(surface: Surface) -> None:
    add(surface, message("m-1"))
    key = ("acme", "m-1")
    surface.mails.note(key, kind="deferred", until_s=1_795_220_415.5, reason="later")
    surface.mails.note(key, kind="sent", refused_recipients=1, reported_at_s=1_795_220_360.9)
    surface.mails.note(key, kind="bounce", bounce="hard", code="511", reason="unknown")
    (found,) = shown(surface, "&include_history=true")
    at = int(surface.store.now_s)
    assert found["history"] == [
        {
            "event_id": 12, "event_type": "deferred", "event_ts": at, "description": "later",
            "metadata": {"deferred_ts": 1_795_220_415},
        },
        {
            "event_id": 12, "event_type": "sent", "event_ts": at,
            "metadata": {"refused_recipients": 1}, "reported_ts": 1_795_220_360,
        },
        {
            "event_id": 12, "event_type": "bounce", "event_ts": at, "description": "unknown",
            "metadata": {"bounce_type": "hard", "code": "511"},
        },
    ]  # fmt: skip
    assert "history" not in shown(surface)[0]


@pytest.mark.parametrize(
    ("query", "ids"),
    [("&limit=2", "12"), ("&limit=2&offset=2", "3"), ("&offset=1", "23"), ("&limit=0", "")],
)
def test_who_has_many_mails_may_look_at_some(surface: Surface, query: str, ids: str) -> None:
    add(surface, message("1"), message("2"), message("3"))
    assert [one["id"] for one in shown(surface, query)] == [*ids]


def test_small_mails_are_read_many_at_a_time(surface: Surface) -> None:
    add(surface, *[message(str(n)) for n in range(1_000)])
    assert len(shown(surface)) == 1_000
    assert surface.mails.at_once == [10, 20, 40, 80, 160, 320, 370]


def test_large_mails_are_read_one_at_a_time(surface: Surface) -> None:
    for n in range(24):
        add(surface, message(str(n), body="x" * 900_000))
    assert len(shown(surface)) == 24
    assert surface.mails.at_once == [10, 5, 2, 1, 2, 1, 2, 1]


def test_none_are_shown_of_nobody(surface: Surface) -> None:
    answer = ask(surface, "GET", "/messages?tenant_id=ghost")
    assert answer.json == {"ok": True, "messages": []}
    assert surface.mails.at_once == []


def test_what_can_not_be_read_any_more_is_shown_as_such(surface: Surface) -> None:
    add(surface, message("m-1"))
    surface.mails.held.clear()
    (found,) = shown(surface)
    assert (found["message"]["from"], found["message"]["to"]) == ("[erased]", ["[erased]"])


def test_mails_are_forgotten_by_their_ids(surface: Surface) -> None:
    add(surface, message("m-1"), message("m-2"))
    path = "/commands/delete-messages?tenant_id=acme"
    assert ask(surface, "POST", path, {"ids": ["m-1", "none"]}).json == {
        "ok": True,
        "removed": 1,
        "not_found": [],
        "unauthorized": ["none"],
    }
    assert ask(surface, "POST", path, {}).json["removed"] == 0
    assert [one["id"] for one in shown(surface)] == ["m-2"]


@pytest.mark.parametrize(
    ("body", "age_s", "removed"),
    [
        ({}, 7 * 86_400, 0),
        ({}, 7 * 86_400 + 1, 1),
        ({"older_than_seconds": None}, 7 * 86_400 + 1, 1),
        ({"older_than_seconds": 60}, 61, 1),
        ({"older_than_seconds": 60}, 60, 0),
        ({"older_than_seconds": -5}, 1, 1),
        ({"older_than_seconds": 0}, 0, 0),
    ],
)
def test_old_mails_are_forgotten(
    surface: Surface, body: dict[str, object], age_s: int, removed: int
) -> None:
    add(surface, message("m-1"))
    ask(surface, "POST", "/commands/run-now")
    add(surface, message("waits"))
    surface.grow_older(age_s)
    answer = ask(surface, "POST", "/commands/cleanup-messages?tenant_id=acme", body)
    assert answer.json == {"ok": True, "removed": removed}
    assert len(shown(surface)) == 2 - removed


def test_a_cleaning_that_finds_nothing_to_take_ends(
    surface: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surface.mails, "due_cleanup", lambda *_: ["gone already"])
    answer = ask(surface, "POST", "/commands/cleanup-messages?tenant_id=acme", {})
    assert answer.json == {"ok": True, "removed": 0}
