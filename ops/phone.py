"""The command `signalbox phone`: an Android phone with the gateway app, played over the public API.

It connects as such a phone does, shows what it is to send, and answers as it was told to. It needs
nothing of the gateway but its address: what it is made of is a client.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import urlsplit

import websocket

from signalbox.ops.phone_dialects import (
    Dialect,
    Outcome,
    PhoneError,
    Signalhouse,
    Sms,
    Trucopilot,
    in_a_line,
)
from signalbox.ops.settings import SettingsError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from signalbox.ops.phone_dialects import Frame

SECRET_VARIABLE: Final = "SIGNALBOX_PHONE_SECRET"  # noqa: S105  its name
SOCKET_TIMEOUT_S: Final = 60.0  # the gateway pings every 25 s
RETRY_S: Final = (0.5, 1.0, 2.0, 5.0)
LOCKED_RETRY_S: Final = 60.0
HELD_S: Final = 5.0
ANSWER_AFTER_S_MAX: Final = 86_400.0
REFUSED_STATUSES: Final = range(400, 429)
REFUSED_CODES: Final = {4401, 4403, 4404}
REPLACED: Final = 4409
TOO_MANY: Final = 4429
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
    answer_after_s = arguments.answer_after_s
    if not 0 <= answer_after_s <= ANSWER_AFTER_S_MAX:
        raise SettingsError(
            f"phone: --answer-after-s: expected 0 to {ANSWER_AFTER_S_MAX:g}, got {answer_after_s:g}"
        )
    phone = Phone(_dialect(arguments), arguments.answer, answer_after_s)
    texts = [_text(given) for given in arguments.inbound]
    signal.signal(signal.SIGTERM, _end)
    # In the background of a terminal there is nothing to read, which is no reason to be stopped.
    signal.signal(signal.SIGTTIN, signal.SIG_IGN)
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
        self._held = False  # Whether the gateway let us in: it said something, or did not hang up.

    def run(self, texts: Sequence[tuple[str, str]]) -> int:
        """Pair, then stay connected; `texts` (sender, text) arrive once that holds.

        Whatever else is to arrive comes on standard input, a line each: sender, space, text.

        Raises: `PhoneError`.
        """
        self._pair()
        threading.Thread(target=self._read_input, daemon=True).start()
        failed = 0
        while True:
            self._held = False
            lost = self._connected(texts)
            if lost.code == REPLACED:
                say("another connection of this phone took over")
                return FAILED
            if self._held:
                failed, texts = 0, ()
            _wait(lost, failed)
            failed += 1

    def _connected(self, texts: Sequence[tuple[str, str]]) -> Lost:
        """Stay for one connection, if there can be one."""
        try:
            socket = websocket.create_connection(self._dialect.socket_url, SOCKET_TIMEOUT_S)
        except websocket.WebSocketBadStatusException as error:
            refusal = f"{error.status_code}: {_body(error)}"
            if error.status_code in REFUSED_STATUSES:
                raise PhoneError(f"refused with {refusal}") from None
            return Lost(NO_STATUS, refusal)
        except (OSError, websocket.WebSocketException) as error:
            return Lost(NO_STATUS, in_a_line(str(error)))
        self._socket = socket
        since_s = time.monotonic()
        try:
            for frame in self._dialect.greeting():
                self._send(frame)
            say(f"connected to {self._dialect.socket_url}")
            for sender, text in texts:
                self._arrive(sender, text)
            return self._listen(socket)
        except (OSError, websocket.WebSocketException) as error:
            return Lost(NO_STATUS, in_a_line(str(error)))
        finally:
            self._held |= time.monotonic() - since_s >= HELD_S
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
        self._held = True
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
        with suppress(OSError):  # The terminal is not ours to read.
            for line in sys.stdin:
                sender, _, text = line.strip().partition(" ")
                if sender:
                    self._arrive(sender, text)

    def _pair(self) -> None:
        """Pair as soon as the gateway is there."""
        for failed in itertools.count():
            try:
                self._dialect.pair()
            except OSError as error:
                _wait(Lost(NO_STATUS, in_a_line(str(error))), failed)
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


def _wait(lost: Lost, failed: int) -> None:
    """Say why there is no connection, and wait for the next try."""
    pause_s = LOCKED_RETRY_S if lost.code == TOO_MANY else RETRY_S[min(failed, len(RETRY_S) - 1)]
    say(f"not connected{lost.told}; again in {pause_s:g} s")
    time.sleep(pause_s)


def _end(*_: object) -> NoReturn:
    sys.exit(0)


def _dialect(arguments: argparse.Namespace) -> Dialect:
    url = _url(arguments.url)
    secret = arguments.secret or os.environ.get(SECRET_VARIABLE, "")
    if not secret:
        raise SettingsError(f"phone: needs --secret, or {SECRET_VARIABLE}")
    if arguments.surface == "signalhouse":
        return Signalhouse(url, secret, arguments.device or "")
    if not arguments.org:
        raise SettingsError("phone: needs --org for --surface trucopilot")
    return Trucopilot(url, arguments.org, secret, [_sim(given) for given in arguments.sim])


def _url(given: str) -> str:
    try:
        parts = urlsplit(given)
        host = (parts.hostname or "").encode("idna")
        is_url = parts.scheme in {"http", "https"} and bool(host) and parts.port != 0
    except ValueError:  # No port, or no name, that can be.
        is_url = False
    if not is_url or " " in given or not given.isprintable():
        raise SettingsError(f"phone: --url: expected http[s]://HOST[:PORT], got {given!r}")
    return given.rstrip("/")


def _sim(given: str) -> Frame:
    """Read `slot:number:label:carrier`, of which all but the slot may be missing."""
    slot, *rest = given.split(":")
    if not slot.isdecimal():
        raise SettingsError("phone: --sim is SLOT[:NUMBER[:LABEL[:CARRIER]]]")
    number, label, carrier = (*rest, "", "", "")[:3]
    return {"slot": int(slot), "number": number, "label": label, "carrier": carrier}


def _text(given: str) -> tuple[str, str]:
    sender, equals, text = given.partition("=")
    if not (sender and equals):
        raise SettingsError("phone: --inbound is FROM=TEXT")
    return sender, text


def _body(error: websocket.WebSocketBadStatusException) -> str:
    body = error.resp_body or b""
    return in_a_line(body.decode(errors="replace") if isinstance(body, bytes) else str(body))
