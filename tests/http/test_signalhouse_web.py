"""The Signalhouse surface above the real gateway: accounts, phones and texts on a real database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from support.gateway import eventually, eventually_equal
from support.projecting import projecting
from support.signalhouse_web import Web

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.signalhouse_web import Headers

pytestmark = pytest.mark.timeout(60)

HELLO: Final = {"to": "+15551234567", "message": "Hello from Signalhouse"}
TO: Final = "+15551234567"


@pytest.fixture
def _projector(database_url: str) -> Iterator[None]:
    with projecting(database_url):
        yield


@pytest.fixture
def web(database_url: str, _projector: None) -> Iterator[Web]:
    with Web(database_url) as web:
        yield web


@pytest.fixture
def account(web: Web) -> Headers:
    return web.account()


def send(web: Web, account: Headers, **more: str) -> str:
    return str(web.call("POST", "/sms/send", {**HELLO, **more}, account)["message_id"])


def status(web: Web, account: Headers, sms_id: str) -> Any:  # noqa: ANN401  (JSON)
    return web.call("GET", f"/sms/send/status/{sms_id}", headers=account)


def test_a_text_goes_through_a_phone_and_what_became_of_it_comes_back(
    web: Web, account: Headers
) -> None:
    waiting_id = send(web, account, message="before the phone was there")
    assert status(web, account, waiting_id)["status"] == "queued"
    with web.phone(account) as phone:
        frame = phone.hear()
        assert (frame["sms_id"], frame["message"]) == (waiting_id, "before the phone was there")
        sms_id = send(web, account)
        frame = phone.hear()
        assert list(frame) == ["type", "sms_id", "to", "message", "timestamp"]
        assert {**frame, "timestamp": ""} == {
            "type": "send_sms", "sms_id": sms_id, **HELLO, "timestamp": "",
        }  # fmt: skip
        assert status(web, account, sms_id)["status"] == "sending"
        phone.say(type="sms_status", sms_id=sms_id, status="delivered")
        eventually(lambda: status(web, account, sms_id)["status"] == "delivered")
        told = status(web, account, sms_id)
        assert told["sent_at"] == told["delivered_at"] >= frame["timestamp"]
        path = f"/sms/gateway/devices/{phone.device_id}/sms-status"
        body = {"sms_id": waiting_id, "status": "failed", "error": "no credit"}
        assert web.call("PATCH", path, body, account) == {"success": True}
    told = status(web, account, waiting_id)
    assert (told["status"], told["error"], told["attempts"]) == ("failed", "no credit", 1)
    stats = web.call("GET", "/sms/stats", headers=account)
    assert (stats["total_sent"], stats["by_status"]["delivered"]) == (2, 1)


def test_a_phone_without_a_socket_may_tell_what_became_of_a_text(
    web: Web, account: Headers
) -> None:
    key = account["Authorization"].removeprefix("Bearer ")
    paired = web.call("POST", "/sms/gateway/devices", {"device_name": "Pixel 6a", "api_key": key})
    sms_id = send(web, account)
    body = {"sms_id": sms_id, "status": "delivered", "delivered_at": "2026-04-20T14:30:07Z"}
    path = f"/sms/gateway/devices/{paired['id']}/sms-status"
    assert web.call("PATCH", path, body, account) == {"success": True}
    assert status(web, account, sms_id)["status"] == "delivered"
    other = f"/sms/gateway/devices/{web.pair(account)}/sms-status"
    assert web.ask("PATCH", other, body, account)[0] == 403
    with web.phone(account, paired["id"]) as phone:
        next_id = send(web, account, message="the only one it gets")
        assert phone.hear()["sms_id"] == next_id


def test_what_comes_in_is_listed_once_and_can_be_put_aside(web: Web, account: Headers) -> None:
    device_id = web.pair(account)
    body = {"from": TO, "message": "hi", "timestamp": "2026-04-20T14:30:00Z"}
    path = f"/sms/gateway/devices/{device_id}/receive-sms"
    ids = {web.call("POST", path, body, account)["message_id"] for _ in range(3)}
    (message_id,) = ids
    sent_id = send(web, account)

    def listed(query: str = "") -> list[str]:
        answer = web.call("GET", f"/sms/messages{query}", headers=account)
        assert answer["count"] == len(answer["messages"])
        return [one["id"] for one in answer["messages"]]

    assert listed() == [sent_id, message_id]
    assert listed("?direction=inbound") == [message_id]
    (shown,) = web.call("GET", "/sms/messages?direction=inbound", headers=account)["messages"]
    assert (shown["from"], shown["message"]) == (TO, "hi")
    assert shown["received_at"] == "2026-04-20T14:30:00Z"
    assert web.call("POST", f"/sms/archive/{message_id}", headers=account)["archived"] is True
    assert listed() == [sent_id]
    assert listed("?archived=true") == [message_id]
    assert web.call("GET", f"/sms/messages/{message_id}", headers=account)["archived"] is True


@pytest.mark.parametrize("processes", [1, 2])
def test_a_reply_that_follows_at_once_goes_through_the_phone_that_was_written_to(
    database_url: str, web: Web, account: Headers, processes: int
) -> None:
    with Web(database_url) as other, web.phone(account), web.phone(account) as second:
        asked = (web, other)[processes - 1]
        path = f"/sms/gateway/devices/{second.device_id}/receive-sms"
        for number in range(10):
            peer = f"+155512345{number:02}"
            body = {"from": peer, "message": "hi", "timestamp": "2026-04-20T14:30:00Z"}
            asked.call("POST", path, body, account)
            sms_id = send(asked, account, to=peer)
            assert second.hear()["sms_id"] == sms_id


def test_the_number_that_a_phone_tells_is_ours(web: Web, account: Headers) -> None:
    with web.phone(account) as phone:
        phone.say(type="sims", sims=[{"slot": 0, "number": "+15559876543"}])
        assert phone.hear() == {"type": "sims_ack", "count": 1}
        path = f"/sms/gateway/devices/{phone.device_id}/receive-sms"
        body = {"from": TO, "message": "hi", "timestamp": "2026-04-20T14:30:00Z"}
        message_id = web.call("POST", path, body, account)["message_id"]
        assert web.call("GET", f"/sms/messages/{message_id}", headers=account)["to"] == (
            "+15559876543"
        )
        (shown,) = web.call("GET", "/sms/messages", headers=account)["messages"]
        assert (shown["from"], shown["to"]) == (TO, "+15559876543")
    assert web.call("GET", "/auth/user", headers=account)["phone_number"] == "+15559876543"


def test_one_request_that_is_repeated_is_one_text(web: Web, account: Headers) -> None:
    headers = {**account, "Idempotency-Key": "a-key"}
    asked = [web.ask("POST", "/sms/send", HELLO, headers) for _ in range(2)]
    assert asked[0] == asked[1]
    other = {**HELLO, "message": "another"}
    assert web.ask("POST", "/sms/send", other, headers)[0] == 409


def test_a_phone_is_online_while_its_socket_is(web: Web, account: Headers) -> None:
    def shown() -> Any:  # noqa: ANN401  (JSON)
        (device,) = web.call("GET", "/device/list", headers=account)["devices"]
        return device

    phone = web.phone(account)
    eventually_equal(lambda: shown()["online"], expected=True)
    device = shown()
    assert (device["id"], device["is_active"]) == (phone.device_id, True)
    phone.hang_up()
    eventually_equal(lambda: shown()["online"], expected=False)
    assert shown()["last_seen_at"] >= device["last_seen_at"]


@pytest.mark.parametrize("processes", [1, 2])
def test_the_newer_connection_of_a_phone_replaces_the_older(
    database_url: str, web: Web, account: Headers, processes: int
) -> None:
    with Web(database_url) as other:
        first = web.phone(account)
        first.say(type="ping")
        assert first.hear() == {"type": "pong"}  # So it is connected.
        newer = (web, other)[processes - 1].phone(account, first.device_id)
        assert first.closed_with() == 4409
        sms_id = send(web, account)
        assert newer.hear()["sms_id"] == sms_id
        newer.hang_up()


def test_a_phone_that_is_removed_is_cut_off_in_every_process(
    database_url: str, web: Web, account: Headers
) -> None:
    with Web(database_url) as other:
        phones = [web.phone(account), other.phone(account)]
        for phone in phones:
            assert web.call("DELETE", f"/device/{phone.device_id}", headers=account)["success"]
            assert phone.closed_with() == 4404
        assert web.call("GET", "/device/list", headers=account) == {"devices": []}


def test_a_key_that_was_replaced_opens_and_holds_nothing(web: Web, account: Headers) -> None:
    phone = web.phone(account)
    key = web.call("POST", "/account/key", headers=account)["api_key"]
    assert phone.closed_with() == 4401
    assert web.ask("GET", "/auth/user", headers=account)[0] == 401
    renewed = {"Authorization": f"Bearer {key}"}
    with web.phone(renewed, phone.device_id) as phone:
        sms_id = send(web, renewed)
        assert phone.hear()["sms_id"] == sms_id


def test_accounts_see_nothing_of_each_other(web: Web, account: Headers) -> None:
    stranger = web.account()
    sms_id, device_id = send(web, account), web.pair(account)
    for method, path in (
        ("GET", f"/sms/messages/{sms_id}"),
        ("GET", f"/sms/send/status/{sms_id}"),
        ("POST", f"/sms/archive/{sms_id}"),
        ("DELETE", f"/device/{device_id}"),
        ("POST", f"/sms/gateway/devices/{device_id}/receive-sms"),
    ):
        assert web.ask(method, path, headers=stranger)[0] == 404
    for path in ("/sms/messages", "/device/list"):
        answer = web.call("GET", path, headers=stranger)
        assert answer.get("messages") or answer.get("devices") or [] == []
    assert web.call("GET", "/sms/stats", headers=stranger)["total_sent"] == 0


def test_an_invite_opens_one_account_and_an_address_has_one(web: Web) -> None:
    code = web.invites.make(uses_max=2, days=1, by="test")
    body = {"email": "A@example.com", "password": "a strong password", "name": "A"}
    asked = [
        web.ask("POST", "/auth/register", {**body, "invite_code": code, "email": email})
        for email in ("A@example.com", "a@EXAMPLE.com", "b@example.com", "c@example.com")
    ]
    assert [one for one, _ in asked] == [201, 409, 201, 403]
    assert asked[3][1] == {"error": "Invalid invite code"}


def test_a_webhook_is_kept(web: Web, account: Headers) -> None:
    body = {"url": "https://192.0.2.1/hook", "events": ["inbound"]}
    answer = web.ask("PUT", "/account/webhook", body, account)
    assert answer[0] == 422  # An address inside, or of nobody.
    body["url"] = "https://1.1.1.1/hook"
    configured = web.call("PUT", "/account/webhook", body, account)
    assert configured.pop("secret").startswith("whsec_")
    assert web.call("GET", "/account/webhook", headers=account) == configured
    assert web.call("DELETE", "/account/webhook", headers=account) == {"success": True}
    assert web.ask("GET", "/account/webhook", headers=account)[0] == 404
