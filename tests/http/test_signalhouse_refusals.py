"""Whatever the Signalhouse surface refuses: its status, its body, and that nothing was done."""

import json
from typing import Final

import falcon.testing
import pytest
from support.described import DescribedClient
from support.signalhouse import EMAIL, Headers, Surface, bearer, owner_of
from support.signalhouse_calls import (
    AUTH,
    DEVICE,
    GATEWAY,
    HELLO,
    INBOUND,
    LOG_IN,
    REGISTER,
    SMS,
    UNKNOWN_ID,
    WEBHOOK,
    refused,
)

from signalbox.domain import errors as domain
from signalbox.http.limits import AllRequests, Each
from signalbox.http.signalhouse.openapi import document
from signalbox.http.signalhouse.refusals import STATUSES

OF_ACCOUNTS: Final = (
    ("GET", f"{AUTH}/user", None),
    ("POST", f"{SMS}/send", HELLO),
    ("GET", f"{SMS}/messages", None),
    ("GET", f"{SMS}/messages/{UNKNOWN_ID}", None),
    ("GET", f"{SMS}/send/status/{UNKNOWN_ID}", None),
    ("GET", f"{SMS}/stats", None),
    ("POST", f"{SMS}/archive/{UNKNOWN_ID}", None),
    ("GET", f"{SMS}/qr-code", None),
    ("POST", f"{DEVICE}/register", {"name": "Pixel 6a"}),
    ("GET", f"{DEVICE}/list", None),
    ("DELETE", f"{DEVICE}/gw_1", None),
    ("POST", GATEWAY, {"device_name": "Pixel 6a"}),
    ("POST", "/api/v1/account/key", None),
    ("GET", WEBHOOK, None),
    ("PUT", WEBHOOK, {"url": "https://example.com/"}),
    ("DELETE", WEBHOOK, None),
)
OF_PHONES: Final = (
    ("POST", f"{GATEWAY}/{{}}/receive-sms", INBOUND),
    ("PATCH", f"{GATEWAY}/{{}}/sms-status", {"sms_id": UNKNOWN_ID, "status": "sent"}),
)
OF_ANYBODY: Final = (
    ("POST", f"{AUTH}/token", LOG_IN),
    ("POST", f"{AUTH}/register", REGISTER),
    ("POST", f"{AUTH}/refresh", {"refresh_token": "x"}),
)


@pytest.fixture
def surface() -> Surface:
    return Surface()


@pytest.mark.parametrize(("method", "path", "body"), [*OF_ACCOUNTS, *OF_PHONES])
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer  ", "Basic dTpw", "sh_live_x", "Bearer sh_live_x", "Bearer a.b.c"],
)
def test_without_a_good_credential_it_is_401(
    client: falcon.testing.TestClient,
    method: str,
    path: str,
    body: object,
    authorization: str | None,
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = client.simulate_request(method, path.format("gw_1"), json=body, headers=headers)
    assert refused(answer)[0] == 401


@pytest.mark.parametrize(("method", "path", "body"), OF_ACCOUNTS)
def test_the_key_of_a_phone_does_not_open_an_account(
    client: falcon.testing.TestClient,
    surface: Surface,
    account: Headers,
    method: str,
    path: str,
    body: object,
) -> None:
    key = f"sh_device_{surface.phone(account, 'dev')}"
    answer = client.simulate_request(method, path, json=body, headers=bearer(key))
    assert refused(answer) == (403, "A device key is not enough for this")


@pytest.mark.parametrize(("method", "path", "body"), OF_PHONES)
def test_the_key_of_a_phone_is_worth_nothing_for_another_one(
    client: falcon.testing.TestClient,
    surface: Surface,
    account: Headers,
    method: str,
    path: str,
    body: object,
) -> None:
    key, other_id = f"sh_device_{surface.phone(account, 'dev')}", surface.phone(account)
    answer = client.simulate_request(method, path.format(other_id), json=body, headers=bearer(key))
    assert refused(answer) == (403, "The device key is another device's")


@pytest.mark.parametrize(
    ("method", "path", "body"), [*OF_PHONES, ("DELETE", f"{DEVICE}/{{}}", None)]
)
def test_the_phone_of_somebody_else_is_as_unknown_as_none(
    client: falcon.testing.TestClient,
    surface: Surface,
    account: Headers,
    method: str,
    path: str,
    body: object,
) -> None:
    others_id = surface.phone(surface.account("other@example.com"), "dev")
    answers = {
        refused(client.simulate_request(method, path.format(given), json=body, headers=account))
        for given in (others_id, "gw_1", "%00", "x" * 300, "usr_1")
    }
    assert answers == {(404, "Device not found")}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{SMS}/messages/"),
        ("GET", f"{SMS}/send/status/"),
        ("POST", f"{SMS}/archive/"),
    ],
)
def test_the_message_of_somebody_else_is_as_unknown_as_none(
    client: falcon.testing.TestClient,
    surface: Surface,
    account: Headers,
    method: str,
    path: str,
) -> None:
    client.simulate_post(f"{SMS}/send", json=HELLO, headers=surface.account("other@example.com"))
    ((_, key),) = surface.messages.found
    given = (f"msg_{key}", UNKNOWN_ID, "msg_", "x", "%E2%82%AC", "%00", f"dev_{key}", "0" * 31)
    for message_id in given:
        answer = client.simulate_request(method, f"{path}{message_id}", headers=account)
        assert refused(answer) == (404, "Message not found"), message_id


