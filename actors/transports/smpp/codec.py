"""PDUs to octets and back (SMPP 3.4, sections 4 and 5).

The PDUs of every message are packed by hand, many times faster than by smpplib, which truncates
long fields, loses the ends of ids and stumbles over the parameters that centres add. The bind, sent
once in a session, is the library's.

Building refuses what does not fit its field. Reading takes what real centres send: bodies left out,
terminators forgotten, parameters unknown or cut off. Addresses and ids are read as Latin-1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Final, Literal

from smpplib import smpp

from signalbox.actors.transports.smpp.framing import HEADER, Frame, ProtocolError
from signalbox.domain.text import Concatenation, Part, concatenation

BindKind = Literal["transceiver", "transmitter", "receiver"]

GENERIC_NACK: Final = 0x80000000
BIND_RECEIVER: Final = 0x00000001
BIND_RECEIVER_RESP: Final = 0x80000001
BIND_TRANSMITTER: Final = 0x00000002
BIND_TRANSMITTER_RESP: Final = 0x80000002
SUBMIT_SM: Final = 0x00000004
SUBMIT_SM_RESP: Final = 0x80000004
DELIVER_SM: Final = 0x00000005
DELIVER_SM_RESP: Final = 0x80000005
UNBIND: Final = 0x00000006
UNBIND_RESP: Final = 0x80000006
BIND_TRANSCEIVER: Final = 0x00000009
BIND_TRANSCEIVER_RESP: Final = 0x80000009
OUTBIND: Final = 0x0000000B
ENQUIRE_LINK: Final = 0x00000015
ENQUIRE_LINK_RESP: Final = 0x80000015
ALERT_NOTIFICATION: Final = 0x00000102
DATA_SM: Final = 0x00000103
DATA_SM_RESP: Final = 0x80000103

INTERFACE_VERSION: Final = 0x34

TON_UNKNOWN: Final = 0
TON_INTERNATIONAL: Final = 1
TON_NETWORK_SPECIFIC: Final = 3
TON_ALPHANUMERIC: Final = 5
NPI_UNKNOWN: Final = 0
NPI_ISDN: Final = 1

# Octets without the terminator.
SYSTEM_ID_OCTETS_MAX: Final = 15
PASSWORD_OCTETS_MAX: Final = 8
SYSTEM_TYPE_OCTETS_MAX: Final = 12
SERVICE_TYPE_OCTETS_MAX: Final = 5
ADDRESS_OCTETS_MAX: Final = 20
ALPHANUMERIC_OCTETS_MAX: Final = 11  # TS 23.040, 9.1.2.5
TIME_OCTETS_MAX: Final = 16
SHORT_MESSAGE_OCTETS_MAX: Final = 254
PAYLOAD_OCTETS_MAX: Final = 0xFFFF
MESSAGE_ID_OCTETS_MAX: Final = 255  # the standard says 64; the rest is cut, in receipts too
_STATE_OCTETS_MAX: Final = 8

_SHORT_CODE_DIGITS_MAX: Final = 8

_TAG_RECEIPTED_MESSAGE_ID: Final = 0x001E
_TAG_USER_MESSAGE_REFERENCE: Final = 0x0204
_TAG_SAR_MSG_REF_NUM: Final = 0x020C
_TAG_SAR_TOTAL_SEGMENTS: Final = 0x020E
_TAG_SAR_SEGMENT_SEQNUM: Final = 0x020F
_TAG_MESSAGE_PAYLOAD: Final = 0x0424
_TAG_MESSAGE_STATE: Final = 0x0427

_TLV: Final = Struct(">HH")
_TLV_OF_2: Final = Struct(">HHH")
_SAR: Final = Struct(">HHHHHBHHB")
_EMPTY: Final = b"\0"


class EncodeError(ValueError):
    """A value does not fit its field."""


@dataclass(frozen=True, slots=True)
class Address:
    """Who sends or receives: type of number, numbering plan (5.2.5, 5.2.6), digits or name."""

    ton: int
    npi: int
    digits: str


@dataclass(frozen=True, slots=True)
class SubmitSmResp:
    """The centre's answer to a part; a refusal has mostly an empty id."""

    sequence: int
    status: int
    message_id: str


