"""The installation, which is the admin's business alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signalbox.http.mail_proxy import wire
from signalbox.http.mail_proxy import wire_answers as answers
from signalbox.http.mail_proxy.refusals import phrased
from signalbox.http.mail_proxy.requests import body_of
from signalbox.http.mail_proxy.resource import Resource, answer

if TYPE_CHECKING:
    import falcon

    from signalbox.http.body import BodyReader
    from signalbox.http.context import Request
    from signalbox.http.mail_proxy import ports
    from signalbox.http.mail_proxy.auth import Gate


class Instance(Resource):
    """`/instance`."""

    def __init__(self, gate: Gate, instance: ports.MailInstance, body: BodyReader) -> None:
        super().__init__(gate)
        self._instance = instance
        self._body = body

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Answer with the configuration."""
        self._gate.admin(req)
        found = self._instance.get()
        polled = self._instance.last_poll() if found.bounce_enabled else None
        answer(resp, answers.instance(found, polled))

    def on_put(self, req: Request, resp: falcon.Response) -> None:
        """Configure some of it anew; fine if that is nothing."""
        caller = self._gate.admin(req)
        given = body_of(req, self._body, wire.InstanceBody)
        changes = given.changes(self._instance.seal)
        with phrased(given):
            self._instance.update(changes, by=caller.by, request_id=req.context.request_id)
        answer(resp, answers.Done())


class ReloadBounce(Resource):
    """`POST /instance/reload-bounce`; a body is not looked at."""

    def __init__(self, gate: Gate, instance: ports.MailInstance) -> None:
        super().__init__(gate)
        self._instance = instance

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Have bounces looked for anew, by the rules as they are now."""
        caller = self._gate.admin(req)
        with phrased():
            self._instance.reload_bounce(by=caller.by, request_id=req.context.request_id)
        answer(resp, answers.Reloaded())
