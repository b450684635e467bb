"""The description of the Signalhouse surface is whole, true and well-formed."""

from typing import Any, Final

import pytest
from support.openapi import described, operations, require_openapi_31, routed
from support.signalhouse import Surface

DOCUMENT: Final = "/signalhouse/openapi.json"
PAGE: Final = "/signalhouse/docs"
NOT_DESCRIBED: Final = {
    "/healthy", "/health", "/readyz", "/metrics", DOCUMENT, PAGE, f"{PAGE}/{{name}}",
    "/ws/device/{device_id}", "/api/v1/ws/device/{device_id}",
}  # fmt: skip

REFERENCE: Final = """\
POST /api/v1/auth/token
POST /api/v1/auth/register
GET /api/v1/auth/user
POST /api/v1/auth/refresh
POST /api/v1/sms/send
GET /api/v1/sms/messages
GET /api/v1/sms/messages/{message_id}
GET /api/v1/sms/send/status/{message_id}
GET /api/v1/sms/stats
POST /api/v1/sms/archive/{message_id}
GET /api/v1/sms/qr-code
POST /api/v1/device/register
GET /api/v1/device/list
POST /api/v1/sms/gateway/devices
POST /api/v1/sms/gateway/devices/{device_id}/receive-sms
PATCH /api/v1/sms/gateway/devices/{device_id}/sms-status
""".splitlines()
OURS: Final = """\
DELETE /api/v1/device/{device_id}
POST /api/v1/account/key
GET /api/v1/account/webhook
PUT /api/v1/account/webhook
DELETE /api/v1/account/webhook
""".splitlines()


@pytest.fixture
def document() -> Any:  # noqa: ANN401  (JSON)
    return Surface().client().simulate_get(DOCUMENT).json


def test_it_is_openapi_31(document: Any) -> None:  # noqa: ANN401  (JSON)
    require_openapi_31(document)


def test_it_describes_the_reference_and_what_is_ours(document: Any) -> None:  # noqa: ANN401
    assert described(document) == {*REFERENCE, *OURS}


def test_every_route_is_described(document: Any) -> None:  # noqa: ANN401  (JSON)
    assert described(document) == routed(Surface().app(), but=NOT_DESCRIBED)


def test_a_credential_is_asked_for_wherever_the_gate_does(document: Any) -> None:  # noqa: ANN401
    client = Surface().client()
    for method, path, operation in operations(document):
        asked = [{*one} for one in operation["security"]]
        if "/auth/" in path and path != "/api/v1/auth/user":
            assert asked == []
        elif path.endswith("/gateway/devices"):
            assert asked == [set(), {"account"}]
        elif "/gateway/devices/" in path:
            assert asked == [{"account"}, {"device"}]
        else:
            assert asked == [{"account"}]
            where = path.replace("{message_id}", "x").replace("{device_id}", "x")
            assert client.simulate_request(method, where).status_code == 401


def test_frames_are_described_for_who_writes_an_app(document: Any) -> None:  # noqa: ANN401
    for word in ("auth", "send_sms", "sms_status", "ping", "4401", "4409"):
        assert word in document["info"]["description"]


def test_the_page_shows_it() -> None:
    client = Surface().client()
    assert "Signalhouse" in client.simulate_get(PAGE).text
    assert f'url: "{DOCUMENT}"' in client.simulate_get(f"{PAGE}/start.js").text
