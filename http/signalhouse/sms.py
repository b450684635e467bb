"""What there is under `/api/v1/sms` for an account: sending, and what was sent and received."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signalbox.domain.errors import NoPhonePaired, UnknownPhoneMessage
from signalbox.http.context import encode
from signalbox.http.signalhouse import wire
from signalbox.http.signalhouse import wire_messages as answers
from signalbox.http.signalhouse.ids import message_key
from signalbox.http.signalhouse.refusals import phrased
from signalbox.projections.phone_views import MessageQuery

if TYPE_CHECKING:
    from collections.abc import Callable

    import falcon

    from signalbox.domain.phone_message import PhoneMessage
    from signalbox.http.body import BodyReader
    from signalbox.http.context import Request
    from signalbox.http.signalhouse.auth import Gate
    from signalbox.http.signalhouse.ports import Messages, Reads


class Send:
    """`POST /api/v1/sms/send`.

    `limiter` is told the account of every request; `may_send` tells whether one has what it takes.
    """

    def __init__(
        self,
        gate: Gate,
        limiter: Callable[[str], None],
        messages: Messages,
        may_send: Callable[[str], bool],
        body: BodyReader,
    ) -> None:
        self._gate = gate
        self._limiter = limiter
        self._messages = messages
        self._may_send = may_send
        self._body = body

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Take a message on; it waits for a phone, and be it for days."""
        caller = self._gate(req)
        self._limiter(caller.account_id)
        outbound = self._body.fields(req, wire.Send).outbound()
        idempotency_key = wire.idempotency_key(req)
        with phrased():
            if not self._may_send(caller.account_id):
                raise NoPhonePaired
            (key,) = self._messages.queue(
                caller.account_id,
                [outbound],
                by=caller.by,
                request_id=req.context.request_id,
                idempotency_key=idempotency_key,
            )
        resp.data = encode(answers.sent(key, outbound.to))


class AllMessages:
    """`GET /api/v1/sms/messages`."""

    def __init__(self, gate: Gate, reads: Reads) -> None:
        self._gate = gate
        self._reads = reads

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Answer with a page, the newest first."""
        owner, page = self._gate(req).account_id, wire.page(req)
        query = MessageQuery(
            limit=page.limit,
            offset=page.offset,
            direction=page.direction,
            since_s=page.since_s,
            archived=page.archived,
        )
        rows, has_more = self._reads.messages(owner, query)
        numbers = numbers_of(self._reads, owner)
        resp.data = encode(answers.messages(rows, numbers, has_more=has_more))


class _OneMessage:
    """What every path has that names a message."""

    def __init__(self, gate: Gate, messages: Messages) -> None:
        self._gate = gate
        self._messages = messages

    def _found(self, req: Request, given: str) -> tuple[str, str, PhoneMessage]:
        """Return the owner, the key and the message. Raises: `Failure` 401, 403, 404, 429."""
        owner = self._gate(req).account_id
        with phrased():
            key = message_key(given)
            found = self._messages.find(owner, key)
            if found is None:
                raise UnknownPhoneMessage
        return owner, key, found


class OneMessage(_OneMessage):
    """`GET /api/v1/sms/messages/{id}`."""

    def __init__(self, gate: Gate, messages: Messages, reads: Reads) -> None:
        super().__init__(gate, messages)
        self._reads = reads

    def on_get(self, req: Request, resp: falcon.Response, message_id: str) -> None:
        """Answer with a message of either direction, archived or not."""
        owner, key, found = self._found(req, message_id)
        resp.data = encode(answers.message(key, found, numbers_of(self._reads, owner)))


class SendStatus(_OneMessage):
    """`GET /api/v1/sms/send/status/{id}`."""

    def on_get(self, req: Request, resp: falcon.Response, message_id: str) -> None:
        """Answer with what became of a message that was sent; one that came in is unknown."""
        _, key, found = self._found(req, message_id)
        if found.direction == "inbound":
            with phrased():
                raise UnknownPhoneMessage
        resp.data = encode(answers.send_status(key, found))


class Archive(_OneMessage):
    """`POST /api/v1/sms/archive/{id}`; a body is not looked at."""

    def on_post(self, req: Request, resp: falcon.Response, message_id: str) -> None:
        """Put a message aside; fine if it was."""
        caller = self._gate(req)
        with phrased():
            key = message_key(message_id)
            self._messages.archive(
                caller.account_id, key, by=caller.by, request_id=req.context.request_id
            )
        resp.data = encode(answers.archived(key))


class Stats:
    """`GET /api/v1/sms/stats`."""

    def __init__(self, gate: Gate, reads: Reads) -> None:
        self._gate = gate
        self._reads = reads

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Answer with how many messages went and came."""
        resp.data = encode(answers.stats(self._reads.stats(self._gate(req).account_id)))


def numbers_of(reads: Reads, owner: str) -> dict[str, str]:
    """Return the numbers of those of an owner's phones that told one."""
    return {row.phone_id: row.number for row in reads.phones(owner) if row.number}
