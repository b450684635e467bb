"""The Signalhouse surface: the reference's calls, shapes and codes, above the domain itself."""

import base64
import json
from io import BytesIO
from typing import Any

import falcon.testing
import pytest
import zxingcpp
from PIL import Image
from support.signalhouse import EMAIL, PASSWORD, Headers, Surface, bearer, owner_of
from support.signalhouse_accounts import INVITE
from support.signalhouse_calls import (
    AUTH,
    GATEWAY,
    HELLO,
    SMS,
    Call,
    calls,
    receive,
    send,
)


@pytest.fixture
def surface() -> Surface:
    return Surface()


@pytest.fixture
def call(client: falcon.testing.TestClient, account: Headers) -> Call:
    return calls(client, account)


# Auth API


def test_an_account_is_opened_with_an_invite(client: falcon.testing.TestClient) -> None:
    body = {"email": EMAIL, "password": PASSWORD, "name": "Your Name", "invite_code": INVITE}
    answer = client.simulate_post(f"{AUTH}/register", json=body)
    assert answer.status_code == 201
    assert answer.text == (
        '{"success":true,"message":"Account created","user_id":"' + answer.json["user_id"] + '"}'
    )
    assert answer.json["user_id"].startswith("usr_")


def test_logging_in_gives_a_token_that_opens_the_account(
    client: falcon.testing.TestClient, account: Headers
) -> None:
    answer = client.simulate_post(f"{AUTH}/token", json={"email": EMAIL, "password": PASSWORD})
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert list(answer.json) == ["access_token", "token_type", "expires_in", "refresh_token"]
    assert (answer.json["token_type"], answer.json["expires_in"]) == ("Bearer", 7_776_000)
    for authorization in (f"Bearer {answer.json['access_token']}", account["Authorization"]):
        shown = client.simulate_get(f"{AUTH}/user", headers={"Authorization": authorization})
        assert shown.json["email"] == EMAIL


def test_the_profile_is_the_references(call: Call, account: Headers) -> None:
    assert json.dumps(call("GET", f"{AUTH}/user")) == json.dumps(
        {
            "id": owner_of(account),
            "email": EMAIL,
            "name": "Your Name",
            "phone_number": None,
            "role": "user",
            "created_at": "2026-04-20T14:30:00Z",
        }
    )


def test_the_profile_has_the_number_that_a_phone_told(call: Call, surface: Surface) -> None:
    surface.messages.numbers = {"gw_1": "", "gw_2": "+15551234567"}
    assert call("GET", f"{AUTH}/user")["phone_number"] == "+15551234567"


def test_a_refresh_token_is_exchanged_and_so_is_a_valid_access_token(
    client: falcon.testing.TestClient, account: Headers
) -> None:
    for kind in ("refresh", "access"):
        token = f"{kind}.{owner_of(account)}"
        answer = client.simulate_post(f"{AUTH}/refresh", json={"refresh_token": token})
        assert (answer.status_code, list(answer.json)) == (200, ["access_token", "expires_in"])
        shown = client.simulate_get(f"{AUTH}/user", headers=bearer(answer.json["access_token"]))
        assert shown.status_code == 200


# SMS API


def test_a_message_is_queued_though_no_phone_is_paired(call: Call) -> None:
    answer = call("POST", f"{SMS}/send", HELLO)
    assert answer == {
        "status": "queued",
        "message_id": answer["message_id"],
        "to": "+15551234567",
    }
    assert list(answer) == ["status", "message_id", "to"]
    assert answer["message_id"].startswith("msg_")


def test_a_key_is_enough_for_the_same_message_twice(
    call: Call, account: Headers, surface: Surface
) -> None:
    again = {"headers": {"Idempotency-Key": "a-key"}}
    ids = {call("POST", f"{SMS}/send", HELLO, **again)["message_id"] for _ in range(2)}
    assert len(ids) == 1
    assert len(surface.messages.found) == 1
    assert surface.messages.asked_by == [owner_of(account)] * 2


def test_a_list_of_messages_is_the_references(call: Call, surface: Surface) -> None:
    phone_id = surface.phone(surface.account("phones@example.com"))
    assert call("GET", f"{SMS}/messages") == {"messages": [], "count": 0, "has_more": False}
    phone_id = call("POST", GATEWAY, {"device_name": "Pixel 6a"})["id"]
    surface.messages.numbers = {phone_id: "+15559876543"}
    message_id = receive(call, phone_id, message="Hello")
    assert json.dumps(call("GET", f"{SMS}/messages")) == json.dumps(
        {
            "messages": [
                {
                    "id": message_id,
                    "from": "+15551234567",
                    "to": "+15559876543",
                    "message": "Hello",
                    "direction": "inbound",
                    "received_at": "2026-04-20T14:30:00Z",
                    "thread_id": None,
                    "archived": False,
                }
            ],
            "count": 1,
            "has_more": False,
        }
    )


