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

    def __init__(self, app: falcon.App[Any, Any], described: bytes = b"") -> None:
        super().__init__(app)
        self._description = _description(
            described or document(stats_auth="none", user_api_auth="admin")
        )

    @override
    def simulate_request(self, *args: Any, **kwargs: Any) -> falcon.testing.Result:
        answer = super().simulate_request(*args, **kwargs)
        method, path = (*args, *(kwargs[name] for name in ("method", "path") if name in kwargs))
        self._description.compare(answer, method, path)
        return answer


class Description:
    """An OpenAPI document."""

    def __init__(self, octets: bytes) -> None:
        self._document = json.loads(octets)
        self._validators: dict[str, jsonschema_rs.Draft202012Validator] = {}

    def compare(self, answer: falcon.testing.Result, method: str, path: str) -> None:
        """Compare an answer with what is said of it, if anything is."""
        operations = self._operations(path.partition("?")[0].rstrip("/"))
        described = operations.get(method.lower(), {}).get("responses")
        if described is not None:
            self._compare(answer, described, f"{method} {path}")

    def _compare(
        self, answer: falcon.testing.Result, described: dict[str, Any], request: str
    ) -> None:
        status = str(answer.status_code)
        assert status in described, f"{request} answered {status}: {answer.text}"
        content = described[status]["content"]
        media_type = answer.headers["content-type"].partition(";")[0]
        assert media_type in content, f"{request} answered {media_type}"
        if media_type == falcon.MEDIA_JSON:
            self._validator(content[media_type]["schema"]).validate(answer.json)

    def _operations(self, path: str) -> dict[str, Any]:
        paths: dict[str, dict[str, Any]] = self._document["paths"]
        for template, operations in paths.items():
            pattern = _PARAMETER.sub("[^/]+", re.escape(template))
            if path not in paths and re.fullmatch(pattern, path):
                return operations
        return paths.get(path, {})

    def _validator(self, schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
        key = json.dumps(schema)
        if key not in self._validators:
            whole = {**schema, "components": self._document["components"]}
            self._validators[key] = jsonschema_rs.Draft202012Validator(whole)
        return self._validators[key]


_description: Final = cache(Description)
