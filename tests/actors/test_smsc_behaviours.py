"""What the log holds after each behaviour of an SMSC that a real one has shown somewhere.

The last four digits of a destination choose the behaviour (support/smsc_node/behaviours.js).
"""

from collections.abc import Iterator

import gevent
import pytest
from support.gateway import Gateway, StartGateway, eventually, eventually_equal, handset
from support.smsc import NodeSmsc

from signalbox.domain.inbound import (
    MoReceived,
    ReceiptAbandoned,
    ReceiptMatched,
    ReceiptUnmatched,
)
from signalbox.domain.message import (
    MessageSubmitted,
    ReceiptRecorded,
    SubmitAttempted,
    SubmitOutcomeUnknown,
    SubmitRefused,
)
from signalbox.domain.session import LinkBound, LinkLost, LinkThrottled

SUBMITTED = ["MessageAccepted", "SubmitAttempted", "MessageSubmitted"]
DELIVERED = [*SUBMITTED, "ReceiptRecorded"]
QUIET_S = 0.3  # longer than anything that could still come takes


@pytest.fixture(scope="module")
def smsc() -> Iterator[NodeSmsc]:
    with NodeSmsc(DLR_DELAY_MS=10, SPLIT_MS=300, SLOW_MS=400, RETRY_MS=50) as smsc:
        yield smsc


def smsc_id_of(gateway: Gateway, message_id: str) -> str:
    (smsc_id,) = [e.smsc_id for e in gateway.told(message_id) if isinstance(e, MessageSubmitted)]
    return smsc_id


@pytest.mark.parametrize(("tail", "status", "stat", "error_code"), [
    ("8001", "enroute", "ENROUTE", "000"),
    ("8002", "delivered", "DELIVRD", "000"),
    ("8003", "expired", "EXPIRED", "011"),
    ("8004", "deleted", "DELETED", "011"),
    ("8005", "undeliverable", "UNDELIV", "011"),
    ("8006", "accepted", "ACCEPTD", "000"),
    ("8007", "unknown", "UNKNOWN", "011"),
    ("8008", "rejected", "REJECTD", "011"),
])  # fmt: skip
def test_800n_every_state_a_receipt_tells_is_recorded(
    smsc: NodeSmsc,
    start_gateway: StartGateway,
    tail: str,
    status: str,
    stat: str,
    error_code: str,
) -> None:
    gateway = start_gateway(smsc.port)
    message_id = gateway.send(handset(tail)).message_id
    eventually_equal(lambda: gateway.statuses(message_id), [status])
    attempted, submitted, receipt = gateway.told(message_id)
    smsc_id = smsc_id_of(gateway, message_id)
    assert attempted == SubmitAttempted(part=1, attempt=1, link_id=1)
    assert submitted == MessageSubmitted(part=1, smsc_id=smsc_id, link_id=1)
    assert isinstance(receipt, ReceiptRecorded)
    assert (receipt.smsc_id, receipt.status) == (smsc_id, status)
    assert (receipt.stat, receipt.error_code) == (stat, error_code)
    assert len(receipt.done_date) == len("2611210241")


@pytest.mark.parametrize("tail", ["8110", "8111", "8112", "8113", "8114", "8115"])
def test_odd_answers_and_receipts_are_understood(
    smsc: NodeSmsc, start_gateway: StartGateway, tail: str
) -> None:
    gateway = start_gateway(smsc.port)
    sent = gateway.send(handset(tail))
    assert sent.status == "submitted"
    eventually_equal(lambda: gateway.names(sent.message_id), DELIVERED)
    assert gateway.statuses(sent.message_id) == ["delivered"]


def test_8100_a_receipt_before_its_response_is_parked_and_then_matched(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port)
    message_id = gateway.send(handset("8100")).message_id
    eventually_equal(lambda: gateway.names(message_id), DELIVERED)
    eventually_equal(
        lambda: gateway.events(ReceiptMatched, ReceiptAbandoned), [ReceiptMatched(message_id, 1)]
    )
    (unmatched,) = gateway.events(ReceiptUnmatched)
    assert unmatched.smsc_id == smsc_id_of(gateway, message_id)


