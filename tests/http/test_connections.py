"""Connections of one address: as many as the limit, and again when some have ended."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import pytest
from support.gateway import eventually
from support.sms_proxy import Surface

from signalbox.http.worker import Handler, Limits, Server

GET: Final = b"GET /healthy HTTP/1.1\r\nHost: a\r\n\r\n"
MAX: Final = 3


@pytest.fixture
def trusted_proxies() -> tuple[str, ...]:
    return ()


@pytest.fixture
def server(trusted_proxies: tuple[str, ...]) -> Iterator[Any]:
    limits = Limits(connections_per_ip_max=MAX, trusted_proxies=trusted_proxies)
    address = ("127.0.0.1", 0)
    server = Server(address, Surface().app(), log=None, handler_class=Handler, limits=limits)
    server.start()
    yield server
    server.stop(timeout=1)


def ask(server: Any) -> tuple[socket.socket, str]:  # noqa: ANN401
    """Open a connection and ask; return it and the status line."""
    connection = socket.create_connection(("127.0.0.1", server.server_port), timeout=5)
    connection.sendall(GET)
    return connection, connection.recv(65_536).decode()


def test_connections_beyond_the_limit_are_refused_until_one_ends(server: Any) -> None:  # noqa: ANN401
    held = [ask(server) for _ in range(MAX)]
    assert all(answer.startswith("HTTP/1.1 200 ") for _, answer in held)
    refused, answer = ask(server)
    with closing(refused):
        head, _, body = answer.partition("\r\n\r\n")
        assert head.startswith("HTTP/1.1 429 ")
        assert "Connection: close" in head
        assert json.loads(body) == {"error": "too many connections"}
    held.pop()[0].close()
    eventually(lambda: _is_answered(server))
    for connection, _ in held:
        connection.close()


@pytest.mark.parametrize("trusted_proxies", [("127.0.0.0/8",)])
def test_a_trusted_proxy_has_as_many_as_it_likes(server: Any) -> None:  # noqa: ANN401
    held = [ask(server) for _ in range(3 * MAX)]
    assert {answer.split()[1] for _, answer in held} == {"200"}
    for connection, _ in held:
        connection.close()


def _is_answered(server: Any) -> bool:  # noqa: ANN401
    connection, answer = ask(server)
    connection.close()
    return answer.startswith("HTTP/1.1 200 ")
