"""A client that compares every answer with what the surface's OpenAPI document says of it."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any, Final

import falcon.testing
import jsonschema_rs
from typing_extensions import override

from signalbox.http.sms_proxy.openapi import document

_PARAMETER: Final = re.compile(r"\\{\w+\\}")


class DescribedClient(falcon.testing.TestClient):
    """Fails on a status or a body that is not described; paths that are not are left alone."""

    @override
    def simulate_request(self, *args: Any, **kwargs: Any) -> falcon.testing.Result:
        answer = super().simulate_request(*args, **kwargs)
        method, path = (*args, *(kwargs[name] for name in ("method", "path") if name in kwargs))
        described = _responses(method, path.partition("?")[0])
        if described is not None:
            _compare(answer, described, f"{method} {path}")
        return answer


def _compare(answer: falcon.testing.Result, described: dict[str, Any], request: str) -> None:
    status = str(answer.status_code)
    assert status in described, f"{request} answered {status}: {answer.text}"
    content = described[status]["content"]
    media_type = answer.headers["content-type"].partition(";")[0]
    assert media_type in content, f"{request} answered {media_type}"
    if media_type == falcon.MEDIA_JSON:
        _validator(json.dumps(content[media_type]["schema"])).validate(answer.json)


def _responses(method: str, path: str) -> dict[str, Any] | None:
    responses: dict[str, Any] | None
    responses = _operations(path.rstrip("/")).get(method.lower(), {}).get("responses")
    return responses


def _operations(path: str) -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = _document()["paths"]
    for template, operations in paths.items():
        pattern = _PARAMETER.sub("[^/]+", re.escape(template))
        if path not in paths and re.fullmatch(pattern, path):
            return operations
    return paths.get(path, {})


@cache
def _document() -> Any:  # noqa: ANN401  (JSON)
    return json.loads(document(stats_auth="none", user_api_auth="admin"))


@cache
def _validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    whole = {**json.loads(schema), "components": _document()["components"]}
    return jsonschema_rs.Draft202012Validator(whole)
