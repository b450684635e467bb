"""`signalbox mail` against a stand-in for the mail proxy: what people and programs see of it."""

import json
from collections.abc import Iterator

import pytest
from support.mail_command import MAIL, TENANT, Mail, Proxy


@pytest.fixture
def mail(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Mail]:
    monkeypatch.setenv("MAIL_API_TOKEN", "hush-token")
    with Proxy() as proxy:
        yield Mail(proxy, capsys)


def test_mails_are_shown_with_what_became_of_them(mail: Mail) -> None:
    failed = MAIL | {
        "error_ts": 1795220359, "error": "(550, 'no') (SMTP 550)", "sent_ts": 1795220359,
        "history": [{"event_id": 1, "event_type": "error", "event_ts": 1795220359}],
    }  # fmt: skip
    waiting = MAIL | {"id": "m-2", "deferred_ts": 1795220400}
    mail.proxy.answers = {"GET /messages": (200, {"ok": True, "messages": [failed, waiting]})}
    rows = [" ".join(line.split()) for line in mail("messages list acme").splitlines()]
    assert (
        "m-1 smtp1 2 error 2026-11-21 00:19:19Z a@example.com, b@example.com hello"
        " (550, 'no') (SMTP 550)"
    ) in rows
    assert any(row.startswith("m-2 smtp1 2 deferred 2026-11-21 00:20:00Z") for row in rows)
    assert "m-1 error 2026-11-21 00:19:19Z" in rows


def test_nothing_in_a_table_reaches_the_terminal_as_a_command(mail: Mail) -> None:
    shown = {"ok": True, "tenants": [TENANT | {"name": "\x1b[2J[red]x"}]}
    mail.proxy.answers = {"GET /tenants": (200, shown)}
    printed = mail("tenants list")
    assert "\x1b" not in printed
    assert "[red]x" in printed


def test_programs_get_the_answer_as_it_came(mail: Mail) -> None:
    answer = {"ok": True, "tenants": [TENANT]}
    mail.proxy.answers = {"GET /tenants": (200, answer)}
    assert json.loads(mail("tenants list --json")) == answer


def test_the_export_is_printed_line_by_line_or_as_one_answer(mail: Mail) -> None:
    lines = '{"endpoint":"addTenant"}\n{"endpoint":"addMessages"}\n'
    mail.proxy.answers = {"GET /command-log/export": (200, lines)}
    assert mail("command-log --export --since 5") == lines
    exported = {"ok": True, "commands": [{"endpoint": "addTenant"}]}
    mail.proxy.answers = {"GET /command-log/export": (200, exported)}
    assert json.loads(mail("command-log --export --json")) == exported
    asked = [line for line, _ in mail.asked]
    assert asked == [f"GET /command-log/export?{query}" for query in ("since_ts=5", "format=json")]


def test_how_tenants_are_told_is_shown_with_times(mail: Mail) -> None:
    row = {"id": "acme", "active": True, "last_sync_ts": 1795220359.5, "next_sync_due": False,
           "in_dnd": True}  # fmt: skip
    answer = {"ok": True, "tenants": [row], "sync_interval_seconds": 300}
    mail.proxy.answers = {"GET /tenants/sync-status": (200, answer)}
    rows = [" ".join(line.split()) for line in mail("tenants sync-status").splitlines()]
    assert "acme yes 2026-11-21 00:19:19Z no yes" in rows
