"""The SMSCs that other tests lean on do what they say, seen by an independent client (smpplib)."""

import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import smpplib.client
import smpplib.exceptions
import smpplib.smpp
from support.certificates import self_signed
from support.smsc import HOST, NodeSmsc, PeerError, Smpp34Smsc

UCS2 = 8
UDH_INDICATOR = 0x40
INTERMEDIATE = 0x20
RECEIPT = 0x04
THROTTLED = 88
INVALID_PASSWORD = 0x0E
BIND_FAILED = 0x0D


class Esme:
    """A transceiver that reads one PDU after the other and answers each deliver_sm."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401  (smpplib has no types)
        self._client = client

    def submit(self, destination: str, octets: bytes = b"hi") -> None:
        """Send a submit_sm that asks for a receipt."""
        self._client.send_message(
            source_addr="Signalbox",
            destination_addr=destination,
            short_message=octets,
            registered_delivery=1,
        )

    def take(self) -> Any:  # noqa: ANN401
        """Return the next PDU, whatever it is; None when the connection has ended."""
        try:
            pdu = self._client.read_pdu()
        except smpplib.exceptions.ConnectionError:
            return None
        if pdu.command == "deliver_sm":
            self._send("deliver_sm_resp", pdu.sequence)
        return pdu

    def take_all(self, count: int) -> list[str]:
        """Return the names of the next PDUs."""
        return [self.take().command for _ in range(count)]

    def ask(self, command: str) -> Any:  # noqa: ANN401
        """Send a request without a body and return the next PDU."""
        self._send(command, self._client.next_sequence())
        return self.take()

    def _send(self, command: str, sequence: int) -> None:
        pdu = smpplib.smpp.make_pdu(command, client=self._client)
        pdu.sequence = sequence
        self._client.send_pdu(pdu)


@contextmanager
def bound(
    port: int,
    system_id: str,
    password: str = "secret",  # noqa: S107
    tls: ssl.SSLContext | None = None,
) -> Iterator[Esme]:
    client = smpplib.client.Client(
        HOST, port, timeout=5, allow_unknown_opt_params=True, ssl_context=tls
    )
    try:
        client.connect()
        client.bind_transceiver(system_id=system_id, password=password)
        yield Esme(client)
    finally:
        client.disconnect()


def until_stats(smsc: NodeSmsc, name: str, count: int) -> None:
    deadline = time.monotonic() + 5
    while dict(smsc.stats())[name] != count:
        assert time.monotonic() < deadline, smsc.stats()
        time.sleep(0.01)


def until_refused(port: int) -> None:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) != 0:
                return
        time.sleep(0.01)
    raise AssertionError(port)


@pytest.fixture(scope="module")
def node() -> Iterator[NodeSmsc]:
    with NodeSmsc(DLR_DELAY_MS=20, SPLIT_MS=300, SLOW_MS=300, RETRY_MS=50) as smsc:
        yield smsc


@pytest.fixture(scope="module")
def smpp34() -> Iterator[Smpp34Smsc]:
    with Smpp34Smsc() as smsc:
        yield smsc


@pytest.fixture(params=["node", "smpp34"])
def port(request: pytest.FixtureRequest) -> int:
    found: int = request.getfixturevalue(request.param).port
    return found


def test_a_submit_is_answered_with_an_id_that_its_receipt_repeats(port: int) -> None:
    with bound(port, "receipt") as esme:
        esme.submit("4917000000001")
        response, receipt = esme.take(), esme.take()
    assert (response.command, response.status) == ("submit_sm_resp", 0)
    assert (receipt.command, receipt.esm_class, receipt.message_state) == ("deliver_sm", RECEIPT, 2)
    assert receipt.receipted_message_id == response.message_id
    assert receipt.short_message.startswith(b"id:" + response.message_id + b" sub:001 ")
    assert b" stat:DELIVRD " in receipt.short_message
    assert (receipt.source_addr, receipt.destination_addr) == (b"4917000000001", b"Signalbox")


def test_a_tail_of_9nnn_answers_that_command_status(port: int) -> None:
    with bound(port, "status") as esme:
        esme.submit("4917000009088")
        assert esme.take().status == THROTTLED


def test_an_enquire_link_is_answered(port: int) -> None:
    with bound(port, "enquire") as esme:
        assert esme.ask("enquire_link").command == "enquire_link_resp"


@pytest.mark.parametrize(("tail", "pdus"), [
    ("8100", ["deliver_sm", "submit_sm_resp"]),
    ("8104", ["submit_sm_resp", "deliver_sm", "deliver_sm"]),
    ("8107", ["generic_nack"]),
    ("8108", ["submit_sm_resp", "deliver_sm", "deliver_sm"]),
    ("8112", ["submit_sm_resp", "deliver_sm"]),
    ("8113", ["submit_sm_resp", "deliver_sm"]),
    ("8114", ["submit_sm_resp", "deliver_sm"]),
    ("8119", ["submit_sm_resp", "submit_sm_resp", "deliver_sm"]),
])  # fmt: skip
def test_the_tail_of_a_destination_chooses_what_comes_back(
    node: NodeSmsc, tail: str, pdus: list[str]
) -> None:
    with bound(node.port, f"tail{tail}") as esme:
        esme.submit(f"491700000{tail}")
        assert esme.take_all(len(pdus)) == pdus


@pytest.mark.parametrize("state", range(1, 9))
def test_a_tail_of_800n_brings_a_receipt_of_that_state(node: NodeSmsc, state: int) -> None:
    with bound(node.port, f"state{state}") as esme:
        esme.submit(f"491700000800{state}")
        assert esme.take().command == "submit_sm_resp"
        assert esme.take().message_state == state


def test_8101_is_never_answered_and_8105_brings_no_receipt(node: NodeSmsc) -> None:
    with bound(node.port, "silent") as esme:
        esme.submit("4917000008101")
        esme.submit("4917000008105")
        assert esme.take().command == "submit_sm_resp"
        time.sleep(0.1)
        assert esme.ask("enquire_link").command == "enquire_link_resp"


@pytest.mark.parametrize(("tail", "answers"), [("8102", ["submit_sm_resp"]), ("8103", [])])
def test_8102_cuts_the_connection_after_the_answer_and_8103_before(
    node: NodeSmsc, tail: str, answers: list[str]
) -> None:
    with bound(node.port, f"cut{tail}") as esme:
        esme.submit(f"491700000{tail}")
        received = []
        while (pdu := esme.take()) is not None:
            received.append(pdu.command)
    assert received[:1] == answers


def test_8106_is_answered_and_then_unbound(node: NodeSmsc) -> None:
    with bound(node.port, "unbound") as esme:
        esme.submit("4917000008106")
        assert esme.take_all(2) == ["submit_sm_resp", "unbind"]


def test_8109_repeats_the_hexadecimal_id_in_decimal(node: NodeSmsc) -> None:
    with bound(node.port, "decimal") as esme:
        esme.submit("4917000008109")
        response, receipt = esme.take(), esme.take()
    assert int(response.message_id, 16) == int(receipt.receipted_message_id)


def test_8110_has_a_receipt_of_text_and_8111_of_tlvs(node: NodeSmsc) -> None:
    with bound(node.port, "forms") as esme:
        esme.submit("4917000008110")
        text = [esme.take(), esme.take()][1]
        esme.submit("4917000008111")
        tlvs = [esme.take(), esme.take()][1]
    assert (b"stat:DELIVRD" in text.short_message, text.receipted_message_id) == (True, None)
    assert (tlvs.short_message, tlvs.message_state) == (b"", 2)


def test_8115_answers_with_a_tlv_that_does_not_belong_there(node: NodeSmsc) -> None:
    with bound(node.port, "odd") as esme:
        esme.submit("4917000008115")
        with pytest.raises(KeyError, match="additional_status_info_text"):
            esme.take()


def test_8116_answers_without_a_body(node: NodeSmsc) -> None:
    with bound(node.port, "bodyless") as esme:
        esme.submit("4917000008116")
        response = esme.take()
    assert (response.length, response.status, response.message_id) == (16, 0, None)


def test_8117_tells_enroute_before_delivered(node: NodeSmsc) -> None:
    with bound(node.port, "enroute") as esme:
        esme.submit("4917000008117")
        assert esme.take().command == "submit_sm_resp"
        receipts = [esme.take(), esme.take()]
    assert [receipt.esm_class for receipt in receipts] == [INTERMEDIATE, RECEIPT]
    assert [receipt.message_state for receipt in receipts] == [1, 2]


def test_8118_brings_a_message_in_two_parts(node: NodeSmsc) -> None:
    with bound(node.port, "parts") as esme:
        esme.submit("4917000008118")
        assert esme.take().command == "submit_sm_resp"
        parts = [esme.take(), esme.take()]
    assert {(part.esm_class, part.data_coding) for part in parts} == {(UDH_INDICATOR, UCS2)}
    assert [part.short_message[:6].hex() for part in parts] == ["0500037a0201", "0500037a0202"]
    text = b"".join(part.short_message[6:] for part in parts).decode("utf-16-be")
    assert text == "Привет мир"


def test_every_submit_seen_is_recorded_as_it_came(node: NodeSmsc) -> None:
    octets = bytes.fromhex("050003070201d83dde00")
    with bound(node.port, "recorded") as esme:
        esme.submit("4917000004711", octets)
        esme.take()
    (seen,) = node.seen("4917000004711")
    assert seen["short_message"] == octets.hex()
    assert (seen["source"], seen["registered_delivery"]) == ("Signalbox", 1)
    assert node.summary()["4917000004711"] == 1


def test_a_receipt_outlives_the_session_that_asked_for_it(node: NodeSmsc) -> None:
    with bound(node.port, "kept") as esme:
        esme.submit("4917000000002")
        response = esme.take()
    with bound(node.port, "kept") as esme:
        assert esme.take().receipted_message_id == response.message_id


def test_control_cuts_mutes_refuses_and_delivers() -> None:
    with NodeSmsc(DLR_DELAY_MS=5) as smsc:
        with bound(smsc.port, "control") as esme:
            smsc.mo("4917000000003", "12345", "Zażółć")
            assert esme.take().short_message.decode("utf-16-be") == "Zażółć"
            smsc.mute(on=True)
            esme.submit("4917000000004")
            until_stats(smsc, "submits", 1)
            smsc.mute(on=False)
            assert esme.ask("enquire_link").command == "enquire_link_resp"
            smsc.drop()
            assert esme.take() is None
        smsc.refuse_bind(BIND_FAILED)
        with pytest.raises(smpplib.exceptions.PDUError), bound(smsc.port, "control"):
            pass
        assert smsc.stats()["sessions"] == 0


def test_a_wrong_password_is_refused() -> None:
    with NodeSmsc(PASSWORD="right") as smsc:
        with pytest.raises(smpplib.exceptions.PDUError) as refusal, bound(smsc.port, "u", "wrong"):
            pass
        with bound(smsc.port, "u", "right"):
            assert smsc.stats()["sessions"] == 1
    assert refusal.value.args[1] == INVALID_PASSWORD


def test_more_submits_than_the_tps_are_throttled() -> None:
    with NodeSmsc(TPS=5) as smsc, bound(smsc.port, "u") as esme:
        for _ in range(20):
            esme.submit("4917000008105")
        statuses = [esme.take().status for _ in range(20)]
    assert statuses[:5] == [0] * 5
    assert statuses.count(THROTTLED) >= 10


def test_a_bind_over_tls_is_served(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    context = ssl.create_default_context(cafile=certificate)
    context.check_hostname = False  # smpplib names no host
    with (
        NodeSmsc(TLS_CERT=str(certificate), TLS_KEY=str(key)) as smsc,
        bound(smsc.port, "tls", tls=context) as esme,
    ):
        esme.submit("4917000000001")
        assert esme.take_all(2) == ["submit_sm_resp", "deliver_sm"]


def test_a_peer_that_cannot_listen_says_why() -> None:
    with socket.create_server((HOST, 0)) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(PeerError, match="EADDRINUSE"):
            NodeSmsc(PORT=number).__enter__()
        with pytest.raises(PeerError, match=r"signalbox: demo SMSC: .*Address already in use"):
            Smpp34Smsc(number).__enter__()


def test_a_peer_does_not_outlive_a_test_run_that_is_killed() -> None:
    script = """
