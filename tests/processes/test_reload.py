"""SIGHUP to real processes: the links change under them, and no request is lost."""

from __future__ import annotations

import os
import pty
import signal
import time
from typing import TYPE_CHECKING, Any

import gevent
import psutil
import pytest
from support.gateway import eventually, eventually_equal
from support.processes import ADMIN_KEY, Client, Installation
from support.smsc import NodeSmsc

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]

ADMIN = {"X-Admin-Key": ADMIN_KEY}
HANGUPS = 5


@pytest.fixture(scope="module")
def smsc() -> Iterator[NodeSmsc]:
    with NodeSmsc(DLR_DELAY_MS=10) as smsc:
        yield smsc


@pytest.fixture
def gateway(database_url: str, smsc: NodeSmsc) -> Iterator[Installation]:
    links = [smsc.port, smsc.port]
    environment = {"WEB_CONCURRENCY": "2"}
    with Installation(database_url, links, environment=environment) as gateway:
        yield gateway


def start(gateway: Installation) -> dict[str, subprocess.Popen[bytes]]:
    """Start everything; the first two are those that listen to SIGHUP."""
    processes = {name: gateway.start(name) for name in ("web", "relay", "projector")}
    gateway.wait_until_ready()
    eventually_equal(lambda: log_of(gateway, "web").count("web worker is up"), 2)
    for link_id in (1, 2):
        gateway.wait_until_bound(link_id)
    return processes


def ask(gateway: Installation, path: str) -> Any:  # noqa: ANN401  (JSON)
    status, answer = Client(gateway.port).call("GET", f"/api/v1/admin/{path}", headers=ADMIN)
    assert status == 200, answer
    return answer


def shown_links(gateway: Installation) -> list[int]:
    return [link["id"] for link in ask(gateway, "dashboard/smpp-links")["data"]]


def configured_accounts(gateway: Installation) -> list[str]:
    """Return the accounts as one of the workers knows them."""
    return [one["system_id"] for one in ask(gateway, "settings/smpp-config")["data"]]


def test_links_come_change_and_go_without_a_lost_request(
    gateway: Installation, smsc: NodeSmsc
) -> None:
    processes = start(gateway)
    workers = psutil.Process(processes["web"].pid).children()
    client = gateway.client()
    requests = [gevent.spawn(keep_sending, gateway, client.app_id, n) for n in range(4)]
    port = smsc.port
    for number in range(HANGUPS):
        gateway.configure({1: {"port": port, "window": 10 + number}, 3: port})
        for name in ("web", "relay", "projector"):
            processes[name].send_signal(signal.SIGHUP)
        gevent.sleep(0.3)
    gateway.wait_until_bound(3)
    eventually_equal(lambda: shown_links(gateway), [1, 3])
    for sending in requests:
        sending.kill(StopIteration)
    answers = [answer for sending in requests for answer in sending.get()]
    assert len(answers) > HANGUPS * 4
    assert {status for status, _ in answers} == {200}, answers
    assert psutil.Process(processes["web"].pid).children() == workers
    assert [client.send("4917000000001", "hi", esme=n)[0] for n in (1, 2, 3)] == [200, 400, 200]
    # Asked on many connections, either worker answers, and both know the same.
    assert {tuple(configured_accounts(gateway)) for _ in range(10)} == {("test1", "test3")}
    assert [process.poll() for process in processes.values()] == [None] * 3
    output = gateway.output()
    assert "Traceback" not in output
    assert " ERROR " not in output


def keep_sending(gateway: Installation, app_id: int, number: int) -> list[tuple[int, Any]]:
    """Send until told to stop: on one connection, or on a new one for each message."""
    answers: list[tuple[int, Any]] = []
    client = gateway.log_in("app", app_id)
    try:
        while True:
            if number % 2:
                client.close()
            answers.append(client.send(f"49170000{number}0001", "hello"))
            gevent.sleep(0.01)
    except StopIteration:
        return answers


def test_a_wrong_file_is_told_once_by_each_process_and_changes_nothing(
    gateway: Installation, smsc: NodeSmsc
) -> None:
    processes = start(gateway)
    text = gateway.config.read_text()
    gateway.config.write_text(text.replace("window = 50", "widow = 50"))
    for name in ("web", "relay"):
        processes[name].send_signal(signal.SIGHUP)
    for name in ("web", "relay"):
        eventually_equal(lambda name=name: errors(gateway, name), 1)
    assert "links[0].widow: unknown key (is window meant?)" in log_of(gateway, "web")
    assert shown_links(gateway) == [1, 2]
    gateway.configure({1: smsc.port, 2: smsc.port, 3: smsc.port})
    for name in ("web", "relay"):
        processes[name].send_signal(signal.SIGHUP)
    gateway.wait_until_bound(3)
    assert [errors(gateway, name) for name in ("web", "relay")] == [1, 1]


def log_of(gateway: Installation, name: str) -> str:
    return (gateway.home / f"{name}.log").read_text()


def errors(gateway: Installation, name: str) -> int:
    return log_of(gateway, name).count(" ERROR ")


def test_a_change_that_needs_a_restart_is_named_and_waits(gateway: Installation) -> None:
    processes = start(gateway)
    text = gateway.config.read_text()
    gateway.config.write_text(text.replace("[server]", "[server]\nbacklog = 99"))
    for name in ("web", "relay"):
        processes[name].send_signal(signal.SIGHUP)
        said = "changes wait for a restart sections=server"
        eventually(lambda name=name, said=said: said in log_of(gateway, name))
    eventually(lambda: log_of(gateway, "web").count("configuration read again") == 2)
    assert log_of(gateway, "web").count("changes wait for a restart") == 1


def test_a_link_that_went_while_nobody_ran_is_noticed_at_the_start(
    gateway: Installation, smsc: NodeSmsc
) -> None:
    processes = start(gateway)
    for name in ("web", "relay"):
        processes[name].terminate()
        assert processes[name].wait(30) == 0
    gateway.configure({1: smsc.port})
    for name in ("web", "relay"):
        gateway.start(name)
    gateway.wait_until_ready()
    eventually_equal(lambda: shown_links(gateway), [1], timeout_s=10)


def test_up_passes_it_on_and_runs_on(gateway: Installation, smsc: NodeSmsc) -> None:
    up = gateway.start("up")
    gateway.wait_until_ready()
    gateway.wait_until_bound(2)
    family = psutil.Process(up.pid).children(recursive=True)
    gateway.configure({1: smsc.port, 3: smsc.port})
    os.killpg(up.pid, signal.SIGHUP)  # as from a terminal: its helpers get it, too
    gateway.wait_until_bound(3)
    eventually_equal(lambda: configured_accounts(gateway), ["test1", "test3"])
    assert up.poll() is None
    assert psutil.Process(up.pid).children(recursive=True) == family
    up.send_signal(signal.SIGTERM)
    assert up.wait(60) == 0


def test_up_on_a_terminal_stops_in_order_when_that_is_closed(gateway: Installation) -> None:
    controller, terminal = pty.openpty()
    up = gateway.start("up", stdin=terminal)
    os.close(terminal)
    gateway.wait_until_ready()
    os.killpg(up.pid, signal.SIGHUP)
    deadline_s = time.monotonic() + 60
    while up.poll() is None and time.monotonic() < deadline_s:
        gevent.sleep(0.05)
    os.close(controller)
    assert up.returncode == 0
    stops = [log_of(gateway, "up").index(f"{n} stopped (rc=0)") for n in ("web", "relay")]
    assert stops == sorted(stops)