def test_our_own_number_is_null_while_nobody_knows_it(call: Call, surface: Surface) -> None:
    sent_id = send(call)
    (shown,) = call("GET", f"{SMS}/messages")["messages"]
    assert (shown["from"], shown["to"]) == (None, "+15551234567")
    assert (shown["direction"], shown["received_at"]) == ("outbound", "2026-04-20T14:30:00Z")
    owner, key = next(iter(surface.messages.found))
    surface.messages.push(owner, key, "gw_1")
    surface.messages.numbers = {"gw_1": "+15559876543"}
    assert call("GET", f"{SMS}/messages/{sent_id}")["from"] == "+15559876543"


def test_pages_are_cut_from_the_newest_on(call: Call, surface: Surface) -> None:
    ids = []
    for _ in range(3):
        ids.insert(0, send(call))
        surface.later(1)
    first = call("GET", f"{SMS}/messages", params={"limit": 2})
    assert [one["id"] for one in first["messages"]] == ids[:2]
    assert (first["count"], first["has_more"]) == (2, True)
    second = call("GET", f"{SMS}/messages", params={"limit": 2, "offset": 2})
    assert [one["id"] for one in second["messages"]] == ids[2:]
    assert (second["count"], second["has_more"]) == (1, False)


def test_more_than_a_page_can_hold_is_a_full_page(call: Call) -> None:
    for _ in range(201):
        send(call)
    page = call("GET", f"{SMS}/messages", params={"limit": 1000})
    assert (page["count"], page["has_more"]) == (200, True)
    assert call("GET", f"{SMS}/messages")["count"] == 50


def test_messages_are_told_by_direction_and_time(call: Call, surface: Surface) -> None:
    phone_id = call("POST", GATEWAY, {"device_name": "Pixel 6a"})["id"]
    sent_id = send(call)
    surface.later(1)
    received_id = receive(call, phone_id)

    def ids(**params: str) -> list[str]:
        found = call("GET", f"{SMS}/messages", params=params)["messages"]
        return [one["id"] for one in found]

    assert ids(direction="outbound") == [sent_id]
    assert ids(direction="inbound") == [received_id]
    assert ids(since="2026-04-20T14:29:59Z") == [received_id, sent_id]
    assert ids(since="2026-04-20T14:30:00Z") == [received_id]
    assert ids(since="2026-04-20T16:30:00+02:00") == [received_id]
    assert ids(since="2026-04-20T14:30:01") == []


def test_the_plus_of_an_offset_may_arrive_as_a_space(call: Call) -> None:
    query = "since=2026-04-20T16:29:59+02:00"
    send(call)
    assert call("GET", f"{SMS}/messages", query_string=query)["count"] == 1


def test_an_archived_message_is_listed_only_when_asked_for(call: Call) -> None:
    archived_id, other_id = send(call), send(call)
    for _ in range(2):
        assert call("POST", f"{SMS}/archive/{archived_id}") == {
            "success": True,
            "id": archived_id,
            "archived": True,
        }
    listed = {
        word: [
            (one["id"], one["archived"])
            for one in call("GET", f"{SMS}/messages", params={"archived": word})["messages"]
        ]
        for word in ("false", "true", "all")
    }
    assert listed["false"] == [(other_id, False)]
    assert listed["true"] == [(archived_id, True)]
    assert listed["all"] == [(other_id, False), (archived_id, True)]
    assert call("GET", f"{SMS}/messages/{archived_id}")["archived"] is True


def test_a_message_is_the_references(call: Call) -> None:
    phone_id = call("POST", GATEWAY, {"device_name": "Pixel 6a"})["id"]
    message_id = receive(call, phone_id, message="Hello")
    assert json.dumps(call("GET", f"{SMS}/messages/{message_id}")) == json.dumps(
        {
            "id": message_id,
            "from": "+15551234567",
            "to": None,
            "message": "Hello",
            "direction": "inbound",
            "received_at": "2026-04-20T14:30:00Z",
            "ai_processed": False,
            "archived": False,
            "processing_status": "unprocessed",
        }
    )


def test_ids_may_be_written_as_a_uuid_is(call: Call) -> None:
    message_id = send(call)
    key = message_id.removeprefix("msg_")
    uuid = "-".join((key[:8], key[8:12], key[12:16], key[16:20], key[20:]))
    for given in (message_id, key, key.upper(), uuid, f"msg_{uuid}"):
        assert call("GET", f"{SMS}/messages/{given}")["id"] == message_id


def test_the_status_of_a_message_goes_on_as_the_phone_tells(call: Call, surface: Surface) -> None:
    message_id = send(call)
    phone_id = call("POST", GATEWAY, {"device_name": "Pixel 6a"})["id"]
    (owner, key), path = next(iter(surface.messages.found)), f"{SMS}/send/status/{message_id}"
    assert call("GET", path) == {
        "id": message_id,
        "to": "+15551234567",
        "status": "queued",
        "sent_at": None,
        "delivered_at": None,
        "error": None,
        "attempts": 0,
    }
    surface.messages.push(owner, key, phone_id)
    surface.later(10)
    assert (call("GET", path)["status"], call("GET", path)["attempts"]) == ("sending", 1)
    for status, at in (("sent", "2026-04-20T14:30:05Z"), ("delivered", "2026-04-20T14:30:07Z")):
        body = {"sms_id": message_id, "status": status, "delivered_at": at}
        told = call("PATCH", f"{GATEWAY}/{phone_id}/sms-status", body)
        assert told == {"success": True}
    assert json.dumps(call("GET", path)) == json.dumps(
        {
            "id": message_id,
            "to": "+15551234567",
            "status": "delivered",
            "sent_at": "2026-04-20T14:30:05Z",
            "delivered_at": "2026-04-20T14:30:07Z",
            "error": None,
            "attempts": 1,
        }
    )