@dataclass(frozen=True, slots=True)
class DeliverSm:
    """A receipt or a handset's message, by deliver_sm or data_sm; their status means nothing."""

    sequence: int
    source: Address
    destination: Address
    esm_class: int
    data_coding: int
    body: bytes
    """short_message or message_payload, with the user data header if there is one."""
    receipted_message_id: str | None
    message_state: int | None
    sar: Concatenation | None


@dataclass(frozen=True, slots=True)
class BindResp:
    """The centre's answer to a bind; a refusal has mostly an empty system_id."""

    status: int
    system_id: str


def source_address(source: str) -> Address:
    """Return the sender: a name, an international number, a short code, or nobody if empty.

    Raises:
        EncodeError: A name of more than 11 characters.
    """
    digits = source.removeprefix("+")
    if not source:
        return Address(TON_UNKNOWN, NPI_UNKNOWN, "")
    if not (digits.isascii() and digits.isdecimal()):
        _c_octets("source_addr", source, ALPHANUMERIC_OCTETS_MAX)
        return Address(TON_ALPHANUMERIC, NPI_UNKNOWN, source)
    if digits != source or len(digits) > _SHORT_CODE_DIGITS_MAX:
        return Address(TON_INTERNATIONAL, NPI_ISDN, digits)
    return Address(TON_NETWORK_SPECIFIC, NPI_UNKNOWN, digits)


def destination_address(destination: str) -> Address:
    """Return the receiver, an international number with or without its plus."""
    return Address(TON_INTERNATIONAL, NPI_ISDN, destination.removeprefix("+"))


def encode_submit_sm(  # noqa: PLR0913  the fields of the PDU that vary
    sequence: int,
    source: Address,
    destination: Address,
    part: Part,
    registered_delivery: int,
    *,
    service_type: str = "",
    validity_period: str = "",
    user_message_reference: int | None = None,
) -> bytes:
    """Return a submit_sm (4.4.1); `user_message_reference` has 16 bits.

    Raises:
        EncodeError: A field is too long or has characters it cannot carry; nothing is truncated.
    """
    short_message, tlvs = _message_fields(part)
    if user_message_reference is not None:
        tlvs += _TLV_OF_2.pack(_TAG_USER_MESSAGE_REFERENCE, 2, user_message_reference)
    return _pdu(
        SUBMIT_SM,
        sequence,
        _c_octets("service_type", service_type, SERVICE_TYPE_OCTETS_MAX)
        + _address_octets("source_addr", source)
        + _address_octets("destination_addr", destination)
        + bytes((part.esm_class, 0, 0, 0))  # protocol_id, priority_flag, schedule_delivery_time
        + _c_octets("validity_period", validity_period, TIME_OCTETS_MAX)
        + bytes((registered_delivery, 0, part.data_coding, 0, len(short_message)))
        + short_message
        + tlvs,
    )


def encode_bind(
    kind: BindKind,
    sequence: int,
    system_id: str,
    password: str,
    system_type: str,
    interface_version: int = INTERFACE_VERSION,
) -> bytes:
    """Return a bind request (4.1).

    Raises:
        EncodeError: A field is too long or has characters it cannot carry.
    """
    _c_octets("system_id", system_id, SYSTEM_ID_OCTETS_MAX)
    _c_octets("password", password, PASSWORD_OCTETS_MAX)
    _c_octets("system_type", system_type, SYSTEM_TYPE_OCTETS_MAX)
    pdu = smpp.make_pdu(
        f"bind_{kind}",
        sequence=sequence,
        system_id=system_id,
        password=password,
        system_type=system_type,
    )
    pdu.sequence = sequence  # the library ignores both as arguments
    pdu.interface_version = interface_version
    octets: bytes = pdu.generate()
    return octets


