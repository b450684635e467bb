"""Sending messages and asking what became of them; always on behalf of one application."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from signalbox.http.context import encode
from signalbox.http.errors import Failure
from signalbox.http.sms_proxy import wire

if TYPE_CHECKING:
    import falcon

    from signalbox.http.body import BodyReader
    from signalbox.http.context import Request
    from signalbox.http.sms_proxy.auth import SmsGate
    from signalbox.http.sms_proxy.ports import Reads, Sending


class Send:
    """`POST /api/v1/sms/send`."""

    def __init__(self, gate: SmsGate, sending: Sending, body: BodyReader) -> None:
        self._gate = gate
        self._sending = sending
        self._body = body

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Accept a message and answer with what the SMSC said, or that it waits."""
        identity = self._gate(req)
        body = self._body.read(req, wire.Send)
        req.context.failure = wire.not_sent(body)
        sent = self._sending.send(wire.send_request(body, identity, req))
        if sent.status == "failed":
            resp.status = HTTPStatus.INTERNAL_SERVER_ERROR
        resp.data = encode(wire.sent(body, sent))


class CheckEsme:
    """`POST /api/v1/sms/check-esme`."""

    def __init__(self, gate: SmsGate, reads: Reads, body: BodyReader) -> None:
        self._gate = gate
        self._reads = reads
        self._body = body

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Answer whether the link is bound now."""
        self._gate(req)
        asked = self._body.read(req, wire.Esme).esme
        row = next((row for row in self._reads.links() if row.id == asked), None)
        resp.data = encode(wire.esme(row))


class Info:
    """`POST /api/v1/sms/info`."""

    def __init__(self, gate: SmsGate, reads: Reads, body: BodyReader) -> None:
        self._gate = gate
        self._reads = reads
        self._body = body

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Answer what became of a message; another application's is as unknown as none."""
        identity = self._gate(req)
        body = self._body.read(req, wire.Info)
        found = self._reads.message(body.message_id, app_id=identity.app_id, link_id=body.esme)
        if found is None:
            raise Failure(HTTPStatus.NOT_FOUND, "message not found")
        resp.data = encode(wire.info(found))
