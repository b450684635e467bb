"""The surface's description is whole and true, and can be read where there is no internet."""

import re
from typing import Any

import falcon.testing
import pytest
from support.openapi import described, operations, require_openapi_31, routed
from support.sms_proxy import Surface

from signalbox.http import swagger

DOCUMENT = "/sms-proxy/openapi.json"
PAGE = "/sms-proxy/docs"
NOT_DESCRIBED = {"/health", "/readyz", DOCUMENT, PAGE, f"{PAGE}/{{name}}"}

# The table "Endpoint Summary" of the API reference.
REFERENCE = """\
GET /healthy
GET /metrics
GET /dashboard/stats
POST /api/v1/user/register
POST /api/v1/user/login
POST /api/v1/user/validate
POST /api/v1/user/delete
GET /api/v1/dashboard/metrics
GET /api/v1/dashboard/stats
GET /api/v1/dashboard/smpp-links
GET /api/v1/dashboard/load-balancers
GET /api/v1/settings/license
POST /api/v1/settings/license/upload
GET /api/v1/settings/smpp-config
PUT /api/v1/smpp/{link_id}/toggle
POST /api/v1/sms/check-esme
POST /api/v1/sms/send
POST /api/v1/sms/info
GET /api/v1/admin/dashboard/metrics
GET /api/v1/admin/dashboard/smpp-links
GET /api/v1/admin/dashboard/load-balancers
GET /api/v1/admin/metrics/campaigns
GET /api/v1/admin/settings/license
POST /api/v1/admin/settings/license/upload
GET /api/v1/admin/settings/server-config
GET /api/v1/admin/settings/smpp-config
PUT /api/v1/admin/smpp/{link_id}/toggle
GET /api/v1/admin/proxy-users
POST /api/v1/admin/proxy-users/register
DELETE /api/v1/admin/proxy-users/{user_id}
PUT /api/v1/admin/proxy-users/{user_id}/toggle-admin
""".splitlines()


@pytest.fixture
def document(client: falcon.testing.TestClient) -> Any:  # noqa: ANN401  (JSON)
    return client.simulate_get(DOCUMENT).json


def test_it_is_openapi_31(document: Any) -> None:  # noqa: ANN401  (JSON)
    require_openapi_31(document)


def test_every_endpoint_of_the_reference_is_described(document: Any) -> None:  # noqa: ANN401
    assert described(document) >= set(REFERENCE)
    assert len(REFERENCE) == 31


def test_every_route_is_described_and_every_description_has_a_route(
    surface: Surface,
    document: Any,  # noqa: ANN401  (JSON)
) -> None:
    assert described(document) == routed(surface.app(), but=NOT_DESCRIBED)


def test_each_operation_says_what_it_does_and_who_may_call_it(
    document: Any,  # noqa: ANN401  (JSON)
) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    for _, path, operation in operations(document):
        assert operation["summary"]
        assert len(operation["tags"]) == 1
        assert operation["security"] == _security(path)


@pytest.mark.parametrize(
    ("user_api_auth", "security"),
    [("admin", [{"admin_key": []}]), ("none", [{}, {"admin_key": []}])],
)
def test_open_user_endpoints_are_described_as_open(
    user_api_auth: str, security: list[dict[str, list[str]]]
) -> None:
    answer = Surface(user_api_auth=user_api_auth).client().simulate_get(DOCUMENT)
    for path in ("register", "validate", "delete"):
        operation = answer.json["paths"][f"/api/v1/user/{path}"]["post"]
        assert operation["security"] == security


@pytest.mark.parametrize(
    ("stats_auth", "security", "refusals"),
    [("none", [], set()), ("admin", [{"admin_key": []}], {"401", "503"})],
)
def test_closed_statistics_are_described_as_closed(
    stats_auth: str, security: list[dict[str, list[str]]], refusals: set[str]
) -> None:
    answer = Surface(stats_auth=stats_auth).client().simulate_get(DOCUMENT)
    operation = answer.json["paths"]["/dashboard/stats"]["get"]
    assert operation["security"] == security
    assert set(operation["responses"]) == {"200", "429", "500"} | refusals


def test_bounds_are_described_as_they_are_checked(document: Any) -> None:  # noqa: ANN401  (JSON)
    fields = document["components"]["schemas"]["Send"]["properties"]
    assert (fields["esme"]["minimum"], fields["esme"]["maximum"]) == (1, 2**63 - 1)
    assert fields["transaction_id"]["maxLength"] == 64
    assert fields["message"]["minLength"] == 1
    assert document["components"]["schemas"]["Send"]["required"] == [
        "esme",
        "source",
        "destination",
        "message",
    ]


