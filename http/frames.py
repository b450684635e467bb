"""WebSocket frames (RFC 6455) by gevent-websocket, and what that library gets wrong put right.

    octets ──▶ Incoming.message() ──▶ text        text, close code ──▶ text_frame(), close_frame()

Nothing else imports the library. `tests/http/test_frames.py` shows each of its faults: it reads
whatever length a frame claims, unmasks octet by octet, takes what isn't masked, knows no codes of
1012 to 1014, and sends none of its own.
"""

from __future__ import annotations

import base64
import codecs
import hashlib
import struct
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from geventwebsocket import websocket
from geventwebsocket.exceptions import ProtocolError, WebSocketError
from geventwebsocket.handler import WebSocketHandler
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import BufferedReader

CONTROL_OCTETS_MAX: Final = 125  # RFC 6455, 5.5
REASON_OCTETS_MAX: Final = CONTROL_OCTETS_MAX - 2


class Close(IntEnum):
    """Why a socket is closed: RFC 6455, 7.4.1, and from 4400 our own, after HTTP's."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    NO_BINARY = 1003
    NO_CODE = 1005  # never sent: the peer closed without a code
    NO_CLOSE = 1006  # never sent: the connection ended without a close
    BAD_UTF8 = 1007
    TOO_BIG = 1009
    ACCIDENT = 1011
    OVERLOAD = 1013
    BAD_FRAMES = 4400
    BAD_CREDENTIAL = 4401
    NOT_THIS_DEVICE = 4403
    UNKNOWN_DEVICE = 4404
    TOO_LATE = 4408
    REPLACED = 4409
    TOO_MANY = 4429


class Violation(Exception):  # noqa: N818  the peer's, not an error of ours
    """What the peer sent can't be taken; the socket is to be closed with `code`."""

    def __init__(self, code: Close, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Header(websocket.Header):  # type: ignore[misc]
    """The head of a frame."""

    __slots__ = ()

    @override
    def unmask_payload(self, payload: bytes) -> bytes:
        """Unmask as one number: one MiB in a millisecond instead of 170."""
        size = len(payload)
        mask = (self.mask * (size // 4 + 1))[:size]
        number = int.from_bytes(payload, "little") ^ int.from_bytes(mask, "little")
        return number.to_bytes(size, "little")


class Incoming(websocket.WebSocket):  # type: ignore[misc]
    """What a peer sends, message by message.

    `on_frame` is called at each frame, `on_ping` with what a ping holds. `closed_with` is the code
    of the peer's close, 0 before it.
    """

    __slots__ = ("_octets_left", "_on_frame", "_on_ping", "closed_with")

    @override
    def __init__(
        self,
        stream: BufferedReader,
        on_frame: Callable[[], None],
        on_ping: Callable[[bytes], None],
    ) -> None:
        super().__init__({}, stream, None)
        # A slot of the library's, which has no types.
        self.utf8validator = codecs.getincrementaldecoder("utf-8")()  # type: ignore[misc]
        self._on_frame = on_frame
        self._on_ping = on_ping
        self._octets_left = 0
        self.closed_with = 0

    @override
    def __del__(self) -> None:
        """Do nothing: the library's would send, in the midst of whatever is going on."""

    def message(self, octets_max: int) -> str | None:
        """Return the next text; None when the peer has closed.

        Raises:
            Violation: it is none, or has more than `octets_max`.
            OSError: the connection has ended.
        """
        self._octets_left = octets_max
        try:
            text: str | None = self.read_message()
        except UnicodeError:
            raise Violation(Close.BAD_UTF8, "invalid UTF-8") from None
        except ProtocolError:
            raise Violation(Close.PROTOCOL_ERROR, "invalid frame") from None
        return text

    @override
    def read_frame(self) -> tuple[Header, bytes]:
        header = Header.decode_header(self.stream)
        self._on_frame()
        self._check(header)
        payload = self.raw_read(header.length)
        if len(payload) != header.length:
            raise WebSocketError("the connection ended within a frame")
        return header, header.unmask_payload(payload)

    @override
    def validate_utf8(self, payload: bytes | bytearray) -> None:
        """Check a frame, or whether a whole message, the only bytearray, ends in one piece."""
        whole = isinstance(payload, bytearray)
        self.utf8validator.decode(b"" if whole else payload, whole)

    @override
    def handle_ping(self, header: Header, payload: bytes) -> None:
        self._on_ping(payload)

    @override
    def handle_close(self, header: Header, payload: bytes) -> None:
        if not payload:
            self.closed_with = Close.NO_CODE
            return
        if len(payload) < struct.calcsize("!H"):
            raise ProtocolError
        (code,) = struct.unpack_from("!H", payload)
        if not self._is_valid_close_code(code):
            raise ProtocolError
        payload[2:].decode()
        self.closed_with = code

    @override
    def _is_valid_close_code(self, code: int) -> bool:
        # IANA's registry has 1012 to 1014 by now; 1004 to 1006 and 1015 are never sent.
        return code in {1000, 1001, 1002, 1003, *range(1007, 1015)} or 3000 <= code <= 4999  # noqa: PLR2004

    def _check(self, header: Header) -> None:
        """Refuse a frame before anything of its payload is read. Raises: as `message`."""
        if header.flags or not header.mask:
            raise ProtocolError
        if header.opcode >= self.OPCODE_CLOSE:
            return
        self._check_kind(header.opcode)
        self._octets_left -= header.length
        if self._octets_left < 0:
            raise Violation(Close.TOO_BIG, "message too big")

    def _check_kind(self, opcode: int) -> None:
        if opcode == self.OPCODE_BINARY:
            raise Violation(Close.NO_BINARY, "text only")
        if opcode > self.OPCODE_BINARY:
            raise ProtocolError


def text_frame(text: str | bytes) -> bytes:
    """Return a frame of text; octets are UTF-8 already."""
    return frame(Incoming.OPCODE_TEXT, text.encode() if isinstance(text, str) else text)


def ping_frame() -> bytes:
    """Return a ping."""
    return frame(Incoming.OPCODE_PING, b"")


def pong_frame(payload: bytes) -> bytes:
    """Return the answer to a ping that held this."""
    return frame(Incoming.OPCODE_PONG, payload)


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a close; a reason that is too long for it is cut."""
    told = reason.encode()[:REASON_OCTETS_MAX].decode(errors="ignore").encode()
    return frame(Incoming.OPCODE_CLOSE, struct.pack("!H", code) + told)


def frame(opcode: int, payload: bytes) -> bytes:
    """Return a frame that is a whole message."""
    head: Any = Header.encode_header(True, opcode, b"", len(payload), 0)  # noqa: FBT003  theirs
    return bytes(head + payload)


def accept_key(key: str) -> str:
    """Return the proof that a handshake's key was read (RFC 6455, 4.2.2)."""
    digest = hashlib.sha1((key + WebSocketHandler.GUID).encode("latin-1"), usedforsecurity=False)
    return base64.b64encode(digest.digest()).decode()
