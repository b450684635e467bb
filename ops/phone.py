"""The command `signalbox phone`: an Android phone with the gateway app, played over the public API.

It connects as such a phone does, shows what it is to send, and answers as it was told to. It needs
nothing of the gateway but its address: what it is made of is a client.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import websocket

from signalbox.ops.phone_dialects import (
    Dialect,
    Outcome,
    PhoneError,
    Signalhouse,
    Sms,
    Trucopilot,
)
from signalbox.ops.settings import SettingsError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from signalbox.ops.phone_dialects import Frame

SECRET_VARIABLE: Final = "SIGNALBOX_PHONE_SECRET"  # noqa: S105  its name
SOCKET_TIMEOUT_S: Final = 60.0  # the gateway pings every 25 s
RETRY_S: Final = (0.5, 1.0, 2.0, 5.0)
REFUSED_STATUSES: Final = range(400, 429)
REFUSED_CODES: Final = {4401, 4403, 4404}
REPLACED: Final = 4409
NO_STATUS: Final = 1005
FAILED: Final = 1

ANSWERS: Final[Mapping[str, tuple[Outcome, ...]]] = {
    "deliver": ("sent", "delivered"),
    "send": ("sent",),
    "fail": ("failed",),
    "ignore": (),
    "drop": (),
}


def run(arguments: argparse.Namespace) -> int:
    """Be a phone until Ctrl-C, or until the gateway says that it is another one's turn.

    Raises:
        SettingsError: something is missing, or the gateway refuses the phone.
    """
    phone = Phone(_dialect(arguments), arguments.answer, arguments.answer_after_s)
    texts = [_text(given) for given in arguments.inbound]
    try:
        return phone.run(texts)
    except PhoneError as error:
        raise SettingsError(f"phone: {error}") from None


class Phone:
    """One phone: its connection, made again whenever it is lost, and how it answers."""

    def __init__(self, dialect: Dialect, answer: str, answer_after_s: float) -> None:
        self._dialect = dialect
        self._answer = answer
        self._answer_after_s = answer_after_s
        self._socket: websocket.WebSocket | None = None
        self._sending = threading.Lock()

    def run(self, texts: Sequence[tuple[str, str]]) -> int:
        """Pair, then stay connected; `texts` (sender, text) arrive at the first connection.

        Whatever else is to arrive comes on standard input, a line each: sender, space, text.

        Raises: `PhoneError`.
        """
        self._pair()
        threading.Thread(target=self._read_input, daemon=True).start()
        failed = 0
        while True:
            lost = self._connected(texts)
            if lost is not None:
                failed, texts = 0, ()
                if lost.code == REPLACED:
                    say("another connection of this phone took over")
                    return FAILED
            pause_s = RETRY_S[min(failed, len(RETRY_S) - 1)]
            failed += 1
            say(f"not connected{lost.told if lost else ''}; again in {pause_s:g} s")
            time.sleep(pause_s)

    def _connected(self, texts: Sequence[tuple[str, str]]) -> Lost | None:
        """Stay for one connection; None when there was none."""
        try:
            socket = websocket.create_connection(self._dialect.socket_url, SOCKET_TIMEOUT_S)
        except websocket.WebSocketBadStatusException as error:
            if error.status_code in REFUSED_STATUSES:
                raise PhoneError(f"refused with {error.status_code}: {_body(error)}") from None
            return None
        except (OSError, websocket.WebSocketException):
            return None
        self._socket = socket
        try:
            for frame in self._dialect.greeting():
                self._send(frame)
            say(f"connected to {self._dialect.socket_url}")
            for sender, text in texts:
                self._arrive(sender, text)
            return self._listen(socket)
        except (OSError, websocket.WebSocketException):
            return Lost(NO_STATUS, "")
        finally:
            self._socket = None
            socket.shutdown()  # type: ignore[no-untyped-call]

    def _listen(self, socket: websocket.WebSocket) -> Lost:
        while True:
            opcode, data = socket.recv_data()
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                code = int.from_bytes(data[:2]) if data else NO_STATUS
                reason = data[2:].decode(errors="replace")
                if code in REFUSED_CODES:
                    raise PhoneError(f"refused with {code}: {reason}")
                return Lost(code, reason)
            if opcode == websocket.ABNF.OPCODE_TEXT and not self._hear(json.loads(data)):
                return Lost(NO_STATUS, "hung up, as told")

    def _hear(self, frame: Frame) -> bool:
        """Do what a frame says; False to hang up."""
        sms = self._dialect.command(frame)
        if sms is None:
            say(f"heard {json.dumps(frame, ensure_ascii=False)}")
            return True
        say(f"send_sms {sms.id} to {sms.to}: {sms.text}")
        if self._answer == "drop":
            return False
        threading.Thread(target=self._tell_outcomes, args=(sms,), daemon=True).start()
        return True

    def _tell_outcomes(self, sms: Sms) -> None:
        for outcome in ANSWERS[self._answer]:
            time.sleep(self._answer_after_s)
            frame = self._dialect.outcome(sms, outcome)
            if frame is not None and self._say_so(frame):
                say(f"{outcome} {sms.id}")

    def _arrive(self, sender: str, text: str) -> None:
        """Have a text arrive from somebody."""
        try:
            frame = self._dialect.inbound(sender, text)
        except (PhoneError, OSError) as error:
            say(f"the text from {sender} was not taken: {error}")
            return
        if frame is None or self._say_so(frame):
            say(f"received a text from {sender}")

    def _say_so(self, frame: Frame) -> bool:
        try:
            self._send(frame)
        except (OSError, websocket.WebSocketException) as error:
            say(f"could not tell the gateway: {error}")
            return False
        return True

    def _send(self, frame: Frame) -> None:
        socket = self._socket
        if socket is None:
            raise websocket.WebSocketConnectionClosedException("not connected")
        with self._sending:
            socket.send(json.dumps(frame))

    def _read_input(self) -> None:
        for line in sys.stdin:
            sender, _, text = line.strip().partition(" ")
            if sender:
                self._arrive(sender, text)

    def _pair(self) -> None:
        """Pair as soon as the gateway is there."""
        while True:
            try:
                self._dialect.pair()
            except OSError:
                time.sleep(RETRY_S[0])
            else:
                return


@dataclass(frozen=True, slots=True)
class Lost:
    """How a connection ended."""

    code: int
    reason: str

    @property
    def told(self) -> str:
        """What the gateway said at its end."""
        if self.code == NO_STATUS:
            return f": {self.reason}" if self.reason else ""
        return f": {self.code} {self.reason}".rstrip()


def say(line: str) -> None:
    """Print one line."""
    sys.stdout.write(f"phone: {line}\n")
    sys.stdout.flush()


def _dialect(arguments: argparse.Namespace) -> Dialect:
    url = arguments.url.rstrip("/")
    secret = arguments.secret or os.environ.get(SECRET_VARIABLE, "")
    if not secret:
        raise SettingsError(f"phone: needs --secret, or {SECRET_VARIABLE}")
    if arguments.surface == "signalhouse":
        return Signalhouse(url, secret, arguments.device or "")
    if not arguments.org:
        raise SettingsError("phone: needs --org for --surface trucopilot")
    return Trucopilot(url, arguments.org, secret, [_sim(given) for given in arguments.sim])


def _sim(given: str) -> Frame:
    """Read `slot:number:label:carrier`, of which all but the slot may be missing."""
    slot, *rest = given.split(":")
    if not slot.isdecimal():
        raise SettingsError("phone: --sim is SLOT[:NUMBER[:LABEL[:CARRIER]]]")
    number, label, carrier = (*rest, "", "", "")[:3]
    return {"slot": int(slot), "number": number, "label": label, "carrier": carrier}


def _text(given: str) -> tuple[str, str]:
    sender, _, text = given.partition("=")
    return sender, text


def _body(error: websocket.WebSocketBadStatusException) -> str:
    body = error.resp_body or b""
    return body.decode(errors="replace") if isinstance(body, bytes) else str(body)
