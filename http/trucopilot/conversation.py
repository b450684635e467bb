"""What a phone that is connected says, one frame after the other."""

from __future__ import annotations

import hmac
from http import HTTPStatus
from typing import TYPE_CHECKING

from signalbox.domain import org
from signalbox.eventstore.errors import Unavailable
from signalbox.http.context import STORE_AWAY, encode
from signalbox.http.errors import Failure
from signalbox.http.trucopilot import frames
from signalbox.http.trucopilot.refusals import phrased
from signalbox.http.websocket import Close

if TYPE_CHECKING:
    from collections.abc import Callable

    from signalbox.http.phone_ports import LiveLine, Messages
    from signalbox.http.trucopilot.auth import Visitor
    from signalbox.http.websocket import Channel


class Conversation:
    """The frames of one connection of a phone of the visitor's organisation.

    `one_more_bad` counts a frame that makes no sense, and tells whether these are too many.
    """

    def __init__(
        self,
        channel: Channel,
        messages: Messages,
        visitor: Visitor,
        phone_id: str,
        one_more_bad: Callable[[], bool],
    ) -> None:
        self._channel = channel
        self._messages = messages
        self._visitor = visitor
        self._owner = org.owner_of(visitor.org_id)
        self._phone_id = phone_id
        self._one_more_bad = one_more_bad
        self._numbers: dict[int, str] = {}

    def run(self, live: LiveLine) -> None:
        """Take frames until the socket is closed."""
        while (text := self._channel.receive()) is not None:
            try:
                self._take(frames.read(text), live)
            except Failure as failure:
                self._channel.send(encode(frames.Error(failure.error)))
                if failure.status != HTTPStatus.NOT_FOUND:
                    self._count_bad()
            except Unavailable:
                # Acknowledgements name no message. Were the next one acknowledged, the phone might
                # take that for this one; so it has to connect again, and say what it has left.
                self._channel.close(Close.OVERLOAD, STORE_AWAY)

    def _take(self, frame: frames.Frame, live: LiveLine) -> None:
        """Do what a frame says. Raises: `Failure` when it says nothing that makes sense."""
        match frame:
            case frames.Ping():
                self._channel.send(frames.PONG)
            case frames.Auth():
                self._compare(frame)
            case frames.Sims():
                cards = frame.cards
                live.report_sims(cards)
                self._numbers = {card.slot: card.number for card in cards}
                self._channel.send(encode(frames.SimsAck(len(cards))))
            case frames.Inbound():
                self._receive(frame)
            case frames.SendResult():
                self._report(frame)

    def _compare(self, auth: frames.Auth) -> None:
        """End it for whoever wants to be somebody else now."""
        before, now = (self._visitor.org_id, self._visitor.secret), (auth.org_id, auth.secret_key)
        if not hmac.compare_digest("\0".join(before).encode(), "\0".join(now).encode()):
            self._channel.close(Close.BAD_CREDENTIAL, "authenticated as another one")

    def _receive(self, frame: frames.Inbound) -> None:
        """Store a text, and only then acknowledge it; one that can't be is not asked for again."""
        try:
            inbound = frame.inbound(self._phone_id, self._numbers)
        except Failure as failure:
            self._channel.send(encode(frames.InboundAck(0, failure.error)))
            self._count_bad()
            return
        with phrased():
            (received,) = self._messages.receive(self._owner, [inbound], by=self._phone_id)
        self._channel.send(encode(frames.InboundAck(1 if received.is_new else 0)))

    def _report(self, frame: frames.SendResult) -> None:
        with phrased():
            self._messages.report(self._owner, frame.key, frame.report(), by=self._phone_id)

    def _count_bad(self) -> None:
        if self._one_more_bad():
            self._channel.close(Close.BAD_FRAMES, "too many bad frames")
