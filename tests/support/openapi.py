"""OpenAPI documents, and the routes of the applications they describe.

operations(document)                  GET, /config/{ip}, the operation
described(document)                   {"GET /config/{ip}", …}
routed(surface.app(), but={"/docs"})  {"GET /config/{ip}", …}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import falcon.inspect
import schemathesis

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

Json = Any


def require_openapi_31(document: Json) -> None:
    """Fail unless it is one that the specification allows."""
    assert document["openapi"] == "3.1.0"
    schemathesis.openapi.from_dict(document).validate()


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Yield the method, the path and the rest of each operation."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def described(document: Json) -> set[str]:
    """Return the operations of a document."""
    return {f"{method} {path}" for method, path, _ in operations(document)}


def routed(app: falcon.App[Any, Any], *, but: Collection[str]) -> set[str]:
    """Return the operations of an application, but those of some paths.

    A HEAD that is answered as the GET is none of its own.
    """
    return {
        f"{method.method} {route.path}"
        for route in falcon.inspect.inspect_routes(app)
        for method in route.methods
        if method.function_name == f"on_{method.method.lower()}"
        and not method.internal
        and route.path not in but
    }
