"""The mail proxy's surface above the real gateway: tenants and mails on a real database."""

from __future__ import annotations

import json
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.gateway import eventually
from support.mail_proxy import message
from support.mail_web import Web
from support.projecting import projecting

from signalbox.actors.mail_nudges import EVERYBODY

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(60)

ADD: Final = "/commands/add-messages"
SECRET: Final = "UNSAID"


@pytest.fixture
def _projector(database_url: str) -> Iterator[None]:
    with projecting(database_url):
        yield


@pytest.fixture
def web(database_url: str, _projector: None) -> Iterator[Web]:
    with Web(database_url) as web:
        yield web


def add(web: Web, *messages: dict[str, object], **more: object) -> Any:  # noqa: ANN401  (JSON)
    return web.call("POST", ADD, {"messages": list(messages), **more}).json


def shown(web: Web, tenant_id: str = "acme", query: str = "") -> list[Any]:
    answer = web.call("GET", f"/messages?tenant_id={tenant_id}{query}")
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json["messages"]
    return found


def test_what_is_queued_is_shown_at_once_as_it_was_given(web: Web) -> None:
    own = web.tenant("acme")
    full = message(
        "m-full",
        to=["a@example.test", "b@example.test"],
        cc="c@example.test, d@example.test",
        bcc=["e@example.test"],
        reply_to="r@acme.test",
        return_path="bounce@acme.test",
        body="<b>hé</b>",
        content_type="html",
        headers={"X-Custom": "1", "X-Null": None, "X-Num": 7},
        message_id="<fixed@acme.test>",
        priority="high",
        deferred_ts=1,
        batch_code="camp-1",
        attachments=[
            {"filename": "a.txt", "storage_path": "base64:aGVsbG8=", "fetch_mode": "base64"},
            {"filename": "f.pdf", "storage_path": "doc_id=7", "auth": {"token": SECRET}},
        ],
    )
    answer = web.call("POST", ADD, {"messages": [message("m-1"), full]}, own)
    assert answer.json == {"ok": True, "queued": 2, "rejected": []}
    first, second = shown(web)
    assert (first["id"], first["priority"], second["id"]) == ("m-full", 1, "m-1")
    full["attachments"][1]["auth"] = {"method": "none"}  # type: ignore[index]  # made above
    assert first["message"] == {**full, "priority": 1}
    assert (first["deferred_ts"], first["batch_code"]) == (1, "camp-1")
    assert len(first["pk"]) == 22
    assert [one["id"] for one in shown(web, query="&limit=1&offset=1")] == ["m-1"]


def test_what_can_be_no_mail_is_shown_as_one_that_failed(web: Web) -> None:
    web.tenant("acme")
    answer = add(web, message("good"), message("bad", account_id="none"), message("", to=""))
    assert answer["rejected"] == [
        {"id": "bad", "reason": "account not found for tenant"},
        {"id": "", "reason": "missing id"},
    ]
    found = {one["id"]: one for one in shown(web, query="&include_history=true")}
    assert set(found) == {"good", "bad"}
    assert found["bad"]["error"] == "account not found for tenant"
    assert [one["event_type"] for one in found["bad"]["history"]] == ["error"]
    assert [one["id"] for one in shown(web, query="&active_only=true")] == ["good"]


def test_a_bad_copy_does_not_touch_what_waits(web: Web) -> None:
    web.tenant("acme")
    add(web, message("m-1"))
    add(web, message("m-1", account_id="none"), message("m-2"))
    assert all("error" not in one for one in shown(web))


def test_suspended_mails_are_counted(web: Web) -> None:
    web.tenant("acme")
    add(web, message("m-1", batch_code="b1"), message("m-2"))
    path = "/commands/suspend?tenant_id=acme"
    assert web.call("POST", f"{path}&batch_code=b1").json["pending_messages"] == 1
    assert web.call("POST", path).json["pending_messages"] == 2


def test_mails_are_forgotten(web: Web) -> None:
    web.tenant("acme")
    add(web, message("m-1"), message("m-2"))
    answer = web.call("POST", "/commands/delete-messages?tenant_id=acme", {"ids": ["m-1", "x"]})
    assert (answer.json["removed"], answer.json["unauthorized"]) == (1, ["x"])
    assert [one["id"] for one in shown(web)] == ["m-2"]
    path = "/commands/cleanup-messages?tenant_id=acme"
    assert web.call("POST", path, {"older_than_seconds": 0}).json == {"ok": True, "removed": 0}


def test_a_deleted_tenant_takes_its_mails_along_and_no_others(web: Web) -> None:
    web.tenant("acme")
    web.tenant("beta")
    add(web, message("m-1"), message("m-1", "beta"))
    assert web.call("DELETE", "/tenant/acme").json == {"ok": True}
    assert shown(web) == []
    assert [one["id"] for one in shown(web, "beta")] == ["m-1"]
    web.tenant("acme")
    assert shown(web) == []
    assert add(web, message("m-1"))["queued"] == 1
    assert len(shown(web)) == 1


