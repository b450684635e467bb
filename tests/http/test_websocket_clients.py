"""WebSockets as other people's clients see them, and those of a web process that is stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import gevent
import psutil
import pytest
import websocket
from support.gateway import eventually
from support.processes import free_port
from support.websocket import TEXT, Echo, RawPeer, frame, serving

from signalbox.http.app import create_app
from signalbox.http.channel import ChannelLimits
from signalbox.http.errors import Failure
from signalbox.http.websocket import Channel, Close, accept
from signalbox.http.worker import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    import falcon

    from signalbox.http.context import Request

TESTS: Final = Path(__file__).parents[1]
SOCKETS: Final = 400
SOCKET_OCTETS_MAX: Final = 60 * 1_024

# The package `websockets` is of threads, and judges strictly. It says what it has seen.
STRICT: Final = """
import json, sys
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
try:
    with connect(sys.argv[1], open_timeout=5) as peer:
        peer.send("grüße")
        heard = peer.recv(timeout=5)
        peer.ping().wait(5)
        if "closes" in sys.argv[1]:
            peer.recv(timeout=5)
    print(json.dumps([heard, peer.close_code, peer.close_reason]))
except InvalidStatus as refusal:
    print(json.dumps([refusal.response.status_code, json.loads(refusal.response.body)]))
except ConnectionClosed as closed:
    print(json.dumps([heard, closed.rcvd.code, closed.rcvd.reason]))
"""


class Guarded:
    """A resource that knows nobody."""

    def on_get(self, _req: Request, _resp: falcon.Response) -> None:
        """Refuse."""
        raise Failure(401, "invalid key")


class Closes:
    """A resource whose socket is closed after one message."""

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Accept everybody."""
        accept(req, resp, self._run)

    def _run(self, channel: Channel) -> None:
        channel.send(channel.receive() or "")
        channel.close(Close.BAD_CREDENTIAL, "wrong key")


@pytest.fixture
def server() -> Iterator[Any]:
    routes = {"/echo": Echo(), "/guarded": Guarded(), "/closes": Closes()}
    with serving(create_app(routes, {})) as server:
        yield server


def strict(server: Any, path: str) -> Any:  # noqa: ANN401
    url = f"ws://127.0.0.1:{server.server_port}{path}"
    done = subprocess.run(
        [sys.executable, "-c", STRICT, url], capture_output=True, text=True, timeout=20, check=True
    )
    return json.loads(done.stdout)


def test_a_strict_client_is_content(server: Any) -> None:  # noqa: ANN401
    assert strict(server, "/echo") == ["grüße", 1000, ""]


def test_a_strict_client_learns_why_it_was_closed(server: Any) -> None:  # noqa: ANN401
    assert strict(server, "/closes") == ["grüße", 4401, "wrong key"]


def test_a_strict_client_reads_a_refusal(server: Any) -> None:  # noqa: ANN401
    assert strict(server, "/guarded") == [401, {"success": False, "error": "invalid key"}]


def test_a_lenient_client_is_content(server: Any) -> None:  # noqa: ANN401
    peer = websocket.create_connection(f"ws://127.0.0.1:{server.server_port}/echo", timeout=5)
    peer.send("hello")
    assert peer.recv() == "hello"
    peer.ping("?")
    assert peer.recv_data(control_frame=True) == (websocket.ABNF.OPCODE_PONG, b"?")
    peer.close()


def test_a_client_that_is_paused_is_dropped() -> None:
    script = (
        "import sys, websocket, time\n"
        "peer = websocket.create_connection(sys.argv[1])\n"
        "print('up', flush=True)\n"
        "while True: peer.recv_data(control_frame=True)\n"  # It answers pings.
    )
    echo = Echo()
    limits = ChannelLimits(ping_s=0.2, silence_s=1.0)
    with serving(create_app({"/echo": echo}, {}), channel_limits=limits) as server:
        url = f"ws://127.0.0.1:{server.server_port}/echo"
        phone = subprocess.Popen([sys.executable, "-c", script, url], stdout=subprocess.PIPE)
        try:
            assert phone.stdout is not None
            assert phone.stdout.readline() == b"up\n"
            gevent.sleep(1.5)
            assert echo.closed_with == []
            phone.send_signal(signal.SIGSTOP)
            eventually(lambda: echo.closed_with == [Close.NO_CLOSE])
        finally:
            phone.kill()
            phone.communicate()


def test_a_socket_keeps_its_place_among_its_addresss_connections() -> None:
    limits = Limits(connections_per_ip_max=1)
    with (
        serving(create_app({"/echo": Echo()}, {}), limits=limits) as server,
        RawPeer(server.server_port) as peer,
    ):
        assert RawPeer(server.server_port).status == 429
        assert not server.waiting
        peer.send(frame(TEXT, b"still here"))
        assert peer.frame() == (TEXT, b"still here")


def test_the_peer_is_seen_through_proxies_that_are_trusted() -> None:
    echo = Echo()
    limits = Limits(trusted_proxies=("127.0.0.0/8",))
    with (
        serving(create_app({"/echo": echo}, {}), limits=limits) as server,
        RawPeer(server.server_port, X_Forwarded_For="203.0.113.7"),
    ):
        eventually(lambda: [channel.peer for channel in echo.channels] == ["203.0.113.7"])


def test_an_idle_socket_takes_little_memory() -> None:
    echo = Echo()
    with serving(create_app({"/echo": echo}, {})) as server:
        warm = [RawPeer(server.server_port) for _ in range(20)]
        before = psutil.Process().memory_info().rss
        peers = [RawPeer(server.server_port) for _ in range(SOCKETS)]
        eventually(lambda: len(echo.channels) == SOCKETS + len(warm))
        each = (psutil.Process().memory_info().rss - before) / SOCKETS
        for peer in warm + peers:
            peer.close()
        eventually(lambda: len(echo.closed_with) == SOCKETS + len(warm))
    assert each < SOCKET_OCTETS_MAX


@pytest.mark.processes
@pytest.mark.timeout(60)
@pytest.mark.parametrize("answers", [True, False])
def test_a_web_process_that_is_stopped_says_so_and_ends(tmp_path: Path, answers: bool) -> None:  # noqa: FBT001
    port = free_port()
    environment = os.environ | {
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(TESTS)
    }  # fmt: skip
    web = subprocess.Popen(
        [sys.executable, str(TESTS / "support" / "websocket_server.py"), str(port)],
        env=environment,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
    )
    try:
        eventually(lambda: _listens(port), timeout_s=20)
        with RawPeer(port) as peer:
            peer.send(frame(TEXT, b"hello"))
            assert peer.frame() == (TEXT, b"hello")
            web.terminate()
            assert peer.closed_with() == Close.GOING_AWAY
            if answers:
                peer.close()
            assert web.wait(10) == 0
    finally:
        web.kill()
        _, said = web.communicate()
    assert b"graceful timeout" not in said


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False
