"""The paths of this surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from signalbox.http import swagger
from signalbox.http.connections import Connections
from signalbox.http.context import encode
from signalbox.http.doorstep import Doorstep
from signalbox.http.trucopilot import resources
from signalbox.http.trucopilot.auth import Gate
from signalbox.http.trucopilot.channel import PhoneSocket
from signalbox.http.trucopilot.llms import Llms
from signalbox.http.trucopilot.openapi import TITLE, document
from signalbox.http.trucopilot.refusals import body_of
from signalbox.http.trucopilot.wire_answers import Alive

if TYPE_CHECKING:
    from collections.abc import Sequence

    import falcon

    from signalbox.http.body import BodyReader
    from signalbox.http.context import Request
    from signalbox.http.peer import Peers
    from signalbox.http.phone_ports import Lines, Webhooks
    from signalbox.http.trucopilot.ports import Messages, Orgs, Reads

WHOLE: Final = frozenset({"webhook", "websocket", "docs", "openapi.json", "llms.txt"})
BEGINNINGS: Final = frozenset({"messages", "send", "sims", "webhooks", "docs"})
"""First words of paths: with nothing behind them, and with something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trucopilot:
    """What the surface is made of.

    `public_url` is where callers reach it, if that is not the host they name. Of one address
    `strangers_per_ip_max` sockets may be open that have not said who they are. A socket with
    `bad_frames_per_minute_max` frames that make no sense is closed.
    """

    orgs: Orgs
    messages: Messages
    lines: Lines
    reads: Reads
    webhooks: Webhooks
    body: BodyReader
    peers: Peers
    trusted_proxies: Sequence[str] = ()
    public_url: str = ""
    strangers_per_ip_max: int = 20
    bad_frames_per_minute_max: int = 20

    def routes(self, *, alone: bool = False) -> dict[str, object]:
        """Return the resource of each path; `/health` is ours where we are `alone`."""
        gate = Gate(self.orgs, self.peers)
        messages = resources.Messages(gate, self.reads)
        sims = resources.Sims(gate, self.reads)
        health: dict[str, object] = {"/health": Health()} if alone else {}
        return {
            **health,
            **swagger.routes("", TITLE, document),
            "/llms.txt": Llms(self.public_url),
            "/webhook": resources.Inbound(gate, self.messages, self.body),
            "/messages/{org_id}": messages,
            "/messages/{org_id}/{secret_key}": messages,
            "/send/{org_id}": resources.Send(gate, self.messages, self.lines, self.body),
            "/sims/{org_id}": sims,
            "/sims/{org_id}/{secret_key}": sims,
            "/webhooks/{org_id}": resources.Webhook(gate, self.webhooks, self.body),
            "/websocket": self._socket(gate),
        }

    def guard(self, *, alone: bool = False) -> Shape:
        """Return what gives failures below these paths their form, for `create_app`."""
        return Shape(alone=alone)

    def _socket(self, gate: Gate) -> PhoneSocket:
        strangers = Connections(self.strangers_per_ip_max, self.trusted_proxies)
        doorstep = Doorstep(strangers, self.bad_frames_per_minute_max)
        return PhoneSocket(gate, self.messages, self.lines, self.peers, doorstep)


class Shape:
    """Middleware: says how failures look; on a port where the surface is `alone`, all of them."""

    def __init__(self, *, alone: bool) -> None:
        self._alone = alone

    def process_request(self, req: Request, resp: falcon.Response) -> None:  # noqa: ARG002
        """Choose the form by the first word of the path."""
        word, _, rest = req.path.strip("/").partition("/")
        if self._alone or word in (BEGINNINGS if rest else WHOLE):
            req.context.failure = {}
            req.context.phrase = body_of


class Health:
    """`GET /health`, as the reference has it, on a port of our own."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer that the process runs; nobody else is asked."""
        resp.data = encode(Alive())

    on_head = on_get