def test_a_key_holds_in_every_process(web: Web, database_url: str) -> None:
    own = web.tenant("acme")
    with Web(database_url) as other:
        assert other.call("GET", "/tenant/acme", headers=own).status_code == 200
        web.call("DELETE", "/tenant/acme/api-key")
        eventually(lambda: other.call("GET", "/status", headers=own).status_code == 401)
        key = web.call("POST", "/tenant/acme/api-key").json["api_key"]
        answer = other.call("GET", "/tenant/acme", headers={"X-API-Token": key})
        assert answer.status_code == 200
        web.call("DELETE", "/tenant/acme")
        eventually(lambda: other.call("GET", "/status", headers=own).status_code == 401)


def test_an_account_is_known_in_every_process(web: Web, database_url: str) -> None:
    with Web(database_url) as other:
        web.tenant("acme")
        assert add(other, message("m-1"))["queued"] == 1


def test_whoever_sends_is_told_to_do_so_at_once(web: Web) -> None:
    own = web.tenant("acme")
    web.signals.clear()
    assert web.call("POST", "/commands/run-now", headers=own).json == {"ok": True}
    assert web.call("POST", "/commands/run-now").json == {"ok": True}
    eventually(lambda: {"@tenant-acme", EVERYBODY} <= {*chain.from_iterable(web.signals)})


def test_commands_are_logged_without_secrets(web: Web) -> None:
    auth = {"method": "bearer", "token": SECRET}
    web.call("POST", "/tenant", {"id": "acme", "client_auth": auth})
    account = {"id": "smtp1", "tenant_id": "acme", "host": "h", "port": 25, "password": SECRET}
    web.call("POST", "/account", account)
    add(web, message("m-1", body=SECRET), message("m-2"))
    web.call("POST", "/commands/suspend?tenant_id=acme&batch_code=b1")
    web.call("PUT", "/instance", {"bounce_imap_password": SECRET, "bounce_imap_host": "i"})
    log = web.call("GET", "/command-log").json
    names = [one["endpoint"] for one in log["commands"]]
    assert names == ["addTenant", "addAccount", "addMessages", "suspend", "updateInstance"]
    assert log["total"] == 5
    lines = web.call("GET", "/command-log/export?tenant_id=acme").text
    assert [json.loads(one)["endpoint"] for one in lines.splitlines()] == names[:4]
    for path in ("/command-log", "/command-log/export", "/tenants", "/instance"):
        assert SECRET not in web.call("GET", path).text
    page = web.call("GET", "/command-log?endpoint_filter=add&limit=1").json["commands"]
    assert [one["endpoint"] for one in page] == ["addTenant"]


def test_bounces_are_configured(web: Web) -> None:
    assert web.call("POST", "/instance/reload-bounce").json == {"ok": True, "error": None}
    web.call("PUT", "/instance", {"bounce_enabled": True})
    assert web.call("POST", "/instance/reload-bounce").status_code == 400
    assert web.call("GET", "/instance").json["bounce_enabled"] is True


ODD: Final[list[tuple[str, str, object]]] = [
    ("POST", "/tenant", {"id": "x" * 600}),
    ("POST", "/tenant", {"id": "b", "name": "n" * 70_000}),
    ("POST", "/tenant", {"id": "b", "retention_days": 2**62}),
    ("POST", "/account", {"id": "a", "tenant_id": "b", "host": "h", "port": 2**62}),
    ("POST", "/account", {"id": "a", "tenant_id": "ü" * 400, "host": "h", "port": 1}),
    ("POST", ADD, {"messages": [message("ü" * 400)]}),
    ("POST", ADD, {"messages": [message("m-1", "ü" * 400)]}),
    ("POST", ADD, {"messages": [message("m-1", deferred_ts=2**62)]}),
    ("POST", ADD, {"messages": [message("m-1", deferred_ts=-(2**62))]}),
    ("PUT", "/instance", {"name": "n" * 70_000}),
    ("PUT", "/instance", {"bounce_poll_interval": 2**62}),
    ("POST", f"/commands/suspend?tenant_id=acme&batch_code={'x' * 600}", None),
    ("POST", "/commands/delete-messages?tenant_id=acme", {"ids": ["x" * 5_000]}),
    ("POST", "/commands/cleanup-messages?tenant_id=acme", {"older_than_seconds": 2**62}),
    ("GET", f"/messages?tenant_id={'x' * 5_000}", None),
    ("GET", f"/accounts?tenant_id={'x' * 5_000}", None),
    ("DELETE", f"/account/{'x' * 5_000}?tenant_id=acme", None),
    ("GET", f"/command-log?since_ts={2**62}&until_ts=-{2**62}", None),
    ("GET", "/command-log?endpoint_filter=%25_%5C&tenant_id=%27", None),
]


def test_nothing_that_is_written_is_an_internal_error(web: Web) -> None:
    web.tenant("acme")
    for method, path, body in ODD:
        answer = web.call(method, path, body)
        assert answer.status_code in {200, 400, 404, 422}, (method, path, body, answer.text)
        assert web.call("GET", "/messages?tenant_id=acme").status_code == 200
