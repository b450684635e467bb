"""Users with applications, as operators see, change and remove them over HTTP."""

import falcon.testing
import pytest
from support.sms_proxy import ADMIN, FakeUsers, Surface


def proxy_user(client: falcon.testing.TestClient, method: str, path: str) -> falcon.testing.Result:
    return client.simulate_request(method, f"/api/v1/admin/proxy-users{path}", headers=ADMIN)


@pytest.mark.parametrize("path", ["", "/"])
def test_operators_see_all_users_and_no_secret(
    client: falcon.testing.TestClient, path: str
) -> None:
    answer = proxy_user(client, "GET", path)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.json == {
        "success": True,
        "data": [
            {
                "id": 1,
                "email": "api-user@example.com",
                "is_admin": False,
                "app_id": 10,
                "app_name": "my-app",
                "app_secret": "secret-hash",
            },
            {
                "id": 2,
                "email": "",
                "is_admin": True,
                "app_id": 0,
                "app_name": "",
                "app_secret": "",
            },
        ],
    }
    assert list(answer.json["data"][0]) == [
        "id", "email", "is_admin", "app_id", "app_name", "app_secret",
    ]  # fmt: skip


@pytest.mark.parametrize("user_id", [42, 43])
@pytest.mark.parametrize("slash", ["", "/"])
def test_an_operator_removes_any_user(
    surface: Surface, client: falcon.testing.TestClient, user_id: int, slash: str
) -> None:
    answer = proxy_user(client, "DELETE", f"/{user_id}{slash}")
    assert (answer.status_code, answer.json) == (200, {"success": True})
    assert user_id not in surface.users.admins
    assert surface.users.asked_by == ["admin-key"]


@pytest.mark.parametrize(("user_id", "is_admin"), [(42, True), (43, False)])
def test_an_operator_switches_administrators(
    surface: Surface, client: falcon.testing.TestClient, user_id: int, *, is_admin: bool
) -> None:
    answer = proxy_user(client, "PUT", f"/{user_id}/toggle-admin")
    assert answer.status_code == 200
    assert answer.json == {"success": True, "data": {"id": user_id, "is_admin": is_admin}}
    assert surface.users.asked_by == ["admin-key"]


@pytest.mark.parametrize(
    ("method", "path", "status"), [("DELETE", "/99", 400), ("PUT", "/99/toggle-admin", 500)]
)
def test_a_proxy_user_nobody_knows_is_no_404(
    client: falcon.testing.TestClient, method: str, path: str, status: int
) -> None:
    answer = proxy_user(client, method, path)
    assert answer.status_code == status
    assert answer.json == {"success": False, "error": "user not found"}


@pytest.mark.parametrize("user_id", ["0", "-1", "x", "4.5", "%20", "\u0664", str(2**63), "9" * 400])
@pytest.mark.parametrize(("method", "path"), [("DELETE", "/{}"), ("PUT", "/{}/toggle-admin")])
def test_what_is_no_number_of_a_proxy_user_is_refused(
    surface: Surface, client: falcon.testing.TestClient, method: str, path: str, user_id: str
) -> None:
    answer = proxy_user(client, method, path.format(user_id))
    assert (answer.status_code, answer.json) == (400, {"success": False, "error": "invalid id"})
    assert surface.users.admins == FakeUsers().admins


def test_registering_is_no_number_of_a_user(client: falcon.testing.TestClient) -> None:
    assert proxy_user(client, "DELETE", "/register").status_code == 405
