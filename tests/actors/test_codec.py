"""PDUs as the standard writes them and as real centres do; smpplib is the second opinion."""

import struct
from collections.abc import Callable
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from smpplib import smpp
from smpplib.client import Client
from smpplib.command import Command

from signalbox.actors.transports.smpp import codec
from signalbox.actors.transports.smpp.codec import (
    Address,
    BindKind,
    BindResp,
    DeliverSm,
    EncodeError,
    SubmitSmResp,
    destination_address,
    encode_bind,
    encode_submit_sm,
    parse_bind_resp,
    parse_data_sm,
    parse_deliver_sm,
    parse_submit_sm_resp,
    source_address,
)
from signalbox.actors.transports.smpp.framing import Frame, Framer, ProtocolError
from signalbox.domain.text import Concatenation, Part

SENDER = source_address("Signalbox")
RECEIVER = destination_address("+4917000000001")
EMPTY = bytes(17)  # a deliver_sm whose fields are all empty or 0
PARSERS: tuple[Callable[[Frame], object], ...] = (
    parse_submit_sm_resp,
    parse_bind_resp,
    parse_deliver_sm,
    parse_data_sm,
)
fast = settings(deadline=None, max_examples=200)


def plain(body: bytes, data_coding: int = 0, esm_class: int = 0) -> Part:
    return Part(body, data_coding, esm_class, None, as_payload=False)


def tlv(tag: int, value: bytes) -> bytes:
    return struct.pack(">HH", tag, len(value)) + value


def delivered(*tlvs: bytes) -> DeliverSm:
    return parse_deliver_sm(Frame(codec.DELIVER_SM, 0, 1, EMPTY + b"".join(tlvs)))


def library_pdu(name: str, sequence: int = 1, **fields: object) -> bytes:
    pdu = smpp.make_pdu(name, sequence=sequence, **fields)
    pdu.sequence = sequence
    octets: bytes = pdu.generate()
    return octets


def library_reading(octets: bytes) -> Command:
    client = Client("127.0.0.1", 1, allow_unknown_opt_params=True)
    return smpp.parse_pdu(octets, client=client, allow_unknown_opt_params=True)


def library_delivered(*tlvs: bytes) -> Command:
    body = EMPTY + b"".join(tlvs)
    return library_reading(struct.pack(">IIII", 16 + len(body), codec.DELIVER_SM, 0, 1) + body)


def frame_of(octets: bytes) -> Frame:
    (frame,) = Framer().feed(octets)
    return frame


addresses = st.builds(
    Address,
    st.integers(1, 6),
    st.integers(1, 18),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20),
)


@given(
    st.integers(1, 0x7FFFFFFF),
    addresses,
    addresses,
    st.builds(plain, st.binary(min_size=1, max_size=254), st.integers(0, 255), st.integers(0, 255)),
    st.integers(0, 255),
)
@fast
def test_a_submission_is_octet_for_octet_the_librarys(
    sequence: int, source: Address, destination: Address, part: Part, registered_delivery: int
) -> None:
    expected = library_pdu(
        "submit_sm",
        sequence,
        service_type="CMT",
        source_addr_ton=source.ton,
        source_addr_npi=source.npi,
        source_addr=source.digits,
        dest_addr_ton=destination.ton,
        dest_addr_npi=destination.npi,
        destination_addr=destination.digits,
        esm_class=part.esm_class,
        validity_period="000002000000000R",
        registered_delivery=registered_delivery,
        data_coding=part.data_coding,
        short_message=part.body,
        user_message_reference=sequence & 0xFFFF,
    )

    assert expected == encode_submit_sm(
        sequence,
        source,
        destination,
        part,
        registered_delivery,
        service_type="CMT",
        validity_period="000002000000000R",
        user_message_reference=sequence & 0xFFFF,
    )


def test_a_payload_and_sar_parameters_are_the_librarys() -> None:
    address: dict[str, Any] = {
        "source_addr_ton": 5,
        "source_addr": "Signalbox",
        "dest_addr_ton": 1,
        "dest_addr_npi": 1,
        "destination_addr": "4917000000001",
    }
    sar: dict[str, Any] = {
        "sar_msg_ref_num": 0x107,
        "sar_total_segments": 3,
        "sar_segment_seqnum": 2,
    }

    payload = Part(b"a" * 600, 0, 0, None, as_payload=True)
    joined = Part(b"a" * 153, 0, 0, (0x107, 3, 2), as_payload=False)

    assert encode_submit_sm(1, SENDER, RECEIVER, payload, 0) == library_pdu(
        "submit_sm", message_payload=b"a" * 600, **address
    )
    assert encode_submit_sm(1, SENDER, RECEIVER, joined, 0) == library_pdu(
        "submit_sm", short_message=b"a" * 153, **address, **sar
    )


