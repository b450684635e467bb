"""Texts on the air: which alphabet carries them, where a long one is cut, how its parts are joined.

    text ── choose_encoding ──▶ encoding ── split, encode_parts ──▶ octets for submit_sm
    octets from a handset ── split_udh ──▶ place among its parts, octets ── decode ──▶ text

Alphabets: 3GPP TS 23.038, 6.2.1; user data header: 3GPP TS 23.040, 9.2.3.24; data_coding: SMPP 3.4,
5.2.19; SAR parameters: SMPP 3.4, 5.3.2.22-24; clusters: a small part of Unicode UAX #29.
"""

import re
from codecs import charmap_decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple
from unicodedata import category, combining

Alphabet = Literal["gsm7", "latin1", "latin1_dc0"]
"""What a link tries before UCS-2: 03.38 as data_coding 0, Latin-1 as 3, or Latin-1 as 0."""

Encoding = Literal["gsm7", "latin1", "latin1_dc0", "ucs2"]
LongMode = Literal["udh8", "udh16", "sar", "payload"]

PARTS_MAX: Final = 255  # one octet counts them

ESM_CLASS_UDHI: Final = 0x40
_ESCAPE: Final = "\x1b"
_BASIC: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION: Final = {
    "\f": "\x0a", "^": "\x14", "{": "\x28", "}": "\x29", "\\": "\x2f",
    "[": "\x3c", "~": "\x3d", "]": "\x3e", "|": "\x40", "€": "\x65",
}  # fmt: skip

_NOT_A_SEPTET: Final = 0xFFFF  # so that encoding the result as ASCII refuses it
_SEPTETS: Final[Mapping[int, int | str]] = (
    dict.fromkeys(range(0x80), _NOT_A_SEPTET)
    | {ord(character): septet for septet, character in enumerate(_BASIC) if character != _ESCAPE}
    | {ord(character): _ESCAPE + septet for character, septet in _EXTENSION.items()}
)
_FROM_OCTETS: Final = _BASIC + "".join(map(chr, range(0x80, 0x100)))  # centres slip Latin-1 in here
_FROM_ESCAPED: Final = {_BASIC[ord(septet)]: character for character, septet in _EXTENSION.items()}
_ESCAPED: Final = re.compile(f"{_ESCAPE}(.?)", re.DOTALL)

_NEEDS_UCS2: Final[Mapping[Alphabet, re.Pattern[str]]] = {
    "gsm7": re.compile(
        f"[^{re.escape(_BASIC.replace(_ESCAPE, ''))}{re.escape(''.join(_EXTENSION))}]"
    ),
    "latin1": re.compile(r"[^\x00-\xff]"),
    "latin1_dc0": re.compile(r"[^\x00-\xff]"),
}
_TWO_SEPTETS: Final = re.compile(f"[{re.escape(''.join(_EXTENSION))}]")
_TWO_UNITS: Final[Mapping[Encoding, re.Pattern[str]]] = {
    "gsm7": _TWO_SEPTETS,
    "latin1": re.compile("(?!)"),
    "latin1_dc0": _TWO_SEPTETS,  # the centre turns its default alphabet into septets
    "ucs2": re.compile("[\U00010000-\U0010ffff]"),
}
_DATA_CODING: Final[Mapping[Encoding, int]] = {"gsm7": 0, "latin1": 3, "latin1_dc0": 0, "ucs2": 8}
_CODECS: Final = {3: "latin-1", 6: "iso8859_5", 7: "iso8859_8", 8: "utf-16-be"}
_DEFAULT_CODINGS: Final = (0, 1)

# Septets, octets or 16-bit units that fit 140 octets, without a header and beside one.
_UNITS_ALONE: Final[Mapping[Encoding, int]] = {
    "gsm7": 160, "latin1": 140, "latin1_dc0": 160, "ucs2": 70,
}  # fmt: skip
_UNITS_BESIDE_6_OCTETS: Final[Mapping[Encoding, int]] = {
    "gsm7": 153, "latin1": 134, "latin1_dc0": 153, "ucs2": 67,
}  # fmt: skip
_UNITS_BESIDE_7_OCTETS: Final[Mapping[Encoding, int]] = {
    "gsm7": 152, "latin1": 133, "latin1_dc0": 152, "ucs2": 66,
}  # fmt: skip

