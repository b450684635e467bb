"""Every body that the API reference prints is described: its keys, their types, nothing renamed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import falcon.testing
import jsonschema_rs
import pytest

BODIES: Final = json.loads((Path(__file__).parent / "reference_bodies.json").read_text())
TAKING: Final = [operation for operation, bodies in BODIES.items() if "request" in bodies]


@pytest.fixture
def document(client: falcon.testing.TestClient) -> Any:  # noqa: ANN401  (JSON)
    return client.simulate_get("/sms-proxy/openapi.json").json


@pytest.mark.parametrize("operation", BODIES)
def test_an_answer_of_the_reference_is_described(
    document: Any,  # noqa: ANN401  (JSON)
    operation: str,
) -> None:
    responses = _of(document, operation)["responses"]
    (good,) = (responses[status] for status in responses if status.startswith("2"))
    for schema in _objects(document):
        # Keys of ours may be there besides, but none of the reference's may be missing.
        schema.pop("required", None)
        schema["additionalProperties"] = False
    _check(document, good["content"]["application/json"]["schema"], BODIES[operation]["answer"])


@pytest.mark.parametrize("operation", TAKING)
def test_a_request_of_the_reference_is_enough(
    document: Any,  # noqa: ANN401  (JSON)
    operation: str,
) -> None:
    body = _of(document, operation)["requestBody"]["content"]["application/json"]
    for schema in _objects(document):
        schema["additionalProperties"] = False
    _check(document, body["schema"], BODIES[operation]["request"])


def test_a_key_that_is_not_described_would_be_noticed(
    document: Any,  # noqa: ANN401  (JSON)
) -> None:
    for schema in _objects(document):
        schema["additionalProperties"] = False
    with pytest.raises(jsonschema_rs.ValidationError):
        _check(document, {"$ref": "#/components/schemas/Esme"}, {"esme": 1, "link": 1})


def _of(document: Any, operation: str) -> Any:  # noqa: ANN401  (JSON)
    method, path = operation.split()
    return document["paths"][path][method.lower()]


def _objects(document: Any) -> Iterator[Any]:  # noqa: ANN401  (JSON)
    schemas = document["components"]["schemas"].values()
    return (schema for schema in schemas if "properties" in schema)


def _check(document: Any, schema: Any, body: Any) -> None:  # noqa: ANN401  (JSON)
    whole = {**schema, "components": document["components"]}
    jsonschema_rs.Draft202012Validator(whole).validate(body)
