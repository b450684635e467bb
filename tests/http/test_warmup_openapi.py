"""The description of the warm-up's surface is whole, true and well-formed."""

from typing import Any

import pytest
from support.openapi import described, operations, require_openapi_31, routed
from support.warmup import Surface

DOCUMENT = "/warmup/openapi.json"
PAGE = "/warmup/docs"
NOT_DESCRIBED = {"/healthy", "/health", "/readyz", "/metrics", DOCUMENT, PAGE, f"{PAGE}/{{name}}"}

REFERENCE = """\
GET /config
GET /config/{ip}
GET /config/{ip}/{grouping}
POST /config/{ip}
PUT /config/{ip}
DELETE /config/{ip}
PUT /config/{ip}/pause
PUT /config/{ip}/resume
PUT /config/{ip}/{grouping}/pause
PUT /config/{ip}/{grouping}/resume
DELETE /config/{ip}/{grouping}
GET /status
GET /status/{ip}
GET /status/{ip}/{grouping}
""".splitlines()


@pytest.fixture(params=[(), ("key",)], ids=["open", "with keys"])
def surface(request: pytest.FixtureRequest) -> Surface:
    return Surface(api_keys=request.param)


@pytest.fixture
def document(surface: Surface) -> Any:  # noqa: ANN401  (JSON)
    return surface.client().simulate_get(DOCUMENT).json


def test_it_is_openapi_31(document: Any) -> None:  # noqa: ANN401  (JSON)
    require_openapi_31(document)


def test_it_describes_the_reference_and_nothing_else(document: Any) -> None:  # noqa: ANN401  (JSON)
    assert described(document) == set(REFERENCE)


def test_every_route_is_described(
    surface: Surface,
    document: Any,  # noqa: ANN401  (JSON)
) -> None:
    assert described(document) == routed(surface.app(), but=NOT_DESCRIBED)


def test_a_key_is_asked_for_only_where_there_is_one(
    surface: Surface,
    document: Any,  # noqa: ANN401  (JSON)
) -> None:
    for _, _, operation in operations(document):
        assert operation["security"] == ([{"api_key": []}] if surface.api_keys else [])
        assert ("401" in operation["responses"]) is bool(surface.api_keys)


def test_what_is_in_a_path_is_described(document: Any) -> None:  # noqa: ANN401  (JSON)
    parameters = document["paths"]["/config/{ip}/{grouping}"]["get"]["parameters"]
    assert [(one["name"], one["schema"]["type"]) for one in parameters] == [
        ("ip", "string"),
        ("grouping", "string"),
    ]


def test_the_page_shows_it(surface: Surface) -> None:
    client = surface.client()
    assert "Signalbox IP warm-up" in client.simulate_get(PAGE).text
    assert f'url: "{DOCUMENT}"' in client.simulate_get(f"{PAGE}/start.js").text
