"""What there is under `/api/v1/sms/gateway`: the calls that the app on a phone makes."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from signalbox.actors.phone_accounts import NewPhone
from signalbox.domain.errors import UnknownPhone
from signalbox.http.context import encode
from signalbox.http.errors import Failure
from signalbox.http.signalhouse import wire
from signalbox.http.signalhouse import wire_answers as answers
from signalbox.http.signalhouse import wire_messages as messages
from signalbox.http.signalhouse.auth import INVALID, bearer
from signalbox.http.signalhouse.ids import message_key, phone_in
from signalbox.http.signalhouse.refusals import phrased

if TYPE_CHECKING:
    import falcon

    from signalbox.actors.phone_callers import Caller
    from signalbox.http.body import BodyReader
    from signalbox.http.context import Request
    from signalbox.http.signalhouse.auth import Gate
    from signalbox.http.signalhouse.ports import Accounts, Messages


class RegisterGateway:
    """`POST /api/v1/sms/gateway/devices`."""

    def __init__(self, gate: Gate, accounts: Accounts, body: BodyReader) -> None:
        self._gate = gate
        self._accounts = accounts
        self._body = body

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Pair a phone that scanned the account's key; always a new one."""
        req.context.failure = {}
        body = self._body.fields(req, wire.RegisterGateway)
        caller = self._caller(req, body.api_key or "")
        phone = NewPhone(kind="gw", name=body.device_name)
        with phrased():
            paired = self._accounts.pair(
                caller.account_id, phone, by=caller.by, request_id=req.context.request_id
            )
        resp.status = HTTPStatus.CREATED
        resp.data = encode(answers.new_gateway(paired))

    def _caller(self, req: Request, api_key: str) -> Caller:
        """Return whose key is in the body or the header; in both they must be of one account."""
        callers = [self._gate.of(req, key) for key in (api_key, bearer(req)) if key]
        if not callers:
            raise Failure(HTTPStatus.UNAUTHORIZED, "API key required")
        if len({caller.account_id for caller in callers}) > 1:
            raise Failure(HTTPStatus.UNAUTHORIZED, INVALID)
        return callers[0]


class _OfPhone:
    """What every path has that names a phone."""

    def __init__(
        self, gate: Gate, accounts: Accounts, messages: Messages, body: BodyReader
    ) -> None:
        self._gate = gate
        self._accounts = accounts
        self._messages = messages
        self._body = body


class ReceiveSms(_OfPhone):
    """`POST /api/v1/sms/gateway/devices/{device_id}/receive-sms`."""

    def on_post(self, req: Request, resp: falcon.Response, device_id: str) -> None:
        """Take a text that the phone got; one that came before is the same message."""
        caller, phone = self._gate.phone(req, device_id)
        body = self._body.fields(req, wire.ReceiveSms, mend=True)
        self._require_same(caller, phone.phone_id, body.device_id)
        inbound = body.inbound(phone.phone_id)
        with phrased():
            (received,) = self._messages.receive(
                caller.account_id, [inbound], by=phone.phone_id, request_id=req.context.request_id
            )
        resp.data = encode(messages.received(received.key))

    def _require_same(self, caller: Caller, phone_id: str, given: str | None) -> None:
        """Raise `Failure` 400 where the body names another phone than the path."""
        if given is None:
            return
        try:
            named = phone_in(self._accounts.account(caller.account_id), given).phone_id
        except UnknownPhone:
            named = ""
        if named != phone_id:
            raise Failure(HTTPStatus.BAD_REQUEST, "device_id: not the device of the path")


class SmsStatus(_OfPhone):
    """`PATCH /api/v1/sms/gateway/devices/{device_id}/sms-status`."""

    def on_patch(self, req: Request, resp: falcon.Response, device_id: str) -> None:
        """Take what became of a text; what comes too late or twice changes nothing."""
        caller, phone = self._gate.phone(req, device_id)
        body = self._body.fields(req, wire.SmsStatus, mend=True)
        report = body.report(phone.phone_id, time.time())
        with phrased():
            self._messages.report(
                caller.account_id,
                message_key(body.sms_id),
                report,
                by=phone.phone_id,
                request_id=req.context.request_id,
            )
        resp.data = encode(answers.Succeeded())