def encode_deliver_sm_resp(sequence: int, status: int = 0) -> bytes:
    """Return a deliver_sm_resp (4.6.2); its status tells the centre whether to try again."""
    return _pdu(DELIVER_SM_RESP, sequence, _EMPTY, status)


def encode_data_sm_resp(sequence: int, status: int = 0) -> bytes:
    """Return a data_sm_resp (4.7.2)."""
    return _pdu(DATA_SM_RESP, sequence, _EMPTY, status)


def encode_enquire_link(sequence: int) -> bytes:
    """Return an enquire_link (4.11.1)."""
    return _pdu(ENQUIRE_LINK, sequence)


def encode_enquire_link_resp(sequence: int) -> bytes:
    """Return an enquire_link_resp (4.11.2)."""
    return _pdu(ENQUIRE_LINK_RESP, sequence)


def encode_unbind(sequence: int) -> bytes:
    """Return an unbind (4.2.1)."""
    return _pdu(UNBIND, sequence)


def encode_unbind_resp(sequence: int) -> bytes:
    """Return an unbind_resp (4.2.2)."""
    return _pdu(UNBIND_RESP, sequence)


def encode_generic_nack(sequence: int, status: int) -> bytes:
    """Return a generic_nack (4.3.1); the sequence is 0 if the refused PDU's could not be read."""
    return _pdu(GENERIC_NACK, sequence, status=status)


def parse_submit_sm_resp(frame: Frame) -> SubmitSmResp:
    """Read a submit_sm_resp (4.4.2), whatever is left of its body: a status must not get lost."""
    return SubmitSmResp(frame.sequence, frame.status, _message_id(frame.body))


def parse_bind_resp(frame: Frame) -> BindResp:
    """Read any of the three bind responses (4.1.2), with or without a body."""
    return BindResp(frame.status, _until_nul(frame.body).decode("latin-1"))


def parse_deliver_sm(frame: Frame) -> DeliverSm:
    """Read a deliver_sm (4.6.1).

    Raises:
        ProtocolError: The mandatory fields are cut off.
    """
    body = frame.body
    try:
        source, at = _address_at(body, body.index(0) + 1)
        destination, at = _address_at(body, at)
        esm_class = body[at]
        at = body.index(0, at + 3) + 1  # protocol_id, priority_flag, schedule_delivery_time
        at = body.index(0, at) + 3  # validity_period, registered_delivery, replace_if_present
        data_coding, octets = body[at], body[at + 2]
    except (ValueError, IndexError) as error:
        raise ProtocolError("deliver_sm is cut off") from error
    at += 3
    end = at + octets
    if end > len(body):
        raise ProtocolError(f"sm_length {octets}, {len(body) - at} octets follow")
    return _delivered(frame, source, destination, (esm_class, data_coding, body[at:end]), end)


def parse_data_sm(frame: Frame) -> DeliverSm:
    """Read a data_sm (4.7.1), which delivers like a deliver_sm.

    Raises:
        ProtocolError: The mandatory fields are cut off.
    """
    body = frame.body
    try:
        source, at = _address_at(body, body.index(0) + 1)
        destination, at = _address_at(body, at)
        esm_class, data_coding = body[at], body[at + 2]
    except (ValueError, IndexError) as error:
        raise ProtocolError("data_sm is cut off") from error
    return _delivered(frame, source, destination, (esm_class, data_coding, b""), at + 3)


def _pdu(command_id: int, sequence: int, body: bytes = b"", status: int = 0) -> bytes:
    return HEADER.pack(HEADER.size + len(body), command_id, status, sequence) + body


