"""`/api/v1/account/webhook`, which is ours: where an account is told what happens."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from signalbox.http.context import encode
from signalbox.http.errors import Failure
from signalbox.http.signalhouse import wire
from signalbox.http.signalhouse import wire_answers as answers
from signalbox.http.signalhouse.refusals import phrased

if TYPE_CHECKING:
    import falcon

    from signalbox.http.body import BodyReader
    from signalbox.http.context import Request
    from signalbox.http.phone_ports import Webhooks
    from signalbox.http.signalhouse.auth import Gate


class Webhook:
    """The webhook of an account."""

    def __init__(self, gate: Gate, webhooks: Webhooks, body: BodyReader) -> None:
        self._gate = gate
        self._webhooks = webhooks
        self._body = body

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Answer with where callbacks go, and whether they still do."""
        found = self._webhooks.show(self._gate(req).account_id)
        if found is None:
            raise Failure(HTTPStatus.NOT_FOUND, "No webhook is configured")
        resp.data = encode(answers.webhook(found))

    def on_put(self, req: Request, resp: falcon.Response) -> None:
        """Set where callbacks go; one that was disabled is called again."""
        caller = self._gate(req)
        body = self._body.fields(req, wire.PutWebhook)
        with phrased():
            configured = self._webhooks.configure(
                caller.account_id,
                body.url,
                body.events,
                new_secret=body.new_secret,
                by=caller.by,
                request_id=req.context.request_id,
            )
        resp.set_header("Cache-Control", "no-store")
        resp.data = encode(answers.webhook(configured.webhook, configured.secret))

    def on_delete(self, req: Request, resp: falcon.Response) -> None:
        """Have nothing told any more; fine if nothing was."""
        caller = self._gate(req)
        self._webhooks.remove(caller.account_id, by=caller.by, request_id=req.context.request_id)
        resp.data = encode(answers.Succeeded())
