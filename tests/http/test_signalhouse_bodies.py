"""Bodies and queries at the Signalhouse surface that make no sense, and what is said of them."""

from typing import Any, Final

import falcon.testing
import pytest
from support.phone_surfaces import BODY_OCTETS_MAX
from support.signalhouse import Headers, Surface
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


@pytest.fixture
def surface() -> Surface:
    return Surface()


NOT_OBJECTS: Final = (b"", b"{", b"[]", b"null", b'"x"', b"\xff", b'{"to":NaN}', b'{"a":1,"a":2}')
BODIES: Final = {
    f"{AUTH}/token": ("POST", LOG_IN),
    f"{AUTH}/register": ("POST", REGISTER),
    f"{AUTH}/refresh": ("POST", {"refresh_token": "x"}),
    f"{SMS}/send": ("POST", HELLO),
    f"{DEVICE}/register": ("POST", {"name": "Pixel 6a"}),
    GATEWAY: ("POST", {"device_name": "Pixel 6a"}),
    f"{GATEWAY}/{{}}/receive-sms": ("POST", INBOUND),
    f"{GATEWAY}/{{}}/sms-status": ("PATCH", {"sms_id": UNKNOWN_ID, "status": "sent"}),
    WEBHOOK: ("PUT", {"url": "https://example.com/"}),
}


@pytest.mark.parametrize("path", BODIES)
def test_what_is_no_json_object_is_400(
    client: falcon.testing.TestClient, surface: Surface, account: Headers, path: str
) -> None:
    method, _ = BODIES[path]
    phone_id = surface.phone(account)
    for body in NOT_OBJECTS:
        answer = client.simulate_request(method, path.format(phone_id), body=body, headers=account)
        assert refused(answer)[0] == 400, body


@pytest.mark.parametrize("path", BODIES)
def test_a_field_that_is_missing_or_of_another_type_is_422(
    client: falcon.testing.TestClient, surface: Surface, account: Headers, path: str
) -> None:
    method, good = BODIES[path]
    path = path.format(surface.phone(account))
    for name in good:
        without = {other: value for other, value in good.items() if other != name}
        answer = client.simulate_request(method, path, json=without, headers=account)
        assert refused(answer) == (422, f"{name}: required")
        for wrong in (None, 1, True, [], {}, ["+15551234567"]):
            answer = client.simulate_request(
                method, path, json={**good, name: wrong}, headers=account
            )
            status, error = refused(answer)
            assert (status, error.partition(":")[0]) == (422, name), wrong


@pytest.mark.parametrize("path", BODIES)
def test_a_body_that_is_too_large_is_413(
    client: falcon.testing.TestClient, surface: Surface, account: Headers, path: str
) -> None:
    method, _ = BODIES[path]
    body = b" " * (BODY_OCTETS_MAX + 1)
    path = path.format(surface.phone(account))
    answer = client.simulate_request(method, path, body=body, headers=account)
    assert refused(answer) == (413, "request body too large")


@pytest.mark.parametrize(
    "to",
    [
        "", "15551234567", "+0155512345", "+1", "+1234567890123456", "+1555 1234567",
        "+1 555-123-4567", "+1\u0665\u0661", "+15551234567\n", "tel:+15551234567", "SUPPORT", "+",
    ],
)  # fmt: skip
def test_a_number_that_is_not_e164_is_422(
    client: falcon.testing.TestClient, surface: Surface, account: Headers, to: str
) -> None:
    answer = client.simulate_post(f"{SMS}/send", json={**HELLO, "to": to}, headers=account)
    assert refused(answer)[0] == 422
    assert not surface.messages.found


@pytest.mark.parametrize("message", [b"", b"  \\n\\t", b"a\\u0000b", b"a\\ud800b", b"x" * 1601])
def test_a_text_that_can_not_be_sent_is_422(
    client: falcon.testing.TestClient, surface: Surface, account: Headers, message: bytes
) -> None:
    body = b'{"to": "+15551234567", "message": "%s"}' % message
    answer = client.simulate_post(f"{SMS}/send", body=body, headers=account)
    assert refused(answer)[0] == 422
    assert not surface.messages.found


