"""The descriptions of this surface are whole, true and well-formed."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest
from support.openapi import described, require_openapi_31, routed
from support.trucopilot import ORG, SECRET, Surface

from signalbox.http.body import fields
from signalbox.http.trucopilot import operations as table
from signalbox.http.trucopilot import wire
from signalbox.http.trucopilot.frames import Frame
from signalbox.http.trucopilot.llms import text_for

DOCUMENT: Final = "/openapi.json"
NOT_DESCRIBED: Final = {
    "/healthy", "/readyz", "/metrics", DOCUMENT, "/docs", "/docs/{name}", "/llms.txt",
}  # fmt: skip

REFERENCE: Final = """\
GET /health
POST /webhook
GET /messages/{org_id}
GET /messages/{org_id}/{secret_key}
POST /send/{org_id}
GET /sims/{org_id}
GET /sims/{org_id}/{secret_key}
GET /websocket
""".splitlines()
OURS: Final = {f"{method} /webhooks/{{org_id}}" for method in ("GET", "PUT", "DELETE")}
URL: Final = "https://sms.example.com"


@pytest.fixture
def surface() -> Surface:
    return Surface()


@pytest.fixture
def document(surface: Surface) -> Any:  # noqa: ANN401  (JSON)
    return surface.client().simulate_get(DOCUMENT).json


def test_it_is_openapi_31(document: Any) -> None:  # noqa: ANN401  (JSON)
    require_openapi_31(document)


def test_it_describes_the_reference_and_the_webhooks(document: Any) -> None:  # noqa: ANN401  (JSON)
    assert described(document) == set(REFERENCE) | OURS


def test_every_route_is_described(
    surface: Surface,
    document: Any,  # noqa: ANN401  (JSON)
) -> None:
    assert described(document) == routed(surface.app(), but=NOT_DESCRIBED)


def test_the_page_shows_it(surface: Surface) -> None:
    client = surface.client()
    page = client.simulate_get("/docs")
    assert "Signalbox phone gateway" in page.text
    assert 'src="/docs/start.js"' in page.text
    assert f'url: "{DOCUMENT}"' in client.simulate_get("/docs/start.js").text
    assert client.simulate_get("/docs/swagger-ui.css").status_code == 200


def test_plain_text_names_the_host_that_was_asked(surface: Surface) -> None:
    answer = surface.client().simulate_get("/llms.txt", host="sms.example.com", protocol="https")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == text_for(URL)


def test_plain_text_names_the_configured_address() -> None:
    answer = Surface(public_url=f"{URL}/").client().simulate_get("/llms.txt")
    assert answer.text == text_for(URL)


@pytest.mark.parametrize("row", table.ROWS, ids=lambda row: " ".join(row.route))
def test_plain_text_has_every_operation(row: table.Row) -> None:
    method, path = row.route
    spelled = path.format(org_id="ORG", secret_key="SECRET")
    if row is table.CONNECT:
        spelled = f"Connect: wss://sms.example.com{path}?"
        method = ""
    assert f"{method} {spelled}".strip() in text_for(URL)


@pytest.mark.parametrize(
    "line",
    [
        f"Base URL: {URL}",
        'GET /health\n-> {"status":"ok"}',
        "an `org_id` (3 to 64 of A-Z, a-z, 0-9, `_` and `-`)",
        "`secret_key` (12 to 50 printable ASCII characters)",
        "the headers X-Org-Id and X-Secret-Key may tell it instead of the body",
        "`limit` is 100 by default, with `ids` 1000, and never more than that;",
        "`direction` is in or out; `sim` is the index of a slot, or a SIM's own number.",
        "`sim` is optional: the index of a slot, or a SIM's own number.",
        '{"type":"connected","org_id":"ORG"}',
        '{"type":"send_sms","id":5,"to":"+15553334444","body":"hi","sim":"+15550001111"}',
        '{"type":"auth","org_id":"ORG","secret_key":"SECRET"}',
        '{"type":"send_result","id":5,"success":true}',
        f"- OpenAPI JSON: {URL}/openapi.json",
        f"curl -H 'X-Secret-Key: my-secret-key-123' {URL}/messages/myorg",
    ],
)
def test_plain_text_says_what_the_reference_says(line: str) -> None:
    assert line in text_for(URL)


@pytest.mark.parametrize("row", [row for row in table.ROWS if row.sent], ids=lambda r: r.route[1])
def test_the_examples_of_bodies_are_accepted(surface: Surface, row: table.Row) -> None:
    for example in row.sent:
        body = {**msgspec.to_builtins(example), "secret_key": SECRET}
        if "org_id" in body:
            body["org_id"] = ORG
        path = row.route[1].format(org_id=ORG)
        answer = surface.client().simulate_request(row.route[0], path, json=body)
        assert answer.status_code == 200, answer.text


def test_the_examples_of_frames_are_understood() -> None:
    for example in (table.AUTH, *table.FROM_PHONE):
        fields(msgspec.json.encode(example), Frame)
    assert {type(one) for one in (table.AUTH, *table.FROM_PHONE)} == set(Frame.__args__)


@pytest.mark.parametrize(("path", "method"), [("/webhook", "post"), ("/websocket", "get")])
def test_the_organisation_may_be_in_a_header(
    document: Any,  # noqa: ANN401  (JSON)
    path: str,
    method: str,
) -> None:
    headers = [
        one for one in document["paths"][path][method]["parameters"] if one["in"] == "header"
    ]
    assert [(one["name"], one["required"]) for one in headers] == [("X-Org-Id", False)]


def test_the_parts_of_a_text_to_send_are_described(
    document: Any,  # noqa: ANN401  (JSON)
) -> None:
    schema = document["components"]["schemas"]["SendBody"]
    assert set(schema["properties"]) == {*wire.SendBody.__struct_fields__}
