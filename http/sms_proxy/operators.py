"""What operators switch; it is there twice, behind a user's token and the admin key."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from signalbox.domain.errors import UnknownLink
from signalbox.http.context import encode
from signalbox.http.errors import Failure
from signalbox.http.sms_proxy import wire

if TYPE_CHECKING:
    import falcon

    from signalbox.http.body import BodyReader
    from signalbox.http.context import Request
    from signalbox.http.sms_proxy.auth import Gate
    from signalbox.http.sms_proxy.ports import Links


class ToggleLink:
    """`PUT …/smpp/{link_id}/toggle`."""

    def __init__(self, gate: Gate, links: Links, body: BodyReader) -> None:
        self._gate = gate
        self._links = links
        self._body = body

    def on_put(self, req: Request, resp: falcon.Response, link_id: str) -> None:
        """Switch a link on or off, for good: it stays so over restarts."""
        caller = self._gate(req)
        number = wire.number(link_id)
        if not number:
            raise Failure(HTTPStatus.BAD_REQUEST, "invalid id")
        body = self._body.read(req, wire.Toggle)
        request_id = req.context.request_id
        try:
            link = self._links.toggle(
                number, body.enabled, body.reason, by=caller.by, request_id=request_id
            )
        except UnknownLink:
            # The reference gives this path no 404.
            raise Failure(HTTPStatus.INTERNAL_SERVER_ERROR, "link not found") from None
        resp.data = encode(wire.toggled(link))
