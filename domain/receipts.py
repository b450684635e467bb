"""Delivery receipts: telling them from messages, reading them, matching them to what was submitted.

    deliver_sm ── is_receipt ── read_receipt ──▶ Receipt ── lookup_keys ──▶ the part, next_status

SMPP 3.4: esm_class 5.2.12, message_state 5.2.28, receipted_message_id 5.3.2.12, text appendix B.
Centres differ in spelling, letter case, leading zeros and number base; nothing here raises.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

PartStatus = Literal[
    "pending", "submitted", "enroute", "accepted", "delivered", "expired", "deleted",
    "undeliverable", "rejected", "unknown", "failed",
]  # fmt: skip
"""`failed` is the gateway's own word: refused by the centre, or given up."""

FINAL: Final[frozenset[PartStatus]] = frozenset(
    {"delivered", "expired", "deleted", "undeliverable", "rejected", "failed"}
)

MessageIdBase = Literal[0, 1, 2]
"""How ids are written: 0 alike; 1 hex in the response, decimal in the receipt; 2 the other way."""

_MESSAGE_TYPE: Final = 0x3C  # the bits of esm_class that name it
_RECEIPTS: Final = (0x04, 0x20)  # final, intermediate
_HANDSET_ACKNOWLEDGEMENTS: Final = (0x08, 0x10)  # by the phone, by its user

_UCS2: Final = 8  # data_coding
_TEXT_CHARACTERS_MAX: Final = 1024
_FIELD: Final = re.compile(
    r"\b(id|submit[ _]?date|done[ _]?date|stat|err)[ ]?:[ ]{0,4}"
    r"(?!(?:sub|dlvrd|submit|done|stat|err)[ _:])"  # the field was empty, this is the next one
    r"(\S{1,65})(?!\S)",
    re.IGNORECASE,
)
_QUOTED_TEXT: Final = re.compile(r"\btext[ ]?:", re.IGNORECASE)
_STAT: Final = re.compile(r"\w{2,16}", re.ASCII)
_ERROR_CODE_CHARACTERS_MAX: Final = 9
_DATE: Final = re.compile(r"\d{1,14}", re.ASCII)

_BY_MESSAGE_STATE: Final[Mapping[int, PartStatus]] = {
    1: "enroute", 2: "delivered", 3: "expired", 4: "deleted",
    5: "undeliverable", 6: "accepted", 7: "unknown", 8: "rejected",
}  # fmt: skip
_BY_STAT: Final[Mapping[str, PartStatus]] = {
    "ENROUTE": "enroute", "BUFFRED": "enroute", "BUFFERED": "enroute",
    "DELIVRD": "delivered", "DELIVERED": "delivered",
    "EXPIRED": "expired",
    "DELETED": "deleted",
    "UNDELIV": "undeliverable", "UNDELIVERABLE": "undeliverable", "FAILED": "undeliverable",
    "ACCEPTD": "accepted", "ACCEPTED": "accepted", "ACKED": "accepted",
    "UNKNOWN": "unknown",
    "REJECTD": "rejected", "REJECTED": "rejected",
}  # fmt: skip

_FINAL_RANK: Final = 5
_RANK: Final[Mapping[PartStatus, int]] = {
    "pending": 0, "submitted": 1, "enroute": 2, "accepted": 3, "unknown": 4,
    **dict.fromkeys(FINAL, _FINAL_RANK),
}  # fmt: skip
_OVERRULED_BY_DELIVERED: Final = ("undeliverable", "expired")