def test_patterns_are_described_as_they_are_checked(document: Any) -> None:  # noqa: ANN401  (JSON)
    fields = document["components"]["schemas"]["Send"]["properties"]
    source, destination = fields["source"]["pattern"], fields["destination"]["pattern"]
    assert all(re.search(source, text) for text in ("1", "+49", "Zug 4711", "A&B-C.d_e"))
    assert not any(re.search(source, text) for text in ("", "+", "a" * 12, "1" * 16, " Zug"))
    assert all(re.search(destination, text) for text in ("123", "+123456789012345"))
    assert not any(re.search(destination, text) for text in ("12", "1" * 16, "abc", "++123"))


def test_an_answer_has_all_its_keys(document: Any) -> None:  # noqa: ANN401  (JSON)
    schemas = document["components"]["schemas"]
    assert schemas["LoggedIn"]["required"] == ["token", "error"]
    assert set(schemas["Grpc"]["required"]) == {"port", "timeout"}
    assert "id" not in schemas["Failed"]["required"]
    assert "transaction_id" not in schemas["Send"]["required"]


def test_an_upload_is_described_as_a_form_with_a_file(document: Any) -> None:  # noqa: ANN401
    upload = document["paths"]["/api/v1/settings/license/upload"]["post"]["requestBody"]
    assert upload["required"] is True
    schema = upload["content"]["multipart/form-data"]["schema"]["$ref"].rpartition("/")[2]
    assert document["components"]["schemas"][schema]["properties"] == {
        "license": {"type": "string", "format": "binary"}
    }


def test_no_name_of_a_module_is_told(client: falcon.testing.TestClient) -> None:
    text = client.simulate_get(DOCUMENT).text
    assert "signalbox.http" not in text
    assert "spectree" not in text


def test_the_page_loads_nothing_from_elsewhere(client: falcon.testing.TestClient) -> None:
    page = client.simulate_get(PAGE)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert set(loaded) == {"data:,", f"{PAGE}/start.js", *(f"{PAGE}/{n}" for n in swagger.FILES)}
    for path in loaded:
        assert path == "data:," or client.simulate_get(path).status_code == 200
    assert f'url: "{DOCUMENT}"' in client.simulate_get(f"{PAGE}/start.js").text


@pytest.mark.parametrize(
    ("name", "media_type", "content"),
    [
        ("start.js", "text/javascript; charset=utf-8", b"SwaggerUIBundle({"),
        # The first versions that can read OpenAPI 3.1 are Swagger UI's 5.
        ("swagger-ui-bundle.js", "text/javascript; charset=utf-8", b'PACKAGE_VERSION:"5.'),
        ("swagger-ui-standalone-preset.js", "text/javascript; charset=utf-8", b"Standalone"),
        ("swagger-ui.css", "text/css; charset=utf-8", b".swagger-ui"),
    ],
)
def test_the_files_of_the_page(
    client: falcon.testing.TestClient, name: str, media_type: str, content: bytes
) -> None:
    answer = client.simulate_get(f"{PAGE}/{name}")
    assert answer.headers["content-type"] == media_type
    assert content in answer.content


@pytest.mark.parametrize("path", [DOCUMENT, PAGE, f"{PAGE}/start.js", f"{PAGE}/swagger-ui.css"])
def test_what_is_kept_is_sent_again_only_when_it_changed(
    client: falcon.testing.TestClient, path: str
) -> None:
    first = client.simulate_get(path)
    again = client.simulate_get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    other = client.simulate_get(path, headers={"If-None-Match": '"other"'})
    assert (other.status_code, other.content) == (200, first.content)


@pytest.mark.parametrize("path", [DOCUMENT, PAGE, f"{PAGE}/start.js"])
def test_a_page_can_neither_be_framed_nor_run_what_is_not_ours(
    client: falcon.testing.TestClient, path: str
) -> None:
    headers = client.simulate_get(path).headers
    policy = dict(
        directive.strip().split(" ", 1)
        for directive in headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    "name",
    ["swagger_bundle.js", "redoc.js", "..", "..%2f__init__.py", "%2e%2e/__init__.py", "../app.py",
     "..\\app.py", "swagger-ui.css%00", "START.JS", "start.js/x"],
)  # fmt: skip
def test_no_other_file_is_served(client: falcon.testing.TestClient, name: str) -> None:
    assert client.simulate_get(f"{PAGE}/{name}").status_code == 404


def _security(path: str) -> list[dict[str, list[str]]]:
    if path in {"/healthy", "/metrics", "/dashboard/stats", "/api/v1/user/login"}:
        return []
    if path.startswith(("/api/v1/user/", "/api/v1/admin/")):
        return [{"admin_key": []}]
    return [{"token": [], "app_id": []}]
