"""Who may call the mail proxy: the admin, each tenant for itself, and nobody else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import falcon.testing
import pytest
from support import trucopilot
from support.mail_proxy import ADMIN, Surface, message
from support.warmup import FakeWarmup

from signalbox.http.app import create_app
from signalbox.http.body import BodyReader
from signalbox.http.limits import AllRequests
from signalbox.http.mail_proxy.operations import ANY
from signalbox.http.mail_proxy.rows import ROWS
from signalbox.http.shared import PassingMail, SharedStatus
from signalbox.http.warmup.routes import WarmupSurface

if TYPE_CHECKING:
    from signalbox.http.mail_proxy.operations import Row

INVALID: Final = {"detail": "Invalid or missing API token"}
NO_ADMIN: Final = {"detail": "Admin token required"}
IS_TENANT: Final = {"detail": "Admin token required, tenant tokens not allowed for this operation"}
NOT_ITS_OWN: Final = {"detail": "Token not authorized for this tenant"}
CLOSED: Final = [row for row in ROWS if row.security]
ADMINS: Final = [row for row in CLOSED if 403 in row.refusals]
ACCOUNT: Final = {"id": "smtp2", "tenant_id": "acme", "host": "h", "port": 25}
FOR_ACME: Final[dict[tuple[str, str], object]] = {
    ("GET", "/tenant/acme"): None,
    ("PUT", "/tenant/acme"): {"name": "changed"},
    ("POST", "/account"): ACCOUNT,
    ("GET", "/accounts?tenant_id=acme"): None,
    ("DELETE", "/account/smtp1?tenant_id=acme"): None,
    ("GET", "/messages?tenant_id=acme"): None,
    ("POST", "/commands/add-messages"): {"messages": [message("m-1")]},
    ("POST", "/commands/delete-messages?tenant_id=acme"): {"ids": ["m-1"]},
    ("POST", "/commands/cleanup-messages?tenant_id=acme"): {},
    ("POST", "/commands/suspend?tenant_id=acme"): None,
    ("POST", "/commands/activate?tenant_id=acme"): None,
}


@pytest.fixture
def surface() -> Surface:
    return Surface()


def named(row: Row) -> str:
    return " ".join(row.route)


def call(
    surface: Surface, method: str, path: str, headers: dict[str, str], body: object = None
) -> falcon.testing.Result:
    octets = b"" if body is None else json.dumps(body).encode()
    return surface.client().simulate_request(method, path, headers=headers, body=octets)


def ask(surface: Surface, row: Row, headers: dict[str, str]) -> falcon.testing.Result:
    method, path = row.route
    return call(surface, method, path.format(tenant_id="acme", account_id="smtp1"), headers)


@pytest.mark.parametrize("row", CLOSED, ids=named)
def test_nobody_is_let_in_without_a_token(surface: Surface, row: Row) -> None:
    answer = ask(surface, row, {})
    expected = NO_ADMIN if row in ADMINS else INVALID
    assert (answer.status_code, answer.json) == (401, expected)


@pytest.mark.parametrize("row", CLOSED, ids=named)
@pytest.mark.parametrize("token", ["wrong", "x" * 43, "ümlaut".encode().decode("latin-1"), "\xff"])
def test_nobody_is_let_in_with_another_token(surface: Surface, row: Row, token: str) -> None:
    answer = ask(surface, row, {"X-API-Token": token})
    assert (answer.status_code, answer.json) == (401, INVALID)


@pytest.mark.parametrize("row", ADMINS, ids=named)
def test_a_tenant_is_no_admin(surface: Surface, row: Row) -> None:
    answer = ask(surface, row, surface.tenant("acme"))
    assert (answer.status_code, answer.json) == (403, IS_TENANT)


@pytest.mark.parametrize(("method", "path"), FOR_ACME)
def test_a_tenant_acts_for_itself(surface: Surface, method: str, path: str) -> None:
    own = surface.tenant("acme")
    assert call(surface, method, path, own, FOR_ACME[method, path]).status_code == 200


@pytest.mark.parametrize(("method", "path"), FOR_ACME)
def test_a_tenant_acts_for_no_other(surface: Surface, method: str, path: str) -> None:
    surface.tenant("acme")
    other = surface.tenant("beta")
    before, asked_by = dict(surface.tenants.states), list(surface.store.asked_by)
    answer = call(surface, method, path, other, FOR_ACME[method, path])
    assert (answer.status_code, answer.json) == (401, NOT_ITS_OWN)
    assert (surface.tenants.states, surface.store.asked_by) == (before, asked_by)
    assert surface.mails.states == {}


def test_a_tenant_that_adds_one_mail_for_another_adds_none(surface: Surface) -> None:
    surface.tenant("acme")
    own = surface.tenant("beta")
    body = {"messages": [message("m-1", "beta"), message("m-2", "acme")]}
    answer = call(surface, "POST", "/commands/add-messages", own, body)
    assert (answer.status_code, answer.json) == (401, NOT_ITS_OWN)
    assert surface.mails.states == {}


def test_a_tenant_learns_of_no_other_whether_it_is_there(surface: Surface) -> None:
    own = surface.tenant("acme")
    assert call(surface, "GET", "/tenant/ghost", own).json == NOT_ITS_OWN


def test_the_authorization_header_is_not_read(surface: Surface) -> None:
    token = ADMIN["X-API-Token"]
    assert call(surface, "GET", "/status", {"Authorization": f"Bearer {token}"}).json == INVALID


def test_a_key_that_was_replaced_is_worthless_at_once(surface: Surface) -> None:
    old = surface.tenant("acme")
    answer = call(surface, "POST", "/tenant/acme/api-key", ADMIN)
    new = {"X-API-Token": answer.json["api_key"]}
    assert call(surface, "GET", "/status", old).status_code == 401
    assert call(surface, "GET", "/status", new).json == {"ok": True, "active": True}


def test_a_revoked_key_is_worthless_and_may_be_revoked_again(surface: Surface) -> None:
    own = surface.tenant("acme")
    for _ in range(2):
        answer = call(surface, "DELETE", "/tenant/acme/api-key", ADMIN)
        assert (answer.status_code, answer.json) == (200, {"ok": True})
    assert call(surface, "GET", "/status", own).json == INVALID


def test_the_key_of_a_deleted_tenant_is_worthless(surface: Surface) -> None:
    own = surface.tenant("acme")
    assert call(surface, "DELETE", "/tenant/acme", ADMIN).json == {"ok": True}
    assert call(surface, "GET", "/status", own).json == INVALID


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_nobody_else_has_keys(surface: Surface, method: str) -> None:
    answer = call(surface, method, "/tenant/ghost/api-key", ADMIN)
    assert (answer.status_code, answer.json) == (404, {"detail": "Tenant 'ghost' not found"})


def test_events_name_who_called(surface: Surface) -> None:
    own = surface.tenant("acme")
    call(surface, "PUT", "/tenant/acme", own, {"name": "changed"})
    assert surface.store.asked_by == ["mail-admin", "mail-admin", "tenant-acme"]


def ask_openly(surface: Surface, host: str = "localhost", **headers: str) -> int:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = surface.client().simulate_post("/tenant", host=host, headers=given, json={"id": "a"})
    return int(answer.status_code)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "127.1.2.3"])
def test_where_it_is_open_whoever_shows_no_token_is_the_admin(host: str) -> None:
    surface = Surface(admin_token="", is_open=True)
    assert ask_openly(surface, host) == 200
    assert surface.store.asked_by == ["anybody"]


def test_where_it_is_open_a_wrong_token_is_still_wrong() -> None:
    surface = Surface(admin_token="", is_open=True)
    assert ask_openly(surface, X_API_Token="wrong") == 401


def test_where_it_is_open_a_tenant_is_still_no_admin() -> None:
    surface = Surface(admin_token="", is_open=True)
    client = surface.client()
    made = client.simulate_post("/tenant", host="localhost", json={"id": "acme"})
    own = {"X-API-Token": made.json["api_key"]}
    answer = client.simulate_get("/tenants", host="localhost", headers=own)
    assert (answer.status_code, answer.json) == (403, IS_TENANT)


@pytest.mark.parametrize(
    ("host", "site", "status"),
    [
        ("localhost", "same-origin", 200),
        ("localhost", "none", 200),
        ("localhost", "cross-site", 401),
        ("localhost", "same-site", 401),
        ("rebound.example", "same-origin", 401),
        ("rebound.example", "none", 401),
    ],
)
def test_where_it_is_open_no_page_of_others_is_the_admin(host: str, site: str, status: int) -> None:
    surface = Surface(admin_token="", is_open=True)
    assert ask_openly(surface, host, Sec_Fetch_Site=site) == status


def test_a_token_closes_it() -> None:
    surface = Surface(is_open=True)
    assert call(surface, "GET", "/tenants", {}).json == NO_ADMIN


@pytest.mark.parametrize("headers", [{}, {"X-API-Token": ""}, ADMIN])
def test_without_a_token_that_is_configured_nobody_is_the_admin(headers: dict[str, str]) -> None:
    surface = Surface(admin_token="")
    answer = call(surface, "GET", "/tenants", headers)
    assert answer.status_code == 401


def test_a_stranger_is_refused_before_a_body_is_read() -> None:
    surface = Surface(body_octets_max=10)
    answer = surface.client().simulate_post("/tenant", body=b"{" * 11)
    assert (answer.status_code, answer.json) == (401, NO_ADMIN)


class Empty:
    """A bucket with nothing in it."""

    def acquire(self) -> float:
        return 0.2

    def close(self) -> None:
        pass


def test_too_many_requests_are_told_when_to_come_again() -> None:
    surface = Surface()
    guards = surface.surface().guard(alone=True)
    routes = surface.surface().routes(alone=True)
    app = create_app(routes, {}, AllRequests(Empty(), ()), shapes=[guards])
    answer = falcon.testing.TestClient(app).simulate_get("/status", headers=ADMIN)
    assert (answer.status_code, answer.json) == (429, {"detail": "rate limit exceeded"})
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("row", [row for row in CLOSED if row.route[0] == "GET"], ids=named)
def test_while_the_store_is_away_it_may_be_asked_again(surface: Surface, row: Row) -> None:
    if row.route[1] == "/status":
        return  # It asks nobody.
    surface.store.away = True
    method, path = row.route
    path = path.format(tenant_id="acme")
    answer = call(surface, method, f"{path}?tenant_id=acme", ADMIN)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    assert answer.json == {"detail": "service unavailable, try again"}


def test_the_table_knows_who_is_refused() -> None:
    assert all(row.refusals >= ANY for row in CLOSED)
    assert len(ADMINS) == 11


def test_texts_of_an_organisation_are_beside_mails_of_a_tenant(surface: Surface) -> None:
    phones, ours = trucopilot.Surface().surface(), surface.surface()
    shapes = [phones.guard(), ours.guard()]
    app = create_app({**phones.routes(), **ours.routes()}, {}, shapes=shapes)
    client = falcon.testing.TestClient(app)
    assert client.simulate_get("/messages?tenant_id=acme").json == INVALID
    assert client.simulate_get("/messages/myorg").json["code"] == "missing_credentials"
    assert client.simulate_get("/messages/?tenant_id=acme").status_code == 307
    assert "phone gateway" in client.simulate_get("/docs").text
    assert "mail proxy" in client.simulate_get("/mailproxy/docs").text


def shared_app(surface: Surface) -> falcon.testing.TestClient:
    fake, ours = FakeWarmup(), surface.surface()
    warming = WarmupSurface(warmup=fake, reads=fake, body=BodyReader(10_000), api_keys=["key"])
    own = {**warming.routes(), **ours.routes()}
    routes = {**own, "/status": SharedStatus(own["/status"], ours.status())}
    guards = [PassingMail(warming.guard()), ours.guard()]
    return falcon.testing.TestClient(create_app(routes, {}, None, guards))


@pytest.mark.parametrize(
    ("headers", "status", "body"),
    [
        (ADMIN, 200, {"ok": True, "active": True}),
        ({"X-API-Token": "wrong"}, 401, INVALID),
        ({"X-Api-Key": "key"}, 200, {"ips": {}}),
        ({}, 401, {"error": "Unauthorized"}),
    ],
)
def test_a_token_tells_whose_status_is_meant(
    surface: Surface, headers: dict[str, str], status: int, body: object
) -> None:
    answer = shared_app(surface).simulate_get("/status", headers=headers)
    assert (answer.status_code, answer.json) == (status, body)


def test_the_warm_up_keeps_its_other_paths(surface: Surface) -> None:
    client = shared_app(surface)
    answer = client.simulate_get("/status/192.0.2.1", headers=ADMIN)
    assert (answer.status_code, answer.json) == (401, {"error": "Unauthorized"})
    assert client.simulate_get("/config", headers={"X-Api-Key": "key"}).status_code == 200
