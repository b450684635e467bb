"""Receipts that come early, late, twice, elsewhere or for nobody; messages from handsets."""

from collections.abc import Iterator

import gevent
import pytest
from support.gateway import Gateway, StartGateway, eventually, eventually_equal, handset
from support.smsc import NodeSmsc

from signalbox.domain.inbound import (
    MoPartReceived,
    MoReceived,
    ReceiptAbandoned,
    ReceiptMatched,
    ReceiptUnmatched,
)
from signalbox.domain.message import MessageSubmitted

RECEIPT = 4  # esm_class
UDHI = 0x40
UCS2 = 8
BINARY = 4
DELIVERED = ["MessageAccepted", "SubmitAttempted", "MessageSubmitted", "ReceiptRecorded"]


@pytest.fixture(scope="module")
def smsc() -> Iterator[NodeSmsc]:
    with NodeSmsc(DLR_DELAY_MS=10, RETRY_MS=50) as smsc:
        yield smsc


def submit(gateway: Gateway, destination: str) -> tuple[str, str]:
    """Send and return the message's id here and at the SMSC."""
    message_id = gateway.send(destination).message_id
    (smsc_id,) = [e.smsc_id for e in gateway.told(message_id) if isinstance(e, MessageSubmitted)]
    return message_id, smsc_id


def report(smsc: NodeSmsc, handset: str, smsc_id: str, stat: str = "DELIVRD") -> None:
    text = f"id:{smsc_id} sub:001 dlvrd:001 stat:{stat} err:000 text:"
    smsc.mo_octets(handset, "Signalbox", text.encode(), esm_class=RECEIPT)


def part(reference: int, total: int, number: int, text: str) -> bytes:
    return bytes([5, 0, 3, reference, total, number]) + text.encode()


def texts(gateway: Gateway) -> list[str]:
    return [event.text for event in gateway.events(MoReceived)]


# receipts


