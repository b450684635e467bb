"""Phones at the Signalhouse surface: paired, listed, and what their app calls; webhooks."""

import json

import falcon.testing
import pytest
from support.signalhouse import Headers, Surface, bearer, owner_of
from support.signalhouse_calls import (
    DEVICE,
    GATEWAY,
    INBOUND,
    SMS,
    WEBHOOK,
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


def test_a_phone_is_registered_and_gets_a_key_of_its_own(
    client: falcon.testing.TestClient, account: Headers
) -> None:
    body = {"name": "Pixel 6a", "model": "Pixel 6a", "os_version": "Android 14"}
    answer = client.simulate_post(f"{DEVICE}/register", json=body, headers=account)
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    assert list(answer.json) == ["id", "name", "paired_at", "api_key"]
    assert answer.json["id"].startswith("dev_")
    assert answer.json["api_key"].startswith("sh_device_")
    assert (answer.json["name"], answer.json["paired_at"]) == ("Pixel 6a", "2026-04-20T14:30:00Z")


@pytest.mark.parametrize("more", [{}, {"model": None, "os_version": None}])
def test_of_a_phone_the_name_is_enough(call: Call, more: dict[str, object]) -> None:
    phone_id = call("POST", f"{DEVICE}/register", {"name": "Pixel 6a", **more})["id"]
    (shown,) = call("GET", f"{DEVICE}/list")["devices"]
    assert (shown["id"], shown["model"]) == (phone_id, None)


def test_phones_of_both_kinds_are_listed(call: Call, surface: Surface, account: Headers) -> None:
    assert call("GET", f"{DEVICE}/list") == {"devices": []}
    body = {"name": "Pixel 6a", "model": "Pixel 6a"}
    first_id = call("POST", f"{DEVICE}/register", body)["id"]
    second_id = call("POST", GATEWAY, {"device_name": "Pixel 7"})["id"]
    surface.lines.connect(
        owner_of(account), first_id, line=None, by="test", request_id="test"  # type: ignore[arg-type]
    )  # fmt: skip
    devices = call("GET", f"{DEVICE}/list")["devices"]
    assert json.dumps(devices[0]) == json.dumps(
        {
            "id": first_id,
            "name": "Pixel 6a",
            "model": "Pixel 6a",
            "is_active": True,
            "last_seen_at": "2026-04-20T14:30:00Z",
            "online": True,
        }
    )
    assert [one["id"] for one in devices] == [first_id, second_id]
    assert (devices[1]["online"], devices[1]["last_seen_at"]) == (False, None)


def test_a_phone_is_active_for_30_days_after_it_was_seen(call: Call, surface: Surface) -> None:
    phone_id = call("POST", f"{DEVICE}/register", {"name": "Pixel 6a"})["id"]
    (seen,) = call("GET", f"{DEVICE}/list")["devices"]
    assert (seen["is_active"], seen["last_seen_at"]) == (False, None)  # Paired long ago.
    surface.messages.seen_at_s[phone_id] = 4_000_000_000.0
    (seen,) = call("GET", f"{DEVICE}/list")["devices"]
    assert (seen["is_active"], seen["last_seen_at"]) == (True, "2096-10-02T07:06:40Z")


def test_a_phone_can_be_parted_from_its_account(
    client: falcon.testing.TestClient, call: Call
) -> None:
    paired = call("POST", f"{DEVICE}/register", {"name": "Pixel 6a"})
    assert call("DELETE", f"{DEVICE}/{paired['id']}") == {"success": True}
    assert call("GET", f"{DEVICE}/list") == {"devices": []}
    path = f"{GATEWAY}/{paired['id']}/receive-sms"
    answer = client.simulate_post(path, json=INBOUND, headers=bearer(paired["api_key"]))
    assert answer.status_code == 401


# Gateway API


def test_a_gateway_is_registered_with_the_key_in_the_body_or_the_header(
    client: falcon.testing.TestClient, account: Headers
) -> None:
    key = account["Authorization"].removeprefix("Bearer ")
    ids = set()
    for body, headers in (({"api_key": key}, {}), ({}, account), ({"api_key": key}, account)):
        answer = client.simulate_post(
            GATEWAY, json={"device_name": "Pixel 6a", **body}, headers=headers
        )
        assert answer.status_code == 201
        assert list(answer.json) == ["id", "device_name", "registered_at"]
        assert answer.json["id"].startswith("gw_")
        assert answer.json["device_name"] == "Pixel 6a"
        assert answer.json["registered_at"] == "2026-04-20T14:30:00Z"
        ids.add(answer.json["id"])
    assert len(ids) == 3  # Always a new one: two phones of one model are two phones.


@pytest.mark.parametrize("credential", ["live", "access", "device"])
def test_a_text_comes_in_with_any_credential_of_the_phone(
    client: falcon.testing.TestClient, surface: Surface, account: Headers, credential: str
) -> None:
    phone_id = surface.phone(account, "dev")
    owner = owner_of(account)
    key = {"live": f"sh_live_{owner}", "access": f"access.{owner}"}.get(
        credential, f"sh_device_{phone_id}"
    )
    answer = client.simulate_post(
        f"{GATEWAY}/{phone_id}/receive-sms",
        json={**INBOUND, "device_id": phone_id},
        headers=bearer(key),
    )
    assert answer.status_code == 200
    assert surface.messages.asked_by == [phone_id]


def test_a_text_that_comes_twice_is_one_message(call: Call, surface: Surface) -> None:
    phone_id = call("POST", GATEWAY, {"device_name": "Pixel 6a"})["id"]
    first_id = receive(call, phone_id)
    assert receive(call, phone_id) == first_id
    assert receive(call, phone_id, timestamp="2026-04-20T16:30:00+02:00") == first_id
    assert receive(call, phone_id, device_id=phone_id.removeprefix("gw_")) == first_id
    assert len(surface.messages.found) == 1
    for changes in ({"message": "OK"}, {"from": "SUPPORT"}, {"timestamp": "2026-04-20T14:30:01Z"}):
        assert receive(call, phone_id, **changes) != first_id


def test_the_phone_of_the_path_is_enough(call: Call) -> None:
    phone_id = call("POST", GATEWAY, {"device_name": "Pixel 6a"})["id"]
    bare = phone_id.removeprefix("gw_")
    assert call("POST", f"{GATEWAY}/{bare}/receive-sms", INBOUND)["status"] == "received"


def test_a_phones_clock_never_runs_ahead_of_ours(call: Call) -> None:
    phone_id = call("POST", GATEWAY, {"device_name": "Pixel 6a"})["id"]
    ids = [
        receive(call, phone_id, timestamp="2030-01-01T00:00:00Z"),
        receive(call, phone_id, timestamp="0001-01-01T00:00:00Z"),
    ]
    told = [call("GET", f"{SMS}/messages/{one}")["received_at"] for one in ids]
    assert told == ["2026-04-20T14:30:00Z", "1970-01-01T00:00:00Z"]


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (r"a\u0000b", "a\ufffdb"),
        (r"a\ud800b", "a\ufffdb"),
        (r"\ud83d\ude00", "😀"),
        ("", ""),
        ("x" * 10_000, "x" * 10_000),
    ],
)
def test_what_can_not_be_stored_of_a_text_is_replaced(
    client: falcon.testing.TestClient, call: Call, account: Headers, sent: str, stored: str
) -> None:
    phone_id = call("POST", GATEWAY, {"device_name": "Pixel 6a"})["id"]
    body = f'{{"from": "1{sent[:20]}", "message": "{sent}", "timestamp": "2026-04-20T14:30:00Z"}}'
    answer = client.simulate_post(
        f"{GATEWAY}/{phone_id}/receive-sms", body=body.encode(), headers=account
    )
    assert answer.status_code == 200
    shown = call("GET", f"{SMS}/messages/{answer.json['message_id']}")
    assert shown["message"] == stored


