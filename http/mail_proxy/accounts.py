"""Mail accounts: set, listed and removed by their tenant or the admin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signalbox.http.mail_proxy import wire
from signalbox.http.mail_proxy import wire_answers as answers
from signalbox.http.mail_proxy import wire_tenants as shown
from signalbox.http.mail_proxy.query import OfTenant
from signalbox.http.mail_proxy.refusals import bad, phrased
from signalbox.http.mail_proxy.requests import body_of, query_of
from signalbox.http.mail_proxy.resource import Resource, answer

if TYPE_CHECKING:
    import falcon

    from signalbox.http.body import BodyReader
    from signalbox.http.context import Request
    from signalbox.http.mail_proxy import ports
    from signalbox.http.mail_proxy.auth import Caller, Gate


class NewAccount(Resource):
    """`POST /account`."""

    def __init__(self, gate: Gate, tenants: ports.Tenants, body: BodyReader) -> None:
        super().__init__(gate)
        self._tenants = tenants
        self._body = body

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Set an account; its tenant may come later."""
        caller = self._gate(req)
        given = body_of(req, self._body, wire.AccountBody)
        caller.require(given.tenant_id)
        account = given.account(self._tenants.seal)
        with phrased(given):
            self._tenants.put_account(
                given.tenant_id, account, by=caller.by, request_id=req.context.request_id
            )
        answer(resp, answers.Done())


class Accounts(Resource):
    """`GET /accounts`."""

    def __init__(self, gate: Gate, tenants: ports.Tenants) -> None:
        super().__init__(gate)
        self._tenants = tenants

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Answer with a tenant's accounts; none of one that isn't there."""
        caller = self._gate(req)
        tenant_id = of_tenant(caller, query_of(req, OfTenant))
        answer(resp, shown.accounts(self._tenants.newest(tenant_id)))


class Account(Resource):
    """`DELETE /account/{account_id}`."""

    def __init__(self, gate: Gate, tenants: ports.Tenants) -> None:
        super().__init__(gate)
        self._tenants = tenants

    def on_delete(self, req: Request, resp: falcon.Response, account_id: str) -> None:
        """Remove an account of a tenant's; the others' of that name stay."""
        caller = self._gate(req)
        tenant_id = of_tenant(caller, query_of(req, OfTenant))
        with phrased():
            self._tenants.remove_account(
                tenant_id, account_id, by=caller.by, request_id=req.context.request_id
            )
        answer(resp, answers.Done())


def of_tenant(caller: Caller, asked: OfTenant) -> str:
    """Return whose it is to be. Raises: `Failure` 400 when nobody's, `Denied` when another's."""
    if not asked.tenant_id:
        raise bad("tenant_id is required")
    caller.require(asked.tenant_id)
    return asked.tenant_id
