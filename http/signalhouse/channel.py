"""A device's WebSocket: who may open it, and what is said through it.

    GET …/ws/device/{id}?api_key=…    refused before the 101, as any request
    GET …/ws/device/{id}              101, and the first frame must be `auth`

Then the phone counts as connected: there is no greeting, what waits for it comes at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from signalbox.actors.phone_line import LineEnd
from signalbox.http.phone_channel import ChannelLine, closed_by_failures, converse
from signalbox.http.signalhouse import frames
from signalbox.http.signalhouse.auth import authenticated, bearer, phone_of
from signalbox.http.signalhouse.conversation import Conversation
from signalbox.http.signalhouse.refusals import phrased
from signalbox.http.websocket import Close, accept

if TYPE_CHECKING:
    import falcon

    from signalbox.actors.phone_callers import Caller, Revoked
    from signalbox.actors.phone_line import PushedSms
    from signalbox.domain.phone_account import PairedPhone
    from signalbox.http.context import Request
    from signalbox.http.doorstep import Doorstep
    from signalbox.http.peer import Peers
    from signalbox.http.phone_ports import Lines, Messages
    from signalbox.http.signalhouse.ports import Accounts
    from signalbox.http.websocket import Channel


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Who wants to open which socket; `credential` is empty until the first frame tells."""

    device_id: str
    credential: str
    peer: str
    request_id: str


class DeviceLine(ChannelLine):
    """A device's socket, and whose it is."""

    def __init__(self, channel: Channel, caller: Caller, phone_id: str) -> None:
        super().__init__(channel)
        self._caller = caller
        self._phone_id = phone_id

    def push(self, sms: PushedSms) -> None:
        """Send the phone a text that it is to send."""
        self._channel.send(frames.send_sms(sms))

    def hear(self, revoked: Revoked) -> None:
        """End if it was this line's right that ended."""
        if revoked.account_id != self._caller.account_id:
            return
        match revoked.what:
            case "phone" if revoked.phone_id == self._phone_id:
                self.end(LineEnd.UNKNOWN_PHONE)
            case "key" if revoked.key_id == self._caller.key_id:
                self.end(LineEnd.REVOKED)
            case "tokens" if not self._caller.key_id:
                self.end(LineEnd.REVOKED)


class DeviceSocket:
    """`/ws/device/{device_id}`."""

    def __init__(
        self,
        accounts: Accounts,
        messages: Messages,
        lines: Lines,
        peers: Peers,
        doorstep: Doorstep,
    ) -> None:
        self._accounts = accounts
        self._messages = messages
        self._lines = lines
        self._peers = peers
        self._doorstep = doorstep
        self._live: set[DeviceLine] = set()
        accounts.on_revoked(self._hear)

    def on_get(self, req: Request, resp: falcon.Response, device_id: str) -> None:
        """Let a device in that says who it is, and one that still has to."""
        req.context.failure = {}
        visit = Visit(
            device_id=device_id,
            credential=req.get_param("api_key", default="") or bearer(req),
            peer=self._peers.of(req),
            request_id=req.context.request_id,
        )
        if visit.credential:
            self._admit(visit, visit.credential)
        accept(req, resp, partial(self._run, visit))

    def _run(self, visit: Visit, channel: Channel) -> None:
        with closed_by_failures(channel):
            credential = visit.credential or self._introduced(visit, channel)
            if credential:
                self._connect(visit, credential, channel)

    def _introduced(self, visit: Visit, channel: Channel) -> str:
        """Return the credential of the first frame; "" when the socket was closed instead."""
        text = self._doorstep.first_frame(channel, visit.peer)
        credential = "" if text is None else frames.key_in(text)
        if not credential:
            channel.close(Close.BAD_CREDENTIAL, "the first frame must be auth")
        return credential

    def _connect(self, visit: Visit, credential: str, channel: Channel) -> None:
        """Have the phone connected until its socket is closed. Raises: `Failure`."""
        caller, phone = self._admit(visit, credential)
        line = DeviceLine(channel, caller, phone.phone_id)
        conversation = Conversation(
            channel,
            self._messages,
            self._doorstep.bad_frames(),
            owner=caller.account_id,
            phone_id=phone.phone_id,
            credential=credential,
        )
        self._live.add(line)
        try:
            self._admit(visit, credential)  # It may have been revoked before we listened.
            with phrased():
                live = self._lines.connect(
                    caller.account_id,
                    phone.phone_id,
                    line,
                    by=caller.by,
                    request_id=visit.request_id,
                )
            converse(live, line, conversation.run)
        finally:
            self._live.discard(line)

    def _admit(self, visit: Visit, credential: str) -> tuple[Caller, PairedPhone]:
        """Return who it is, and which phone. Raises: `Failure` 401, 403, 404, 429."""
        caller = authenticated(self._accounts, credential, visit.peer)
        return caller, phone_of(self._accounts, caller, visit.device_id)

    def _hear(self, revoked: Revoked) -> None:
        for line in list(self._live):
            line.hear(revoked)
