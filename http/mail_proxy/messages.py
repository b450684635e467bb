"""Mails: queued, looked at, and forgotten, each by the tenant whose they are, or by the admin."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING, Final

from signalbox.actors.mails import NewMail
from signalbox.http.context import encode
from signalbox.http.errors import Failure
from signalbox.http.mail_proxy import wire_mails as answers
from signalbox.http.mail_proxy import wire_messages as wire
from signalbox.http.mail_proxy.accounts import of_tenant
from signalbox.http.mail_proxy.query import MessagesQuery, OfTenant
from signalbox.http.mail_proxy.refusals import phrased
from signalbox.http.mail_proxy.requests import body_of, both_of, query_of
from signalbox.http.mail_proxy.resource import Resource, answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import falcon

    from signalbox.domain.mail_content import MailContent
    from signalbox.http.body import BodyReader
    from signalbox.http.context import Request
    from signalbox.http.mail_proxy import ports
    from signalbox.http.mail_proxy.auth import Caller, Gate
    from signalbox.projections.mail_views import MailView

RETENTION_S: Final = 7 * 86_400
FEW: Final = 10
MANY: Final = 500
ENOUGH_OCTETS: Final = 1_048_576
ALREADY_SENT: Final = "already sent"
TOO_MANY: Final = f"Cannot enqueue more than {wire.BATCH_MAX} messages at once"


class AddMessages(Resource):
    """`POST /commands/add-messages`."""

    def __init__(self, gate: Gate, mails: ports.Mails, body: BodyReader) -> None:
        super().__init__(gate)
        self._mails = mails
        self._body = body

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Queue mails: none if the form of one is wrong, else those that can be mails."""
        caller = self._gate(req)
        given = body_of(req, self._body, wire.AddMessages, _counted)
        for message in given.messages:
            caller.require(message.tenant_id)
        reasons = self._add(given, caller, req.context.request_id)
        ids = [message.id for message in given.messages]
        rejected = [
            answers.RejectedMail(client_id, reason)
            for client_id, reason in zip(ids, reasons, strict=True)
            if reason
        ]
        if len(rejected) == len(ids) and any(one.reason != ALREADY_SENT for one in rejected):
            raise _none_added(None, rejected)
        queued = len(ids) - len(rejected)
        answer(resp, answers.AddedMails(queued=queued, rejected=rejected))

    def _add(self, given: wire.AddMessages, caller: Caller, request_id: str) -> list[str]:
        """Queue what can be; return in order why what isn't is not, and "" for the others."""
        reasons = [_unassigned(message) for message in given.messages]
        by_tenant: dict[str, list[int]] = {}
        for place, message in enumerate(given.messages):
            if not reasons[place]:
                by_tenant.setdefault(message.tenant_id, []).append(place)
        for tenant_id, places in by_tenant.items():
            mails = [_mail(given.messages[at], given.default_priority) for at in places]
            with phrased():
                added = self._mails.add(tenant_id, mails, by=caller.by, request_id=request_id)
            for place, one in zip(places, added, strict=True):
                reasons[place] = one.reason
        return reasons


class Messages(Resource):
    """`GET /messages`."""

    def __init__(self, gate: Gate, tenants: ports.Tenants, reads: ports.MailReads) -> None:
        super().__init__(gate)
        self._tenants = tenants
        self._reads = reads

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Answer with a tenant's mails; none of one that isn't there."""
        caller = self._gate(req)
        asked = query_of(req, MessagesQuery)
        tenant_id = of_tenant(caller, asked)
        rows = self._reads.messages(
            tenant_id,
            active_only=asked.active_only,
            include_history=asked.include_history,
            limit=asked.limit,
            offset=asked.offset,
            with_contents=False,
        )
        name = self._tenants.newest(tenant_id).name
        written = written_mails(
            rows,
            self._reads.contents,
            lambda row: encode(answers.mail(row, name, with_history=asked.include_history)),
        )
        resp.set_header("Cache-Control", "no-store")
        # What is read at once can still be refused; what fails later ends the answer early.
        resp.stream = chain([next(written)], written)


class DeleteMessages(Resource):
    """`POST /commands/delete-messages`."""

    def __init__(self, gate: Gate, mails: ports.Mails, body: BodyReader) -> None:
        super().__init__(gate)
        self._mails = mails
        self._body = body

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Forget mails by their ids."""
        caller = self._gate(req)
        asked, given = both_of(req, self._body, OfTenant, wire.DeleteMessages)
        tenant_id = of_tenant(caller, asked)
        with phrased():
            removed = self._mails.delete(
                tenant_id, given.ids, by=caller.by, request_id=req.context.request_id
            )
        shown = answers.Deleted(removed=removed.count, unauthorized=[*removed.unknown])
        answer(resp, shown)


