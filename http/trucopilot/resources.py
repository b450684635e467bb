"""What an organisation's phones and applications call.

The order of the checks is: the body as JSON, who it is, and only then what the body says. So who
does not know the secret learns nothing, and nothing is claimed by a request that makes no sense.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from signalbox.domain.phone_routing import Candidate, has_sim
from signalbox.http.body import fields
from signalbox.http.context import encode
from signalbox.http.errors import Failure
from signalbox.http.trucopilot import wire
from signalbox.http.trucopilot import wire_answers as answers
from signalbox.http.trucopilot.problems import bad, wrong
from signalbox.http.trucopilot.query import query
from signalbox.http.trucopilot.refusals import phrased

if TYPE_CHECKING:
    import falcon
    import msgspec

    from signalbox.domain.phone_message import Sim
    from signalbox.http.body import BodyReader
    from signalbox.http.context import Request
    from signalbox.http.phone_ports import Lines, OnlineLine, Webhooks
    from signalbox.http.trucopilot import ports
    from signalbox.http.trucopilot.auth import Gate

PUSH_WAIT_S: Final = 0.3  # how long /send waits for a phone that is there to be handed the texts

_IDEMPOTENCY_KEY: Final = re.compile(r"[\x21-\x7e]{1,128}")


class Inbound:
    """`POST /webhook`: a phone delivers texts; the first time it claims its organisation."""

    def __init__(self, gate: Gate, messages: ports.Messages, body: BodyReader) -> None:
        self._gate = gate
        self._messages = messages
        self._body = body

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Store what is new of them."""
        octets = self._body.octets(req)
        visitor = self._gate.visitor(req, fields(octets, wire.Credentials, mend=True))
        owner = self._gate.known(visitor)
        batch: wire.Batch = fields(octets, wire.Batch, mend=True)
        inbound, faults = batch.inbound(phone_id="")
        if faults and not inbound:
            raise wrong(f"messages[0].{faults[0].error}", errors=faults)
        if owner is None:
            owner = self._gate.claimed(visitor)
        with phrased():
            received = self._messages.receive(
                owner, inbound, by=owner, request_id=req.context.request_id
            )
        _answer(resp, answers.stored(visitor.org_id, received, faults))


class Messages:
    """`GET /messages/{org_id}`, and the same with the secret in the path."""

    def __init__(self, gate: Gate, reads: ports.Reads) -> None:
        self._gate = gate
        self._reads = reads

    def on_get(
        self, req: Request, resp: falcon.Response, org_id: str, secret_key: str = ""
    ) -> None:
        """Answer with a page of the texts in both directions."""
        visitor = self._gate.visitor(req, org_id=org_id, secret_key=secret_key)
        owner = self._gate(visitor)
        rows = self._reads.numbered(owner, query(req))
        _answer(resp, answers.messages(visitor.org_id, rows))


class Send:
    """`POST /send/{org_id}`."""

    def __init__(
        self, gate: Gate, messages: ports.Messages, lines: Lines, body: BodyReader
    ) -> None:
        self._gate = gate
        self._messages = messages
        self._lines = lines
        self._body = body

    def on_post(self, req: Request, resp: falcon.Response, org_id: str) -> None:
        """Take texts on, all or none; they wait for a phone, and be it for days."""
        octets = self._body.octets(req)
        credentials = fields(octets, wire.Credentials, mend=True)
        owner = self._gate(self._gate.visitor(req, credentials, org_id=org_id))
        idempotency_key = _idempotency_key(req)
        send: wire.Send = fields(octets, wire.Send)
        requests = send.outbound()
        device_online = self._is_online(owner, requests[0].sim)
        with phrased():
            keys = self._messages.queue(
                owner,
                requests,
                by=owner,
                request_id=req.context.request_id,
                idempotency_key=idempotency_key,
            )
        pushed = self._messages.wait_pushed(owner, keys, PUSH_WAIT_S) if device_online else ()
        _answer(resp, answers.sent(keys, requests, pushed, device_online=device_online))

    def _is_online(self, owner: str, sim: Sim | None) -> bool:
        """Tell whether a phone is connected that has the SIM, or has not told which it has."""
        return any(one.sims is None or _has_sim(one, sim) for one in self._lines.online(owner))


class Sims:
    """`GET /sims/{org_id}`, and the same with the secret in the path."""

    def __init__(self, gate: Gate, reads: ports.Reads) -> None:
        self._gate = gate
        self._reads = reads

    def on_get(
        self, req: Request, resp: falcon.Response, org_id: str, secret_key: str = ""
    ) -> None:
        """Answer with the SIMs of the phones that are connected, and all there ever were."""
        owner = self._gate(self._gate.visitor(req, org_id=org_id, secret_key=secret_key))
        _answer(resp, answers.sims(self._reads.sims(owner)))


class Webhook:
    """`/webhooks/{org_id}`, which is ours: where an organisation is told what happens."""

    def __init__(self, gate: Gate, webhooks: Webhooks, body: BodyReader) -> None:
        self._gate = gate
        self._webhooks = webhooks
        self._body = body

    def on_get(self, req: Request, resp: falcon.Response, org_id: str) -> None:
        """Answer with where callbacks go, and whether they still do."""
        found = self._webhooks.show(self._gate(self._gate.visitor(req, org_id=org_id)))
        if found is None:
            raise Failure(HTTPStatus.NOT_FOUND, "no webhook is configured")
        _answer(resp, answers.webhook(found))

    def on_put(self, req: Request, resp: falcon.Response, org_id: str) -> None:
        """Set where callbacks go; one that was disabled is called again."""
        octets = self._body.octets(req)
        credentials = fields(octets, wire.Credentials, mend=True)
        owner = self._gate(self._gate.visitor(req, credentials, org_id=org_id))
        body: wire.PutWebhook = fields(octets, wire.PutWebhook)
        with phrased():
            configured = self._webhooks.configure(
                owner,
                body.url,
                body.events,
                new_secret=body.new_secret,
                by=owner,
                request_id=req.context.request_id,
            )
        _answer(resp, answers.webhook(configured.webhook, configured.secret))

    def on_delete(self, req: Request, resp: falcon.Response, org_id: str) -> None:
        """Have nothing told any more; fine if nothing was."""
        owner = self._gate(self._gate.visitor(req, org_id=org_id))
        self._webhooks.remove(owner, by=owner, request_id=req.context.request_id)
        _answer(resp, answers.Done())


def _answer(resp: falcon.Response, body: msgspec.Struct) -> None:
    # The address of an answer may hold the secret: nobody between us is to keep either.
    resp.set_header("Cache-Control", "no-store")
    resp.data = encode(body)


def _has_sim(line: OnlineLine, sim: Sim | None) -> bool:
    candidate = Candidate(phone_id=line.phone_id, connection=line.connection, sims=line.sims)
    return has_sim(candidate, sim)


def _idempotency_key(req: Request) -> str:
    key: str | None = req.env.get("HTTP_IDEMPOTENCY_KEY")
    if key is None:
        return ""
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        raise bad("Idempotency-Key: expected 1 to 128 visible ASCII characters")
    return key