def test_of_what_came_in_there_is_no_status_of_sending(
    client: falcon.testing.TestClient, surface: Surface, account: Headers
) -> None:
    phone_id = surface.phone(account)
    path = f"{GATEWAY}/{phone_id}/receive-sms"
    message_id = client.simulate_post(path, json=INBOUND, headers=account).json["message_id"]
    answer = client.simulate_get(f"{SMS}/send/status/{message_id}", headers=account)
    assert refused(answer) == (404, "Message not found")
    body = {"sms_id": message_id, "status": "sent"}
    path = f"{GATEWAY}/{phone_id}/sms-status"
    assert refused(client.simulate_patch(path, json=body, headers=account))[0] == 404


def test_a_phone_tells_nothing_of_what_another_one_got(
    client: falcon.testing.TestClient, surface: Surface, account: Headers
) -> None:
    sent = client.simulate_post(f"{SMS}/send", json=HELLO, headers=account).json
    ((owner, key),) = surface.messages.found
    surface.messages.push(owner, key, surface.phone(account))
    body = {"sms_id": sent["message_id"], "status": "sent"}
    path = f"{GATEWAY}/{surface.phone(account)}/sms-status"
    answer = client.simulate_patch(path, json=body, headers=account)
    assert refused(answer) == (403, "Message was not given to this device")
    ((_, message),) = surface.messages.found.items()
    assert message.status == "sending"


def test_a_body_that_names_another_phone_than_the_path_is_400(
    client: falcon.testing.TestClient, surface: Surface, account: Headers
) -> None:
    phone_id, other_id = surface.phone(account), surface.phone(account)
    for given in (other_id, "gw_unknown"):
        answer = client.simulate_post(
            f"{GATEWAY}/{phone_id}/receive-sms",
            json={**INBOUND, "device_id": given},
            headers=account,
        )
        assert refused(answer) == (400, "device_id: not the device of the path")


def test_two_keys_of_two_accounts_are_401(
    client: falcon.testing.TestClient, surface: Surface, account: Headers
) -> None:
    other = surface.account("other@example.com")["Authorization"].removeprefix("Bearer ")
    for key in (other, "sh_live_unknown"):
        body = {"device_name": "Pixel 6a", "api_key": key}
        assert refused(client.simulate_post(GATEWAY, json=body, headers=account))[0] == 401
    assert surface.accounts.accounts[owner_of(account)].phones == ()


@pytest.mark.parametrize("body", [LOG_IN | {"password": "wrong"}, LOG_IN | {"email": "x@y.z"}])
def test_nobody_learns_whether_an_address_is_known(
    client: falcon.testing.TestClient, account: Headers, body: object
) -> None:
    assert account
    answer = client.simulate_post(f"{AUTH}/token", json=body)
    assert refused(answer) == (401, "Invalid email or password")


