"""The route table, and what holds for every route."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import falcon

from signalbox.domain.errors import Refused
from signalbox.eventstore.errors import Unavailable
from signalbox.http import errors
from signalbox.http.context import Identified, Request
from signalbox.http.monitoring import Alive, Metrics, Ready
from signalbox.http.sms_proxy.refusals import on_refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from signalbox.http.monitoring import Check

Routes = dict[str, object]


def create_app(routes: Mapping[str, object], checks: Mapping[str, Check]) -> falcon.App[Any, Any]:
    """Return the WSGI application.

    `routes` are the surfaces' (`SmsProxy.routes`), `checks` are those of `/readyz`.
    """
    app = falcon.App(request_type=Request, middleware=[Identified()])
    app.req_options.strip_url_path_trailing_slash = True
    app.set_error_serializer(errors.serialize)
    app.add_error_handler(Exception, errors.on_accident)
    app.add_error_handler(errors.Failure, errors.on_failure)
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
