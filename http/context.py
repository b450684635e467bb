"""What goes along with a request: its id, and the body of an answer that tells a failure."""

from __future__ import annotations

import os
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import falcon
import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REQUEST_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
ROUTE: Final = "signalbox.route"
"""The WSGI environment's key for the route's template, the only form of a path that is recorded."""

RAW_TARGET: Final = "RAW_URI"
"""The WSGI environment's key for the request's target as it came, as other servers have it."""

STORE_AWAY: Final = "service unavailable, try again"

encode: Final = msgspec.json.Encoder().encode


def plain(failure: Mapping[str, object], _status: int, error: str) -> object:
    """Return the body of a failure's answer: its keys, and the sentence."""
    return {**failure, "error": error}


class Context:
    """`failure` holds the keys that a failure's answer has besides `error`.

    `phrase` makes the body of it, where a surface's says more than that.
    `unavailable` is the status and the sentence when the store is away.
    `traceparent` is what the request's own spans hang on, "" when it is not traced.
    """

    request_id: str = ""
    traceparent: str = ""
    failure: Mapping[str, object] = {"success": False}
    phrase: Callable[[Mapping[str, object], int, str], object] = staticmethod(plain)
    unavailable: tuple[int, str] = (HTTPStatus.SERVICE_UNAVAILABLE, STORE_AWAY)


class Request(falcon.Request):
    """A request with our context."""

    context_type = Context
    context: Context  # type: ignore[assignment]  # what `context_type` makes


class Identified:
    """Middleware: every request has an id, the caller's if it is harmless, and is told it."""

    def process_request(self, req: Request, resp: falcon.Response) -> None:
        """Choose the id."""
        given: str = req.env.get("HTTP_X_REQUEST_ID", "")
        request_id = given if REQUEST_ID.fullmatch(given) else os.urandom(8).hex()
        req.context.request_id = request_id
        resp.set_header("X-Request-ID", request_id)

    def process_resource(
        self, req: Request, _resp: falcon.Response, _resource: object, _params: object
    ) -> None:
        """Tell the server which route it was."""
        req.env[ROUTE] = req.uri_template