def test_1600_characters_are_not_too_many(
    client: falcon.testing.TestClient, account: Headers
) -> None:
    body = {**HELLO, "message": "😀" * 1600}
    assert client.simulate_post(f"{SMS}/send", json=body, headers=account).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"from": ""},
        {"from": "x" * 65},
        {"message": "x" * 10_001},
        {"timestamp": "yesterday"},
        {"timestamp": "2026-04-20"},
        {"timestamp": "2026-13-01T00:00:00Z"},
        {"timestamp": "1776695400"},
        {"timestamp": ""},
    ],
)
def test_an_inbound_text_that_makes_no_sense_is_422(
    client: falcon.testing.TestClient, surface: Surface, account: Headers, changes: dict[str, str]
) -> None:
    path = f"{GATEWAY}/{surface.phone(account)}/receive-sms"
    answer = client.simulate_post(path, json={**INBOUND, **changes}, headers=account)
    status, error = refused(answer)
    assert (status, error.partition(":")[0]) == (422, next(iter(changes)))


@pytest.mark.parametrize(
    "changes", [{"status": "queued"}, {"status": ""}, {"delivered_at": "now"}, {"error": 1}]
)
def test_a_report_that_makes_no_sense_is_422(
    client: falcon.testing.TestClient, surface: Surface, account: Headers, changes: dict[str, Any]
) -> None:
    body = {"sms_id": UNKNOWN_ID, "status": "sent", **changes}
    path = f"{GATEWAY}/{surface.phone(account)}/sms-status"
    status, error = refused(client.simulate_patch(path, json=body, headers=account))
    assert (status, error.partition(":")[0]) == (422, next(iter(changes)))


@pytest.mark.parametrize("name", ["", " ", "x" * 65, "a\nb", "a\u2028b"])
def test_a_phone_without_a_proper_name_is_422(
    client: falcon.testing.TestClient, account: Headers, name: str
) -> None:
    for path, body in ((f"{DEVICE}/register", {"name": name}), (GATEWAY, {"device_name": name})):
        assert refused(client.simulate_post(path, json=body, headers=account))[0] == 422


@pytest.mark.parametrize(
    "body",
    [
        {"url": "ftp://example.com/"},
        {"url": "https://user:secret@example.com/"},
        {"url": "https://example.com/#here"},
        {"url": f"https://example.com/{'x' * 2048}"},
        {"url": "https://example.com/", "events": []},
        {"url": "https://example.com/", "events": ["everything"]},
        {"url": "https://example.com/", "events": "inbound"},
    ],
)
def test_a_webhook_that_can_not_be_called_is_422(
    client: falcon.testing.TestClient, account: Headers, body: object
) -> None:
    assert refused(client.simulate_put(WEBHOOK, json=body, headers=account))[0] == 422
    assert refused(client.simulate_get(WEBHOOK, headers=account)) == (
        404,
        "No webhook is configured",
    )


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=-1", "limit=x", "limit=1.5", "limit=", "limit=\u0665", "limit=1e3",
        "limit=99999999999999999999", "offset=-1", "offset=x", "offset=1000001", "direction=both",
        "direction=", "direction=INBOUND", "since=yesterday", "since=", "since=%00",
        "since=1776695400", "since=2026-02-30T00:00:00Z", "archived=yes", "archived=",
    ],
)  # fmt: skip
def test_a_query_that_makes_no_sense_is_400(
    client: falcon.testing.TestClient, account: Headers, query: str
) -> None:
    answer = client.simulate_get(f"{SMS}/messages", query_string=query, headers=account)
    status, error = refused(answer)
    assert (status, error.partition(":")[0]) == (400, query.partition("=")[0])
    if query.endswith("=-1"):
        assert error.endswith("expected a whole number without a sign")


@pytest.mark.parametrize("key", ["", "a b", "x" * 129, "ä"])
def test_an_idempotency_key_that_is_none_is_400(
    client: falcon.testing.TestClient, surface: Surface, account: Headers, key: str
) -> None:
    headers = {**account, "Idempotency-Key": key.encode().decode("latin-1")}
    answer = client.simulate_post(f"{SMS}/send", json=HELLO, headers=headers)
    assert refused(answer)[0] == 400
    assert not surface.messages.found
