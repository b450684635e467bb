"""What phones cost: 5,000 idle sockets on one web process, and how soon a text reaches its phone.

Everything is real and on this machine: PostgreSQL, one web, one relay and one projector process,
and phones in a process of their own. Memory is the web worker's private memory, before and after; a
stock server with as many sockets in the same run is what it compares to. A push is timed from the
moment the text is sent for to the moment its phone has it: two durable commits. By hand:
`make bench`.
"""

from __future__ import annotations

import base64
import json
import os
import platform
import struct
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final, Self

sys.path.insert(0, str(Path(__file__).parent.parent))

import psutil
from support.phones import Account, invite
from support.processes import Installation

from signalbox.ops.embedded import EmbeddedPostgres
from signalbox.ops.preflight import free_port

SOCKETS: Final = int(os.environ.get("BENCH_SOCKETS", "5000"))
ACTIVE: Final = 500
PHONES_EACH: Final = 50  # as many as an account may have
TEXTS_PER_S: Final = 100
PATIENCE_S: Final = 20.0
SECONDS: Final = float(os.environ.get("BENCH_SECONDS", "10"))
KIB: Final = 1024
BAR_KIB: Final = 60
BAR_P99_MS: Final = 50
HERE: Final = Path(__file__)
EXTRA: Final = """
[limits]
requests_per_s = 100_000
requests_burst = 100_000

[phones]
sim_rate_per_s = 1_000.0
sim_burst = 1_000

[signalhouse]
pending_max = 100_000
sends_per_s = 100_000
sends_burst = 100_000
"""
STOCK: Final = """
from gevent import monkey; monkey.patch_all()
import sys
from gevent.pywsgi import WSGIServer
from geventwebsocket.handler import WebSocketHandler
def app(environ, start_response):
    environ["wsgi.websocket"].receive()
    return []
WSGIServer(("127.0.0.1", int(sys.argv[1])), app, log=None, error_log=None,
           handler_class=WebSocketHandler).serve_forever()
"""


def main() -> None:
    """Measure a stock server, then ours."""
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} CPUs")
    stock_kib = _measure_stock()
    with tempfile.TemporaryDirectory(prefix="signalbox-bench-") as home:
        Path(home).chmod(0o755)
        postgres = EmbeddedPostgres(Path(home) / "postgres")
        (Path(home) / "postgres").mkdir()
        url = postgres.start()
        try:
            with Installation(url, [], extra=EXTRA) as gateway:
                gateway.start_all()
                kib, pushed = _measure(gateway)
        finally:
            postgres.stop()
    print(f"memory per socket   {kib:8.1f} KiB    bar {BAR_KIB}")
    print(f"  stock server      {stock_kib:8.1f} KiB    ratio {kib / stock_kib:.2f}")
    for name, value in pushed.items():
        print(f"{name:<20}{value}")
    print(f"bar for p99         {BAR_P99_MS} ms")


def _measure_stock() -> float:
    """Return KiB per socket of the stock server."""
    port = free_port()
    with subprocess.Popen([sys.executable, "-c", STOCK, str(port)]) as server:
        try:
            _wait_for(port)
            before = _private(server.pid)
            with Phones(port, [("/", "")] * SOCKETS):
                return (_private(server.pid) - before) / KIB / SOCKETS
        finally:
            server.terminate()


