"""What a handset would get: the octets of every part, in every way links join them."""

from collections.abc import Iterator

import pytest
from support.gateway import StartGateway, eventually, eventually_equal, handset
from support.smsc import NodeSmsc, SeenSubmit, Smpp34Smsc

UCS2 = 8
UDHI = 0x40


@pytest.fixture(scope="module")
def smsc() -> Iterator[NodeSmsc]:
    with NodeSmsc(DLR_DELAY_MS=10) as smsc:
        yield smsc


@pytest.fixture(scope="module")
def smpp34() -> Iterator[Smpp34Smsc]:
    with Smpp34Smsc(receipt_delay_s=0.01) as smsc:
        yield smsc


def text_of(units: int) -> str:
    """Return a text whose every place can be told from its neighbours."""
    return "".join(f"{number:04}." for number in range(units // 5 + 1))[:units]


def bodies(seen: list[SeenSubmit], header_octets: int) -> str:
    return b"".join(
        bytes.fromhex(one["short_message"])[header_octets:] for one in seen
    ).decode("ascii")  # fmt: skip


def test_eight_bit_references_join_five_parts(smsc: NodeSmsc, start_gateway: StartGateway) -> None:
    gateway = start_gateway(smsc.port, long_mode="udh8")
    text, destination = text_of(4 * 153 + 1), handset()
    sent = gateway.send(destination, text)
    seen = smsc.seen(destination)
    headers = [one["short_message"][:12] for one in seen]
    reference = f"{sent.task_id % 256:02x}"
    assert headers == [f"050003{reference}05{number:02x}" for number in range(1, 6)]
    assert {one["esm_class"] for one in seen} == {UDHI}
    assert bodies(seen, 6) == text
    eventually_equal(lambda: gateway.statuses(sent.message_id), ["delivered"] * 5)


def test_sixteen_bit_references_join_five_parts(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port, long_mode="udh16")
    text, destination = text_of(4 * 152 + 1), handset()
    sent = gateway.send(destination, text)
    seen = smsc.seen(destination)
    headers = [one["short_message"][:14] for one in seen]
    reference = f"{sent.task_id % 65536:04x}"
    assert headers == [f"060804{reference}05{number:02x}" for number in range(1, 6)]
    assert {one["esm_class"] for one in seen} == {UDHI}
    assert bodies(seen, 7) == text
    eventually_equal(lambda: gateway.statuses(sent.message_id), ["delivered"] * 5)


def test_sar_parameters_join_five_parts(smsc: NodeSmsc, start_gateway: StartGateway) -> None:
    gateway = start_gateway(smsc.port, long_mode="sar")
    text, destination = text_of(4 * 153 + 1), handset()
    sent = gateway.send(destination, text)
    seen = smsc.seen(destination)
    assert [one["tlvs"] for one in seen] == [
        {
            "sar_msg_ref_num": sent.task_id % 65536,
            "sar_total_segments": 5,
            "sar_segment_seqnum": number,
        }
        for number in range(1, 6)
    ]
    assert {one["esm_class"] for one in seen} == {0}
    assert bodies(seen, 0) == text
    eventually_equal(lambda: gateway.statuses(sent.message_id), ["delivered"] * 5)


def test_a_payload_carries_the_whole_text(smsc: NodeSmsc, start_gateway: StartGateway) -> None:
    gateway = start_gateway(smsc.port, long_mode="payload")
    text, destination = text_of(4 * 153 + 1), handset()
    sent = gateway.send(destination, text)
    (seen,) = smsc.seen(destination)
    assert seen["tlvs"] == {"message_payload": text.encode().hex()}
    assert (seen["short_message"], seen["esm_class"]) == ("", 0)
    eventually_equal(lambda: gateway.statuses(sent.message_id), ["delivered"])


def test_a_part_sent_again_carries_the_same_reference(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port, response_timeout_s=0.1)
    destination = handset("8101")  # never answered
    sent = gateway.send(destination, text_of(200))
    eventually_equal(lambda: gateway.statuses(sent.message_id), ["unknown"] * 2)
    parts = [one["short_message"] for one in smsc.seen(destination)]
    assert len(parts) == 6
    assert len(set(parts)) == 2


def test_emoji_leave_as_whole_pairs_of_ucs2(smsc: NodeSmsc, start_gateway: StartGateway) -> None:
    gateway = start_gateway(smsc.port)
    destination, text = handset(), "x" + "😀" * 40
    sent = gateway.send(destination, text)
    seen = smsc.seen(destination)
    assert {one["data_coding"] for one in seen} == {UCS2}
    parts = [bytes.fromhex(one["short_message"])[6:] for one in seen]
    assert "".join(part.decode("utf-16-be") for part in parts) == text
    eventually_equal(lambda: gateway.statuses(sent.message_id), ["delivered"] * 2)


def test_a_short_text_leaves_in_the_default_alphabet(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port)
    destination = handset()
    gateway.send(destination, "5 € @ home_", source="+49170123456")
    (seen,) = smsc.seen(destination)
    assert bytes.fromhex(seen["short_message"]) == b"5 \x1b\x65 \x00 home\x11"
    assert (seen["data_coding"], seen["esm_class"], seen["registered_delivery"]) == (0, 0, 1)
    assert (seen["source"], seen["source_ton"], seen["source_npi"]) == ("49170123456", 1, 1)
    assert (seen["destination_ton"], seen["destination_npi"]) == (1, 1)


@pytest.mark.parametrize(("source", "ton", "npi"), [("Signalbox", 5, 0), ("12345", 3, 0)])
def test_a_name_and_a_short_code_are_told_from_numbers(
    smsc: NodeSmsc, start_gateway: StartGateway, source: str, ton: int, npi: int
) -> None:
    gateway = start_gateway(smsc.port)
    destination = handset()
    gateway.send(destination, source=source)
    (seen,) = smsc.seen(destination)
    assert (seen["source"], seen["source_ton"], seen["source_npi"]) == (source, ton, npi)


@pytest.mark.parametrize("mode", ["udh8", "udh16", "sar", "payload"])
def test_another_make_of_smsc_takes_long_and_ucs2_texts_too(
    smpp34: Smpp34Smsc, start_gateway: StartGateway, mode: str
) -> None:
    gateway = start_gateway(smpp34.port, long_mode=mode)
    ids = [gateway.send(handset(), text).message_id for text in (text_of(700), "😀" * 300)]
    eventually(lambda: all(set(gateway.statuses(one)) == {"delivered"} for one in ids))
