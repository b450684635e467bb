"""Who is let in, and what everybody else is told, on every guarded path."""

from typing import Any

import falcon.testing
import pytest
from support.sms_proxy import ADMIN, APP_ID, TOKEN, USER, Surface

BEARER = f"Bearer {TOKEN}"
USER_PATHS = [
    ("POST", "/api/v1/sms/send"),
    ("POST", "/api/v1/sms/check-esme"),
    ("POST", "/api/v1/sms/info"),
    ("GET", "/api/v1/dashboard/metrics"),
    ("GET", "/api/v1/dashboard/stats"),
    ("GET", "/api/v1/dashboard/smpp-links"),
    ("GET", "/api/v1/dashboard/load-balancers"),
    ("PUT", "/api/v1/smpp/1/toggle"),
    ("GET", "/api/v1/settings/license"),
    ("POST", "/api/v1/settings/license/upload"),
    ("GET", "/api/v1/settings/smpp-config"),
]
ADMIN_PATHS = [
    ("GET", "/api/v1/admin/dashboard/metrics"),
    ("GET", "/api/v1/admin/dashboard/stats"),
    ("GET", "/api/v1/admin/dashboard/smpp-links"),
    ("GET", "/api/v1/admin/dashboard/load-balancers"),
    ("GET", "/api/v1/admin/metrics/campaigns"),
    ("PUT", "/api/v1/admin/smpp/1/toggle"),
    ("GET", "/api/v1/admin/settings/license"),
    ("POST", "/api/v1/admin/settings/license/upload"),
    ("GET", "/api/v1/admin/settings/smpp-config"),
    ("GET", "/api/v1/admin/settings/server-config"),
    ("POST", "/api/v1/user/register"),
    ("POST", "/api/v1/user/validate"),
    ("POST", "/api/v1/user/delete"),
    ("GET", "/api/v1/admin/proxy-users"),
    ("POST", "/api/v1/admin/proxy-users/register"),
    ("DELETE", "/api/v1/admin/proxy-users/1"),
    ("PUT", "/api/v1/admin/proxy-users/1/toggle-admin"),
]
DOCUMENTS = {
    "/sms-proxy/openapi.json",
    "/sms-proxy/docs",
    "/sms-proxy/docs/{name}",
}
OPEN_PATHS = {
    "/healthy",
    "/health",
    "/readyz",
    "/metrics",
    "/dashboard/stats",
    "/api/v1/user/login",
    *DOCUMENTS,
}


@pytest.mark.parametrize(("method", "path"), USER_PATHS)
@pytest.mark.parametrize(
    ("headers", "status", "error"),
    [
        ({}, 401, "authorization header required"),
        ({"X-App-ID": "x"}, 401, "authorization header required"),
        ({"Authorization": ""}, 401, "authorization header required"),
        ({"Authorization": "Bearer"}, 401, "authorization header required"),
        ({"Authorization": "Bearer  "}, 401, "authorization header required"),
        ({"Authorization": "Basic dTpw", "X-App-ID": "7"}, 401, "authorization header required"),
        ({"Authorization": TOKEN, "X-App-ID": "7"}, 401, "authorization header required"),
        ({"Authorization": BEARER}, 401, "X-App-ID header required"),
        ({"Authorization": "Bearer wrong"}, 401, "X-App-ID header required"),
        ({"Authorization": BEARER, "X-App-ID": "abc"}, 400, "invalid X-App-ID"),
        ({"Authorization": "Bearer wrong", "X-App-ID": "abc"}, 400, "invalid X-App-ID"),
        ({"Authorization": BEARER, "X-App-ID": "2,3"}, 400, "invalid X-App-ID"),
        ({"Authorization": BEARER, "X-App-ID": "-1"}, 400, "invalid X-App-ID"),
        ({"Authorization": BEARER, "X-App-ID": "7.0"}, 400, "invalid X-App-ID"),
        ({"Authorization": BEARER, "X-App-ID": "\xb2"}, 400, "invalid X-App-ID"),
        ({"Authorization": BEARER, "X-App-ID": str(2**63)}, 400, "invalid X-App-ID"),
        ({"Authorization": BEARER, "X-App-ID": "9" * 400}, 400, "invalid X-App-ID"),
        ({"Authorization": BEARER, "X-App-ID": str(2**63 - 1)}, 401, "unknown app_id"),
        ({"Authorization": BEARER, "X-App-ID": "0"}, 401, "unknown app_id"),
        ({"Authorization": "Bearer wrong", "X-App-ID": "8"}, 401, "unknown app_id"),
        ({"Authorization": "Bearer wrong", "X-App-ID": "7"}, 401, "invalid or expired token"),
        ({"Authorization": "Bearer \xfc", "X-App-ID": "7"}, 401, "invalid or expired token"),
    ],
)
def test_a_user_is_checked_in_the_order_of_the_reference(
    surface: Surface, method: str, path: str, headers: dict[str, str], status: int, error: str
) -> None:
    answer = _call(surface, method, path, headers)
    assert (answer.status_code, answer.json) == (status, {"error": error})


