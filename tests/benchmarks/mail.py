"""How fast mails go through: accepted durably in batches of 100, delivered by SMTP, reported.

Everything is real and on this machine: PostgreSQL, one web, one relay and one projector process,
an SMTP server that takes everything, and a tenant's server that is told what was sent. First as
the installation is new, then again behind 100,000 mails. What counts are the ratios within the
run: accepted mails to `GET /healthy` of the same web process, delivered ones to a loop of
Python's smtplib against the same server. By hand: `make bench`.
"""

from __future__ import annotations

import json
import os
import platform
import smtplib
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

sys.path.insert(0, str(Path(__file__).parent.parent))

import psutil
from support.mail_sink_fast import FastMailSink
from support.mail_tenants import ENVIRONMENT, PREFIX, Tenant, TenantServer
from support.processes import Installation
from support.smsc import NODE

from signalbox.ops.embedded import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS: Final = float(os.environ.get("BENCH_SECONDS", "5"))
HISTORY: Final = int(os.environ.get("BENCH_MAILS", "100000"))
BATCH: Final = 100
CONNECTIONS: Final = 8
ACCOUNTS: Final = 4
PLAIN_MAILS: Final = 3_000
PATIENCE_S: Final = 600.0
LOOK_S: Final = 0.1
ACCEPTED_BAR: Final = 3_000
DELIVERED_BAR: Final = 600
BODY: Final = "x" * 200
HERE: Final = Path(__file__).parent
EXTRA: Final = """
[limits]
requests_per_s = 100_000
requests_burst = 100_000

[mail]
allowed_networks = ["127.0.0.0/8"]
"""


def main() -> None:
    """Measure a new installation, then the same with a past."""
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} CPUs")
    with (
        tempfile.TemporaryDirectory(prefix="signalbox-bench-") as home,
        FastMailSink() as sink,
        TenantServer() as server,
    ):
        Path(home).chmod(0o755)
        postgres = EmbeddedPostgres(Path(home) / "postgres")
        (Path(home) / "postgres").mkdir()
        url = postgres.start()
        try:
            with Installation(url, [], extra=EXTRA, environment=ENVIRONMENT) as gateway:
                gateway.start_all()
                _Bench(gateway, _postmaster(Path(home)), sink, server).run()
        finally:
            postgres.stop()


@dataclass(frozen=True, kw_only=True)
class _Staged:
    """Mails per second, and what the slowest calls and each mail took."""

    accepted: float
    p99_ms: float
    delivered: float
    reported: float
    cpu_ms: dict[str, float]


