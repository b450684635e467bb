"""A phone's WebSocket: who may open it.

    GET /websocket?org_id=…&secret_key=…    refused before the 101, as any request
    GET /websocket                          101, and the first frame must be `auth`

The first connection claims the organisation, as the first `POST /webhook` does. Then the phone
counts as connected, is told so, and gets what waits for it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from signalbox.domain import org
from signalbox.eventstore.errors import Unavailable
from signalbox.http.context import encode
from signalbox.http.errors import Failure
from signalbox.http.phone_channel import ChannelLine, closed_by_failures, converse
from signalbox.http.trucopilot import frames
from signalbox.http.trucopilot.auth import Visitor, has_credentials, visitor_of
from signalbox.http.trucopilot.conversation import Conversation
from signalbox.http.trucopilot.problems import wrong
from signalbox.http.trucopilot.query import DEVICE_ID
from signalbox.http.trucopilot.refusals import phrased
from signalbox.http.websocket import Close, accept

if TYPE_CHECKING:
    import falcon

    from signalbox.actors.phone_line import PushedSms
    from signalbox.http.context import Request
    from signalbox.http.doorstep import Doorstep
    from signalbox.http.peer import Peers
    from signalbox.http.phone_ports import Lines, Messages
    from signalbox.http.trucopilot.auth import Gate
    from signalbox.http.websocket import Channel

HANDSHAKE: Final = ("Upgrade", "Connection", "Sec-WebSocket-Accept")


class PhoneLine(ChannelLine):
    """A phone's socket."""

    def push(self, sms: PushedSms) -> None:
        """Send the phone a text that it is to send."""
        self._channel.send(frames.send_sms(sms))


class PhoneSocket:
    """`/websocket`."""

    def __init__(
        self, gate: Gate, messages: Messages, lines: Lines, peers: Peers, doorstep: Doorstep
    ) -> None:
        self._gate = gate
        self._messages = messages
        self._lines = lines
        self._peers = peers
        self._doorstep = doorstep

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Let a phone in that says who it is, and one that still has to."""
        device_id = _device_id(req.get_param("device_id"))
        if has_credentials(req):
            self._admit(req, resp, device_id)
        else:
            peer, request_id = self._peers.of(req), req.context.request_id
            accept(req, resp, partial(self._meet, peer, request_id, device_id))

    def _admit(self, req: Request, resp: falcon.Response, device_id: str) -> None:
        visitor = self._gate.visitor(req)
        is_claimed = self._gate.known(visitor) is not None
        accept(req, resp, partial(self._serve, visitor, device_id))
        if is_claimed:
            return
        try:
            self._gate.claimed(visitor)
        except (Failure, Unavailable):
            for name in HANDSHAKE:
                resp.delete_header(name)
            raise

    def _meet(self, peer: str, request_id: str, device_id: str, channel: Channel) -> None:
        """Have somebody say who it is, and let it in."""
        with closed_by_failures(channel):
            auth = self._introduced(peer, channel)
            if auth is None:
                return
            visitor = visitor_of(auth.org_id, auth.secret_key, peer, request_id)
            device_id = _device_id(auth.device_id) or device_id
            if self._gate.known(visitor) is None:
                self._gate.claimed(visitor)
            self._serve(visitor, device_id, channel)

    def _introduced(self, peer: str, channel: Channel) -> frames.Auth | None:
        """Return the first frame; None when the socket was closed instead."""
        text = self._doorstep.first_frame(channel, peer)
        with suppress(Failure):
            frame = None if text is None else frames.read(text)
            if isinstance(frame, frames.Auth):
                return frame
        channel.close(Close.BAD_CREDENTIAL, "the first frame must be auth")
        return None

    def _serve(self, visitor: Visitor, device_id: str, channel: Channel) -> None:
        """Have the phone connected until its socket is closed."""
        owner, line = org.owner_of(visitor.org_id), PhoneLine(channel)
        phone_id = f"{owner}.{device_id}" if device_id else f"{owner}~{os.urandom(8).hex()}"
        bad_frames = self._doorstep.bad_frames()
        conversation = Conversation(channel, self._messages, visitor, phone_id, bad_frames.one_more)
        with closed_by_failures(channel):
            with phrased():
                live = self._lines.connect(
                    owner,
                    phone_id,
                    line,
                    anonymous=not device_id,
                    by=phone_id,
                    request_id=visitor.request_id,
                )
            channel.send(encode(frames.Connected(visitor.org_id)))
            converse(live, line, conversation.run)


def _device_id(given: str | None) -> str:
    """Return the name of a phone, "" for one without. Raises: `Failure` 422."""
    if given and DEVICE_ID.fullmatch(given) is None:
        raise wrong("device_id: expected 1 to 64 letters, digits, hyphens and underscores")
    return given or ""
