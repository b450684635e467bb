"""What tenants want done now: hold mails, let them go on, send what is due."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signalbox.domain.errors import CannotActivateBatch, UnknownTenant
from signalbox.http.mail_proxy import wire_answers as answers
from signalbox.http.mail_proxy.accounts import of_tenant
from signalbox.http.mail_proxy.query import Batch
from signalbox.http.mail_proxy.refusals import bad, phrased
from signalbox.http.mail_proxy.requests import query_of
from signalbox.http.mail_proxy.resource import Resource, answer

if TYPE_CHECKING:
    import falcon

    from signalbox.http.context import Request
    from signalbox.http.mail_proxy import ports
    from signalbox.http.mail_proxy.auth import Gate


class Switch(Resource):
    """`POST /commands/suspend` and `/commands/activate`; a body is not looked at."""

    def __init__(
        self, gate: Gate, tenants: ports.Tenants, reads: ports.MailReads, *, suspends: bool
    ) -> None:
        super().__init__(gate)
        self._switch = tenants.suspend if suspends else tenants.activate
        self._reads = reads
        self._suspends = suspends
        self._nobody = (
            "tenant not found"
            if suspends
            else "tenant not found or cannot activate single batch from full suspension"
        )

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Hold a batch or everything, or let it go on; fine if it was so."""
        caller = self._gate(req)
        asked = query_of(req, Batch)
        tenant_id = of_tenant(caller, asked)
        # What goes on waits no more a moment later.
        waited = 0 if self._suspends else self._pending(tenant_id, asked)
        suspended = self._switched(
            tenant_id, asked.batch_code or "", by=caller.by, request_id=req.context.request_id
        )
        shown = answers.Suspended(
            tenant_id=tenant_id,
            batch_code=answers.given(asked.batch_code),
            suspended_batches=sorted(suspended),
            pending_messages=self._pending(tenant_id, asked) if self._suspends else waited,
        )
        answer(resp, shown)

    def _pending(self, tenant_id: str, asked: Batch) -> int:
        return self._reads.pending(tenant_id, asked.batch_code or None)

    def _switched(
        self, tenant_id: str, batch_code: str, *, by: str, request_id: str
    ) -> frozenset[str]:
        with phrased():
            try:
                return self._switch(tenant_id, batch_code, by=by, request_id=request_id)
            except (UnknownTenant, CannotActivateBatch) as refused:
                raise bad(self._nobody) from refused


class RunNow(Resource):
    """`POST /commands/run-now`; neither query nor body are looked at."""

    def __init__(self, gate: Gate, run_now: ports.RunNow) -> None:
        super().__init__(gate)
        self._run_now = run_now

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Have the caller's mails sent and reported at once, of the admin's all."""
        self._run_now(self._gate(req).tenant_id)
        answer(resp, answers.Done())
