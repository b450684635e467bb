"""The web process as it runs: gunicorn's master, its workers, a database, nothing else."""

from __future__ import annotations

import signal
import socket
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from support.processes import ADMIN_KEY, Client, Installation

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.processes, pytest.mark.timeout(60)]


@pytest.fixture
def gateway(database_url: str) -> Iterator[Installation]:
    environment = {"WEB_CONCURRENCY": "2", "XDG_RUNTIME_DIR": "/nonexistent"}
    with Installation(database_url, links=[1], environment=environment) as gateway:
        gateway.environment["HOME"] = str(gateway.home)
        yield gateway


@pytest.fixture
def web(gateway: Installation) -> subprocess.Popen[bytes]:
    process = gateway.start("web")
    _until(lambda: _healthy(gateway) and len(_workers(process)) == 2)
    return process


def test_without_a_relay_it_serves_but_is_not_ready(
    gateway: Installation, web: subprocess.Popen[bytes]
) -> None:
    assert web.poll() is None
    status, answer = Client(gateway.port).call("GET", "/readyz")
    assert (status, answer["status"]) == (503, "not ready")
    assert answer["checks"] == {
        "store": "ok",
        "leases": "nobody acts for 1 of 1 partitions",
        "projector": "read models are not built yet",
    }


def test_every_worker_knows_a_new_user(gateway: Installation, web: subprocess.Popen[bytes]) -> None:
    assert web.poll() is None
    client = gateway.client("somebody")
    for _ in range(10):  # Each on a connection of its own: some at either worker.
        again = gateway.log_in("somebody", client.app_id)
        assert again.info("none")[0] in {404, 503}  # 503: there are no read models yet.


def test_a_switch_stays_as_it_was_put(gateway: Installation, web: subprocess.Popen[bytes]) -> None:
    admin, path = {"X-Admin-Key": ADMIN_KEY}, "/api/v1/admin/smpp/1/toggle"
    switched = Client(gateway.port).call("PUT", path, {"enabled": False}, admin)
    assert switched == (
        200,
        {"success": True, "data": {"id": 1, "name": "link-1", "enabled": False}},
    )
    web.terminate()
    web.wait(20)
    gateway.start("web")
    _until(lambda: _healthy(gateway))
    status, answer = gateway.client().send("491700000001", "hello")
    assert (status, answer["error"]) == (500, "link disabled")


def test_a_worker_that_is_killed_is_replaced(
    gateway: Installation, web: subprocess.Popen[bytes]
) -> None:
    killed = _workers(web)[0]
    killed.kill()
    _until(lambda: killed not in _workers(web) and len(_workers(web)) == 2)
    assert _healthy(gateway)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_it_is_asked_to_whoever_is_still_connected(
    gateway: Installation, web: subprocess.Popen[bytes], number: signal.Signals
) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port)) as idle:
        idle.sendall(b"GET /healthy HTTP/1.1\r\nHost: a\r\n\r\n")
        assert idle.recv(100)
        web.send_signal(number)
        assert web.wait(10) == 0, gateway.output()
    assert not _healthy(gateway)


def test_it_opens_no_socket_but_its_port(
    gateway: Installation, web: subprocess.Popen[bytes]
) -> None:
    ports = {
        connection.laddr.port
        for process in (psutil.Process(web.pid), *_workers(web))
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert ports == {gateway.port}
    assert not list(gateway.home.rglob("*.ctl"))


def test_its_log_tells_of_its_start_in_our_form(
    gateway: Installation, web: subprocess.Popen[bytes]
) -> None:
    assert web.poll() is None
    _until(lambda: gateway.output().count("INFO signalbox.ops.web web worker is up") == 2)
    assert "[INFO]" not in gateway.output()  # Gunicorn's own form.


def _healthy(gateway: Installation) -> bool:
    try:
        return Client(gateway.port).call("GET", "/healthy") == (200, {"status": "ok"})
    except OSError:
        return False


def _workers(web: subprocess.Popen[bytes]) -> list[Any]:
    children = psutil.Process(web.pid).children()
    return [child for child in children if child.status() != psutil.STATUS_ZOMBIE]


def _until(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
