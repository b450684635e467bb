"""An SMTP server for benchmarks: takes every mail at once, in a process of its own, and counts.

    with FastMailSink() as sink:
        send_to("127.0.0.1", sink.port)
        assert sink.count == 1

It knows as much of RFC 5321 as a client needs that sends one mail after the other; no extensions.
As a program it is the server itself.
"""

from __future__ import annotations

import asyncio
from typing import Final, cast

from support.peers import CountingPeer, count_for_parent
from typing_extensions import override

_REPLIES: Final = {
    b"EHLO": b"250 sink\r\n",
    b"HELO": b"250 sink\r\n",
    b"MAIL": b"250 ok\r\n",
    b"RCPT": b"250 ok\r\n",
    b"RSET": b"250 ok\r\n",
    b"NOOP": b"250 ok\r\n",
    b"DATA": b"354 go on\r\n",
    b"QUIT": b"221 bye\r\n",
}
_END: Final = b"\r\n.\r\n"


class FastMailSink(CountingPeer):
    """The process."""

    def __init__(self) -> None:
        super().__init__(__name__)


class _Server:
    count = 0


class _Connection(asyncio.Protocol):
    def __init__(self, server: _Server) -> None:
        self._server = server
        self._buffered = b""
        self._reads_mail = False

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(b"220 sink\r\n")

    @override
    def data_received(self, data: bytes) -> None:
        self._buffered += data
        while self._take():
            pass

    def _take(self) -> bool:
        """Answer the next command or mail; False when neither is there as a whole."""
        end = _END if self._reads_mail else b"\r\n"
        taken, found, rest = self._buffered.partition(end)
        if not found:
            return False
        self._buffered = rest
        if self._reads_mail:
            self._reads_mail = False
            self._server.count += 1
            self._transport.write(b"250 taken\r\n")
            return True
        verb = taken[:4].upper()
        self._reads_mail = verb == b"DATA"
        self._transport.write(_REPLIES.get(verb, b"502 not here\r\n"))
        if verb == b"QUIT":
            self._transport.close()
        return True


async def _serve() -> None:
    server = _Server()
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: _Connection(server), "127.0.0.1", 0, backlog=512)
    await count_for_parent(listening, lambda: server.count)


if __name__ == "__main__":
    asyncio.run(_serve())