def _measure(gateway: Installation) -> tuple[float, dict[str, str]]:
    code = invite(gateway, uses=10_000)
    accounts = [
        Account(gateway.port, code, f"bench-{number}") for number in range(SOCKETS // PHONES_EACH)
    ]
    phones_of = {account.key: [account.pair() for _ in range(PHONES_EACH)] for account in accounts}
    doors = [
        (f"/api/v1/ws/device/{phone}", f"Authorization: Bearer {key}\r\n")
        for key, phones in phones_of.items()
        for phone in phones
    ]
    active = accounts[: ACTIVE // PHONES_EACH]
    routes = [
        (account.key, _spoken_with(account, phone, number * PHONES_EACH + place))
        for number, account in enumerate(active)
        for place, phone in enumerate(phones_of[account.key])
    ]
    worker = _worker(gateway)
    before = _private(worker)
    with Phones(gateway.port, doors) as phones:
        time.sleep(2)  # what was allocated on the way is freed, or not
        kib = (_private(worker) - before) / KIB / len(doors)
        return kib, phones.measure(gateway.port, routes)


def _spoken_with(account: Account, phone: str, number: int) -> str:
    """Have somebody write to a phone, so that this phone answers; return whom it was."""
    sender = f"+1555{number:07}"
    path = f"/sms/gateway/devices/{phone}/receive-sms"
    body = {"from": sender, "message": "hello", "timestamp": "2026-01-01T00:00:00Z"}
    account.call("POST", path, body)
    return sender


class _Caller:
    """A client on one connection."""

    def __init__(self, port: int, key: str) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=30)
        self._headers = {"Authorization": f"Bearer {key}"}

    def send(self, to: str, text: str) -> None:
        """Send a text."""
        body = json.dumps({"to": to, "message": text})
        self._connection.request("POST", "/api/v1/sms/send", body, self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        assert answer.status == 200, (answer.status, content)


class Phones:
    """Phones in a process of their own: it says when they are connected, and what it measured."""

    def __init__(self, port: int, doors: list[tuple[str, str]]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE), "phones", str(port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._doors = doors

    def __enter__(self) -> Self:
        self._say(self._doors)
        assert self._hear() == len(self._doors)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def measure(self, port: int, routes: list[tuple[str, str]]) -> dict[str, str]:
        """Send texts by these keys to these numbers, in turn; return what came of it."""
        self._say({"port": port, "routes": routes})
        measured: dict[str, str] = self._hear()
        return measured

    def _say(self, job: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()

    def _hear(self) -> Any:  # noqa: ANN401
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


def _worker(gateway: Installation) -> int:
    """Return the process id of the web worker."""
    web = psutil.Process(gateway.processes[0].pid)
    (worker,) = web.children()
    return worker.pid


def _private(pid: int) -> int:
    return int(psutil.Process(pid).memory_full_info().uss)


def _wait_for(port: int) -> None:
    import socket  # noqa: PLC0415

    deadline_s = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        else:
            return


def _be_phones(port: int) -> None:
    """Connect as many phones as one is told to, then measure texts to them; ends by SIGKILL."""
    from gevent import monkey  # noqa: PLC0415

    monkey.patch_all()
    import gevent  # noqa: PLC0415
    from gevent.pool import Pool  # noqa: PLC0415

    doors = json.loads(sys.stdin.readline())
    arrived: dict[str, float] = {}
    reached: set[int] = set()
    pool = Pool(64)
    sockets = pool.map(lambda door: _connect(port, *door), doors)
    for one in sockets:
        gevent.spawn(_listen, one, arrived, reached)
    print(len(sockets), flush=True)
    line = gevent.get_hub().threadpool.apply(sys.stdin.readline)
    measured = _send_texts(json.loads(line), arrived)
    print(json.dumps({**measured, "phones reached": str(len(reached))}), flush=True)
    gevent.sleep(60)


def _connect(port: int, path: str, header: str) -> Any:  # noqa: ANN401
    import socket  # noqa: PLC0415

    one = socket.create_connection(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    one.sendall(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{header}\r\n".encode()
    )
    head = b""
    while b"\r\n\r\n" not in head:
        octets = one.recv(4096)
        assert octets, head
        head += octets
    assert head.startswith(b"HTTP/1.1 101"), head
    return one


def _listen(one: Any, arrived: dict[str, float], reached: set[int]) -> None:  # noqa: ANN401
    """Note when texts arrive, confirm them, answer pings."""
    buffered = b""
    while True:
        while len(buffered) < 2 or len(buffered) < _length(buffered):
            octets = one.recv(4096)
            if not octets:
                return
            buffered += octets
        end = _length(buffered)
        opcode, payload = buffered[0] & 15, buffered[end - _payload(buffered) : end]
        buffered = buffered[end:]
        if opcode == 9:
            one.sendall(_frame(10, payload))
        elif opcode == 1:
            sms = json.loads(payload)
            arrived[sms["message"]] = time.monotonic()
            reached.add(id(one))
            status = {"type": "sms_status", "sms_id": sms["sms_id"], "status": "delivered"}
            one.sendall(_frame(1, json.dumps(status).encode()))


def _payload(frame: bytes) -> int:
    length = frame[1] & 127
    return length if length < 126 else int.from_bytes(frame[2:4])


def _length(frame: bytes) -> int:
    if frame[1] & 127 < 126:
        return 2 + _payload(frame)
    return 4 + _payload(frame) if len(frame) >= 4 else 4


def _frame(opcode: int, payload: bytes) -> bytes:
    assert len(payload) < 126, payload
    mask = b"\1\2\3\4"
    masked = bytes(octet ^ mask[place % 4] for place, octet in enumerate(payload))
    return struct.pack("!BB", 0x80 | opcode, 0x80 | len(payload)) + mask + masked


def _send_texts(job: dict[str, Any], arrived: dict[str, float]) -> dict[str, str]:
    import gevent  # noqa: PLC0415

    sent: dict[str, float] = {}
    answered: dict[str, float] = {}

    def write(sender: int, senders: int) -> None:
        callers = {key: _Caller(job["port"], key) for key, _ in job["routes"]}
        for number in range(sender, int(SECONDS * TEXTS_PER_S), senders):
            gevent.sleep(max(0.0, began_s + number / TEXTS_PER_S - time.monotonic()))
            key, to = job["routes"][number % len(job["routes"])]
            text = f"text {number}"
            sent[text] = time.monotonic()
            callers[key].send(to, text)
            answered[text] = time.monotonic()

    began_s = time.monotonic()
    senders = 50
    gevent.joinall([gevent.spawn(write, n, senders) for n in range(senders)], raise_error=True)
    with gevent.Timeout(PATIENCE_S, exception=False):
        while len(arrived) < len(sent):
            gevent.sleep(0.1)
    pushes = sorted(arrived[text] - at_s for text, at_s in sent.items() if text in arrived)
    behind = sorted(arrived[text] - at_s for text, at_s in answered.items() if text in arrived)
    return {
        "texts sent, arrived": f"{len(sent)}, {len(pushes)}",
        "sent to arrived": _latencies(pushes),
        "stored to arrived": _latencies(behind),
    }


def _latencies(seconds: list[float]) -> str:
    shown = {"p50": 0.5, "p99": 0.99}
    return "  ".join(
        f"{k} {1000 * seconds[int(v * len(seconds))]:.1f} ms" for k, v in shown.items()
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["phones"]:
        _be_phones(int(sys.argv[2]))
    else:
        main()
