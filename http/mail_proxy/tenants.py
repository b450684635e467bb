"""Tenants: put and listed by the admin; each may look at itself, and change itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET

from signalbox.domain.errors import UnknownTenant
from signalbox.http.mail_proxy import wire
from signalbox.http.mail_proxy import wire_answers as answers
from signalbox.http.mail_proxy import wire_tenants as shown
from signalbox.http.mail_proxy.query import TenantsQuery
from signalbox.http.mail_proxy.refusals import phrased
from signalbox.http.mail_proxy.requests import body_of, query_of
from signalbox.http.mail_proxy.resource import Resource, answer

if TYPE_CHECKING:
    from collections.abc import Callable

    import falcon

    from signalbox.http.body import BodyReader
    from signalbox.http.context import Request
    from signalbox.http.mail_proxy import ports
    from signalbox.http.mail_proxy.auth import Gate


class NewTenant(Resource):
    """`POST /tenant`."""

    def __init__(self, gate: Gate, tenants: ports.Tenants, body: BodyReader) -> None:
        super().__init__(gate)
        self._tenants = tenants
        self._body = body

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Create a tenant, or configure it all anew; what is not given is forgotten."""
        caller = self._gate.admin(req)
        given = body_of(req, self._body, wire.TenantBody)
        config = given.config(self._tenants.seal)
        with phrased(given):
            key = self._tenants.put(
                given.id, config, by=caller.by, request_id=req.context.request_id
            )
        answer(resp, answers.Key(api_key=key or UNSET))


class AllTenants(Resource):
    """`GET /tenants`."""

    def __init__(self, gate: Gate, tenants: ports.Tenants, reads: ports.MailReads) -> None:
        super().__init__(gate)
        self._tenants = tenants
        self._reads = reads

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Answer with all tenants, or those that are active."""
        self._gate.admin(req)
        asked = query_of(req, TenantsQuery)
        ids = self._reads.tenant_ids(active_only=asked.active_only)
        found = [self._tenants.newest(tenant_id) for tenant_id in ids]
        answer(resp, shown.Tenants(tenants=[shown.tenant(one) for one in found if one.exists]))


class SyncStatus(Resource):
    """`GET /tenants/sync-status`; every `interval_s` a tenant's server is called anyway."""

    def __init__(
        self, gate: Gate, reads: ports.MailReads, now: Callable[[], float], interval_s: int
    ) -> None:
        super().__init__(gate)
        self._reads = reads
        self._now = now
        self._interval_s = interval_s

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Answer with when tenants' servers were told."""
        self._gate.admin(req)
        rows = self._reads.sync_status()
        answer(resp, shown.sync_statuses(rows, self._now(), self._interval_s))


class Tenant(Resource):
    """`/tenant/{tenant_id}`."""

    def __init__(self, gate: Gate, tenants: ports.Tenants, body: BodyReader) -> None:
        super().__init__(gate)
        self._tenants = tenants
        self._body = body

    def on_get(self, req: Request, resp: falcon.Response, tenant_id: str) -> None:
        """Answer with the tenant."""
        self._gate(req).require(tenant_id)
        with phrased():
            found = self._tenants.newest(tenant_id)
            if not found.exists:
                raise UnknownTenant(tenant_id)
        answer(resp, shown.tenant(found))

    def on_put(self, req: Request, resp: falcon.Response, tenant_id: str) -> None:
        """Configure some of it anew; fine if that is nothing."""
        caller = self._gate(req)
        given = body_of(req, self._body, wire.TenantChange)
        caller.require(tenant_id)
        changes = given.changes(self._tenants.seal)
        with phrased(given):
            self._tenants.update(
                tenant_id, changes, by=caller.by, request_id=req.context.request_id
            )
        answer(resp, answers.Done())

    def on_delete(self, req: Request, resp: falcon.Response, tenant_id: str) -> None:
        """Delete it with its accounts and mails."""
        caller = self._gate.admin(req)
        with phrased():
            self._tenants.delete(tenant_id, by=caller.by, request_id=req.context.request_id)
        answer(resp, answers.Done())


class TenantKey(Resource):
    """`/tenant/{tenant_id}/api-key`; a body is not looked at."""

    def __init__(self, gate: Gate, tenants: ports.Tenants) -> None:
        super().__init__(gate)
        self._tenants = tenants

    def on_post(self, req: Request, resp: falcon.Response, tenant_id: str) -> None:
        """Answer with another key; the one before is worthless at once."""
        caller = self._gate.admin(req)
        with phrased():
            key = self._tenants.issue_key(
                tenant_id, by=caller.by, request_id=req.context.request_id
            )
        answer(resp, answers.NewKey(api_key=key))

    def on_delete(self, req: Request, resp: falcon.Response, tenant_id: str) -> None:
        """Make its key worthless; fine if it has none."""
        caller = self._gate.admin(req)
        with phrased():
            self._tenants.revoke_key(tenant_id, by=caller.by, request_id=req.context.request_id)
        answer(resp, answers.Done())