def test_a_failure_tells_its_error(call: Call, surface: Surface) -> None:
    by_phone, by_time = send(call), send(call)
    keys = [key for _, key in surface.messages.found]
    phone_id = call("POST", GATEWAY, {"device_name": "Pixel 6a"})["id"]
    (owner, *_), *_ = surface.messages.found
    surface.messages.push(owner, keys[0], phone_id)
    body = {"sms_id": by_phone, "status": "FAILED", "error": "no credit"}
    call("PATCH", f"{GATEWAY}/{phone_id}/sms-status", body)
    surface.messages.expire(owner, keys[1])
    for message_id, error in ((by_phone, "no credit"), (by_time, "expired")):
        shown = call("GET", f"{SMS}/send/status/{message_id}")
        assert (shown["status"], shown["error"]) == ("failed", error)


def test_statistics_are_the_references_and_tell_what_became_of_messages(
    call: Call, surface: Surface
) -> None:
    phone_id = call("POST", GATEWAY, {"device_name": "Pixel 6a"})["id"]
    send(call)
    surface.later(3 * 86_400)
    receive(call, phone_id)
    stats = call("GET", f"{SMS}/stats")
    assert stats == {
        "total_received": 1,
        "total_sent": 1,
        "last_24h": {"received": 1, "sent": 0},
        "last_7d": {"received": 1, "sent": 1},
        "by_status": {"queued": 1, "sending": 0, "sent": 0, "delivered": 0, "failed": 0},
    }
    assert list(stats)[:4] == ["total_received", "total_sent", "last_24h", "last_7d"]


def scanned(answer: Any) -> dict[str, Any]:  # noqa: ANN401  (JSON)
    head, _, image = answer["qr_code"].partition(",")
    assert head == "data:image/png;base64"
    (code,) = zxingcpp.read_barcodes(Image.open(BytesIO(base64.b64decode(image))))
    said: dict[str, Any] = json.loads(code.text)
    return said


def test_a_camera_reads_all_that_pairs_a_phone(
    client: falcon.testing.TestClient, account: Headers
) -> None:
    answer = client.simulate_get(f"{SMS}/qr-code", headers=account, host="gateway.example.com:8088")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert list(answer.json) == ["success", "qr_code", "api_key"]
    key = answer.json["api_key"]
    assert scanned(answer.json) == {
        "v": 1,
        "base_url": "http://gateway.example.com:8088/api/v1",
        "ws_url": "ws://gateway.example.com:8088/ws/device",
        "api_key": key,
    }
    paired = client.simulate_post(GATEWAY, json={"device_name": "Pixel 6a", "api_key": key})
    assert paired.status_code == 201


def test_the_public_url_is_where_phones_are_sent() -> None:
    surface = Surface(public_url="https://sms.example.com/")
    answer = surface.client().simulate_get(f"{SMS}/qr-code", headers=surface.account())
    said = scanned(answer.json)
    assert said["base_url"] == "https://sms.example.com/api/v1"
    assert said["ws_url"] == "wss://sms.example.com/ws/device"


# What holds for all


def test_a_key_can_be_replaced_and_is_worth_nothing_then(
    client: falcon.testing.TestClient, account: Headers
) -> None:
    answer = client.simulate_post("/api/v1/account/key", headers=account)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert list(answer.json) == ["api_key"]
    for headers, status in ((account, 401), (bearer(answer.json["api_key"]), 200)):
        assert client.simulate_get(f"{AUTH}/user", headers=headers).status_code == status


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_a_body_is_json_whatever_it_is_declared_as(
    client: falcon.testing.TestClient, account: Headers, content_type: str | None
) -> None:
    headers = {**account, **({"Content-Type": content_type} if content_type else {})}
    answer = client.simulate_post(f"{SMS}/send", body=json.dumps(HELLO), headers=headers)
    assert answer.status_code == 200


def test_the_scheme_of_a_credential_may_be_in_small_letters(
    client: falcon.testing.TestClient, account: Headers
) -> None:
    headers = {"Authorization": account["Authorization"].replace("Bearer", "bearer")}
    assert client.simulate_get(f"{AUTH}/user", headers=headers).status_code == 200


def test_answers_are_for_the_address_behind_trusted_proxies() -> None:
    surface = Surface(trusted_proxies=["127.0.0.1/32"])
    headers = {**surface.account(), "X-Forwarded-For": "198.51.100.7"}
    client = surface.client()
    client.simulate_get(f"{AUTH}/user", headers=headers, remote_addr="127.0.0.1")
    assert surface.accounts.asked_from[-1] == "198.51.100.7"