@pytest.mark.parametrize(("method", "path"), USER_PATHS)
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_user_with_a_token_is_let_in(
    surface: Surface, method: str, path: str, scheme: str
) -> None:
    headers = {"Authorization": f"{scheme} {TOKEN}", "X-App-ID": str(APP_ID)}
    assert _call(surface, method, path, headers).status_code in {200, 400}


@pytest.mark.parametrize(("method", "path"), ADMIN_PATHS)
@pytest.mark.parametrize(
    "headers",
    [{}, {"X-Admin-Key": ""}, {"X-Admin-Key": "wrong"}, {"X-Admin-Key": "w\xfcrst"}, USER],
    ids=["none", "empty", "wrong", "not ascii", "a user's token"],
)
def test_without_the_admin_key_nobody_administers(
    surface: Surface, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = _call(surface, method, path, headers)
    assert (answer.status_code, answer.json) == (401, {"error": "invalid or missing admin key"})


@pytest.mark.parametrize(("method", "path"), ADMIN_PATHS)
@pytest.mark.parametrize("headers", [{}, {"X-Admin-Key": ""}, ADMIN])
def test_without_a_configured_key_there_is_no_administration(
    method: str, path: str, headers: dict[str, str]
) -> None:
    answer = _call(Surface(admin_api_key=""), method, path, headers)
    assert (answer.status_code, answer.json) == (503, {"error": "admin API key not configured"})


@pytest.mark.parametrize(("method", "path"), ADMIN_PATHS)
def test_the_admin_key_opens_the_admin_paths(surface: Surface, method: str, path: str) -> None:
    assert _call(surface, method, path, ADMIN).status_code in {200, 400, 500}


@pytest.mark.parametrize(("method", "path"), USER_PATHS)
def test_the_admin_key_is_no_token(surface: Surface, method: str, path: str) -> None:
    assert _call(surface, method, path, ADMIN).status_code == 401


@pytest.mark.parametrize(
    ("admins_only", "is_admin", "status"),
    [(False, False, 200), (False, True, 200), (True, True, 200), (True, False, 403)],
)
def test_switching_links_may_take_an_administrator(
    *, admins_only: bool, is_admin: bool, status: int
) -> None:
    surface = Surface(jwt_admin_mutations=admins_only)
    surface.accounts.is_admin = is_admin
    client = surface.client()
    answer = client.simulate_put("/api/v1/smpp/1/toggle", headers=USER, json={"enabled": False})
    assert answer.status_code == status
    assert len(surface.links.toggles) == (status == 200)
    if status == 403:
        assert answer.json == {"error": "admin privileges required"}


def test_who_is_no_administrator_may_still_look() -> None:
    surface = Surface(jwt_admin_mutations=True)
    assert _call(surface, "POST", "/api/v1/settings/license/upload", USER).status_code == 403
    assert _call(surface, "GET", "/api/v1/settings/license", USER).status_code == 200
    assert _call(surface, "GET", "/api/v1/dashboard/smpp-links", USER).status_code == 200
    assert _call(surface, "PUT", "/api/v1/admin/smpp/1/toggle", ADMIN).status_code == 400


def test_every_path_is_guarded_or_listed_as_open(surface: Surface) -> None:
    routed = {_template(node) for node in _nodes(surface) if node.resource is not None}
    guarded = {
        path.replace("users/1", "users/{user_id}").replace("/1/", "/{link_id}/")
        for _, path in (*USER_PATHS, *ADMIN_PATHS)
    }
    assert routed == guarded | OPEN_PATHS


def _call(
    surface: Surface, method: str, path: str, headers: dict[str, str]
) -> falcon.testing.Result:
    body = {"content_type": "application/json", "body": "{}"} if method != "GET" else {}
    return surface.client().simulate_request(method, path, headers=headers, **body)


def _nodes(surface: Surface) -> list[Any]:
    found: list[Any] = []
    waiting = list(surface.app()._router._roots)  # noqa: SLF001  falcon lists routes only so
    while waiting:
        found.append(waiting.pop())
        waiting += found[-1].children
    return found


def _template(node: Any) -> str:  # noqa: ANN401  falcon's
    return str(node.uri_template)
