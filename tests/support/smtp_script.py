"""An SMTP server that does what no decent one does: it hangs up, hangs, drips, talks nonsense.

    with ScriptedServer({"RCPT": HANG_UP}) as server: ...

Keys are verbs, "GREETING", "CONTENT" (said instead of reading what
follows DATA, and then hung up) and "DOT" (after it);
values are what is written, without the last line end, or one of the actions, or a list of those,
one for each time.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, Self

import gevent
from gevent.event import Event
from gevent.server import StreamServer

if TYPE_CHECKING:
    import socket
    import ssl

HANG_UP: Final = "<hang up>"
HANG: Final = "<hang>"
DRIP: Final = "<drip>"

DEFAULTS: Final = {
    "GREETING": "220 scripted",
    "EHLO": "250 scripted",
    "MAIL": "250 ok",
    "RCPT": "250 ok",
    "DATA": "354 go on",
    "DOT": "250 taken",
    "RSET": "250 ok",
    "QUIT": "221 bye",
}


class _Over(Exception):  # noqa: N818  the script says so
    pass


class ScriptedServer:
    """See the module. `lines` are the commands that came, `contents` what followed DATA."""

    def __init__(
        self,
        script: dict[str, str | list[str]] | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        drip_s: float = 0.02,
    ) -> None:
        self.script = {**DEFAULTS, **(script or {})}
        self.tls = tls
        self.lines: list[str] = []
        self.contents: list[bytes] = []
        self.connections = 0
        self.default = "502 not here"
        self._times: Counter[str] = Counter()
        self._drip_s = drip_s
        self._closing = Event()
        self._server = StreamServer(("127.0.0.1", 0), self._serve)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.stop(timeout=0)

    @property
    def port(self) -> int:
        return int(self._server.server_port)

    @property
    def verbs(self) -> list[str]:
        """The commands without their arguments."""
        return [line.partition(" ")[0].upper() for line in self.lines]

    def _serve(self, connection: socket.socket, _address: object) -> None:
        self.connections += 1
        try:
            self._say(connection, "GREETING")
            self._converse(connection)
        except (_Over, OSError):
            pass
        finally:
            connection.close()

    def _converse(self, connection: socket.socket) -> None:
        file = connection.makefile("rb")
        while line := file.readline():
            self.lines.append(line.decode("utf-8", "replace").strip())
            verb = self.verbs[-1]
            said = self._say(connection, verb)
            if verb == "STARTTLS" and self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)
                file = connection.makefile("rb")
            if verb == "QUIT":
                return
            if said.startswith("354"):
                self._take(connection, file)

    def _take(self, connection: socket.socket, file: object) -> None:
        if "CONTENT" in self.script:
            self._say(connection, "CONTENT")
            raise _Over
        content = []
        while (line := file.readline()) != b".\r\n":  # type: ignore[attr-defined]
            if not line:
                raise _Over
            content.append(line)
        self.contents.append(b"".join(content))
        self._say(connection, "DOT")

    def _say(self, connection: socket.socket, step: str) -> str:
        said = self.script.get(step, self.default)
        if isinstance(said, list):
            said = said[min(self._times[step], len(said) - 1)]
        self._times[step] += 1
        if said == HANG_UP:
            raise _Over
        if said == HANG:
            self._closing.wait()
            raise _Over
        if said == DRIP:
            self._drip(connection)
        connection.sendall(said.encode() + b"\r\n")
        return said

    def _drip(self, connection: socket.socket) -> None:
        while not self._closing.is_set():
            connection.sendall(b"250-and so on\r\n")
            gevent.sleep(self._drip_s)
        raise _Over