_UUID: Final = re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")
_DECIMAL: Final = re.compile(r"[0-9]{1,40}")
_HEX: Final = re.compile(r"[0-9A-F]{1,40}")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a centre reported about one part, in its own spelling; missing fields are empty.

    The dates are the centre's digits, mostly YYMMDDhhmm, in a time zone nobody states.
    """

    smsc_id: str
    status: PartStatus
    error_code: str
    stat: str
    submit_date: str
    done_date: str


def is_receipt(esm_class: int, *, has_receipted_id: bool, text: str, by_text: bool) -> bool:
    """Tell whether a deliver_sm reports on a part; by its text alone only if the link says so."""
    if is_handset_acknowledgement(esm_class):
        return False
    if esm_class & _MESSAGE_TYPE in _RECEIPTS or has_receipted_id:
        return True
    return by_text and {"id", "stat"} <= _fields(text).keys()


def is_handset_acknowledgement(esm_class: int) -> bool:
    """Tell whether the phone or its user confirms a message: to be recorded, not a receipt."""
    return esm_class & _MESSAGE_TYPE in _HANDSET_ACKNOWLEDGEMENTS


def receipt_text(body: bytes, data_coding: int) -> str:
    """Return a receipt's text: ASCII in fact, whatever alphabet the centre calls its default.

    Read as 03.38, an underscore in an id would become a section sign.
    """
    return body.decode("utf-16-be" if data_coding == _UCS2 else "latin-1", "replace")


def read_receipt(
    text: str, *, receipted_id: str | None, message_state: int | None
) -> Receipt | None:
    """Read a receipt, its parameters before its text; None if neither names a message."""
    fields = _fields(text)
    smsc_id = (receipted_id or "").strip() or fields.get("id", "")
    if not smsc_id:
        return None
    stat = _beginning(_STAT, fields.get("stat", ""))
    return Receipt(
        smsc_id=smsc_id,
        status=_status(message_state, stat),
        error_code=fields.get("err", "")[:_ERROR_CODE_CHARACTERS_MAX],
        stat=stat,
        submit_date=_beginning(_DATE, fields.get("submitdate", "")),
        done_date=_beginning(_DATE, fields.get("donedate", "")),
    )


def next_status(current: PartStatus, incoming: PartStatus) -> PartStatus:
    """Return the status after a report, which may be late, early or repeated.

    Final ones absorb, except that a message known to have arrived was not lost after all.
    """
    if incoming == "delivered" and current in _OVERRULED_BY_DELIVERED:
        return incoming
    return incoming if _RANK[incoming] > _RANK[current] else current


def correlation_key(smsc_id: str) -> str:
    """Return the form under which two spellings of one id compare equal; empty stays empty."""
    key = smsc_id.strip().upper()
    if _UUID.fullmatch(key):
        return key
    return key.lstrip("0") or key[:1]  # zeros alone are one zero


def lookup_keys(receipt_id: str, dlr_msgid: MessageIdBase) -> tuple[str, ...]:
    """Return the keys under which a receipt's part may be known, the likeliest first."""
    key = correlation_key(receipt_id)
    keys = (_rebased(key, dlr_msgid), key)
    return tuple(dict.fromkeys(each for each in keys if each))


def _fields(text: str) -> dict[str, str]:
    """Return the first value of each field, by lower-case name without the space in it.

    The quoted message comes last and may imitate a receipt, so it is cut off.
    """
    beginning = text[:_TEXT_CHARACTERS_MAX].replace("\0", " ")  # some centres end it with a NUL
    report = _QUOTED_TEXT.split(beginning, maxsplit=1)[0]
    fields: dict[str, str] = {}
    for name, value in _FIELD.findall(report):
        fields.setdefault(name.lower().replace("_", "").replace(" ", ""), value)
    return fields


def _beginning(pattern: re.Pattern[str], value: str) -> str:
    match = pattern.match(value)
    return match[0] if match else ""


def _status(message_state: int | None, stat: str) -> PartStatus:
    by_stat = _BY_STAT.get(stat.upper(), "unknown")
    return by_stat if message_state is None else _BY_MESSAGE_STATE.get(message_state, by_stat)


def _rebased(key: str, dlr_msgid: MessageIdBase) -> str:
    """Return the key as the response spelled it, or "" where no number is to be converted."""
    match dlr_msgid:
        case 1 if _DECIMAL.fullmatch(key):
            return f"{int(key):X}"
        case 2 if _HEX.fullmatch(key):
            return str(int(key, 16))
    return ""