@pytest.mark.parametrize("sender", ["+15551234567", "72345", "SUPPORT", "Ärzte e.V.", "0"])
def test_anybody_can_be_a_sender(call: Call, sender: str) -> None:
    phone_id = call("POST", GATEWAY, {"device_name": "Pixel 6a"})["id"]
    message_id = receive(call, phone_id, **{"from": sender})
    assert call("GET", f"{SMS}/messages/{message_id}")["from"] == sender


def test_what_is_told_too_late_or_twice_changes_nothing(call: Call, surface: Surface) -> None:
    message_id = send(call)
    phone_id = call("POST", GATEWAY, {"device_name": "Pixel 6a"})["id"]
    ((owner, key),) = surface.messages.found
    surface.messages.push(owner, key, phone_id)
    for status in ("delivered", "Delivered", "sent", "failed"):
        body = {"sms_id": message_id, "status": status}
        assert call("PATCH", f"{GATEWAY}/{phone_id}/sms-status", body) == {"success": True}
        assert call("GET", f"{SMS}/send/status/{message_id}")["status"] == "delivered"


# Webhooks


def test_a_webhook_is_set_shown_and_removed(
    client: falcon.testing.TestClient, call: Call, account: Headers
) -> None:
    body = {"url": "https://example.com/hook", "events": ["status", "inbound"]}
    first = call("PUT", WEBHOOK, body)
    assert first == {
        "url": "https://example.com/hook",
        "events": ["inbound", "status"],
        "enabled": True,
        "disabled_reason": None,
        "secret": "whsec_1",
    }
    shown = {name: value for name, value in first.items() if name != "secret"}
    assert call("GET", WEBHOOK) == shown
    assert call("PUT", WEBHOOK, body) == shown
    assert call("PUT", WEBHOOK, {**body, "new_secret": True})["secret"] == "whsec_2"
    for _ in range(2):
        assert call("DELETE", WEBHOOK) == {"success": True}
    assert client.simulate_get(WEBHOOK, headers=account).status_code == 404


def test_a_webhook_is_told_everything_unless_it_says_what(call: Call) -> None:
    answer = call("PUT", WEBHOOK, {"url": "https://example.com/hook"})
    assert answer["events"] == ["inbound", "status", "presence"]
