"""`signalbox up` as a newcomer meets it: everything from one command, and nothing left behind."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import gevent
import psutil
import pytest
from support.processes import Client, Installation
from support.smsc import NodeSmsc, Smpp34Smsc

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.processes, pytest.mark.timeout(150)]

FIVE_PARTS = "Five parts of 153 septets each take this text. " * 15


@pytest.fixture
def installation() -> Iterator[Installation]:
    with NodeSmsc(QUIET=1, DLR_DELAY_MS=20) as node, Smpp34Smsc() as smpp34:
        links = [node.port, smpp34.port]
        with Installation("", links) as installation:
            yield installation


def test_two_links_carry_every_kind_of_text_and_a_second_start_finds_it(
    installation: Installation,
) -> None:
    process = start(installation)
    client = installation.client()
    sent: dict[str, tuple[int, int]] = {}
    for esme in (1, 2):
        for number, (text, parts) in enumerate(
            [("Hello @£$ €[]", 1), ("Привет 👋🏽", 1), (FIVE_PARTS, 5)]
        ):
            status, answer = client.send(f"4917000000{esme}{number}1", text, esme=esme)
            assert (status, answer["status"], len(answer["sms_ids"])) == (200, "submitted", parts)
            sent[answer["message_id"]] = (esme, parts)
    for message_id, (esme, parts) in sent.items():
        info = wait_until_delivered(client, message_id, esme)
        assert info["parts"] == {str(n): "delivered" for n in range(1, parts + 1)}
        assert info["delivered_count"] == parts
    stop(process)
    process = start(installation)
    again = installation.log_in("app", client.app_id)
    for message_id, (esme, _) in sent.items():
        assert again.info(message_id, esme)[1]["status"] == "delivered"
    stop(process)


def test_the_demo_shows_messages_by_link_and_by_phone_and_their_timelines() -> None:
    with Installation("", []) as installation:
        installation.config.unlink()  # the demo brings a configuration of its own
        installation.environment["PORT"] = str(installation.port)
        process = installation.start("up --demo --phone", config=False)
        log = installation.home / "up --demo --phone.log"
        deadline_s = time.monotonic() + 90
        while "still serves" not in log.read_text():
            assert process.poll() is None, installation.output()
            assert time.monotonic() < deadline_s, installation.output()
            gevent.sleep(0.2)
        output = log.read_text()
        by_link = ("MessageAccepted", "SubmitAttempted", "MessageSubmitted", "ReceiptRecorded")
        by_phone = ("OutboundQueued", "OutboundPushed", "StatusReported")
        places = [output.find(name) for name in (*by_link, *by_phone)]
        assert -1 not in places, output
        assert places == sorted(places)
        assert len(re.findall(r"^\$ curl ", output, re.MULTILINE)) >= 6
        assert re.search(r"OutboundQueued .*, 1 segment\b", output)
        account = json.loads((installation.home / "demo" / "account.json").read_text())
        assert account["secret_key"] not in output
        assert secret_of(output) == account["secret_key"]
        assert Client(installation.port).call("GET", "/healthy") == (200, {"status": "ok"})
        stop(process)
        assert re.search(r"\bphone stopped \(rc=0\)", log.read_text())


def test_it_says_that_it_serves_when_it_does_and_that_without_links_only_phones_send() -> None:
    with Installation("", [], environment={"LOG_FORMAT": "json"}) as installation:
        process = installation.start("up")
        log = installation.home / "up.log"
        deadline_s = time.monotonic() + 60
        while "serving http" not in log.read_text():
            assert process.poll() is None, installation.output()
            assert time.monotonic() < deadline_s, installation.output()
            gevent.sleep(0.02)
        assert Client(installation.port).call("GET", "/healthy") == (200, {"status": "ok"})
        stop(process)
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        up = [line["message"] for line in lines if line["process"] == "up"]
        assert "no [[links]] are configured: SMS can leave by phones only" in up
        assert up[-1] == f"serving http://127.0.0.1:{installation.port}, home {installation.home}"
        assert {"up", "system", "web", "relay"} <= {line["process"] for line in lines}


def secret_of(output: str) -> str:
    """Get at the phone's secret as the demo says, in the shell it is said for."""
    (told,) = re.findall(r"^\$ (ORG_SECRET=.*)$", output, re.MULTILINE)
    assert '-H "X-Secret-Key: $ORG_SECRET"' in output
    command = ["sh", "-c", f'{told}; printf %s "$ORG_SECRET"']
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout


def start(installation: Installation) -> subprocess.Popen[bytes]:
    process = installation.start("up")
    installation.wait_until_ready(60)
    for link_id in (1, 2):
        installation.wait_until_bound(link_id)
    return process


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ctrl-C, and nothing may be left behind."""
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= 4
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    gone, alive = psutil.wait_procs(family, timeout=5)
    assert not alive, (gone, alive)


def wait_until_delivered(client: Client, message_id: str, esme: int) -> dict[str, Any]:
    deadline_s = time.monotonic() + 15
    while True:
        status, info = client.info(message_id, esme)
        assert status == 200, info
        if info["status"] == "delivered":
            answer: dict[str, Any] = info
            return answer
        assert time.monotonic() < deadline_s, info
        gevent.sleep(0.1)
