"""What all resources of this surface are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import falcon

from signalbox.http.context import encode

if TYPE_CHECKING:
    import msgspec

    from signalbox.http.context import Request
    from signalbox.http.mail_proxy.auth import Gate


class Resource:
    """A resource below this surface's paths, and who may call it."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate


class Slashless:
    """Middleware: sends whoever wrote a path with a slash behind it to the one without."""

    def process_resource(
        self, req: Request, _resp: falcon.Response, resource: object, _params: object
    ) -> None:
        """Let the request go on. Raises: `HTTPTemporaryRedirect`."""
        path: str = req.env["PATH_INFO"]
        if isinstance(resource, Resource) and path.endswith("/"):
            raise falcon.HTTPTemporaryRedirect(req.relative_uri)


def answer(resp: falcon.Response, body: msgspec.Struct) -> None:
    """Answer with a body that is nobody else's business."""
    resp.set_header("Cache-Control", "no-store")
    resp.data = encode(body)