class CleanupMessages(Resource):
    """`POST /commands/cleanup-messages`."""

    def __init__(
        self, gate: Gate, mails: ports.Mails, reads: ports.MailReads, body: BodyReader
    ) -> None:
        super().__init__(gate)
        self._mails = mails
        self._reads = reads
        self._body = body

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Forget mails that were reported long ago."""
        caller = self._gate(req)
        asked, given = both_of(req, self._body, OfTenant, wire.CleanupMessages)
        tenant_id = of_tenant(caller, asked)
        age_s = given.older_than_seconds
        older_than_s = RETENTION_S if age_s is None else max(0, age_s)
        removed = self._clean_up(tenant_id, older_than_s, caller, req.context.request_id)
        answer(resp, answers.CleanedUp(removed=removed))

    def _clean_up(self, tenant_id: str, older_than_s: int, caller: Caller, request_id: str) -> int:
        removed = 0
        while due := self._reads.due_cleanup(tenant_id, older_than_s):
            with phrased():
                gone = self._mails.cleanup(tenant_id, due, by=caller.by, request_id=request_id)
            if not gone:
                break  # Somebody else was faster, or the read model has not caught up yet.
            removed += gone
        return removed


def written_mails(
    rows: Sequence[MailView],
    contents: Callable[[Sequence[str]], Mapping[str, MailContent]],
    write: Callable[[MailView], bytes],
) -> Iterator[bytes]:
    """Write an object with mails, a few at a time: whatever they hold, memory holds a little.

    How many are a few depends on how much the last ones were.
    """
    size, place, before = FEW, 0, b'{"ok":true,"messages":['
    while place < len(rows):
        few = rows[place : place + size]
        found = contents([row.pk for row in few])
        whole = [replace(row, content=found.get(row.pk, row.content)) for row in few]
        octets = b",".join(map(write, whole))
        yield before + octets
        place, before = place + len(few), b","
        size = min(2 * size, MANY) if len(octets) < ENOUGH_OCTETS else max(1, size // 2)
    yield b"]}" if place else before + b"]}"


def _counted(value: object) -> object:
    """Return what is read of a call, before any of its mails is. Raises: `Failure` 400."""
    spelled = wire.with_sender(value)
    messages = spelled.get("messages") if isinstance(spelled, dict) else None
    if isinstance(messages, list) and len(messages) > wire.BATCH_MAX:
        raise _none_added(TOO_MANY, [])
    return spelled


def _unassigned(message: wire.MessageBody) -> str:
    """Return why a mail can't even be kept as one that failed; "" if it can."""
    return "" if message.tenant_id else "missing tenant_id"


def _mail(message: wire.MessageBody, default: wire.Priority | None) -> NewMail:
    return NewMail(
        client_id=message.id,
        account_id=message.account_id,
        content=message.content(),
        priority=wire.level(message.priority, default),
        deferred_until_s=float(message.deferred_ts or 0),
        batch_code=message.batch_code or "",
        refused=message.refused,
    )


def _none_added(error: str | None, rejected: Sequence[answers.RejectedMail]) -> Failure:
    refusal = answers.Refusal(error, [*rejected])
    return Failure(HTTPStatus.BAD_REQUEST, error or "", {"detail": refusal})