_ZERO_WIDTH_JOINER: Final = "\u200d"
_EXTENDING: Final = re.compile(
    "[\u200c\u200d"  # joiners
    "\u1160-\u11ff"  # Hangul vowels and finals
    "\U0001f3fb-\U0001f3ff"  # skin tones
    "\U000e0020-\U000e007f]"  # tags, as in the flag of Wales
)
_VIRAMA: Final = 9  # canonical combining class
_REGIONAL_INDICATORS: Final = "".join(map(chr, range(0x1F1E6, 0x1F200)))

_IE_CONCATENATION_8: Final = 0x00
_IE_CONCATENATION_16: Final = 0x08
_IE_PORTS: Final = (0x04, 0x05)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a message as a PDU carries it; `body` starts with the header when UDHI is set."""

    body: bytes
    data_coding: int
    esm_class: int
    sar: tuple[int, int, int] | None
    """Reference, total and number for the sar_* parameters."""
    as_payload: bool
    """Travels as message_payload instead of short_message."""


@dataclass(frozen=True, slots=True)
class Concatenation:
    """The place of one part: `number` 1 to `total` of the message its sender calls `reference`."""

    reference: int
    total: int
    number: int


class UserData(NamedTuple):
    """What a handset sent, its header taken off; a message to a port is binary."""

    concatenation: Concatenation | None
    body: bytes
    has_ports: bool


def choose_encoding(text: str, alphabet: Alphabet) -> Encoding:
    """Return the link's own alphabet if it holds every character, else UCS-2."""
    return alphabet if _NEEDS_UCS2[alphabet].search(text) is None else "ucs2"


def split(text: str, encoding: Encoding, long_mode: LongMode) -> tuple[str, ...]:
    """Return the texts of the parts, in order; joined they are the text again.

    No cut falls inside a character, nor inside a grapheme cluster that fits one part.
    """
    if long_mode == "payload" or _fits_alone(text, encoding):
        return (text,)
    units_max = _units_beside_header(encoding, long_mode)
    parts: list[str] = []
    start = 0
    while start < len(text):
        end = _whole_clusters(text, start, _fit(text, start, encoding, units_max))
        parts.append(text[start:end])
        start = end
    return tuple(parts)


def count_parts(text: str, encoding: Encoding, long_mode: LongMode) -> int:
    """Return how many parts, at least one, the text becomes."""
    return len(split(text, encoding, long_mode))


def encode_parts(
    text: str, encoding: Encoding, long_mode: LongMode, reference: int
) -> tuple[Part, ...]:
    """Return the parts in order, joined by `reference` (its low 8 or 16 bits) if there are several.

    Raises:
        ValueError: More than 255 parts, or (as UnicodeEncodeError) a character the encoding lacks.
    """
    texts = split(text, encoding, long_mode)
    if len(texts) == 1:
        as_payload = long_mode == "payload" and not _fits_alone(text, encoding)
        return (Part(_encode(text, encoding), _DATA_CODING[encoding], 0, None, as_payload),)
    if len(texts) > PARTS_MAX:
        raise ValueError(f"{len(texts)} parts, at most {PARTS_MAX} can be joined")
    return tuple(
        _joined_part(_encode(each, encoding), encoding, long_mode, (reference, len(texts), number))
        for number, each in enumerate(texts, start=1)
    )


def decode(body: bytes, data_coding: int) -> str:
    """Return the text of a message whose header is off; what makes no sense is replaced.

    An octet above 0x7F in the default alphabet reads as Latin-1, and so does an unknown coding.
    """
    if data_coding in _DEFAULT_CODINGS:
        return _decode_septets(body)
    return body.decode(_CODECS.get(data_coding, "latin-1"), "replace")


def split_udh(body: bytes) -> UserData:
    """Take the user data header off a body whose esm_class has UDHI set.

    A header longer than the body is none: the body stays as it is.
    """
    header_end = 1 + body[0] if body else 1
    if header_end > len(body):
        return UserData(None, body, has_ports=False)
    elements = _information_elements(body[1:header_end])
    return UserData(_concatenation_of(elements), body[header_end:], _has_ports(elements))


def concatenation(reference: int, total: int, number: int) -> Concatenation | None:
    """Return the place of a part; None for an impossible one, which TS 23.040 says to ignore."""
    return Concatenation(reference, total, number) if 1 <= number <= total else None


