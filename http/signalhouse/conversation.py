"""What a device that is connected says, one frame after the other."""

from __future__ import annotations

import hmac
import time
from typing import TYPE_CHECKING

from signalbox.eventstore.errors import Unavailable
from signalbox.http.context import STORE_AWAY
from signalbox.http.errors import Failure
from signalbox.http.signalhouse import frames
from signalbox.http.signalhouse.ids import message_key
from signalbox.http.signalhouse.refusals import phrased
from signalbox.http.websocket import Close

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signalbox.http.doorstep import BadFrames
    from signalbox.http.phone_ports import LiveLine, Messages
    from signalbox.http.websocket import Channel


class Conversation:
    """The frames of one connection of the phone `phone_id` of `owner`.

    `credential` is what it introduced itself with.
    """

    def __init__(
        self,
        channel: Channel,
        messages: Messages,
        bad_frames: BadFrames,
        *,
        owner: str,
        phone_id: str,
        credential: str,
    ) -> None:
        self._channel = channel
        self._messages = messages
        self._bad_frames = bad_frames
        self._owner = owner
        self._phone_id = phone_id
        self._credential = credential

    def run(self, live: LiveLine) -> None:
        """Take frames until the socket is closed."""
        while (text := self._channel.receive()) is not None:
            try:
                self._take(frames.read(text), live)
            except Failure as failure:
                self._complain(failure.error)
                if self._bad_frames.one_more():
                    self._channel.close(Close.BAD_FRAMES, "too many bad frames")
            except Unavailable:
                # Nothing acknowledges a status, so the phone would not tell it again; once it has
                # connected again it gets the text under the same id, and says what became of it.
                self._channel.close(Close.OVERLOAD, STORE_AWAY)

    def _take(self, frame: frames.Frame, live: LiveLine) -> None:
        """Do what a frame says. Raises: `Failure` when it says nothing that makes sense."""
        match frame:
            case frames.Ping():
                self._channel.send(frames.PONG)
            case frames.Auth(api_key=api_key):
                if not hmac.compare_digest(api_key.encode(), self._credential.encode()):
                    self._channel.close(Close.BAD_CREDENTIAL, "authenticated as another one")
            case frames.SmsStatus():
                self._report(frame)
            case frames.Sims(sims=sims):
                self._report_sims(sims, live)

    def _report(self, frame: frames.SmsStatus) -> None:
        report = frame.report(self._phone_id, time.time())
        try:
            with phrased():
                key = message_key(frame.sms_id)
                self._messages.report(self._owner, key, report, by=self._phone_id)
        except Failure as failure:
            self._complain(failure.error)

    def _report_sims(self, sims: Sequence[frames.Sim], live: LiveLine) -> None:
        live.report_sims([sim.card for sim in sims])
        self._channel.send(frames.sims_ack(len(sims)))

    def _complain(self, error: str) -> None:
        self._channel.send(frames.error(error))