@pytest.mark.parametrize(
    ("source", "address"),
    [
        ("Signalbox", Address(5, 0, "Signalbox")),
        ("4U", Address(5, 0, "4U")),
        ("+4917", Address(1, 1, "4917")),
        ("491700000", Address(1, 1, "491700000")),
        ("49170000", Address(3, 0, "49170000")),
        ("110", Address(3, 0, "110")),
        ("+", Address(5, 0, "+")),
        ("", Address(0, 0, "")),
    ],
)
def test_the_sender_decides_its_type_of_number(source: str, address: Address) -> None:
    assert source_address(source) == address


@pytest.mark.parametrize("source", ["twelve chars", "Банк", "a\0b", "٣٣٣"])
def test_a_sender_that_fits_no_field_is_refused(source: str) -> None:
    with pytest.raises(EncodeError, match="source_addr"):
        source_address(source)


def test_a_receiver_is_international_with_or_without_its_plus() -> None:
    assert destination_address("+4917") == destination_address("4917") == Address(1, 1, "4917")


def test_a_destination_too_long_is_refused_where_the_library_sends_it_to_somebody_else() -> None:
    number = "4917000000001234567890123"

    with pytest.raises(EncodeError, match="destination_addr has 25 octets, at most 20 fit"):
        encode_submit_sm(1, SENDER, destination_address(number), plain(b"x"), 0)

    pdu = library_pdu("submit_sm", destination_addr=number, short_message=b"x")
    assert number[:20].encode() + b"\0" in pdu


def test_a_text_too_long_is_refused_where_the_library_sends_or_crashes() -> None:
    with pytest.raises(EncodeError, match="short_message has 255 octets"):
        encode_submit_sm(1, SENDER, RECEIVER, plain(b"x" * 255), 0)
    too_long = Part(b"x" * 0x10000, 0, 0, None, as_payload=True)
    with pytest.raises(EncodeError, match="message_payload has 65536 octets"):
        encode_submit_sm(1, SENDER, RECEIVER, too_long, 0)

    assert library_pdu("submit_sm", destination_addr="1", short_message=b"x" * 255)
    with pytest.raises(struct.error):
        library_pdu("submit_sm", destination_addr="1", short_message=b"x" * 256)


def test_an_option_that_does_not_fit_is_refused() -> None:
    with pytest.raises(EncodeError, match="service_type has 6 octets"):
        encode_submit_sm(1, SENDER, RECEIVER, plain(b"x"), 0, service_type="sixsix")
    with pytest.raises(EncodeError, match="service_type has a NUL inside"):
        encode_submit_sm(1, SENDER, RECEIVER, plain(b"x"), 0, service_type="a\0b")
    with pytest.raises(EncodeError, match="validity_period has 17 octets"):
        encode_submit_sm(1, SENDER, RECEIVER, plain(b"x"), 0, validity_period="0" * 17)


@pytest.mark.parametrize("kind", get_args(BindKind))
def test_a_bind_is_the_librarys(kind: BindKind) -> None:
    expected = library_pdu(f"bind_{kind}", 7, system_id="box", password="secret", system_type="VMA")

    assert encode_bind(kind, 7, "box", "secret", "VMA") == expected


def test_an_older_version_is_really_asked_for_where_the_library_insists_on_its_own() -> None:
    ours = encode_bind("transceiver", 1, "box", "secret", "", interface_version=0x33)
    librarys = library_pdu(
        "bind_transceiver", system_id="box", password="secret", interface_version=0x33
    )

    assert (ours[-4], librarys[-4]) == (0x33, 0x34)


@pytest.mark.parametrize(
    ("system_id", "password", "system_type", "message"),
    [
        ("s" * 16, "p", "", "system_id has 16 octets"),
        ("s", "p" * 9, "", "password has 9 octets"),
        ("s", "p", "t" * 13, "system_type has 13 octets"),
        ("s", "пароль", "", "password has characters beyond Latin-1"),
    ],
)
def test_credentials_that_do_not_fit_are_refused(
    system_id: str, password: str, system_type: str, message: str
) -> None:
    with pytest.raises(EncodeError, match=message):
        encode_bind("transceiver", 1, system_id, password, system_type)


