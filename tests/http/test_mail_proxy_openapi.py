"""The description of the mail proxy is whole, true and well-formed."""

from __future__ import annotations

from typing import Any, Final

import pytest
from support.mail_proxy import Surface
from support.openapi import described, operations, require_openapi_31, routed

DOCUMENT: Final = "/mailproxy/openapi.json"
NOT_DESCRIBED: Final = {"/healthy", "/readyz", "/metrics", "/openapi.json", "/docs", "/docs/{name}"}

REFERENCE: Final = """\
GET /health
GET /status
POST /commands/run-now
POST /commands/suspend
POST /commands/activate
POST /commands/add-messages
POST /commands/delete-messages
POST /commands/cleanup-messages
GET /messages
POST /account
GET /accounts
DELETE /account/{account_id}
POST /tenant
GET /tenants
GET /tenants/sync-status
GET /tenant/{tenant_id}
PUT /tenant/{tenant_id}
DELETE /tenant/{tenant_id}
POST /tenant/{tenant_id}/api-key
DELETE /tenant/{tenant_id}/api-key
GET /instance
PUT /instance
POST /instance/reload-bounce
GET /command-log
GET /command-log/export
""".splitlines()


@pytest.fixture
def surface() -> Surface:
    return Surface()


@pytest.fixture
def document(surface: Surface) -> Any:  # noqa: ANN401  (JSON)
    return surface.client().simulate_get(DOCUMENT).json


def test_it_is_openapi_31(document: Any) -> None:  # noqa: ANN401  (JSON)
    require_openapi_31(document)


def test_it_describes_the_reference(document: Any) -> None:  # noqa: ANN401  (JSON)
    # With the metrics, which have no schema, these are the reference's 26.
    assert described(document) == set(REFERENCE)


def test_every_route_is_described(
    surface: Surface,
    document: Any,  # noqa: ANN401  (JSON)
) -> None:
    ours = routed(surface.app(), but=NOT_DESCRIBED)
    assert described(document) == {one for one in ours if " /mailproxy" not in one}


def test_who_may_call_is_told(document: Any) -> None:  # noqa: ANN401  (JSON)
    public = {path for _, path, one in operations(document) if not one.get("security")}
    assert public == {"/health"}


@pytest.mark.parametrize("folder", ["", "/mailproxy"])
def test_the_page_shows_it(surface: Surface, folder: str) -> None:
    client = surface.client()
    page = client.simulate_get(f"{folder}/docs")
    assert "Signalbox mail proxy" in page.text
    assert f'src="{folder}/docs/start.js"' in page.text
    start = client.simulate_get(f"{folder}/docs/start.js").text
    assert f'url: "{folder}/openapi.json"' in start
    assert client.simulate_get(f"{folder}/openapi.json").json["openapi"] == "3.1.0"
