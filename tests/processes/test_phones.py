"""Phones on real processes: texts both ways, and what happens when processes or phones die."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from support.gateway import eventually
from support.phone_sockets import hear, say
from support.phones import SECRET, Account, Org, hear_end, hears_nothing, invite
from support.processes import Installation, free_port, kill

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.processes

FAST = """
[phones]
line_ttl_s = 6.0
line_renew_s = 2.0
repush_s = 0.5

[websockets]
ping_s = 1.0
silence_s = 3.0
"""
SIM = {"slot": 0, "number": "+15550001111", "label": "SIM1", "carrier": "AT&T"}


@pytest.fixture
def installation(database_url: str) -> Iterator[Installation]:
    with Installation(database_url, [], extra=FAST) as installation:
        installation.start_all()
        yield installation


@pytest.fixture
def account(installation: Installation) -> Account:
    return Account(installation.port, invite(installation))


@pytest.fixture
def org(installation: Installation) -> Org:
    return Org(installation.port, "acme")


def test_a_text_goes_through_a_phone_of_an_account_and_one_comes_back(account: Account) -> None:
    device = account.pair()
    with account.phone(device) as phone:
        message_id = account.send("+15551234567", "Grüße")
        frame = hear(phone)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", frame.pop("timestamp"))
        assert frame == {
            "type": "send_sms",
            "sms_id": message_id,
            "to": "+15551234567",
            "message": "Grüße",
        }
        say(phone, type="sms_status", sms_id=message_id, status="delivered")
        eventually(lambda: account.status(message_id) == "delivered")
        assert account.is_online(device)
        body = {
            "from": "+15551234567",
            "message": "Danke",
            "timestamp": "2026-04-20T14:30:00Z",
            "device_id": device,
        }
        received = account.call("POST", f"/sms/gateway/devices/{device}/receive-sms", body)
    shown = account.call("GET", "/sms/messages")["messages"]
    assert [(one["id"], one["direction"], one["message"]) for one in shown] == [
        (received["message_id"], "inbound", "Danke"),
        (message_id, "outbound", "Grüße"),
    ]
    eventually(lambda: not account.is_online(device))


def test_a_text_goes_through_a_phone_of_an_org_and_one_comes_back(org: Org) -> None:
    with org.phone(SIM) as phone:
        answer = org.send("+1999000111", sim="+15550001111")
        assert (answer["device_online"], answer["results"][0]["status"]) == (True, "sending")
        number = answer["results"][0]["id"]
        assert hear(phone) == {
            "type": "send_sms",
            "id": number,
            "to": "+1999000111",
            "body": "hello",
            "sim": "+15550001111",
        }
        say(phone, type="send_result", id=number, success=True)
        eventually(lambda: org.messages()[0]["status"] == "sent")
        inbound = {"address": "+1999000111", "body": "hi", "date": 1_700_000_000_000, "sim_slot": 0}
        say(phone, type="inbound", message=inbound)
        assert hear(phone) == {"type": "inbound_ack", "stored": 1}
    assert [one["direction"] for one in org.messages()] == ["out", "in"]


def test_a_text_accepted_by_one_web_process_leaves_by_the_other(
    installation: Installation, account: Account
) -> None:
    other = free_port()
    installation.start("web", port=other)
    eventually(lambda: _answers(account, other))
    device = account.pair()
    with account.phone(device, port=other) as phone:
        eventually(lambda: account.is_online(device))
        message_id = account.send("+15551234567")
        assert hear(phone)["sms_id"] == message_id


def test_a_second_connection_of_a_phone_ends_the_first_wherever_it_is(
    installation: Installation, account: Account
) -> None:
    other = free_port()
    installation.start("web", port=other)
    eventually(lambda: _answers(account, other))
    device = account.pair()
    with account.phone(device) as first:
        eventually(lambda: account.is_online(device))
        with account.phone(device, port=other) as second:
            assert hear_end(first) == 4409
            message_id = account.send("+15551234567")
            assert hear(second)["sms_id"] == message_id
            assert account.is_online(device)


def test_a_text_pushed_before_a_crash_is_pushed_once_more_and_counted_once(
    installation: Installation, account: Account
) -> None:
    device = account.pair()
    web = installation.processes[0]
    with account.phone(device) as phone:
        message_id = account.send("+15551234567")
        assert hear(phone)["sms_id"] == message_id
        kill(web)
    installation.start("web")
    installation.wait_until_ready()
    with account.phone(device) as phone:
        assert hear(phone)["sms_id"] == message_id
        say(phone, type="sms_status", sms_id=message_id, status="sent")
        eventually(lambda: account.status(message_id) == "sent")
        assert hears_nothing(phone)
    with account.phone(device) as phone:  # Confirmed by now: it is not pushed again.
        assert hears_nothing(phone)


def test_phones_of_a_killed_web_process_go_offline(
    installation: Installation, account: Account
) -> None:
    other = free_port()
    doomed = installation.start("web", port=other)
    eventually(lambda: _answers(account, other))
    device = account.pair()
    with account.phone(device, port=other):
        eventually(lambda: account.is_online(device))
        kill(doomed)
        eventually(lambda: not account.is_online(device), timeout_s=30)


def test_a_phone_that_is_silent_goes_offline(installation: Installation, account: Account) -> None:
    device = account.pair()
    with _phone_command(installation, account, device) as process:
        eventually(lambda: account.is_online(device))
        process.send_signal(signal.SIGSTOP)  # Its connection stays, and nothing comes over it.
        eventually(lambda: not account.is_online(device), timeout_s=30)
        process.send_signal(signal.SIGCONT)
        eventually(lambda: account.is_online(device), timeout_s=30)


def test_a_web_process_that_stops_says_goodbye_to_its_phones(
    installation: Installation, account: Account, org: Org
) -> None:
    with account.phone(account.pair()) as first, org.phone() as second:
        installation.processes[0].send_signal(signal.SIGTERM)
        assert (hear_end(first), hear_end(second)) == (1001, 1001)
        assert installation.processes[0].wait(30) == 0


def test_texts_for_phones_survive_a_killed_relay_and_projector(
    installation: Installation, account: Account
) -> None:
    """Phones hang on the web process alone; the others only show and tidy up."""
    device = account.pair()
    for process in installation.processes[1:3]:
        kill(process)
    with account.phone(device) as phone:
        message_ids = [account.send(f"+1555000{n:04}") for n in range(20)]
        heard: Counter[str] = Counter()
        while len(heard) < len(message_ids):
            sms_id = hear(phone)["sms_id"]
            heard[sms_id] += 1
            say(phone, type="sms_status", sms_id=sms_id, status="sent")
    assert heard == Counter(message_ids)
    for command in ("relay", "projector"):
        installation.start(command)
    eventually(lambda: {account.status(one) for one in message_ids} == {"sent"}, timeout_s=30)


@pytest.mark.parametrize(
    ("answer", "status"), [("deliver", "sent"), ("fail", "failed"), ("ignore", "sending")]
)
def test_the_phone_command_plays_a_phone_of_an_org(
    installation: Installation, org: Org, answer: str, status: str
) -> None:
    arguments = ["--surface", "trucopilot", "--org", org.id, "--sim", "0:+15550001111"]
    told = ["--answer", answer, "--inbound", "+15559876543=Are you there?"]
    with _command(installation, org.secret, *arguments, *told) as process:
        eventually(lambda: len(_messages(org)) == 1, timeout_s=30)
        assert _messages(org)[0]["body"] == "Are you there?"
        number = org.send("+1999000111")["results"][0]["id"]
        eventually(lambda: _messages(org)[1]["status"] == status)
        process.terminate()
        output, _ = process.communicate(timeout=10)
    assert f"phone: send_sms {number} to +1999000111: hello" in output
    assert SECRET not in output


def test_the_phone_command_plays_a_device_that_hangs_up(
    installation: Installation, account: Account
) -> None:
    with _command(installation, account.key, "--surface", "signalhouse", "--answer", "drop") as one:
        eventually(lambda: any(d["online"] for d in account.call("GET", "/device/list")["devices"]))
        message_id = account.send("+15551234567")
        # It gets the text after each reconnect, and never says a word: three times, then it failed.
        eventually(lambda: account.status(message_id) == "failed", timeout_s=60)
        one.terminate()
        output, _ = one.communicate(timeout=10)
    assert output.count(f"phone: send_sms {message_id}") == 3


def test_the_phone_command_says_in_one_line_that_it_is_refused(
    installation: Installation, account: Account
) -> None:
    device = account.pair()
    wrong = "sh_live_" + "x" * 32
    arguments = ["--surface", "signalhouse", "--device", device]
    with _command(installation, wrong, *arguments) as process:
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 2
    assert re.fullmatch(r"(phone: connected .*\n)?signalbox: phone: refused with 4401.*\n", output)


def test_the_phone_command_leaves_a_locked_org_alone_for_a_minute(
    installation: Installation, org: Org
) -> None:
    with org.phone():
        pass
    stranger = Org(installation.port, org.id, "not-the-secret-of-the-org")
    statuses = [stranger.call("GET", f"/messages/{org.id}")[0] for _ in range(12)]
    assert (statuses[0], statuses[-1]) == (401, 429)
    arguments = ["--surface", "trucopilot", "--org", org.id]
    with _command(installation, org.secret, *arguments) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("phone: connected to ")
        said = process.stdout.readline()
    assert said == (
        "phone: not connected: 4429 too many failed attempts, locked for now; again in 60 s\n"
    )


def _phone_command(
    installation: Installation, account: Account, device: str
) -> subprocess.Popen[str]:
    return _command(installation, account.key, "--surface", "signalhouse", "--device", device)


def _command(installation: Installation, secret: str, *arguments: str) -> subprocess.Popen[str]:
    url = f"http://127.0.0.1:{installation.port}"
    return _Ended(
        [sys.executable, "-m", "signalbox.ops.main", "phone", "--url", url, *arguments],
        env=os.environ | {"SIGNALBOX_PHONE_SECRET": secret},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


class _Ended(subprocess.Popen[str]):
    """A process that does not outlive its context."""

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.wait()
        super().__exit__(None, None, None)


def _messages(org: Org) -> list[dict[str, Any]]:
    """Return the messages, none as long as nobody has claimed the organisation."""
    status, answer = org.call("GET", f"/messages/{org.id}")
    messages: list[dict[str, Any]] = answer["messages"] if status == 200 else []
    return messages


def _answers(account: Account, port: int) -> bool:
    try:
        account.call("GET", "/device/list", port=port)
    except OSError:
        time.sleep(0.1)
        return False
    return True