class _Bench:
    """One tenant with some accounts, all on the same SMTP server."""

    def __init__(
        self, gateway: Installation, postmaster: int, sink: FastMailSink, server: TenantServer
    ) -> None:
        self._port = gateway.port
        _, relay, projector = gateway.processes
        pids = {"relay": relay.pid, "projector": projector.pid, "PostgreSQL": postmaster}
        self._costly = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._sink = sink
        self._server = server
        self._tenant = Tenant(gateway.port, "bench", server.url)
        for number in range(ACCOUNTS):
            self._tenant.add_account(f"smtp{number}", sink.port)
        self._accepted = 0
        self._plain = 0
        self._series = 0

    def run(self) -> None:
        """Measure, fill, measure again."""
        self._measure("new")
        while self._accepted < HISTORY:
            accepted, through = self._both()
            print(f"{accepted:.0f}/s accepted while others are delivered, {through:.0f}/s through")
        self._measure(f"behind {self._accepted} mails")

    def _measure(self, name: str) -> None:
        plain = self._measure_smtplib()
        healthy = self._load([_healthy()])["per_second"]
        staged = self._staged()
        print(f"{name}:")
        print(f"  smtplib in a loop {plain:8.0f}/s")
        print(f"  GET /healthy      {healthy:8.0f}/s")
        print(
            f"  accepted          {staged.accepted:8.0f}/s  bar {ACCEPTED_BAR}  to /healthy "
            f"{staged.accepted / healthy:.2f}  p99 of a batch {staged.p99_ms:.0f} ms"
        )
        print(
            f"  delivered         {staged.delivered:8.0f}/s  bar {DELIVERED_BAR}  to smtplib "
            f"{staged.delivered / plain:.2f}"
        )
        print(f"  and reported      {staged.reported:8.0f}/s")
        costs = "  ".join(f"{name} {each:.2f} ms" for name, each in staged.cpu_ms.items())
        print(f"  CPU for each      {costs}")

    def _staged(self) -> _Staged:
        """Accept while nothing may be sent, then let it go: neither takes time from the other."""
        self._switch("suspend")
        before, result = self._accepted, self._accept(SECONDS)
        count = self._accepted - before
        before_s = self._cpu_s()
        self._switch("activate")
        began_s = time.monotonic()
        sent_s = _wait(lambda: self._sink.count - self._plain, self._accepted) - began_s
        told_s = _wait(lambda: self._server.sent, self._accepted) - began_s
        return _Staged(
            accepted=result["per_second"] * BATCH,
            p99_ms=result["p99_ms"],
            delivered=count / sent_s,
            reported=count / told_s,
            cpu_ms={
                name: 1_000 * (now_s - before_s[name]) / count
                for name, now_s in self._cpu_s().items()
            },
        )

    def _both(self) -> tuple[float, float]:
        """Accept and deliver at the same time; return how fast, and how fast to the last report."""
        before, began_s = self._accepted, time.monotonic()
        result = self._accept(SECONDS)
        took_s = _wait(lambda: self._server.sent, self._accepted) - began_s
        return result["per_second"] * BATCH, (self._accepted - before) / took_s

    def _cpu_s(self) -> dict[str, float]:
        return {name: _cpu_s_of(process) for name, process in self._costly.items()}

    def _accept(self, seconds: float) -> dict[str, Any]:
        self._series += 1
        result = self._load([self._batch(number) for number in range(ACCOUNTS)], seconds)
        assert set(result["statuses"]) == {"200"}, result
        self._accepted += result["statuses"]["200"] * BATCH
        return result

    def _batch(self, account: int) -> str:
        """Return a call with another hundred of mails each time."""
        mails = [
            self._tenant.mail(f"{self._series}-@ID@-{place}", f"smtp{account}", body=BODY)
            for place in range(BATCH)
        ]
        body = json.dumps({"messages": mails})
        length = len(body) + body.count("@ID@") * (8 - len("@ID@"))
        return (
            f"POST {PREFIX}/commands/add-messages HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: application/json\r\nX-API-Token: {self._tenant.key}\r\n"
            f"Content-Length: {length}\r\n\r\n{body}"
        )

    def _switch(self, command: str) -> None:
        self._tenant.call("POST", f"/commands/{command}?tenant_id={self._tenant.id}")

    def _measure_smtplib(self) -> float:
        text = f"From: a@example.com\r\nTo: b@example.net\r\nSubject: s\r\n\r\n{BODY}\r\n"
        client = smtplib.SMTP("127.0.0.1", self._sink.port)
        began_s = time.monotonic()
        for _ in range(PLAIN_MAILS):
            client.sendmail("a@example.com", ["b@example.net"], text)
        rate = PLAIN_MAILS / (time.monotonic() - began_s)
        self._plain += PLAIN_MAILS
        client.quit()
        return rate

    def _load(self, requests: list[str], seconds: float = SECONDS) -> dict[str, Any]:
        job = {
            "port": self._port,
            "connections": CONNECTIONS,
            "seconds": seconds,
            "requests": requests,
        }
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(job, file)
            file.flush()
            command = [str(NODE), str(HERE / "load.js"), file.name]
            done = subprocess.run(command, check=True, capture_output=True, timeout=seconds + 30)
        result: dict[str, Any] = json.loads(done.stdout)
        return result


def _postmaster(folder: Path) -> int:
    (file,) = folder.rglob("postmaster.pid")
    return int(file.read_text().splitlines()[0])


def _cpu_s_of(process: psutil.Process) -> float:
    """Return what a process and its children have used, those that have ended, too."""
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    ended = times[0].children_user + times[0].children_system
    return float(sum(one.user + one.system for one in times) + ended)


def _healthy() -> str:
    return "GET /healthy HTTP/1.1\r\nHost: localhost\r\n\r\n"


def _wait(count: Callable[[], int], wanted: int) -> float:
    """Wait until so many are counted; return when that was."""
    deadline_s = time.monotonic() + PATIENCE_S
    while count() < wanted:
        assert time.monotonic() < deadline_s, (count(), wanted)
        time.sleep(LOOK_S)
    return time.monotonic()


if __name__ == "__main__":
    main()