def _c_octets(field: str, value: str, octets_max: int) -> bytes:
    """Return the value and its terminator (a C-octet string, 3.1)."""
    if not value:
        return _EMPTY
    try:
        octets = value.encode("latin-1")
    except UnicodeEncodeError as error:
        raise EncodeError(f"{field} has characters beyond Latin-1") from error
    if len(octets) > octets_max:
        raise EncodeError(f"{field} has {len(octets)} octets, at most {octets_max} fit")
    if 0 in octets:
        raise EncodeError(f"{field} has a NUL inside")
    return octets + _EMPTY


def _address_octets(field: str, address: Address) -> bytes:
    return bytes((address.ton, address.npi)) + _c_octets(field, address.digits, ADDRESS_OCTETS_MAX)


def _message_fields(part: Part) -> tuple[bytes, bytes]:
    """Return short_message and the parameters that carry or join the part."""
    octets = len(part.body)
    if part.as_payload:
        if octets > PAYLOAD_OCTETS_MAX:
            raise EncodeError(f"message_payload has {octets} octets, 65535 fit")
        return b"", _TLV.pack(_TAG_MESSAGE_PAYLOAD, octets) + part.body
    if octets > SHORT_MESSAGE_OCTETS_MAX:
        raise EncodeError(f"short_message has {octets} octets, 254 fit")
    return part.body, _sar_octets(*part.sar) if part.sar else b""


def _sar_octets(reference: int, total: int, number: int) -> bytes:
    return _SAR.pack(
        *(_TAG_SAR_MSG_REF_NUM, 2, reference),
        *(_TAG_SAR_TOTAL_SEGMENTS, 1, total),
        *(_TAG_SAR_SEGMENT_SEQNUM, 1, number),
    )


def _until_nul(octets: bytes) -> bytes:
    return octets.partition(b"\0")[0]


def _message_id(octets: bytes) -> str:
    return _until_nul(octets)[:MESSAGE_ID_OCTETS_MAX].decode("latin-1")


def _address_at(body: bytes, at: int) -> tuple[Address, int]:
    """Return the address that begins at `at`, and where it ends."""
    end = body.index(0, at + 2)
    return Address(body[at], body[at + 1], body[at + 2 : end].decode("latin-1")), end + 1


def _tlvs(body: bytes, at: int) -> dict[int, bytes]:
    """Return the optional parameters by tag, known or not; one cut off ends them."""
    tlvs: dict[int, bytes] = {}
    while at + _TLV.size <= len(body):
        tag, octets = _TLV.unpack_from(body, at)
        at += _TLV.size
        if at + octets > len(body):
            break
        tlvs[tag] = body[at : at + octets]
        at += octets
    return tlvs


def _delivered(
    frame: Frame, source: Address, destination: Address, text: tuple[int, int, bytes], end: int
) -> DeliverSm:
    """Return the delivery, completed by the parameters that begin at `end` of the frame's body."""
    esm_class, data_coding, short_message = text
    tlvs = _tlvs(frame.body, end)
    receipted_id = tlvs.get(_TAG_RECEIPTED_MESSAGE_ID)
    return DeliverSm(
        frame.sequence,
        source,
        destination,
        esm_class,
        data_coding,
        short_message or tlvs.get(_TAG_MESSAGE_PAYLOAD, b""),
        None if receipted_id is None else _message_id(receipted_id),
        _integer(tlvs.get(_TAG_MESSAGE_STATE)),
        _sar(tlvs),
    )


def _integer(value: bytes | None) -> int | None:
    """Return an unsigned number; centres send message_state in one, two or four octets."""
    if not value or len(value) > _STATE_OCTETS_MAX:
        return None
    return int.from_bytes(value, "big")


def _sar(tlvs: Mapping[int, bytes]) -> Concatenation | None:
    reference = _integer(tlvs.get(_TAG_SAR_MSG_REF_NUM))
    total = _integer(tlvs.get(_TAG_SAR_TOTAL_SEGMENTS))
    number = _integer(tlvs.get(_TAG_SAR_SEGMENT_SEQNUM))
    if reference is None or total is None or number is None:
        return None
    return concatenation(reference, total, number)