def _fits_alone(text: str, encoding: Encoding) -> bool:
    return _fit(text, 0, encoding, _UNITS_ALONE[encoding]) == len(text)


def _fit(text: str, start: int, encoding: Encoding, units_max: int) -> int:
    """Return where the longest run of characters from `start` that fits `units_max` ends."""
    end = start + units_max
    for wide in _TWO_UNITS[encoding].finditer(text, start, end):
        if wide.start() >= end:
            break
        end -= 1
    return min(end, len(text))


def _units_beside_header(encoding: Encoding, long_mode: LongMode) -> int:
    # With SAR the centre writes the header, and it writes the short one.
    units = _UNITS_BESIDE_7_OCTETS if long_mode == "udh16" else _UNITS_BESIDE_6_OCTETS
    return units[encoding]


def _whole_clusters(text: str, start: int, end: int) -> int:
    """Return the last cut up to `end` that splits no cluster; `end` if one fills the part."""
    if end == len(text):
        return end
    return next((at for at in range(end, start, -1) if not _in_cluster(text, start, at)), end)


def _in_cluster(text: str, start: int, at: int) -> bool:
    """Tell whether a cut at `at` would split a cluster; the part begins at `start`."""
    before, after = text[at - 1], text[at]
    if after.isascii():
        return before == "\r" and after == "\n"
    return (
        before == _ZERO_WIDTH_JOINER
        or category(after).startswith("M")
        or _EXTENDING.match(after) is not None
        or (combining(before) == _VIRAMA and category(after) == "Lo")
        or (after in _REGIONAL_INDICATORS and _is_half_a_flag(text[start:at]))
    )


def _is_half_a_flag(text: str) -> bool:
    """Tell whether the text ends with an unpaired regional indicator."""
    return (len(text) - len(text.rstrip(_REGIONAL_INDICATORS))) % 2 == 1


def _encode(text: str, encoding: Encoding) -> bytes:
    if encoding == "gsm7":
        return text.translate(_SEPTETS).encode("ascii")
    return text.encode("utf-16-be" if encoding == "ucs2" else "latin-1")


def _joined_part(
    body: bytes, encoding: Encoding, long_mode: LongMode, place: tuple[int, int, int]
) -> Part:
    reference, total, number = place
    data_coding = _DATA_CODING[encoding]
    if long_mode == "sar":
        return Part(body, data_coding, 0, (reference & 0xFFFF, total, number), as_payload=False)
    if long_mode == "udh16":
        header = bytes((6, _IE_CONCATENATION_16, 4, reference >> 8 & 0xFF, reference & 0xFF))
    else:
        header = bytes((5, _IE_CONCATENATION_8, 3, reference & 0xFF))
    body = header + bytes((total, number)) + body
    return Part(body, data_coding, ESM_CLASS_UDHI, None, as_payload=False)


def _decode_septets(body: bytes) -> str:
    text, _ = charmap_decode(body, "strict", _FROM_OCTETS)
    return _ESCAPED.sub(_unescape, text) if _ESCAPE in text else text


def _unescape(pair: re.Match[str]) -> str:
    # TS 23.038, 6.2.1.1: an undefined pair shows the basic character, an escape alone a space.
    character = pair[1]
    if character in {"", _ESCAPE}:
        return " "
    return _FROM_ESCAPED.get(character, character)


def _information_elements(header: bytes) -> dict[int, bytes]:
    """Return the elements by identifier, the last of each; a broken one ends the header."""
    elements: dict[int, bytes] = {}
    at = 0
    while at + 2 <= len(header):
        identifier, octets = header[at], header[at + 1]
        at += 2
        if at + octets > len(header):
            break
        elements[identifier] = header[at : at + octets]
        at += octets
    return elements


def _concatenation_of(elements: Mapping[int, bytes]) -> Concatenation | None:
    value = elements.get(_IE_CONCATENATION_16) or elements.get(_IE_CONCATENATION_8, b"")
    if len(value) not in {3, 4}:
        return None
    *reference, total, number = value
    return concatenation(int.from_bytes(reference, "big"), total, number)


def _has_ports(elements: Mapping[int, bytes]) -> bool:
    return any(identifier in elements for identifier in _IE_PORTS)