@pytest.mark.parametrize(("policy", "status"), [("hold", "unknown"), ("fail", "failed")])
def test_8101_a_part_without_an_answer_is_held_or_failed_as_the_link_says(
    smsc: NodeSmsc, start_gateway: StartGateway, policy: str, status: str
) -> None:
    gateway = start_gateway(smsc.port, response_timeout_s=0.1, in_doubt=policy)
    destination = handset("8101")
    message_id = gateway.send(destination).message_id
    eventually_equal(lambda: gateway.told(message_id), [
        SubmitAttempted(1, 1, 1), SubmitOutcomeUnknown(1, "no answer in time", policy),  # type: ignore[arg-type]
    ])  # fmt: skip
    gevent.sleep(QUIET_S)
    assert gateway.statuses(message_id) == [status]
    assert len(smsc.seen(destination)) == 1


def test_8101_a_part_that_is_never_answered_is_sent_three_times_and_then_held(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port, response_timeout_s=0.1, in_doubt="resend")
    destination = handset("8101")
    message_id = gateway.send(destination).message_id
    silence = "no answer in time"
    eventually_equal(lambda: gateway.told(message_id), [
        SubmitAttempted(1, 1, 1), SubmitOutcomeUnknown(1, silence, "resend"),
        SubmitAttempted(1, 2, 1), SubmitOutcomeUnknown(1, silence, "resend"),
        SubmitAttempted(1, 3, 1), SubmitOutcomeUnknown(1, silence, "hold"),
    ])  # fmt: skip
    gevent.sleep(QUIET_S)
    assert gateway.statuses(message_id) == ["unknown"]
    assert len(smsc.seen(destination)) == 3


def test_8102_a_receipt_that_the_cut_connection_swallowed_comes_again(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port)
    message_id = gateway.send(handset("8102")).message_id
    eventually_equal(lambda: gateway.names(message_id), DELIVERED)
    eventually_equal(lambda: len(gateway.events(LinkBound)), 2)
    (lost,) = gateway.events(LinkLost)
    assert lost.reason in {"connection closed by the SMSC", "Connection reset by peer"}


def test_8103_a_part_whose_connection_breaks_each_time_is_held_in_the_end(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port)
    sent = gateway.send(handset("8103"))
    assert sent.status == "queued"
    eventually_equal(lambda: gateway.statuses(sent.message_id), ["unknown"])
    doubts = [e for e in gateway.told(sent.message_id) if isinstance(e, SubmitOutcomeUnknown)]
    assert [doubt.resolution for doubt in doubts] == ["resend", "resend", "hold"]
    assert len(gateway.told(sent.message_id)) == 6
    after = gateway.send(handset())
    assert after.status == "submitted"


def test_8104_a_receipt_told_twice_is_recorded_once_and_answered_twice(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port)
    answered_before = smsc.stats()["deliver_responses"]
    message_id = gateway.send(handset("8104")).message_id
    eventually(lambda: smsc.stats()["deliver_responses"] == answered_before + 2)
    assert gateway.names(message_id) == DELIVERED


def test_8105_without_a_receipt_a_message_stays_submitted(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port)
    sent = gateway.send(handset("8105"))
    gevent.sleep(QUIET_S)
    assert gateway.names(sent.message_id) == SUBMITTED
    assert gateway.statuses(sent.message_id) == ["submitted"]


def test_8106_an_unbind_of_the_smsc_is_answered_and_the_link_comes_back(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port)
    message_id = gateway.send(handset("8106")).message_id
    eventually_equal(lambda: len(gateway.events(LinkBound)), 2)
    assert [lost.reason for lost in gateway.events(LinkLost)] == ["unbound by the SMSC"]
    eventually_equal(lambda: gateway.names(message_id), DELIVERED)
    assert smsc.stats()["sessions"] == 1  # the old one closed, which it does when answered


def test_8107_a_nacked_part_gets_three_sessions_and_then_fails(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port)
    sent = gateway.send(handset("8107"))
    refusals = "ESME_RINVCMDID (0x00000003)"
    assert (sent.status, sent.error) == ("failed", refusals)
    assert gateway.told(sent.message_id) == [
        SubmitAttempted(1, 1, 1), SubmitRefused(1, 3, refusals, 0.0),
        SubmitAttempted(1, 2, 1), SubmitRefused(1, 3, refusals, 0.0),
        SubmitAttempted(1, 3, 1), SubmitRefused(1, 3, refusals, None),
    ]  # fmt: skip


