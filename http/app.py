"""The route table, and what holds for every route."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import falcon

from signalbox.domain.errors import Refused
from signalbox.eventstore import tracing
from signalbox.eventstore.errors import Unavailable
from signalbox.http import errors
from signalbox.http.context import Identified, Request
from signalbox.http.limits import RateLimited, on_limited
from signalbox.http.monitoring import Alive, Metrics, Ready
from signalbox.http.sms_proxy.refusals import on_refused
from signalbox.http.sms_proxy.traced import Traced

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from signalbox.http.limits import AllRequests
    from signalbox.http.monitoring import Check

Routes = dict[str, object]


class Guard(Protocol):
    """What a surface has every request go through before it is routed."""

    def process_request(self, req: Request, resp: falcon.Response) -> None:
        """Say how errors look below the surface's paths; refuse whoever may not even see those."""


def create_app(
    routes: Mapping[str, object],
    checks: Mapping[str, Check],
    limit: AllRequests | None = None,
    guards: Iterable[Guard] = (),
    shapes: Iterable[Guard] = (),
) -> falcon.App[Any, Any]:
    """Return the WSGI application.

    `routes` are the surfaces' (`SmsProxy.routes`), `checks` are those of `/readyz`,
    `limit` is asked about every request before it is routed, and after it the surfaces' `guards`.
    `shapes` come before it: guards that refuse nobody, and say how its own refusals look.
    """
    app = falcon.App(request_type=Request, middleware=[Identified()])
    if tracing.is_on():
        app.add_middleware(Traced())
    for shape in shapes:
        app.add_middleware(shape)
    if limit is not None:
        app.add_middleware(limit)
    for guard in guards:
        app.add_middleware(guard)
    app.req_options.strip_url_path_trailing_slash = True
    app.set_error_serializer(errors.serialize)
    app.add_error_handler(Exception, errors.on_accident)
    app.add_error_handler(errors.Failure, errors.on_failure)
    app.add_error_handler(RateLimited, on_limited)
    app.add_error_handler(Unavailable, errors.on_unavailable)
    app.add_error_handler(Refused, on_refused)
    for path, resource in {**_monitoring(checks), **routes}.items():
        app.add_route(path, resource)
    return app


def _monitoring(checks: Mapping[str, Check]) -> Routes:
    return {
        "/healthy": Alive({"status": "ok"}),
        "/health": Alive({"status": "ok", "ok": True}),
        "/readyz": Ready(checks),
        "/metrics": Metrics(),
    }