import os, signal
from support.smsc import NodeSmsc
with NodeSmsc() as smsc:
    print(smsc.port, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    tests = Path(__file__).parents[1]
    run = subprocess.run(
        (sys.executable, "-c", script), cwd=tests, capture_output=True, text=True, check=False
    )
    assert run.returncode == -signal.SIGKILL, run.stderr
    until_refused(int(run.stdout))


def test_the_demo_smsc_serves_on_when_a_session_leaves_before_its_receipts(
    smpp34: Smpp34Smsc,
) -> None:
    with bound(smpp34.port, "leaver") as leaver:
        for _ in range(50):
            leaver.submit("4917000000001")
    with bound(smpp34.port, "stayer") as stayer:
        stayer.submit("4917000000002")
        assert stayer.take_all(2) == ["submit_sm_resp", "deliver_sm"]
    assert smpp34.output.count("\n") == 1  # nothing but the line that it listens


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_demo_smsc_stops_cleanly_with_receipts_pending(number: int) -> None:
    command = (sys.executable, "-m", "signalbox.ops.demo_smsc", "0", "--receipt-delay-s", "60")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        listening = process.stdout.readline()
        with bound(int(listening.rpartition(":")[2]), "pending") as esme:
            esme.submit("4917000000001")
            assert esme.take().status == 0
            process.send_signal(number)
            _, complaints = process.communicate(timeout=5)
    assert (process.returncode, complaints) == (0, "")