def test_8108_a_handset_that_answers_is_heard(smsc: NodeSmsc, start_gateway: StartGateway) -> None:
    gateway = start_gateway(smsc.port)
    destination = handset("8108")
    message_id = gateway.send(destination).message_id
    eventually_equal(lambda: gateway.names(message_id), DELIVERED)
    eventually_equal(lambda: gateway.events(MoReceived), [
        MoReceived(link_id=1, source=destination, destination="Signalbox",
                   text="MO echo: hi", parts=1),
    ])  # fmt: skip


def test_8109_a_decimal_receipt_finds_the_part_with_the_hexadecimal_id(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port, dlr_msgid=1)
    message_id = gateway.send(handset("8109")).message_id
    eventually_equal(lambda: gateway.names(message_id), DELIVERED)
    *_, receipt = gateway.told(message_id)
    assert isinstance(receipt, ReceiptRecorded)
    assert int(receipt.smsc_id) == int(smsc_id_of(gateway, message_id), 16)


def test_8109_a_hexadecimal_receipt_finds_the_part_with_the_decimal_id(
    start_gateway: StartGateway,
) -> None:
    with NodeSmsc(ID_MODE="dec") as decimal:
        gateway = start_gateway(decimal.port, dlr_msgid=2)
        destination = handset("8105")
        message_id = gateway.send(destination).message_id
        receipt = f"id:{int(smsc_id_of(gateway, message_id)):x} stat:DELIVRD err:000".encode()
        decimal.mo_octets(destination, "Signalbox", receipt, esm_class=4)
        eventually_equal(lambda: gateway.names(message_id), DELIVERED)
        gateway.close()


def test_8109_without_the_setting_the_receipt_finds_nothing_and_is_given_up(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port, receipt_park_s=0.2)
    message_id = gateway.send(handset("8109")).message_id
    eventually(lambda: gateway.events(ReceiptAbandoned))
    assert gateway.names(message_id) == SUBMITTED


def test_8112_a_late_answer_settles_a_message_sent_again_meanwhile(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port, response_timeout_s=0.1)
    destination = handset("8112")
    message_id = gateway.send(destination).message_id
    eventually_equal(lambda: gateway.statuses(message_id), ["delivered"])
    assert gateway.told(message_id)[:2] == [
        SubmitAttempted(1, 1, 1),
        SubmitOutcomeUnknown(1, "no answer in time", "resend"),
    ]
    copies = len(smsc.seen(destination))
    eventually_equal(lambda: gateway.names(message_id).count("MessageSubmitted"), copies)
    assert gateway.statuses(message_id) == ["delivered"]


def test_8113_an_answer_that_ends_after_the_timeout_settles_what_was_held(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port, response_timeout_s=0.05, in_doubt="hold")
    message_id = gateway.send(handset("8113")).message_id
    eventually_equal(
        lambda: gateway.names(message_id),
        ["MessageAccepted", "SubmitAttempted", "SubmitOutcomeUnknown", "MessageSubmitted",
         "ReceiptRecorded"],
    )  # fmt: skip
    assert gateway.statuses(message_id) == ["delivered"]


def test_8116_without_an_id_a_receipt_waits_and_is_given_up(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port, receipt_park_s=0.2)
    message_id = gateway.send(handset("8116")).message_id
    eventually(lambda: gateway.events(ReceiptAbandoned))
    assert gateway.told(message_id)[1:] == [MessageSubmitted(part=1, smsc_id="", link_id=1)]
    assert gateway.statuses(message_id) == ["submitted"]
    assert len(gateway.events(ReceiptUnmatched)) == 1


def test_8117_an_intermediate_state_comes_before_the_final_one(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port)
    message_id = gateway.send(handset("8117")).message_id
    eventually_equal(lambda: gateway.names(message_id), [*DELIVERED, "ReceiptRecorded"])
    receipts = [e.status for e in gateway.told(message_id) if isinstance(e, ReceiptRecorded)]
    assert receipts == ["enroute", "delivered"]