def test_a_long_password_is_refused_where_the_library_sends_its_beginning() -> None:
    with pytest.raises(EncodeError):
        encode_bind("transceiver", 1, "box", "123456789", "")

    assert b"12345678\0" in library_pdu("bind_transceiver", system_id="box", password="123456789")


@pytest.mark.parametrize(
    ("name", "octets"),
    [
        ("deliver_sm_resp", codec.encode_deliver_sm_resp(7)),
        ("data_sm_resp", codec.encode_data_sm_resp(7)),
        ("enquire_link", codec.encode_enquire_link(7)),
        ("enquire_link_resp", codec.encode_enquire_link_resp(7)),
        ("unbind", codec.encode_unbind(7)),
        ("unbind_resp", codec.encode_unbind_resp(7)),
        ("generic_nack", codec.encode_generic_nack(7, 0)),
    ],
)
def test_short_pdus_are_the_librarys(name: str, octets: bytes) -> None:
    assert library_pdu(name, 7) == octets


def test_a_refusal_carries_its_status() -> None:
    assert frame_of(codec.encode_generic_nack(7, 3)) == Frame(codec.GENERIC_NACK, 3, 7, b"")
    assert frame_of(codec.encode_deliver_sm_resp(7, 0x64)).status == 0x64
    assert frame_of(codec.encode_data_sm_resp(7, 0x64)).status == 0x64


@pytest.mark.parametrize(
    ("body", "message_id"),
    [
        (b"ABC123\0", "ABC123"),
        (b"ABC123", "ABC123"),
        (b"", ""),
        (b"\0", ""),
        (b"ABC123\0" + tlv(0x001D, b"vendor"), "ABC123"),
        (b"\xff\0", "ÿ"),
        (b"9" * 1000, "9" * 255),
    ],
)
def test_a_response_is_read_with_any_body(body: bytes, message_id: str) -> None:
    frame = Frame(codec.SUBMIT_SM_RESP, 0x58, 7, body)

    assert parse_submit_sm_resp(frame) == SubmitSmResp(7, 0x58, message_id)


def test_a_bind_response_is_read_with_and_without_a_body() -> None:
    version = tlv(0x0210, b"\x34")

    assert parse_bind_resp(Frame(codec.BIND_TRANSCEIVER_RESP, 0, 7, b"centre\0" + version)) == (
        BindResp(0, "centre")
    )
    assert parse_bind_resp(Frame(codec.BIND_TRANSCEIVER_RESP, 0x0E, 7, b"")) == BindResp(0x0E, "")


def test_a_delivery_is_read_as_the_library_writes_it() -> None:
    octets = library_pdu(
        "deliver_sm",
        9,
        service_type="CMT",
        source_addr_ton=1,
        source_addr_npi=1,
        source_addr="4917000000001",
        dest_addr_ton=5,
        destination_addr="Signalbox",
        esm_class=4,
        schedule_delivery_time="000002000000000R",
        validity_period="000003000000000R",
        registered_delivery=1,
        data_coding=8,
        short_message=b"\x04\x2f",
        message_state=2,
        receipted_message_id="ABC123",
    )

    assert parse_deliver_sm(frame_of(octets)) == DeliverSm(
        sequence=9,
        source=Address(1, 1, "4917000000001"),
        destination=Address(5, 0, "Signalbox"),
        esm_class=4,
        data_coding=8,
        body=b"\x04\x2f",
        receipted_message_id="ABC123",
        message_state=2,
        sar=None,
    )


def test_data_sm_delivers_the_same() -> None:
    body = (
        b"\0\x01\x01491\0\x05\0Box\0"
        + bytes((0x04, 0, 8))
        + tlv(0x0424, b"\x04\x2f")
        + tlv(0x001E, b"7\0")
    )

    assert parse_data_sm(Frame(codec.DATA_SM, 0, 9, body)) == DeliverSm(
        9, Address(1, 1, "491"), Address(5, 0, "Box"), 4, 8, b"\x04\x2f", "7", None, None
    )


def test_a_nonzero_status_of_a_delivery_means_nothing() -> None:
    assert parse_deliver_sm(Frame(codec.DELIVER_SM, 1, 1, EMPTY)) == delivered()


