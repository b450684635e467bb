"""A loopback TCP proxy in front of PostgreSQL that loses answers and connections when told to.

    with ChaosProxy(database_url) as proxy:
        log = EventLog(proxy.url, SECRET_KEY)
        proxy.commits_to_cut = 1

The next append is then committed, but its answer does not arrive.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit, urlunsplit

import gevent
from gevent.server import StreamServer
from psycopg.conninfo import conninfo_to_dict

from signalbox.eventstore.recorder import CHANNEL

if TYPE_CHECKING:
    from types import TracebackType

HOST: Final = "127.0.0.1"
CHUNK_OCTETS: Final = 65_536
SOCKET_FILE: Final = ".s.PGSQL.5432"
NOTIFIES: Final = len(CHANNEL).to_bytes(4) + CHANNEL.encode()  # as a parameter: this is an append
SYNC: Final = b"S\x00\x00\x00\x04"  # ends a pipeline's transaction


class ChaosProxy:
    """Serves the database of `database_url` (on a Unix socket) at `url`.

    `commits_to_cut` appends are passed on, and their connections closed instead of the answer.
    """

    def __init__(self, database_url: str) -> None:
        host = conninfo_to_dict(database_url)["host"]
        self._target = f"{host}/{SOCKET_FILE}"
        self._server = StreamServer((HOST, 0), self._serve)
        self._server.start()
        parts = urlsplit(database_url)
        where = f"{parts.netloc}{HOST}:{self._server.server_port}"
        self.url = urlunsplit(parts._replace(netloc=where, query=""))
        self.commits_to_cut = 0
        self._away = False
        self._connections: set[_Connection] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.go_away()
        self._server.stop()

    def go_away(self) -> None:
        """Cut every connection and refuse new ones."""
        self._away = True
        for connection in list(self._connections):
            connection.close()

    def come_back(self) -> None:
        """Serve again."""
        self._away = False

    def take_commit(self) -> bool:
        """Tell whether the answer to an append is to be lost, and count it."""
        if self.commits_to_cut == 0:
            return False
        self.commits_to_cut -= 1
        return True

    def _serve(self, client: socket.socket, _: object) -> None:
        if self._away:
            return
        server = socket.socket(socket.AF_UNIX)
        server.connect(self._target)
        connection = _Connection(self, client, server)
        self._connections.add(connection)
        connection.run()
        self._connections.discard(connection)


class _Connection:
    """One client's way to the server and back."""

    def __init__(self, proxy: ChaosProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client, self._server = client, server
        self._answer_is_lost = False

    def run(self) -> None:
        """Pass everything on until either side ends, or an answer is lost."""
        both = [gevent.spawn(self._forth), gevent.spawn(self._back)]
        gevent.joinall(both, count=1)
        self.close()
        gevent.joinall(both)

    def close(self) -> None:
        """Cut both sides."""
        for end in (self._client, self._server):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # It is closed already.

    def _forth(self) -> None:
        is_append = False
        while chunk := _received(self._client):
            is_append = is_append or NOTIFIES in chunk
            if is_append and chunk.endswith(SYNC):
                is_append = False
                self._answer_is_lost = self._proxy.take_commit()
            self._server.sendall(chunk)

    def _back(self) -> None:
        while chunk := _received(self._server):
            if self._answer_is_lost:
                return
            self._client.sendall(chunk)


def _received(end: socket.socket) -> bytes:
    try:
        return end.recv(CHUNK_OCTETS)
    except OSError:
        return b""
