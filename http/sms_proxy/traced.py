"""The server's span of each request under /api/v1/sms/, in the caller's trace if it names one."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from signalbox.eventstore import tracing

if TYPE_CHECKING:
    import falcon

    from signalbox.http.context import Request

PATHS: Final = "/api/v1/sms/"
SPAN: Final = "signalbox.span"
"""The WSGI environment's key for the request's span."""


class Traced:
    """Middleware: tells the collector route and status of a request, and nothing it holds."""

    def process_resource(
        self, req: Request, _resp: falcon.Response, _resource: object, _params: object
    ) -> None:
        """Begin the span, now that the route is known."""
        route = req.uri_template or ""
        if not route.startswith(PATHS):
            return
        span = tracing.serve(f"{req.method} {route}", req.env.get("HTTP_TRACEPARENT", ""))
        span.note(**{"http.request.method": req.method, "http.route": route})
        req.env[SPAN], req.context.traceparent = span, span.traceparent

    def process_response(
        self,
        req: Request,
        resp: falcon.Response,
        _resource: object,
        req_succeeded: bool,  # noqa: ARG002, FBT001  as falcon calls it
    ) -> None:
        """End it; a server's error is a failed span."""
        span: tracing.Span | None = req.env.get(SPAN)
        if span is not None:
            span.note(**{"http.response.status_code": resp.status_code})
            failed = resp.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
            span.end(HTTPStatus(resp.status_code).phrase if failed else "")
