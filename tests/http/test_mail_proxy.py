"""What the mail proxy's clients do, on a port where the surface is alone."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

import falcon.testing
import pytest
from support.mail_proxy import ADMIN, UNSAID, Surface, message
from support.mail_proxy_calls import add, ask, shown

from signalbox.domain.mail_instance import BouncePolled, BouncesReloaded
from signalbox.http.mail_proxy.command_log import PAGE
from signalbox.http.mail_proxy.routes import VERSIONED
from signalbox.http.mail_proxy.rows import ROWS
from signalbox.projections.command_log import CommandQuery, CommandRow

ROW: Final = CommandRow(
    id=7, at_s=1_795_220_355.5, command="addTenant", tenant_id="", by="mail-admin",
    request_id="r", accepted=True, payload={"id": "acme"},
)  # fmt: skip
LINE: Final = {"endpoint": "addTenant", "payload": {"id": "acme"}, "command_ts": 1_795_220_355}


@pytest.fixture
def surface() -> Surface:
    surface = Surface()
    surface.tenant("acme")
    return surface


# Paths


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(row.route))
@pytest.mark.parametrize("below", ["", VERSIONED])
def test_every_path_is_there_twice(surface: Surface, row: Any, below: str) -> None:  # noqa: ANN401
    method, path = row.route
    path = below + path.format(tenant_id="acme", account_id="smtp1")
    answer = ask(surface, method, path)
    assert answer.status_code not in {404, 405}


@pytest.mark.parametrize("path", ["/health", "/mailproxy/health", "/mailproxy/v1/health"])
def test_anybody_may_ask_whether_it_runs(client: falcon.testing.TestClient, path: str) -> None:
    assert client.simulate_get(path).json == {"status": "ok", "ok": True}


@pytest.mark.parametrize("path", ["/metrics", "/mailproxy/v1/metrics"])
def test_anybody_may_count(client: falcon.testing.TestClient, path: str) -> None:
    answer = client.simulate_get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (
        200,
        "text/plain; version=0.0.4",
    )


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/status/", "/status"),
        ("/tenant/acme/", "/tenant/acme"),
        ("/mailproxy/v1/tenants/", "/mailproxy/v1/tenants"),
        ("/accounts/?tenant_id=acme", "/accounts?tenant_id=acme"),
    ],
)
def test_a_slash_too_many_leads_to_the_path_without(
    surface: Surface, path: str, location: str
) -> None:
    answer = falcon.testing.TestClient(surface.app()).simulate_get(path)
    assert (answer.status_code, answer.headers["location"]) == (307, location)


@pytest.mark.parametrize("path", ["/nothing", "/nothing/", "/mailproxy/v2/status", "/tenants/x"])
def test_an_unknown_path_is_404(client: falcon.testing.TestClient, path: str) -> None:
    answer = client.simulate_get(path, headers=ADMIN)
    assert (answer.status_code, answer.json) == (404, {"detail": "Not Found"})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("HEAD", "/status"),
        ("HEAD", "/messages"),
        ("POST", "/status"),
        ("GET", "/account/smtp1"),
        ("GET", "/commands/run-now"),
        ("PATCH", "/tenant/acme"),
    ],
)
def test_another_method_is_405(client: falcon.testing.TestClient, method: str, path: str) -> None:
    answer = client.simulate_request(method, path, headers=ADMIN)
    assert answer.status_code == 405
    if method != "HEAD":
        assert answer.json == {"detail": "Method Not Allowed"}


def test_nobody_between_keeps_what_is_answered(surface: Surface) -> None:
    assert ask(surface, "GET", "/tenant/acme").headers["cache-control"] == "no-store"


# Tenants


def test_a_tenant_is_what_was_put_last(surface: Surface) -> None:
    everything = {
        "id": "beta",
        "name": "Beta",
        "client_auth": {"method": "basic", "user": "u"},
        "client_base_url": "https://beta.test",
        "client_sync_path": "/sync",
        "client_attachment_path": "/files",
        "rate_limits": {"hourly": 5, "daily": "10", "soft": True, "factor": 1.5, "none": None},
        "large_file_config": {"enabled": True, "max_size_mb": 2.5, "action": "reject"},
        "active": False,
        "retention_days": 3,
        "report_format": "reports",
        "in_doubt": "hold",
    }
    made = ask(surface, "POST", "/tenant", everything)
    assert len(made.json.pop("api_key")) == 43
    found = ask(surface, "GET", "/tenant/beta").json
    assert {name: found[name] for name in everything} == everything
    assert ask(surface, "POST", "/tenant", {"id": "beta"}).json == {"ok": True}
    found = ask(surface, "GET", "/tenant/beta").json
    assert set(found) == {"id", "active", "created_at", "updated_at"}
    assert found["active"]


def test_what_is_not_given_stays_as_it_is(surface: Surface) -> None:
    ask(surface, "PUT", "/tenant/acme", {"name": "N", "client_base_url": "https://a.test"})
    ask(surface, "PUT", "/tenant/acme", {"name": None, "active": "no"})
    found = ask(surface, "GET", "/tenant/acme").json
    assert (found["name"], found["client_base_url"]) == ("N", "https://a.test")
    assert found["active"] is False


@pytest.mark.parametrize("body", [{}, {"name": None}, {"junk": 1}])
def test_nothing_to_change_is_fine_where_there_is_a_tenant(
    surface: Surface, body: dict[str, object]
) -> None:
    assert ask(surface, "PUT", "/tenant/acme", body).json == {"ok": True}
    answer = ask(surface, "PUT", "/tenant/ghost", body)
    assert (answer.status_code, answer.json) == (404, {"detail": "Tenant 'ghost' not found"})


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_tenant_is_404(surface: Surface, method: str) -> None:
    answer = ask(surface, method, "/tenant/ghost")
    assert (answer.status_code, answer.json) == (404, {"detail": "Tenant 'ghost' not found"})


def test_a_tenant_no_stream_can_be_named_after_is_not_there(surface: Surface) -> None:
    answer = ask(surface, "GET", f"/tenant/{'x' * 600}")
    assert answer.status_code == 404
    assert ask(surface, "DELETE", f"/tenant/{'x' * 600}").status_code == 422


def test_tenants_are_listed_by_their_ids(surface: Surface) -> None:
    ask(surface, "POST", "/tenant", {"id": "aaa", "active": False})
    listed = ask(surface, "GET", "/tenants").json
    assert (listed["ok"], [one["id"] for one in listed["tenants"]]) == (True, ["aaa", "acme"])
    active = ask(surface, "GET", "/tenants?active_only=TRUE").json["tenants"]
    assert [one["id"] for one in active] == ["acme"]


def test_the_servers_of_tenants_are_told_in_turn(surface: Surface) -> None:
    now_s = surface.store.now_s
    surface.mails.synced |= {"acme": now_s - 299, "busy": now_s + 60, "late": now_s - 300}
    for tenant_id in ("busy", "late", "never"):
        ask(surface, "POST", "/tenant", {"id": tenant_id})
    answer = ask(surface, "GET", "/tenants/sync-status").json
    told = {one["id"]: (one["next_sync_due"], one["in_dnd"]) for one in answer["tenants"]}
    assert told == {
        "acme": (False, False),
        "busy": (False, True),
        "late": (True, False),
        "never": (True, False),
    }
    assert answer["sync_interval_seconds"] == 300
    assert answer["tenants"][0]["last_sync_ts"] == now_s - 299
    assert "last_sync_ts" not in answer["tenants"][3]


# Accounts


def test_an_account_is_shown_but_for_its_secrets(surface: Surface) -> None:
    given = {
        "id": "pec",
        "tenant_id": "acme",
        "host": "smtp.test",
        "port": 465,
        "user": "u",
        "password": UNSAID,
        "ttl": 60,
        "limit_per_hour": 100,
        "limit_behavior": "reject",
        "use_tls": True,
        "batch_size": 5,
        "is_pec_account": True,
        "imap_host": "imap.test",
        "imap_port": 143,
        "imap_user": "iu",
        "imap_password": UNSAID,
        "imap_ssl": False,
        "source_ip": "192.0.2.1",
        "dkim_domain": "acme.test",
        "dkim_selector": "s1",
        "dkim_private_key": UNSAID,
    }
    assert ask(surface, "POST", "/account", given).json == {"ok": True}
    found = ask(surface, "GET", "/accounts?tenant_id=acme").json["accounts"][0]
    not_told = {"password", "imap_user", "imap_password", "imap_ssl", "dkim_private_key"}
    assert found == {
        **{name: value for name, value in given.items() if name not in not_told},
        "created_at": "2026-11-21T00:19:15",
        "updated_at": "2026-11-21T00:19:15",
    }
    account = surface.tenants.states["acme"].accounts["pec"]
    assert account.password_sealed == f"sealed {UNSAID}"
    assert (account.imap_user, account.imap_ssl) == ("iu", False)


def test_an_account_that_is_another_tenants_stays(surface: Surface) -> None:
    surface.tenant("beta")
    assert ask(surface, "DELETE", "/account/smtp1?tenant_id=beta").json == {"ok": True}
    assert [*surface.tenants.states["acme"].accounts] == ["smtp1"]


def test_an_account_that_is_not_there_can_not_be_removed(surface: Surface) -> None:
    answer = ask(surface, "DELETE", "/account/none?tenant_id=acme")
    expected = {"detail": "account not found or not owned by tenant"}
    assert (answer.status_code, answer.json) == (400, expected)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/accounts"),
        ("DELETE", "/account/smtp1"),
        ("GET", "/messages"),
        ("POST", "/commands/suspend"),
        ("POST", "/commands/activate"),
        ("POST", "/commands/delete-messages"),
        ("POST", "/commands/cleanup-messages"),
    ],
)
def test_it_must_be_some_tenants(surface: Surface, method: str, path: str) -> None:
    answer = ask(surface, method, f"{path}?tenant_id=", {})
    assert (answer.status_code, answer.json) == (400, {"detail": "tenant_id is required"})


def test_a_tenant_has_so_many_accounts_and_no_more(surface: Surface) -> None:
    state = surface.tenants.states["acme"]
    many = {str(n): state.accounts["smtp1"] for n in range(1_000)}
    surface.tenants.states["acme"] = type(state)(tenant_id="acme", exists=True, accounts=many)
    body = {"id": "one more", "tenant_id": "acme", "host": "h", "port": 25}
    answer = ask(surface, "POST", "/account", body)
    expected = {"detail": "a tenant has 1000 mail accounts at most"}
    assert (answer.status_code, answer.json) == (400, expected)


# Commands


def test_batches_are_suspended_and_go_on(surface: Surface) -> None:
    add(surface, message("m-1", batch_code="b1"), message("m-2"))
    answer = ask(surface, "POST", "/commands/suspend?tenant_id=acme&batch_code=b1")
    expected = {"ok": True, "tenant_id": "acme", "batch_code": "b1"}
    assert answer.json == {**expected, "suspended_batches": ["b1"], "pending_messages": 1}
    ask(surface, "POST", "/commands/run-now")
    assert [one["id"] for one in shown(surface, "&active_only=1")] == ["m-1"]
    answer = ask(surface, "POST", "/commands/activate?tenant_id=acme&batch_code=b1")
    assert answer.json == {**expected, "suspended_batches": [], "pending_messages": 1}


def test_mails_that_go_on_are_counted_before_they_go(
    surface: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(surface, message("m-1"), message("m-2"))
    ask(surface, "POST", "/commands/suspend?tenant_id=acme")
    activate = surface.tenants.activate

    def activate_and_send(*args: Any, **named: Any) -> frozenset[str]:  # noqa: ANN401  its own
        suspended = activate(*args, **named)
        surface.mails.run_now("acme")
        return suspended

    monkeypatch.setattr(surface.tenants, "activate", activate_and_send)
    answer = ask(surface, "POST", "/commands/activate?tenant_id=acme")
    assert answer.json["pending_messages"] == 2
    assert shown(surface, "&active_only=1") == []


@pytest.mark.parametrize("name", ["", "*"])
def test_everything_is_suspended_and_goes_on(surface: Surface, name: str) -> None:
    more = f"&batch_code={name}" if name else ""
    add(surface, message("m-1"))
    answer = ask(surface, "POST", f"/commands/suspend?tenant_id=acme{more}")
    assert answer.json["suspended_batches"] == ["*"]
    answer = ask(surface, "POST", "/commands/activate?tenant_id=acme&batch_code=b1")
    reason = "tenant not found or cannot activate single batch from full suspension"
    assert (answer.status_code, answer.json) == (400, {"detail": reason})
    answer = ask(surface, "POST", "/commands/activate?tenant_id=acme")
    assert answer.json == {
        "ok": True,
        "tenant_id": "acme",
        "suspended_batches": [],
        "pending_messages": 1,
    }


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("suspend", "tenant not found"),
        ("activate", "tenant not found or cannot activate single batch from full suspension"),
    ],
)
def test_nobodys_mails_can_not_be_suspended(surface: Surface, word: str, reason: str) -> None:
    answer = ask(surface, "POST", f"/commands/{word}?tenant_id=ghost")
    assert (answer.status_code, answer.json) == (400, {"detail": reason})


def test_a_batch_no_store_can_hold_is_told(surface: Surface) -> None:
    path = f"/commands/suspend?tenant_id=acme&batch_code={'x' * 600}"
    assert ask(surface, "POST", path).status_code == 422


def test_mails_are_sent_at_once_of_who_asks(surface: Surface) -> None:
    own = surface.tenant("beta")
    client = surface.client()
    for headers in (own, ADMIN):
        answer = client.simulate_post("/commands/run-now?tenant_id=acme", headers=headers)
        assert answer.json == {"ok": True}
    assert surface.mails.run == ["beta", None]


# The installation


def test_the_installation_is_configured_bit_by_bit(surface: Surface) -> None:
    assert ask(surface, "GET", "/instance").json == {
        "id": 1,
        "name": "mail-proxy",
        "bounce_enabled": False,
        "bounce_imap_port": 993,
        "bounce_imap_folder": "INBOX",
        "bounce_imap_ssl": True,
        "bounce_poll_interval": 60,
    }
    given = {
        "name": "ours",
        "api_token": UNSAID,
        "bounce_enabled": "yes",
        "bounce_imap_host": "imap.test",
        "bounce_imap_user": "u",
        "bounce_imap_password": UNSAID,
        "bounce_poll_interval": "30",
        "bounce_return_path": "bounces@ours.test",
    }
    assert ask(surface, "PUT", "/instance", given).json == {"ok": True}
    assert ask(surface, "PUT", "/instance", {}).json == {"ok": True}
    surface.instance.poll = BouncePolled(uidvalidity=3, uid=17)
    found = ask(surface, "GET", "/instance").json
    assert (found["name"], found["bounce_enabled"]) == ("ours", True)
    assert (found["bounce_uidvalidity"], found["bounce_last_uid"]) == (3, 17)
    assert (found["bounce_poll_interval"], found["created_at"]) == (30, "2026-11-21T00:19:15")
    assert surface.instance.state.bounce_imap_password_sealed == f"sealed {UNSAID}"


def test_a_bounce_interval_is_a_second_at_least(surface: Surface) -> None:
    answer = ask(surface, "PUT", "/instance", {"bounce_poll_interval": 0})
    (fault,) = answer.json["detail"]
    assert (fault["type"], fault["loc"]) == ("value_error", ["body", "bounce_poll_interval"])
    assert fault["msg"] == "Value error, expected at least one second"
    assert fault["input"] == 0


def test_bounces_are_looked_for_anew(surface: Surface) -> None:
    answer = ask(surface, "POST", "/instance/reload-bounce")
    assert (answer.status_code, answer.json) == (200, {"ok": True, "error": None})
    assert surface.instance.events == [BouncesReloaded()]
    ask(surface, "PUT", "/instance", {"bounce_enabled": True})
    answer = ask(surface, "POST", "/instance/reload-bounce")
    expected = {"detail": "Bounce enabled but imap_host not configured"}
    assert (answer.status_code, answer.json) == (400, expected)


# The log of commands


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", CommandQuery(limit=100)),
        ("?limit=-1", CommandQuery(limit=PAGE)),
        ("?limit=1000000", CommandQuery(limit=PAGE)),
        (
            "?tenant_id=acme&since_ts=1&until_ts=2&endpoint_filter=sus&limit=3",
            CommandQuery(tenant_id="acme", since_s=1, until_s=2, name_part="sus", limit=3),
        ),
    ],
)
def test_commands_are_looked_for(surface: Surface, query: str, expected: CommandQuery) -> None:
    assert ask(surface, "GET", f"/command-log{query}").json["total"] == 0
    assert surface.mails.queries == [expected]


def test_of_no_commands_nobody_is_asked(surface: Surface) -> None:
    surface.mails.commands = [ROW]
    answer = ask(surface, "GET", "/command-log?limit=0").json
    assert answer == {"ok": True, "commands": [], "total": 0}
    assert surface.mails.queries == []


@pytest.mark.parametrize(
    ("limit", "total", "asked"),
    [
        (-1, 2 * PAGE, [(PAGE, 0), (PAGE, PAGE), (PAGE, 2 * PAGE)]),
        (PAGE + 1, PAGE + 1, [(PAGE, 0), (1, PAGE)]),
        (PAGE, PAGE, [(PAGE, 0)]),
        (3, 3, [(3, 0)]),
    ],
)
def test_commands_are_read_page_by_page(
    surface: Surface, limit: int, total: int, asked: list[tuple[int, int]]
) -> None:
    surface.mails.commands = [replace(ROW, id=n) for n in range(1, 2 * PAGE + 1)]
    answer = ask(surface, "GET", f"/command-log?limit={limit}").json
    assert [one["id"] for one in answer["commands"]] == [*range(1, total + 1)]
    assert answer["total"] == total
    assert [(one.limit, one.after_id) for one in surface.mails.queries] == asked


@pytest.mark.parametrize(
    ("query", "first", "last"),
    [
        ("?newest=true&limit=3", 2 * PAGE - 2, 2 * PAGE),
        (f"?newest=1&limit={PAGE + 1}", PAGE, 2 * PAGE),
        ("?newest=true&limit=-1", 1, 2 * PAGE),
        ("?newest=true", 2 * PAGE - 99, 2 * PAGE),
        ("?newest=false&limit=3", 1, 3),
    ],
)
def test_the_newest_commands_come_in_order(
    surface: Surface, query: str, first: int, last: int
) -> None:
    surface.mails.commands = [replace(ROW, id=n) for n in range(1, 2 * PAGE + 1)]
    answer = ask(surface, "GET", f"/command-log{query}").json
    assert [one["id"] for one in answer["commands"]] == [*range(first, last + 1)]
    assert ask(surface, "GET", "/command-log?newest=maybe").status_code == 422
    assert ask(surface, "GET", "/command-log?newest=true&limit=0").json["total"] == 0


@pytest.mark.parametrize("query", ["", "?format=json"])
def test_all_commands_are_exported_page_by_page(surface: Surface, query: str) -> None:
    surface.mails.commands = [replace(ROW, id=n) for n in range(1, PAGE + 2)]
    answer = ask(surface, "GET", f"/command-log/export{query}")
    lines = answer.json["commands"] if query else answer.text.splitlines()
    assert len(lines) == PAGE + 1


def test_commands_are_exported_line_by_line(surface: Surface) -> None:
    surface.mails.commands = [ROW, replace(ROW, id=8)]
    answer = ask(surface, "GET", "/command-log/export?tenant_id=acme&limit=1")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line) for line in answer.text.splitlines()] == [LINE, LINE]
    assert surface.mails.queries == [CommandQuery(tenant_id="acme", limit=PAGE)]


def test_commands_are_exported_in_one_object(surface: Surface) -> None:
    surface.mails.commands = [ROW]
    answer = ask(surface, "GET", "/command-log/export?format=json")
    assert answer.json == {"ok": True, "commands": [LINE]}


def test_no_secret_is_in_any_answer(surface: Surface) -> None:
    secret = {"method": "bearer", "token": UNSAID, "password": UNSAID}
    ask(surface, "PUT", "/tenant/acme", {"client_auth": secret})
    account = {"id": "a", "tenant_id": "acme", "host": "h", "port": 25, "password": UNSAID}
    ask(surface, "POST", "/account", account)
    ask(surface, "PUT", "/instance", {"api_token": UNSAID, "bounce_imap_password": UNSAID})
    file = {"filename": "f", "storage_path": "https://x.test/f", "auth": secret}
    assert add(surface, message("m-1", attachments=[file])).json["queued"] == 1
    (found,) = shown(surface)
    assert found["message"]["attachments"][0]["auth"] == {"method": "bearer"}
    paths = [
        row.route[1].format(tenant_id="acme", account_id="a")
        for row in ROWS
        if row.route[0] == "GET"
    ]
    for path in paths:
        answer = ask(surface, "GET", f"{path}?tenant_id=acme")
        assert answer.status_code == 200
        assert UNSAID not in answer.text


def test_what_nobody_expected_tells_nothing_but_an_id(
    surface: Surface, monkeypatch: pytest.MonkeyPatch, client: falcon.testing.TestClient
) -> None:
    monkeypatch.setattr(surface.mails, "sync_status", lambda: 1 / 0)
    answer = client.simulate_get(
        "/tenants/sync-status", headers={**ADMIN, "X-Request-ID": "the-id"}
    )
    assert answer.status_code == 500
    assert answer.json == {"detail": "internal error", "id": "the-id"}
