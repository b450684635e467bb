"""Logging in, and users made, validated and deleted, over HTTP."""

from collections.abc import Mapping

import falcon.testing
import pytest
from support.sms_proxy import ADMIN, TOKEN, Surface

from signalbox.actors.users import NewApp
from signalbox.domain.errors import TooManyAttempts
from signalbox.eventstore.errors import Unavailable
from signalbox.http.context import Request
from signalbox.http.peer import Peers

LOG_IN = {"email": "user@example.com", "password": "right", "app_id": 7}
REGISTER = {
    "email": "api-user@example.com",
    "password": "strongpass",
    "app_name": "my-app",
    "app_secret": "my-secret",
}


def log_in(
    client: falcon.testing.TestClient, body: Mapping[str, object], **more: str
) -> falcon.testing.Result:
    return client.simulate_post(
        "/api/v1/user/login", json=body, headers=more, remote_addr="127.0.0.1"
    )


def register(
    client: falcon.testing.TestClient, body: Mapping[str, object]
) -> falcon.testing.Result:
    return client.simulate_post("/api/v1/admin/proxy-users/register", json=body, headers=ADMIN)


def test_a_log_in_is_answered_with_a_token_nobody_may_keep(
    client: falcon.testing.TestClient,
) -> None:
    answer = log_in(client, LOG_IN)
    assert (answer.status_code, answer.json) == (200, {"token": TOKEN, "error": ""})
    assert answer.headers["cache-control"] == "no-store"


def test_a_failed_log_in_has_an_empty_token(client: falcon.testing.TestClient) -> None:
    answer = log_in(client, {**LOG_IN, "password": "wrong"})
    assert answer.status_code == 401
    assert answer.json == {"token": "", "error": "invalid email or password"}


def test_too_many_attempts_tell_when_to_come_back(
    surface: Surface, client: falcon.testing.TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise TooManyAttempts(840)

    monkeypatch.setattr(surface.accounts, "log_in", refuse)
    answer = log_in(client, LOG_IN)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "840")
    assert answer.json == {"token": "", "error": "too many attempts, try again later"}


@pytest.mark.parametrize("missing", ["email", "password", "app_id"])
def test_a_log_in_without_a_field_is_refused(
    client: falcon.testing.TestClient, missing: str
) -> None:
    answer = log_in(client, {name: LOG_IN[name] for name in LOG_IN if name != missing})
    assert (answer.status_code, answer.json["token"]) == (400, "")
    assert f"missing required field {missing}" in answer.json["error"]


@pytest.mark.parametrize(
    "changed",
    [{"app_id": "7"}, {"app_id": True}, {"app_id": 0}, {"email": ""}, {"email": "e" * 255},
     {"password": None}, {"password": "nul\0"}],
)  # fmt: skip
def test_a_log_in_with_a_bad_field_is_refused(
    client: falcon.testing.TestClient, changed: dict[str, object]
) -> None:
    assert log_in(client, {**LOG_IN, **changed}).status_code == 400


@pytest.mark.parametrize(
    ("trusted", "forwarded", "peer"),
    [
        ((), "6.6.6.6", "127.0.0.1"),
        (("127.0.0.0/8",), "6.6.6.6", "6.6.6.6"),
        (("127.0.0.0/8",), "1.1.1.1, 6.6.6.6", "6.6.6.6"),
        (("127.0.0.0/8", "6.0.0.0/8"), "1.1.1.1, 6.6.6.6", "1.1.1.1"),
        (("127.0.0.0/8",), "unknown", "127.0.0.1"),
        (("127.0.0.0/8",), "", "127.0.0.1"),
        (("10.0.0.0/8",), "6.6.6.6", "127.0.0.1"),
    ],
)
def test_attempts_count_for_the_nearest_address_that_is_no_proxy_of_ours(
    trusted: tuple[str, ...], forwarded: str, peer: str
) -> None:
    surface = Surface(trusted_proxies=trusted)
    log_in(surface.client(), LOG_IN, **{"X-Forwarded-For": forwarded})
    assert surface.accounts.peers == [peer]


def test_a_connection_without_an_address_is_nobodys() -> None:
    environ = falcon.testing.create_environ(remote_addr="", headers={"X-Forwarded-For": "1.1.1.1"})
    assert Peers(("127.0.0.0/8",)).of(Request(environ)) == ""


def test_a_new_user_gets_an_application(
    surface: Surface, client: falcon.testing.TestClient
) -> None:
    answer = register(client, REGISTER)
    assert answer.status_code == 201
    assert answer.json == {"success": True, "data": {"user_id": 42, "app_id": 7}}
    assert surface.users.asked_by == ["admin-key"]
    assert surface.users.apps == [NewApp(name="my-app", secret="my-secret")]


def test_a_new_application_may_be_bound_to_networks(
    surface: Surface, client: falcon.testing.TestClient
) -> None:
    answer = register(client, {**REGISTER, "allowed_ips": ["10.0.0.0/8", "2001:db8::1"]})
    assert answer.status_code == 201
    (app,) = surface.users.apps
    assert app is not None
    assert app.allowed_ips == ("10.0.0.0/8", "2001:db8::1")


@pytest.mark.parametrize(
    "allowed_ips", ["10.0.0.0/8", [1], [""], ["x" * 65], [None], ["10.0.0.1"] * 101]
)
def test_what_is_no_list_of_networks_is_refused(
    client: falcon.testing.TestClient, allowed_ips: object
) -> None:
    answer = register(client, {**REGISTER, "allowed_ips": allowed_ips})
    assert (answer.status_code, answer.json["success"]) == (400, False)