def test_an_id_without_its_terminator_keeps_its_last_character() -> None:
    assert delivered(tlv(0x001E, b"ABC123")).receipted_message_id == "ABC123"
    assert delivered(tlv(0x001E, b"ABC123\0")).receipted_message_id == "ABC123"
    assert delivered(tlv(0x001E, b"")).receipted_message_id == ""

    assert library_delivered(tlv(0x001E, b"ABC123")).receipted_message_id == b"ABC12"


@pytest.mark.parametrize(
    ("value", "state"),
    [(b"\2", 2), (b"\0\2", 2), (b"\0\0\0\2", 2), (b"", None), (b"\2" * 9, None)],
)
def test_a_state_has_as_many_octets_as_its_length_says(value: bytes, state: int | None) -> None:
    receipt = delivered(tlv(0x0427, value), tlv(0x001E, b"A\0"))

    assert (receipt.message_state, receipt.receipted_message_id) == (state, "A")


def test_the_library_loses_the_id_behind_a_state_of_four_octets() -> None:
    pdu = library_delivered(tlv(0x0427, b"\0\0\0\2"), tlv(0x001E, b"A\0"))

    assert pdu.receipted_message_id is None


@pytest.mark.parametrize("tag", [0x0005, 0x001D, 0x0210, 0x1400])
def test_a_parameter_that_does_not_belong_here_is_skipped(tag: int) -> None:
    receipt = delivered(tlv(tag, b"\1"), tlv(0x001E, b"A\0"))

    assert receipt.receipted_message_id == "A"


def test_the_library_stumbles_over_a_parameter_that_does_not_belong_here() -> None:
    with pytest.raises(KeyError):
        library_delivered(tlv(0x0210, b"\x34"))


@pytest.mark.parametrize("broken", [b"\0", b"\4\x27\0", b"\4\x27\0\1", b"\4\x27\xff\xff\2"])
def test_parameters_end_at_one_that_is_cut_off(broken: bytes) -> None:
    receipt = delivered(tlv(0x001E, b"A\0"), broken)

    assert (receipt.receipted_message_id, receipt.message_state) == ("A", None)


def test_a_payload_stands_in_for_an_empty_short_message() -> None:
    assert delivered(tlv(0x0424, b"x" * 300)).body == b"x" * 300


@pytest.mark.parametrize(
    ("total", "number", "place"),
    [(b"\3", b"\2", Concatenation(0x107, 3, 2)), (b"\3", b"\4", None), (b"", b"\2", None)],
)
def test_sar_parameters_tell_the_place_of_a_part(
    total: bytes, number: bytes, place: Concatenation | None
) -> None:
    message = delivered(tlv(0x020C, b"\1\7"), tlv(0x020E, total), tlv(0x020F, number))

    assert message.sar == place


def test_a_delivery_cut_off_in_its_mandatory_fields_is_refused() -> None:
    for end in range(len(EMPTY)):
        with pytest.raises(ProtocolError):
            parse_deliver_sm(Frame(codec.DELIVER_SM, 0, 1, EMPTY[:end]))
    for end in range(10):
        with pytest.raises(ProtocolError):
            parse_data_sm(Frame(codec.DATA_SM, 0, 1, EMPTY[:end]))


def test_a_text_shorter_than_it_claims_is_refused() -> None:
    with pytest.raises(ProtocolError, match="sm_length 5, 4 octets follow"):
        parse_deliver_sm(Frame(codec.DELIVER_SM, 0, 1, EMPTY[:-1] + b"\5four"))


SAMPLES = (
    b"ABC123\0" + tlv(0x001D, b"ok\0"),
    EMPTY + tlv(0x0427, b"\2") + tlv(0x001E, b"ABC123\0"),
    library_pdu("deliver_sm", source_addr="491", destination_addr="Box", short_message=b"hi")[16:],
    b"\0\x01\x01491\0\x05\0Box\0\x04\0\x08" + tlv(0x0424, b"\x04\x2f") + tlv(0x020C, b"\1\7"),
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    body = bytearray(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, max(0, len(body) - 1)))
        body[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(body)


@given(st.one_of(mutated(), st.binary(max_size=200)), st.integers(0, 0xFFFFFFFF))
@settings(deadline=None, max_examples=1000)
def test_only_a_protocol_error_escapes_whatever_the_octets(body: bytes, status: int) -> None:
    for parse in PARSERS:
        try:
            parse(Frame(0, status, 1, body))
        except ProtocolError as refusal:
            assert str(refusal)  # noqa: PT017  any other exception fails the test
