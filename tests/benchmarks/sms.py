"""How fast SMS go through: accepted durably, answered after the submit_sm_resp, receipts on.

Everything is real and on this machine: PostgreSQL, one web, one relay and one projector process,
and the node SMSC; 256 connections. What counts is the ratio to `GET /healthy` of the same
web process in the same run, so that a busy machine does not matter much. By hand: `make bench`.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

sys.path.insert(0, str(Path(__file__).parent.parent))

from support.processes import Installation
from support.smsc import NODE, NodeSmsc

from signalbox.ops.embedded import EmbeddedPostgres
from signalbox.ops.preflight import free_port

if TYPE_CHECKING:
    from support.processes import Client

CONNECTIONS: Final = 256
SECONDS: Final = float(os.environ.get("BENCH_SECONDS", "8"))
HERE: Final = Path(__file__).parent
BAR: Final = 0.35
LIMITS: Final = """
# On, as in every installation, but out of reach: what they cost is measured with the rest.
[limits]
requests_per_s = 100_000
requests_burst = 100_000
app_requests_per_s = 100_000
app_requests_burst = 100_000

[license]
tps_max = 100_000
"""
PLAIN: Final = """
from gevent import monkey; monkey.patch_all()
import sys, falcon
from gevent.pywsgi import WSGIServer
class Healthy:
    def on_get(self, req, resp):
        resp.media = {"status": "ok"}
app = falcon.App()
app.add_route("/healthy", Healthy())
WSGIServer(("127.0.0.1", int(sys.argv[1])), app, log=None, error_log=None).serve_forever()
"""
BAR_AT_40_MS: Final = {50: 800, 200: 1200}


def main() -> None:
    """Measure without latency, then at 40 ms with windows of 50 and 200."""
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} CPUs")
    plain = _measure_plain()
    healthy, send = _measure(window=200, latency_ms=0)
    print(f"plain pywsgi        {plain['per_second']:8.0f}/s  {_latencies(plain)}")
    print(f"GET /healthy        {healthy['per_second']:8.0f}/s  {_latencies(healthy)}")
    print(f"POST /sms/send      {send['per_second']:8.0f}/s  {_latencies(send)}")
    print(f"ratio to /healthy   {send['per_second'] / healthy['per_second']:8.2f}    bar {BAR}")
    print(f"ratio to plain      {send['per_second'] / plain['per_second']:8.2f}")
    for window, bar in BAR_AT_40_MS.items():
        _, send = _measure(window=window, latency_ms=40)
        rate = f"{send['per_second']:7.0f}/s"
        print(f"at 40 ms, window {window:<4}{rate}  {_latencies(send)}  bar {bar}")


def _measure_plain() -> dict[str, Any]:
    """Measure the stock server under an application that does nothing, for comparison."""
    port = free_port()
    with subprocess.Popen([sys.executable, "-c", PLAIN, str(port)]) as server:
        try:
            _wait_for(port)
            return _load(port, [_healthy()])
        finally:
            server.terminate()


def _measure(*, window: int, latency_ms: int) -> tuple[dict[str, Any], dict[str, Any]]:
    with (
        tempfile.TemporaryDirectory(prefix="signalbox-bench-") as home,
        NodeSmsc(QUIET=1, SEEN=0, KEEP=0, RESP_DELAY_MS=latency_ms) as smsc,
    ):
        Path(home).chmod(0o755)
        postgres = EmbeddedPostgres(Path(home) / "postgres")
        (Path(home) / "postgres").mkdir()
        url = postgres.start()
        try:
            with Installation(url, [smsc.port], window=window, extra=LIMITS) as gateway:
                gateway.start_all()
                gateway.wait_until_bound()
                client = gateway.client()
                healthy = _load(gateway.port, [_healthy()])
                _load(gateway.port, [_send(client)], seconds=1)
                before = smsc.stats()["receipts"]
                send = _load(gateway.port, [_send(client)])
                _wait_for_receipts(smsc, before + sum(send["statuses"].values()))
        finally:
            postgres.stop()
    assert set(send["statuses"]) == {"200"}, send
    return healthy, send


def _load(port: int, requests: list[str], seconds: float = SECONDS) -> dict[str, Any]:
    job = {"port": port, "connections": CONNECTIONS, "seconds": seconds, "requests": requests}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(job, file)
        file.flush()
        command = [str(NODE), str(HERE / "load.js"), file.name]
        done = subprocess.run(command, check=True, capture_output=True, timeout=seconds + 30)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _healthy() -> str:
    return "GET /healthy HTTP/1.1\r\nHost: localhost\r\n\r\n"


def _send(client: Client) -> str:
    body = json.dumps({
        "esme": 1, "source": "Signalbox", "destination": "+4917012345678",
        "message": "x" * 100, "transaction_id": f"{uuid.uuid4()}-@ID@",
    })  # fmt: skip
    length = len(body) - len("@ID@") + 8
    headers = "".join(f"{name}: {value}\r\n" for name, value in client.headers.items())
    return (
        "POST /api/v1/sms/send HTTP/1.1\r\nHost: localhost\r\n"
        f"{headers}Content-Length: {length}\r\n\r\n{body}"
    )


def _wait_for_receipts(smsc: NodeSmsc, wanted: int) -> None:
    """A gateway that only accepts quickly has not delivered: wait for what the load left behind."""
    deadline_s = time.monotonic() + 30
    while smsc.stats()["receipts"] < wanted and time.monotonic() < deadline_s:
        time.sleep(0.2)


def _wait_for(port: int) -> None:
    deadline_s = time.monotonic() + 10
    while time.monotonic() < deadline_s:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"nothing listens on port {port}")


def _latencies(result: dict[str, Any]) -> str:
    return f"p50 {result['p50_ms']:6.1f} ms  p99 {result['p99_ms']:6.1f} ms"


if __name__ == "__main__":
    main()