def test_an_address_that_is_taken_is_refused(client: falcon.testing.TestClient) -> None:
    answer = register(client, {**REGISTER, "email": "taken@example.com"})
    assert answer.status_code == 400
    assert answer.json == {"success": False, "error": "user already exists"}


@pytest.mark.parametrize("missing", list(REGISTER))
@pytest.mark.parametrize("value", [..., None, 5])
def test_a_registration_without_a_field_is_refused(
    client: falcon.testing.TestClient, missing: str, value: object
) -> None:
    body = {name: text for name, text in {**REGISTER, missing: value}.items() if text is not ...}
    answer = register(client, body)
    assert (answer.status_code, answer.json["success"]) == (400, False)


USER_API = {
    "register": ({"email": "user@example.com", "password": "secret"}, {"user_id": 0}),
    "validate": ({"user_id": 42}, {"is_admin": False}),
    "delete": ({"user_id": 42}, {"result": False}),
}


def user_api(
    client: falcon.testing.TestClient,
    path: str,
    body: object,
    headers: Mapping[str, str] = ADMIN,
) -> falcon.testing.Result:
    return client.simulate_post(f"/api/v1/user/{path}", json=body, headers=headers)


def test_a_user_is_made_without_an_application(
    surface: Surface, client: falcon.testing.TestClient
) -> None:
    answer = user_api(client, "register", USER_API["register"][0])
    assert (answer.status_code, answer.json) == (201, {"user_id": 42, "error": ""})
    assert (surface.users.asked_by, surface.users.apps) == (["admin-key"], [None])


def test_a_user_that_exists_is_not_made_again(client: falcon.testing.TestClient) -> None:
    answer = user_api(client, "register", {"email": "taken@example.com", "password": "secret"})
    assert answer.status_code == 400
    assert answer.json == {"user_id": 0, "error": "user already exists"}


@pytest.mark.parametrize(("user_id", "is_admin"), [(42, False), (43, True)])
def test_whoever_asks_is_told_whether_a_user_is_an_administrator(
    client: falcon.testing.TestClient, user_id: int, *, is_admin: bool
) -> None:
    answer = user_api(client, "validate", {"user_id": user_id})
    assert (answer.status_code, answer.json) == (200, {"is_admin": is_admin, "error": ""})


def test_an_unknown_user_is_not_validated(client: falcon.testing.TestClient) -> None:
    answer = user_api(client, "validate", {"user_id": 99})
    assert answer.status_code == 400
    assert answer.json == {"is_admin": False, "error": "user not found"}


@pytest.mark.parametrize(
    ("user_id", "status", "answered"),
    [
        (42, 200, {"result": True, "error": ""}),
        (43, 400, {"result": False, "error": "user is an admin"}),
        (99, 404, {"result": False, "error": "user not found"}),
    ],
)
def test_a_user_is_deleted_who_is_there_and_no_administrator(
    surface: Surface,
    client: falcon.testing.TestClient,
    user_id: int,
    status: int,
    answered: dict[str, object],
) -> None:
    answer = user_api(client, "delete", {"user_id": user_id})
    assert (answer.status_code, answer.json) == (status, answered)
    assert (42 in surface.users.admins) == (status != 200)
    assert surface.users.asked_by == (["admin-key"] if status == 200 else [])


@pytest.mark.parametrize("path", ["validate", "delete"])
@pytest.mark.parametrize("user_id", [0, -1, 2**63, "42", True, 4.5, None, ...])
def test_what_is_no_number_of_a_user_is_refused(
    client: falcon.testing.TestClient, path: str, user_id: object
) -> None:
    body = {} if user_id is ... else {"user_id": user_id}
    answer = user_api(client, path, body)
    assert answer.status_code == 400
    assert answer.json == {**USER_API[path][1], "error": answer.json["error"]}
    assert "invalid request body" in answer.json["error"]


@pytest.mark.parametrize("missing", ["email", "password"])
def test_a_user_needs_an_address_and_a_password(
    client: falcon.testing.TestClient, missing: str
) -> None:
    body = {name: text for name, text in LOG_IN.items() if name not in {missing, "app_id"}}
    answer = user_api(client, "register", body)
    assert (answer.status_code, answer.json["user_id"]) == (400, 0)
    assert f"missing required field {missing}" in answer.json["error"]


@pytest.mark.parametrize("path", USER_API)
@pytest.mark.parametrize(
    ("error", "status"), [(RuntimeError("oops"), 500), (Unavailable("away"), 503)]
)
def test_trouble_of_ours_has_the_keys_of_the_answer_too(
    surface: Surface,
    client: falcon.testing.TestClient,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    error: Exception,
    status: int,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    for name in ("register", "is_admin", "remove"):
        monkeypatch.setattr(surface.users, name, fail)
    body, zeroed = USER_API[path]
    answer = user_api(client, path, body)
    assert answer.status_code == status
    assert answer.json.items() >= zeroed.items()
    assert "oops" not in answer.text


@pytest.mark.parametrize("path", USER_API)
@pytest.mark.parametrize(
    ("headers", "by"),
    [({}, "anybody"), ({"X-Admin-Key": "wrong"}, "anybody"), (ADMIN, "admin-key")],
)
@pytest.mark.parametrize("admin_api_key", [Surface.admin_api_key, ""])
def test_the_user_api_can_be_opened_to_everybody(
    path: str, headers: dict[str, str], by: str, admin_api_key: str
) -> None:
    surface = Surface(user_api_auth="none", admin_api_key=admin_api_key)
    answer = user_api(surface.client(), path, USER_API[path][0], headers)
    assert answer.status_code in {200, 201}
    known_by = by if admin_api_key else "anybody"
    assert surface.users.asked_by == ([] if path == "validate" else [known_by])
