"""A user's life over real processes: what one web process did, the other knows a moment later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from support.gateway import eventually_equal
from support.processes import ADMIN_KEY, Client, Installation, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.processes, pytest.mark.timeout(60)]

ADMIN: Final = {"X-Admin-Key": ADMIN_KEY}
PROXY_USERS: Final = "/api/v1/admin/proxy-users"
EXTRA: Final = """
[security]
jwt_admin_mutations = true

[[applications]]
id = 1
allowed_ips = ["192.0.2.0/24"]
"""


@pytest.fixture
def gateway(database_url: str) -> Iterator[Installation]:
    with Installation(database_url, [free_port()], extra=EXTRA) as gateway:
        gateway.start_all()
        yield gateway


def as_admin(client: Client, method: str, path: str, body: object = None) -> tuple[int, Any]:
    return client.call(method, path, body, ADMIN)


def test_a_user_comes_is_promoted_and_goes(gateway: Installation) -> None:
    here, port = Client(gateway.port), free_port()
    gateway.start("web", port=port)
    assert gateway.client("bound").call("POST", "/api/v1/sms/check-esme", {"esme": 1}) == (
        403,
        {"success": False, "error": "IP not allowed"},
    )
    client = gateway.client("free")
    there = client.at(port)

    def toggle_link() -> int:
        try:
            return there.call("PUT", "/api/v1/smpp/1/toggle", {"enabled": True})[0]
        except OSError:
            return 0  # That process is not up yet.

    eventually_equal(toggle_link, 403, 30)
    _, listed = as_admin(here, "GET", PROXY_USERS)
    user = listed["data"][-1]
    assert user["email"] == "free@example.com"
    assert (user["app_id"], user["app_name"], user["is_admin"]) == (client.app_id, "free", False)
    assert user["app_secret"] != "secret of free, long enough"

    user_id = user["id"]
    status, toggled = as_admin(here, "PUT", f"{PROXY_USERS}/{user_id}/toggle-admin")
    assert (status, toggled["data"]) == (200, {"id": user_id, "is_admin": True})
    eventually_equal(toggle_link, 200)
    assert as_admin(here, "POST", "/api/v1/user/validate", {"user_id": user_id}) == (
        200,
        {"is_admin": True, "error": ""},
    )
    assert as_admin(here, "POST", "/api/v1/user/delete", {"user_id": user_id}) == (
        400,
        {"result": False, "error": "user is an admin"},
    )

    assert as_admin(here, "DELETE", f"{PROXY_USERS}/{user_id}/") == (200, {"success": True})
    assert client.call("POST", "/api/v1/sms/check-esme", {"esme": 1})[0] == 401
    eventually_equal(toggle_link, 401)
    _, listed = as_admin(here, "GET", f"{PROXY_USERS}/")
    assert [one["email"] for one in listed["data"]] == ["bound@example.com"]


def test_an_address_can_be_registered_again(gateway: Installation) -> None:
    here = Client(gateway.port)
    account = {"email": "ada@example.com", "password": "a password"}
    numbers = []
    for _ in range(2):
        status, made = as_admin(here, "POST", "/api/v1/user/register", account)
        assert (status, made["error"]) == (201, "")
        assert as_admin(here, "POST", "/api/v1/user/register", account)[0] == 400
        numbers.append(made["user_id"])
        deleted = as_admin(here, "POST", "/api/v1/user/delete", {"user_id": made["user_id"]})
        assert deleted == (200, {"result": True, "error": ""})
        again = as_admin(here, "POST", "/api/v1/user/delete", {"user_id": made["user_id"]})
        assert again == (404, {"result": False, "error": "user not found"})
    assert numbers[0] < numbers[1]
