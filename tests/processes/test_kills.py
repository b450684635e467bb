"""Real processes, killed in the middle of their work: what was answered 200 must come through."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import gevent
import pytest
from gevent.pool import Pool
from support.fates import history, judge_attempts, names, seen_parts, status
from support.processes import SECRET_KEY, Client, Installation, kill
from support.smsc import NodeSmsc

from signalbox.eventstore.log import EventLog
from signalbox.ops.embedded import EmbeddedPostgres

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from support.postgres import Databases

pytestmark = [pytest.mark.processes, pytest.mark.timeout(150)]

SENDS: Final = 500
CLIENTS: Final = 20
KILL_AFTER: Final = 150
SETTLE_S: Final = 45.0
QUICK_LEASES: Final = "[leases]\nttl_s = 3.0\nrenew_s = 0.5\nsafety_s = 1.0\n"
FINAL: Final = {"delivered", "failed"}


class Load:
    """Sends from many connections at once; remembers what was answered with 200."""

    def __init__(self, gateway: Installation) -> None:
        client = gateway.client()
        self._headers = client.headers
        self._port = gateway.port
        self.accepted: dict[str, str] = {}
        self.others: Counter[str] = Counter()

    def run(self, at: int, disturb: Callable[[], None]) -> None:
        """Make SENDS sends; call `disturb` once when `at` were answered."""
        disturbed = gevent.event.Event()

        def watch() -> None:
            while len(self.accepted) < at:
                gevent.sleep(0.005)
            disturb()
            disturbed.set()

        watcher = gevent.spawn(watch)
        pool = Pool(CLIENTS)
        for number in range(SENDS):
            pool.spawn(self._send, number)
        pool.join(timeout=90)
        watcher.join(timeout=10)
        assert disturbed.is_set(), (len(self.accepted), self.others)

    def _send(self, number: int) -> None:
        client = Client(self._port)
        client.headers = self._headers
        destination = f"4917{number:06d}1"
        try:
            status, answer = client.send(destination, f"text {number}")
        except OSError as error:
            self.others[type(error).__name__] += 1
            gevent.sleep(0.05)
            return
        if status == 200:
            self.accepted[destination] = answer["message_id"]
        else:
            self.others[str(status)] += 1
            gevent.sleep(0.05)


@pytest.fixture
def smsc() -> Iterator[NodeSmsc]:
    with NodeSmsc(QUIET=1, DLR_DELAY_MS=30) as peer:
        yield peer


@pytest.fixture
def gateway(databases: Databases, smsc: NodeSmsc) -> Iterator[Installation]:
    url = databases.make()
    with Installation(url, [smsc.port], extra=QUICK_LEASES) as installation:
        yield installation
    databases.drop(url)


def test_a_killed_relay_loses_nothing_that_was_accepted(
    gateway: Installation, smsc: NodeSmsc
) -> None:
    relay = start(gateway)["relay"]
    load = Load(gateway)

    def replace() -> None:
        kill(relay)
        gateway.start("relay")

    load.run(KILL_AFTER, replace)
    judge(gateway, smsc, load)
    assert len(load.accepted) == SENDS, load.others


def test_a_killed_web_loses_nothing_that_was_accepted(
    gateway: Installation, smsc: NodeSmsc
) -> None:
    web = start(gateway)["web"]
    load = Load(gateway)

    def replace() -> None:
        kill(web)
        gateway.start("web")

    load.run(KILL_AFTER, replace)
    judge(gateway, smsc, load)


def test_a_killed_database_loses_nothing_that_was_accepted(smsc: NodeSmsc) -> None:
    home = Path(tempfile.mkdtemp(prefix="signalbox-test-"))
    home.chmod(0o755)
    postgres = EmbeddedPostgres(home)
    try:
        url = postgres.start()
        with Installation(url, [smsc.port], extra=QUICK_LEASES) as gateway:
            start(gateway)
            load = Load(gateway)

            def replace() -> None:
                postgres.kill()
                time.sleep(1.0)
                assert postgres.start() == url

            load.run(KILL_AFTER, replace)
            gateway.wait_until_ready()
            judge(gateway, smsc, load)
    finally:
        postgres.stop()
        shutil.rmtree(home, ignore_errors=True)


def test_a_paused_relay_does_nothing_after_its_deadline(
    gateway: Installation, smsc: NodeSmsc
) -> None:
    first = start(gateway)["relay"]
    client = gateway.client()
    assert client.send("491700000001", "before")[1]["status"] == "submitted"
    os.killpg(first.pid, signal.SIGSTOP)
    gateway.start("relay")
    deadline_s = time.monotonic() + 30
    while client.send("491700000002", "meanwhile")[1]["status"] != "submitted":
        assert time.monotonic() < deadline_s, gateway.output()
    resumed_ms = time.time() * 1000
    os.killpg(first.pid, signal.SIGCONT)
    for number in range(20):
        assert client.send(f"4917000010{number:02d}", "after")[0] == 200
    time.sleep(1)
    seen = smsc.seen()
    first_session = seen[0]["session"]
    late = [s for s in seen if s["session"] == first_session and s["time_ms"] > resumed_ms]
    assert late == []
    assert len({s["destination"] for s in seen if s["time_ms"] > resumed_ms}) >= 20


def start(gateway: Installation) -> dict[str, subprocess.Popen[bytes]]:
    processes = {name: gateway.start(name) for name in ("web", "relay", "projector")}
    gateway.wait_until_ready()
    gateway.wait_until_bound()
    return processes


def judge(gateway: Installation, smsc: NodeSmsc, load: Load) -> None:
    """Hold the store and the SMSC against what the callers were told."""
    log = EventLog(gateway.environment["DATABASE_URL"], SECRET_KEY)
    try:
        pending = dict(load.accepted)
        deadline_s = time.monotonic() + SETTLE_S
        while pending and time.monotonic() < deadline_s:
            pending = {d: m for d, m in pending.items() if status(log, m) not in FINAL}
            gevent.sleep(0.2)
        assert not pending, {d: names(log, m) for d, m in list(pending.items())[:5]}
        seen = seen_parts(smsc.seen())
        for destination, message_id in load.accepted.items():
            judge_attempts(destination, history(log, message_id), seen)
    finally:
        log.close()
