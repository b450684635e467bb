"""Logging in and registering, over HTTP."""

from collections.abc import Mapping

import falcon.testing
import pytest
from support.sms_proxy import ADMIN, TOKEN, Surface

from signalbox.domain.errors import TooManyAttempts
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
    assert surface.accounts.registered_by == ["admin-key"]


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