def test_a_receipt_finds_its_message_after_a_restart_of_the_relay(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    before = start_gateway(smsc.port, system_id="restarted")
    destination = handset("8105")
    message_id, smsc_id = submit(before, destination)
    before.close()
    after = start_gateway(smsc.port, system_id="restarted")
    eventually(lambda: smsc.stats()["sessions"] == 1)
    report(smsc, destination, smsc_id)
    eventually_equal(lambda: after.names(message_id), DELIVERED)


def test_a_receipt_that_came_while_the_relay_was_away_is_recorded_when_it_is_back(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    before = start_gateway(smsc.port, system_id="away", lease_s=1.2)
    message_id, _ = submit(before, handset("8102"))  # cut right after the answer
    before.crash()
    after = start_gateway(smsc.port, system_id="away", lease_s=1.2)
    eventually_equal(lambda: after.statuses(message_id), ["delivered"], timeout_s=8)


def test_a_parked_receipt_outlives_a_restart_and_finds_the_part_submitted_after_it(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    before = start_gateway(smsc.port, system_id="parked")
    _, smsc_id = submit(before, handset("8105"))
    coming_id = f"{int(smsc_id, 16) + 1:08X}"
    destination = handset("8105")
    report(smsc, destination, coming_id)
    eventually(lambda: before.events(ReceiptUnmatched))
    before.close()
    after = start_gateway(smsc.port, system_id="parked")
    message_id, given_id = submit(after, destination)
    assert given_id == coming_id
    eventually_equal(lambda: after.names(message_id), DELIVERED)
    assert after.events(ReceiptMatched, ReceiptAbandoned) == [ReceiptMatched(message_id, 1)]


def test_a_receipt_nobody_waits_for_is_stored_answered_and_given_up(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port, receipt_park_s=0.5)
    gateway.send(handset("8105"))
    answered = smsc.stats()["deliver_responses"]
    report(smsc, handset(), "DEADBEEF")
    eventually(lambda: smsc.stats()["deliver_responses"] == answered + 1)
    (unmatched,) = gateway.events(ReceiptUnmatched)
    assert (unmatched.smsc_id, unmatched.status) == ("DEADBEEF", "delivered")
    eventually(lambda: gateway.events(ReceiptAbandoned))
    (abandoned,) = gateway.events(ReceiptAbandoned)
    assert 0.5 < abandoned.waited_s < 3


def test_a_receipt_without_an_id_is_stored_as_one_nobody_waits_for(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port)
    gateway.send(handset("8105"))  # the link is bound by then
    smsc.mo_octets(handset(), "Signalbox", b"stat:DELIVRD err:000", esm_class=RECEIPT)
    eventually(lambda: gateway.events(ReceiptUnmatched))
    assert [one.smsc_id for one in gateway.events(ReceiptUnmatched)] == [""]
    assert gateway.events(MoReceived) == []


def test_a_receipt_may_come_on_another_link_of_the_same_account(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port, smsc.port, system_id="two binds", bind="transceiver")
    eventually(lambda: smsc.stats()["sessions"] == 2)
    message_id, _ = submit(gateway, handset("8104"))
    eventually_equal(lambda: gateway.names(message_id), DELIVERED)
    destination = handset("8105")
    message_id, smsc_id = submit(gateway, destination)
    report(smsc, destination, smsc_id)  # goes to both binds
    eventually(lambda: "ReceiptRecorded" in gateway.names(message_id))
    gevent.sleep(0.3)
    assert gateway.names(message_id) == DELIVERED


@pytest.mark.parametrize("spelled", ["lower", "bare"])
def test_an_id_is_found_in_other_letters_and_without_its_zeros(
    smsc: NodeSmsc, start_gateway: StartGateway, spelled: str
) -> None:
    gateway = start_gateway(smsc.port)
    destination = handset("8105")
    message_id, smsc_id = submit(gateway, destination)
    report(smsc, destination, smsc_id.lower() if spelled == "lower" else smsc_id.lstrip("0"))
    eventually_equal(lambda: gateway.statuses(message_id), ["delivered"])


def test_every_part_has_receipts_of_its_own(smsc: NodeSmsc, start_gateway: StartGateway) -> None:
    gateway = start_gateway(smsc.port)
    sent = gateway.send(handset(), "x" * 400)
    assert sent.parts == 3
    eventually_equal(lambda: gateway.statuses(sent.message_id), ["delivered"] * 3)


# messages from handsets


def test_a_message_from_a_handset_is_recorded_with_its_text(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port)
    gateway.send(handset("8105"))
    source = handset()
    smsc.mo(source, "12345", "Zażółć 😀")
    eventually_equal(lambda: gateway.events(MoReceived), [
        MoReceived(link_id=1, source=source, destination="12345", text="Zażółć 😀", parts=1),
    ])  # fmt: skip


def test_octets_that_are_no_text_are_kept_as_digits(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port)
    gateway.send(handset("8105"))
    smsc.mo_octets(handset(), "12345", b"\x00\xff\x80", data_coding=BINARY)
    eventually_equal(lambda: texts(gateway), ["00ff80"])


def test_parts_are_joined_in_their_order_and_repeated_ones_dropped(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port)
    gateway.send(handset("8105"))
    source = handset()
    for number, text in ((3, "c"), (1, "a"), (3, "c"), (2, "b"), (1, "a")):
        smsc.mo_octets(source, "12345", part(9, 3, number, text), esm_class=UDHI)
    eventually_equal(lambda: texts(gateway), ["abc"])
    gevent.sleep(0.2)
    assert len(gateway.events(MoPartReceived)) == 3


def test_a_reference_used_again_begins_a_new_message(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port, mo_reassembly_s=1)
    gateway.send(handset("8105"))
    source = handset()
    for text in ("first ", "other "):  # the first is still waiting for its second part
        smsc.mo_octets(source, "12345", part(7, 2, 1, text), esm_class=UDHI)
    smsc.mo_octets(source, "12345", part(7, 2, 2, "message"), esm_class=UDHI)
    eventually(lambda: len(texts(gateway)) == 2)
    assert texts(gateway) == ["first message", "other "]


def test_a_message_that_stays_incomplete_is_told_with_what_came(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port, mo_reassembly_s=0.3)
    gateway.send(handset("8105"))
    source = handset()
    smsc.mo_octets(source, "12345", part(8, 3, 2, "middle"), esm_class=UDHI)
    eventually_equal(lambda: gateway.events(MoReceived), [
        MoReceived(link_id=1, source=source, destination="12345", text="middle", parts=3,
                   parts_missing=2),
    ])  # fmt: skip


def test_a_delivery_that_cannot_be_read_does_not_hold_up_the_next(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port)
    gateway.send(handset("8105"))
    smsc.mo_octets(handset(), "12345", b"\xd8\x00\xff", data_coding=UCS2, esm_class=UDHI)
    smsc.mo(handset(), "12345", "readable")
    eventually(lambda: "readable" in texts(gateway))


def test_what_is_personal_in_a_message_from_a_handset_is_sealed(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port)
    gateway.send(handset("8105"))
    source = handset()
    smsc.mo(source, "12345", "private")
    eventually(lambda: gateway.events(MoReceived))
    with gateway.log.pool.connection() as connection:
        rows = connection.execute("SELECT state FROM signalbox.stored_events").fetchall()
    stored = b"".join(bytes(row["state"]) for row in rows)
    assert b"private" not in stored
    assert source.encode() not in stored
