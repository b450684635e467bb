"""What there is under `/api/v1/device`: the phones of an account."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from signalbox.actors.phone_accounts import NewPhone
from signalbox.http.context import encode
from signalbox.http.signalhouse import wire
from signalbox.http.signalhouse import wire_answers as answers
from signalbox.http.signalhouse.refusals import phrased

if TYPE_CHECKING:
    import falcon

    from signalbox.http.body import BodyReader
    from signalbox.http.context import Request
    from signalbox.http.phone_ports import Lines
    from signalbox.http.signalhouse.auth import Gate
    from signalbox.http.signalhouse.ports import Accounts, Reads


class RegisterDevice:
    """`POST /api/v1/device/register`."""

    def __init__(self, gate: Gate, accounts: Accounts, body: BodyReader) -> None:
        self._gate = gate
        self._accounts = accounts
        self._body = body

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Pair a phone, which gets a key of its own."""
        caller = self._gate(req)
        body = self._body.fields(req, wire.RegisterDevice)
        phone = NewPhone(
            kind="dev", name=body.name, model=body.model or "", os_version=body.os_version or ""
        )
        with phrased():
            paired = self._accounts.pair(
                caller.account_id, phone, by=caller.by, request_id=req.context.request_id
            )
        resp.status = HTTPStatus.CREATED
        resp.set_header("Cache-Control", "no-store")
        resp.data = encode(answers.new_device(paired))


class Devices:
    """`GET /api/v1/device/list`."""

    def __init__(self, gate: Gate, accounts: Accounts, lines: Lines, reads: Reads) -> None:
        self._gate = gate
        self._accounts = accounts
        self._lines = lines
        self._reads = reads

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Answer with all phones, in the order they were paired."""
        owner = self._gate(req).account_id
        seen = {row.phone_id: row.last_seen_at_s for row in self._reads.phones(owner)}
        online = {line.phone_id: line.seen_at_s for line in self._lines.online(owner)}
        now_s = time.time()
        devices = [
            answers.device(
                phone,
                online.get(phone.phone_id, seen.get(phone.phone_id)),
                online=phone.phone_id in online,
                now_s=now_s,
            )
            for phone in self._accounts.account(owner).phones
        ]
        resp.data = encode(answers.Devices(devices))


class Device:
    """`DELETE /api/v1/device/{id}`, which is ours."""

    def __init__(self, gate: Gate, accounts: Accounts) -> None:
        self._gate = gate
        self._accounts = accounts

    def on_delete(self, req: Request, resp: falcon.Response, device_id: str) -> None:
        """Part a phone from the account; its connection ends, its key is worthless."""
        caller, phone = self._gate.phone(req, device_id)
        with phrased():
            self._accounts.unpair(
                caller.account_id,
                phone.phone_id,
                by=caller.by,
                request_id=req.context.request_id,
            )
        resp.data = encode(answers.Succeeded())