def test_8118_a_message_in_two_parts_is_joined(smsc: NodeSmsc, start_gateway: StartGateway) -> None:
    gateway = start_gateway(smsc.port)
    destination = handset("8118")
    gateway.send(destination)
    eventually_equal(lambda: gateway.events(MoReceived), [
        MoReceived(link_id=1, source=destination, destination="Signalbox",
                   text="Привет мир", parts=2),
    ])  # fmt: skip


def test_8119_a_second_answer_to_one_submit_changes_nothing(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port)
    message_id = gateway.send(handset("8119")).message_id
    eventually_equal(lambda: gateway.names(message_id), DELIVERED)
    gevent.sleep(QUIET_S)
    assert gateway.names(message_id) == DELIVERED


@pytest.mark.parametrize(("tail", "error"), [
    ("9088", "ESME_RTHROTTLED (0x00000058)"),
    ("9020", "ESME_RMSGQFUL (0x00000014)"),
])  # fmt: skip
def test_throttling_pauses_the_link_and_the_part_waits_until_it_is_too_old(
    smsc: NodeSmsc, start_gateway: StartGateway, tail: str, error: str
) -> None:
    gateway = start_gateway(smsc.port, retry_age_s_max=0.5)
    sent = gateway.send(handset(tail))
    assert (sent.status, sent.error) == ("failed", error)
    told = gateway.told(sent.message_id)
    assert told[0::2] == [SubmitAttempted(1, 1, 1), SubmitAttempted(1, 2, 1)]
    refusals = [event for event in told if isinstance(event, SubmitRefused)]
    assert {(event.command_status, event.error) for event in refusals} == {(int(tail[1:]), error)}
    assert [event.retry_in_s for event in refusals] == [pytest.approx(1.0), None]
    throttled = gateway.events(LinkThrottled)
    assert [event.pause_s for event in throttled] == pytest.approx([1.0, 2.0])
    assert [event.factor for event in throttled] == [0.75, 0.75**2]


@pytest.mark.parametrize("status", [8, 69, 97, 100, 254, 255])
def test_a_transient_error_puts_the_part_off_while_others_go_on(
    smsc: NodeSmsc, start_gateway: StartGateway, status: int
) -> None:
    gateway = start_gateway(smsc.port, send_wait_s=QUIET_S)
    sent = gateway.send(handset(f"9{status:03}"))
    assert sent.status == "queued"
    attempted, refused = gateway.told(sent.message_id)
    assert attempted == SubmitAttempted(1, 1, 1)
    assert isinstance(refused, SubmitRefused)
    assert (refused.command_status, refused.retry_in_s) == (status, 30.0)
    assert gateway.send(handset()).status == "submitted"
    assert gateway.statuses(sent.message_id) == ["pending"]


@pytest.mark.parametrize(("tail", "error"), [
    ("9001", "ESME_RINVMSGLEN (0x00000001)"),
    ("9010", "ESME_RINVSRCADR (0x0000000A)"),
    ("9011", "ESME_RINVDSTADR (0x0000000B)"),
    ("9101", "ESME_RX_P_APPN (0x00000065)"),
    ("9999", "SMSC status (0x000003E7)"),
])  # fmt: skip
def test_a_permanent_error_fails_the_part_at_once(
    smsc: NodeSmsc, start_gateway: StartGateway, tail: str, error: str
) -> None:
    gateway = start_gateway(smsc.port)
    sent = gateway.send(handset(tail))
    assert (sent.status, sent.error) == ("failed", error)
    assert gateway.told(sent.message_id) == [
        SubmitAttempted(1, 1, 1), SubmitRefused(1, int(tail[1:]), error, None),
    ]  # fmt: skip


def test_9004_a_lost_session_is_bound_anew_three_times_before_the_part_fails(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port)
    sent = gateway.send(handset("9004"))
    error = "ESME_RINVBNDSTS (0x00000004)"
    assert (sent.status, sent.error) == ("failed", error)
    assert gateway.told(sent.message_id) == [
        SubmitAttempted(1, 1, 1), SubmitRefused(1, 4, error, 0.0),
        SubmitAttempted(1, 2, 1), SubmitRefused(1, 4, error, 0.0),
        SubmitAttempted(1, 3, 1), SubmitRefused(1, 4, error, None),
    ]  # fmt: skip
    assert gateway.send(handset()).status == "submitted"
    assert len(gateway.events(LinkBound)) == 4
