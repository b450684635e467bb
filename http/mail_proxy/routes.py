"""The paths of this surface: at the root, as its clients have always had them, and below a prefix.

    /messages, /commands/…, …             the reference's
    /mailproxy/v1/messages, …             the same
    /mailproxy/docs, /mailproxy/openapi.json

`/health`, `/metrics`, `/status` and `/messages` other surfaces have, too, on the port all share.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from signalbox.http import swagger
from signalbox.http.context import encode
from signalbox.http.mail_proxy import (
    accounts,
    command_log,
    commands,
    instance,
    messages,
    tenants,
)
from signalbox.http.mail_proxy.auth import Gate
from signalbox.http.mail_proxy.openapi import TITLE, document
from signalbox.http.mail_proxy.refusals import body_of
from signalbox.http.mail_proxy.resource import Resource, Slashless, answer
from signalbox.http.mail_proxy.wire_answers import Healthy, Status
from signalbox.http.monitoring import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    import falcon

    from signalbox.http.body import BodyReader
    from signalbox.http.context import Request
    from signalbox.http.mail_proxy import ports

PREFIX: Final = "/mailproxy"
VERSIONED: Final = f"{PREFIX}/v1"
WORDS: Final = frozenset(
    {
        "tenant", "tenants", "account", "accounts", "commands", "instance", "command-log",
        "mailproxy",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class MailProxy:
    """What the surface is made of.

    With neither `admin_token` nor `is_open` nobody is the admin. `body` reads more than other
    surfaces take: mails come with their attachments in them. Tenants' servers are called every
    `sync_interval_s` at least.
    """

    tenants: ports.Tenants
    mails: ports.Mails
    instance: ports.MailInstance
    reads: ports.MailReads
    run_now: ports.RunNow
    body: BodyReader
    admin_token: str = ""
    is_open: bool = False
    sync_interval_s: int = 300
    now: Callable[[], float] = time.time

    def routes(self, *, alone: bool = False) -> dict[str, object]:
        """Return the resource of each path; `/docs` and `/status` are ours where we are `alone`."""
        gate = self.gate()
        ours = {**self._tenants(gate), **self._accounts(gate), **self._mails(gate)}
        ours |= self._admin(gate)
        monitoring = {"/health": Health(gate), "/metrics": Metrics(), "/status": self.status(gate)}
        below = {f"{VERSIONED}{path}": one for path, one in {**ours, **monitoring}.items()}
        alike: dict[str, object] = swagger.routes("", TITLE, document) if alone else {}
        if alone:
            alike["/status"] = monitoring["/status"]
        return {
            **alike,
            **swagger.routes(PREFIX, TITLE, document),
            f"{PREFIX}/health": monitoring["/health"],
            **ours,
            **below,
        }

    def gate(self) -> Gate:
        """Return what lets requests in."""
        return Gate(self.tenants, self.admin_token, is_open=self.is_open)

    def status(self, gate: Gate | None = None) -> ServiceStatus:
        """Return the resource of `GET /status`, for a port where others have one, too."""
        return ServiceStatus(gate or self.gate())

    def guard(self, *, alone: bool = False) -> Shape:
        """Return what gives failures below these paths their form, for `create_app`."""
        return Shape(alone=alone)

    def _tenants(self, gate: Gate) -> dict[str, object]:
        found, reads = self.tenants, self.reads
        return {
            "/tenant": tenants.NewTenant(gate, found, self.body),
            "/tenants": tenants.AllTenants(gate, found, reads),
            "/tenants/sync-status": tenants.SyncStatus(gate, reads, self.now, self.sync_interval_s),
            "/tenant/{tenant_id}": tenants.Tenant(gate, found, self.body),
            "/tenant/{tenant_id}/api-key": tenants.TenantKey(gate, found),
        }

    def _accounts(self, gate: Gate) -> dict[str, object]:
        return {
            "/account": accounts.NewAccount(gate, self.tenants, self.body),
            "/accounts": accounts.Accounts(gate, self.tenants),
            "/account/{account_id}": accounts.Account(gate, self.tenants),
        }

    def _mails(self, gate: Gate) -> dict[str, object]:
        mails, reads, body = self.mails, self.reads, self.body
        return {
            "/messages": messages.Messages(gate, self.tenants, reads),
            "/commands/add-messages": messages.AddMessages(gate, mails, body),
            "/commands/delete-messages": messages.DeleteMessages(gate, mails, body),
            "/commands/cleanup-messages": messages.CleanupMessages(gate, mails, reads, body),
            "/commands/run-now": commands.RunNow(gate, self.run_now),
            **{
                f"/commands/{word}": commands.Switch(
                    gate, self.tenants, reads, suspends=word == "suspend"
                )
                for word in ("suspend", "activate")
            },
        }

    def _admin(self, gate: Gate) -> dict[str, object]:
        return {
            "/instance": instance.Instance(gate, self.instance, self.body),
            "/instance/reload-bounce": instance.ReloadBounce(gate, self.instance),
            "/command-log": command_log.CommandLog(gate, self.reads),
            "/command-log/export": command_log.Export(gate, self.reads),
        }


class Shape(Slashless):
    """Middleware: says how failures look; on a port where the surface is `alone`, all of them."""

    def __init__(self, *, alone: bool) -> None:
        self._alone = alone

    def process_request(self, req: Request, resp: falcon.Response) -> None:  # noqa: ARG002
        """Choose the form by the first word of the path."""
        word, _, more = req.path.strip("/").partition("/")
        is_ours = word in WORDS or (not more and word == "messages")
        if self._alone or is_ours:
            req.context.failure = {}
            req.context.phrase = body_of


class Health(Resource):
    """`GET /health`, for anybody."""

    def on_get(self, _req: Request, resp: falcon.Response) -> None:
        """Answer that the process runs; nobody else is asked."""
        resp.data = encode(Healthy())


class ServiceStatus(Resource):
    """`GET /status`."""

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Answer that mail is sent."""
        req.context.failure, req.context.phrase = {}, body_of
        self._gate(req)
        answer(resp, Status())
