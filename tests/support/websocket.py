"""WebSockets as tests need them: a server around an application, and a peer that knows no rules.

with serving(app) as server, RawPeer(server.server_port) as peer:
    peer.send(frame(TEXT, b"hello"))
    assert peer.frame() == (TEXT, b"hello")
"""

from __future__ import annotations

import base64
import os
import socket
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from signalbox.http.channel import Channel, ChannelLimits
from signalbox.http.channels import Channels
from signalbox.http.websocket import accept
from signalbox.http.worker import Handler, Limits, Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    import falcon

    from signalbox.http.context import Request

CONTINUATION: Final = 0
TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10

TIMEOUT_S: Final = 5.0
MASK: Final = b"\x01\x02\x03\x04"


@contextmanager
def serving(
    app: Any,  # noqa: ANN401  any WSGI application
    *,
    limits: Limits = Limits(),  # noqa: B008  immutable
    channel_limits: ChannelLimits = ChannelLimits(),  # noqa: B008
    channel: type[Channel] = Channel,
) -> Iterator[Any]:
    """Serve an application at `server.server_port` of this machine."""
    server = Server(
        ("127.0.0.1", 0),
        app,
        log=None,
        handler_class=Handler,
        limits=limits,
        channel_limits=channel_limits,
    )
    server.channels = Channels(channel_limits, channel)
    server.start()
    try:
        yield server
    finally:
        server.stop(timeout=1)


class RawPeer:
    """A client that sends whatever it is told to.

    `path` is the target of its handshake, `fields` replace that one's header fields; one that is
    None is left out. `answer` is the head of the answer, `status` its status.
    """

    def __init__(
        self, port: int, path: str = "/echo", *, version: str = "HTTP/1.1", **fields: str | None
    ) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self._octets = b""
        self._socket.sendall(_handshake(path, version, fields))
        self.answer = self._until(b"\r\n\r\n")
        self.status = int(self.answer.split(b" ", 2)[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up without a word."""
        self._socket.close()

    def half_close(self) -> None:
        """Say that nothing more will come."""
        self._socket.shutdown(socket.SHUT_WR)

    def narrow(self) -> None:
        """Have next to no room for what comes in."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)

    def send(self, *octets: bytes) -> None:
        """Send all of it as one."""
        self._socket.sendall(b"".join(octets))

    def frame(self) -> tuple[int, bytes]:
        """Return opcode and payload of the next frame. Raises: `EOFError` at the end."""
        first, second = self._read(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self._read(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._read(8))
        return first & 0x0F, self._read(length)

    def closed_with(self) -> int:
        """Return the code of the close that comes next; 1006 when the connection ends without.

        Pings may come before it.
        """
        try:
            opcode, payload = self.frame()
            while opcode == PING:
                opcode, payload = self.frame()
        except (EOFError, ConnectionResetError):
            return 1006
        assert opcode == CLOSE, (opcode, payload[:100])
        (code,) = struct.unpack_from("!H", payload)
        assert isinstance(code, int)
        return code

    def rest(self) -> bytes:
        """Return everything up to the end of the connection."""
        while octets := self._socket.recv(65_536):
            self._octets += octets
        return self._octets

    def _read(self, size: int) -> bytes:
        while len(self._octets) < size:
            self._more()
        octets, self._octets = self._octets[:size], self._octets[size:]
        return octets

    def _until(self, end: bytes) -> bytes:
        while end not in self._octets:
            self._more()
        octets, _, self._octets = self._octets.partition(end)
        return octets

    def _more(self) -> None:
        octets = self._socket.recv(65_536)
        if not octets:
            raise EOFError
        self._octets += octets


def frame(
    opcode: int,
    payload: bytes,
    *,
    fin: bool = True,
    masked: bool = True,
    rsv: int = 0,
    length: int | None = None,
) -> bytes:
    """Return a frame as a client sends it; `length` is what it claims, if that is not true."""
    claimed = len(payload) if length is None else length
    first = (0x80 if fin else 0) | rsv | opcode
    mask_bit = 0x80 if masked else 0
    if claimed < 126:
        head = struct.pack("!BB", first, mask_bit | claimed)
    elif claimed < 65_536:
        head = struct.pack("!BBH", first, mask_bit | 126, claimed)
    else:
        head = struct.pack("!BBQ", first, mask_bit | 127, claimed)
    if not masked:
        return head + payload
    return head + MASK + bytes(octet ^ MASK[at % 4] for at, octet in enumerate(payload))


def close(code: int, reason: bytes = b"") -> bytes:
    """Return a close as a client sends it."""
    return frame(CLOSE, struct.pack("!H", code) + reason)


def _handshake(path: str, version: str, given: dict[str, str | None]) -> bytes:
    fields: dict[str, str | None] = {
        "Host": "127.0.0.1",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
        **{name.replace("_", "-"): value for name, value in given.items()},
    }
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join([f"GET {path} {version}", *lines, "", ""]).encode()


class Echo:
    """A resource that sends back what it is sent; `closed_with` are the codes its sockets had."""

    def __init__(self) -> None:
        self.closed_with: list[int] = []
        self.channels: list[Channel] = []

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Accept everybody."""
        accept(req, resp, self._echo)

    def _echo(self, channel: Channel) -> None:
        self.channels.append(channel)
        while (text := channel.receive()) is not None:
            channel.send(text)
        self.closed_with.append(channel.closed_with)