def test_a_refresh_token_that_is_none_is_401(client: falcon.testing.TestClient) -> None:
    answer = client.simulate_post(f"{AUTH}/refresh", json={"refresh_token": "x"})
    assert refused(answer) == (401, "Invalid or expired refresh token")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"invite_code": "wrong"}, (403, "Invalid invite code")),
        ({"email": EMAIL}, (409, "Email already registered")),
        ({"email": EMAIL.upper()}, (409, "Email already registered")),
        ({"email": EMAIL, "invite_code": "wrong"}, (403, "Invalid invite code")),
        ({"email": "no address", "invite_code": "wrong"}, (422, "Invalid email: not an address")),
        ({"password": "short"}, (422, "Invalid password: expected 8 to 128 characters")),
    ],
)
def test_an_account_is_refused(
    client: falcon.testing.TestClient,
    surface: Surface,
    account: Headers,
    changes: dict[str, str],
    expected: tuple[int, str],
) -> None:
    assert account
    answer = client.simulate_post(f"{AUTH}/register", json=REGISTER | changes)
    assert refused(answer) == expected
    assert len(surface.accounts.accounts) == 1


def test_an_idempotency_key_of_another_request_is_409(
    client: falcon.testing.TestClient, surface: Surface, account: Headers
) -> None:
    surface.messages.refuse = domain.IdempotencyConflict()
    headers = {**account, "Idempotency-Key": "a-key"}
    answer = client.simulate_post(f"{SMS}/send", json=HELLO, headers=headers)
    assert refused(answer) == (409, "Idempotency key was used for a different request")


def test_without_a_phone_nothing_is_sent_where_one_is_required() -> None:
    surface = Surface(require_phone=True)
    client, account = surface.client(), surface.account()
    answer = client.simulate_post(f"{SMS}/send", json=HELLO, headers=account)
    assert refused(answer) == (422, "No gateway device is paired")
    surface.phone(account)
    assert client.simulate_post(f"{SMS}/send", json=HELLO, headers=account).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        *OF_ACCOUNTS,
        *((method, path.format("gw_1"), body) for method, path, body in OF_PHONES),
        *OF_ANYBODY[:2],
    ],
)
def test_who_tried_too_often_is_told_when_to_come_again(
    client: falcon.testing.TestClient,
    surface: Surface,
    account: Headers,
    method: str,
    path: str,
    body: object,
) -> None:
    surface.accounts.full = True
    answer = client.simulate_request(method, path, json=body, headers=account)
    assert refused(answer) == (429, "Too many attempts, try again later")
    assert answer.headers["retry-after"] == "42"


def test_more_messages_than_may_wait_are_429(
    client: falcon.testing.TestClient, surface: Surface, account: Headers
) -> None:
    surface.messages.refuse = domain.QueueFull(pending_max=1000, retry_after_s=60)
    answer = client.simulate_post(f"{SMS}/send", json=HELLO, headers=account)
    assert refused(answer) == (429, "1000 messages are waiting, no more are accepted")
    assert answer.headers["retry-after"] == "60"


def test_more_phones_than_an_account_may_have_are_429(
    client: falcon.testing.TestClient, surface: Surface, account: Headers
) -> None:
    for _ in range(3):
        surface.phone(account)
    for path, body in ((f"{DEVICE}/register", {"name": "x"}), (GATEWAY, {"device_name": "x"})):
        answer = client.simulate_post(path, json=body, headers=account)
        assert refused(answer) == (429, "3 devices are paired, no more are possible")
        assert answer.headers["retry-after"] == "3600"


class Spent:
    """A bucket that has nothing left."""

    def acquire(self) -> float:
        return 1.5

    def close(self) -> None:
        """Nothing to give up."""


def test_each_account_sends_at_its_own_rate() -> None:
    surface = Surface()
    slow, quick = surface.account(), surface.account("quick@example.com")

    class Full(Spent):
        def acquire(self) -> float:
            return 0.0

    surface.limiter = Each(
        lambda account_id: Spent() if account_id == owner_of(slow) else Full(), "account"
    )
    client = surface.client()
    answer = client.simulate_post(f"{SMS}/send", json=HELLO, headers=slow)
    assert refused(answer) == (429, "rate limit exceeded")
    assert answer.headers["retry-after"] == "2"
    assert client.simulate_post(f"{SMS}/send", json=HELLO, headers=quick).status_code == 200
    assert client.simulate_get(f"{SMS}/messages", headers=slow).json["count"] == 0


def test_one_request_too_many_is_429() -> None:
    surface = Surface(limit=AllRequests(Spent(), ()))
    answer = surface.client().simulate_get(f"{AUTH}/user", headers=surface.account())
    assert refused(answer) == (429, "rate limit exceeded")
    assert answer.headers["retry-after"] == "2"


@pytest.mark.parametrize(("method", "path", "body"), [*OF_ACCOUNTS, *OF_PHONES, *OF_ANYBODY])
def test_a_store_that_is_away_is_503(
    client: falcon.testing.TestClient,
    surface: Surface,
    account: Headers,
    method: str,
    path: str,
    body: object,
) -> None:
    surface.store.away = True
    answer = client.simulate_request(method, path.format("gw_1"), json=body, headers=account)
    assert refused(answer) == (503, "service unavailable, try again")
    assert answer.headers["retry-after"] == "3"


def test_an_accident_tells_its_id_alone(
    client: falcon.testing.TestClient, surface: Surface, account: Headers
) -> None:
    surface.messages.refuse = RuntimeError("secret")
    answer = client.simulate_post(f"{SMS}/send", json=HELLO, headers=account)
    assert (answer.status_code, set(answer.json)) == (500, {"error", "id"})
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/auth", 404),
        ("GET", "/api/v1/auth/nothing", 404),
        ("GET", "/api/v1/sms", 404),
        ("GET", "//api/v1//sms/nothing", 404),
        ("GET", "/api/v1/sms/send/status", 404),
        ("GET", "/api/v1/device", 404),
        ("GET", "/api/v1/account/nothing", 404),
        ("GET", "/ws/device", 404),
        ("GET", "/api/v1/ws", 404),
        ("GET", f"{AUTH}/token", 405),
        ("DELETE", f"{DEVICE}/list", 405),
        ("GET", f"{GATEWAY}/gw_1/sms-status", 405),
        ("POST", "/ws/device/gw_1", 405),
    ],
)
def test_what_is_not_there_is_refused_in_the_same_form(
    client: falcon.testing.TestClient, method: str, path: str, status: int
) -> None:
    answer = client.simulate_request(method, path)
    assert refused(answer) == (status, {404: "not found", 405: "method not allowed"}[status])
    assert status == 404 or "OPTIONS" in answer.headers["allow"]


@pytest.mark.parametrize("path", ["/", "/api", "/api/v1", "/api/v1/dashboard/stats", "/nothing"])
def test_alone_on_a_port_every_path_is_its_own(path: str) -> None:
    assert refused(Surface(alone=True).client().simulate_get(path)) == (404, "not found")
    shared = Surface().client().simulate_get(path)
    assert (shared.status_code, set(shared.json)) == (404, {"success", "error"})


def test_where_paths_are_shared_other_surfaces_keep_their_form() -> None:
    app = Surface().app()
    client = DescribedClient(app, document())
    for path in ("/api/v1/sms/check-esme", "/api/v1/sms/info"):
        assert set(client.simulate_get(path).json) == {"success", "error"}


def test_every_refusal_that_can_come_here_is_phrased() -> None:
    for refusal, status in STATUSES.items():
        assert issubclass(refusal, domain.Refused)
        assert 400 <= status < 500


def test_the_answer_to_nobody_holds_no_personal_content(
    client: falcon.testing.TestClient, account: Headers
) -> None:
    """What a field held is not quoted."""
    body = {**HELLO, "to": "+155512secret", "message": "secret"}
    answer = client.simulate_post(f"{SMS}/send", body=json.dumps(body), headers=account)
    assert "secret" not in answer.text
