"""Alphabets, cuts and headers of texts."""

from itertools import accumulate, pairwise
from typing import get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from smpplib import gsm

from signalbox.domain.text import (
    Alphabet,
    Concatenation,
    Encoding,
    LongMode,
    Part,
    choose_encoding,
    count_parts,
    decode,
    encode_parts,
    split,
    split_udh,
)

BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = "\f^{}\\[~]|€"
CLUSTERS = (
    "a",
    "Я",
    "👋",
    "e\u0301\u0323",
    "👍🏽",
    "❤\ufe0f",
    "👨\u200d👩\u200d👧\u200d👦",
    "🇩🇪",
    "🏴\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f",
    "1\ufe0f\u20e3",
    "\u1112\u1161\u11ab",
    "क्षि",
    "\r\n",
)
JOINED_MODES: tuple[LongMode, ...] = ("udh8", "udh16", "sar")

gsm_texts = st.text(st.sampled_from(BASIC + EXTENSION), max_size=700)
any_texts = st.text(
    st.one_of(st.sampled_from("aЯ👋€\r\n🇩🇪\u200d\u0301"), st.characters(codec="utf-8")),
    max_size=300,
)
fast = settings(deadline=None, max_examples=150)


def octets_of(text: str, alphabet: Alphabet = "gsm7") -> bytes:
    (part,) = encode_parts(text, choose_encoding(text, alphabet), "udh8", 0)
    return part.body


def units_of(text: str, encoding: Encoding) -> int:
    if encoding == "ucs2":
        return len(text.encode("utf-16-be")) // 2
    if encoding == "latin1":
        return len(text)
    return len(text) + sum(text.count(character) for character in EXTENSION)


def test_every_character_of_the_default_alphabet_has_the_octet_of_the_standard() -> None:
    known = {"@": 0x00, "Ç": 0x09, "Δ": 0x10, "_": 0x11, "Ξ": 0x1A, "Æ": 0x1C, "¤": 0x24}
    known |= {"¡": 0x40, "Ä": 0x5B, "§": 0x5F, "¿": 0x60, "ü": 0x7E, "à": 0x7F, "A": 0x41}

    assert {character: octets_of(character)[0] for character in known} == known
    assert octets_of(EXTENSION) == bytes.fromhex(
        "1b0a 1b14 1b28 1b29 1b2f 1b3c 1b3d 1b3e 1b40 1b65"
    )
    assert len(set(BASIC)) == 127


@pytest.mark.parametrize("character", ["`", "\x1b", "\x00", "\t", "\x7f", "ç", "Я", "👋", "\uffff"])
def test_one_character_outside_the_alphabet_makes_the_text_ucs2(character: str) -> None:
    assert choose_encoding("plain", "gsm7") == "gsm7"
    assert choose_encoding(f"plain{character}", "gsm7") == "ucs2"


@pytest.mark.parametrize("alphabet", ["latin1", "latin1_dc0"])
def test_a_latin_1_link_keeps_its_alphabet_as_long_as_every_character_fits(
    alphabet: Alphabet,
) -> None:
    assert choose_encoding("façade `§`", alphabet) == alphabet
    assert choose_encoding("5 €", alphabet) == "ucs2"


def test_each_encoding_has_its_data_coding() -> None:
    codings = {
        encoding: encode_parts("à", encoding, "udh8", 0)[0] for encoding in get_args(Encoding)
    }

    assert codings == {
        "gsm7": Part(b"\x7f", 0, 0, None, as_payload=False),
        "latin1": Part(b"\xe0", 3, 0, None, as_payload=False),
        "latin1_dc0": Part(b"\xe0", 0, 0, None, as_payload=False),
        "ucs2": Part(b"\x00\xe0", 8, 0, None, as_payload=False),
    }


def test_a_text_the_encoding_cannot_carry_is_refused_not_changed() -> None:
    with pytest.raises(ValueError, match="ascii"):
        encode_parts("`", "gsm7", "udh8", 0)
    with pytest.raises(ValueError, match="surrogates"):
        encode_parts("\ud83d", "ucs2", "udh8", 0)


@pytest.mark.parametrize(
    ("encoding", "alone", "udh8", "udh16", "sar"),
    [
        ("gsm7", 160, 153, 152, 153),
        ("latin1", 140, 134, 133, 134),
        ("latin1_dc0", 160, 153, 152, 153),
        ("ucs2", 70, 67, 66, 67),
    ],
)
def test_parts_hold_what_140_octets_hold(
    encoding: Encoding, alone: int, udh8: int, udh16: int, sar: int
) -> None:
    assert count_parts("a" * alone, encoding, "udh8") == 1
    assert [len(split("a" * (alone + 1), encoding, mode)[0]) for mode in JOINED_MODES] == [
        udh8,
        udh16,
        sar,
    ]


def test_an_empty_text_is_one_empty_part() -> None:
    assert split("", "gsm7", "udh8") == ("",)
    assert encode_parts("", "gsm7", "udh8", 0) == (Part(b"", 0, 0, None, as_payload=False),)


def test_an_escape_pair_is_never_split() -> None:
    text = "a" * 152 + "€" + "b" * 20

    first, second = split(text, "gsm7", "udh8")

    assert (first, second) == ("a" * 152, "€" + "b" * 20)
    assert gsm.make_parts(text)[0][0].endswith(b"\x1b")  # the library cuts it


def test_a_surrogate_pair_is_never_split() -> None:
    text = "Я" * 66 + "👋" + "x" * 20

    first, second = split(text, "ucs2", "udh8")

    assert (first, second) == ("Я" * 66, "👋" + "x" * 20)
    assert gsm.make_parts(text)[0][0].endswith(b"\xd8\x3d")  # the library cuts it


@pytest.mark.parametrize("cluster", [each for each in CLUSTERS if len(each) > 1])
@pytest.mark.parametrize("before", range(55, 68))
def test_a_cluster_moves_whole_to_the_next_part(cluster: str, before: int) -> None:
    parts = split("Я" * before + cluster + "Я" * 20, "ucs2", "udh8")

    assert sum(cluster in part for part in parts) == 1


def test_a_cluster_longer_than_a_part_is_cut_between_characters() -> None:
    heap = "e" + "\u0301" * 200

    parts = split(heap, "ucs2", "udh8")

    assert [len(part) for part in parts] == [67, 67, 67]
    assert "".join(parts) == heap


@given(st.lists(st.sampled_from(CLUSTERS), max_size=150), st.sampled_from(JOINED_MODES))
@fast
def test_cuts_fall_only_between_clusters(clusters: list[str], long_mode: LongMode) -> None:
    boundaries = {0, *accumulate(map(len, clusters))}

    cuts = set(accumulate(map(len, split("".join(clusters), "ucs2", long_mode))))

    assert cuts <= boundaries


@given(any_texts, st.sampled_from(get_args(Alphabet)), st.sampled_from(JOINED_MODES))
@fast
def test_the_parts_are_the_text_and_each_fits(
    text: str, alphabet: Alphabet, long_mode: LongMode
) -> None:
    encoding = choose_encoding(text, alphabet)
    units_max = {"gsm7": 160, "latin1": 140, "latin1_dc0": 160, "ucs2": 70}[encoding]
    header_units = {"gsm7": 7, "latin1": 6, "latin1_dc0": 7, "ucs2": 3}[encoding]

    parts = split(text, encoding, long_mode)

    assert "".join(parts) == text
    assert len(parts) == count_parts(text, encoding, long_mode)
    assert (len(parts) == 1) == (units_of(text, encoding) <= units_max)
    allowed = units_max if len(parts) == 1 else units_max - header_units
    assert all(units_of(part, encoding) <= allowed for part in parts)


@given(gsm_texts.map(lambda text: text.replace("\r", "")))
@example("€" + "b" * 151 + "€" * 99)
@fast
def test_a_part_takes_as_many_characters_as_fit(text: str) -> None:
    parts = split(text, "gsm7", "udh8")

    assert all(
        units_of(part, "gsm7") + units_of(following[0], "gsm7") > 153
        for part, following in pairwise(parts)
    )


@given(gsm_texts)
@fast
def test_a_default_alphabet_text_comes_back_from_its_octets(text: str) -> None:
    parts = encode_parts(text, "gsm7", "sar", 0)

    assert "".join(decode(part.body, part.data_coding) for part in parts) == text


@given(st.text(max_size=400))
@fast
def test_a_ucs2_text_comes_back_from_its_octets(text: str) -> None:
    parts = encode_parts(text, "ucs2", "sar", 0)

    assert "".join(decode(part.body, part.data_coding) for part in parts) == text


@given(any_texts, st.sampled_from(["udh8", "udh16"]), st.integers(0, 0xFFFF))
@fast
def test_what_is_joined_can_be_taken_apart(text: str, long_mode: LongMode, reference: int) -> None:
    encoding = choose_encoding(text, "gsm7")
    parts = encode_parts(text, encoding, long_mode, reference)
    if len(parts) == 1:
        assert parts[0].esm_class == 0
        return

    taken_apart = [split_udh(part.body) for part in parts]

    kept = reference if long_mode == "udh16" else reference & 0xFF
    assert [each.concatenation for each in taken_apart] == [
        Concatenation(kept, len(parts), number) for number in range(1, len(parts) + 1)
    ]
    assert "".join(decode(each.body, parts[0].data_coding) for each in taken_apart) == text
    assert {part.esm_class for part in parts} == {0x40}
    assert all(len(part.body) <= 160 for part in parts)


def test_headers_are_those_of_the_standard() -> None:
    short, _ = encode_parts("a" * 161, "gsm7", "udh8", 0x1FF)
    wide, _ = encode_parts("a" * 161, "gsm7", "udh16", 0x1FF)

    assert short.body[:6] == bytes.fromhex("050003ff0201")
    assert wide.body[:7] == bytes.fromhex("06080401ff0201")


def test_sar_parts_carry_their_place_outside_the_text() -> None:
    parts = encode_parts("a" * 161, "gsm7", "sar", 0x1_0007)

    assert parts == (
        Part(b"a" * 153, 0, 0, (7, 2, 1), as_payload=False),
        Part(b"a" * 8, 0, 0, (7, 2, 2), as_payload=False),
    )


def test_a_long_text_is_one_payload_if_the_centre_cuts_it() -> None:
    assert encode_parts("a" * 161, "gsm7", "payload", 7) == (
        Part(b"a" * 161, 0, 0, None, as_payload=True),
    )
    assert encode_parts("a" * 160, "gsm7", "payload", 7) == (
        Part(b"a" * 160, 0, 0, None, as_payload=False),
    )


def test_more_than_255_parts_cannot_be_joined() -> None:
    assert len(encode_parts("a" * 153 * 255, "gsm7", "udh8", 0)) == 255
    with pytest.raises(ValueError, match="256 parts"):
        encode_parts("a" * (153 * 255 + 1), "gsm7", "udh8", 0)


@given(st.binary(max_size=200), st.integers(0, 255))
@fast
def test_any_octets_decode_to_a_text_that_utf_8_can_store(body: bytes, data_coding: int) -> None:
    decode(body, data_coding).encode()


@pytest.mark.parametrize(
    ("octets", "data_coding", "text"),
    [
        ("1b65", 0, "€"),
        ("1b41", 0, "A"),
        ("411b", 0, "A "),
        ("1b1b41", 0, " A"),
        ("e9", 0, "é"),
        ("5f", 1, "§"),
        ("e9", 3, "é"),
        ("bf", 6, "П"),
        ("f9", 7, "ש"),
        ("042f", 8, "Я"),
        ("042f04", 8, "Я\ufffd"),
        ("d83d0041", 8, "\ufffdA"),
        ("e9", 4, "é"),
    ],
)
def test_odd_octets_read_as_a_handset_would_show_them(
    octets: str, data_coding: int, text: str
) -> None:
    assert decode(bytes.fromhex(octets), data_coding) == text


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", (None, "", False)),
        ("0548", (None, "0548", False)),
        ("ff", (None, "ff", False)),
        ("00 48", (None, "48", False)),
        ("050003070201", (Concatenation(7, 2, 1), "", False)),
        ("05000307020148", (Concatenation(7, 2, 1), "48", False)),
        ("0608040107020148", (Concatenation(0x107, 2, 1), "48", False)),
        ("05000307020348", (None, "48", False)),
        ("05000307000048", (None, "48", False)),
        ("0500ff07020148", (None, "48", False)),
        ("0401020000 48", (None, "48", False)),
        ("0605040b8423f048", (None, "48", True)),
        ("0404020b84 48", (None, "48", True)),
        ("0b0504158a000000030702 0148", (Concatenation(7, 2, 1), "48", True)),
    ],
)
def test_a_header_is_taken_off_and_believed_only_where_it_makes_sense(
    body: str, expected: tuple[Concatenation | None, str, bool]
) -> None:
    place, rest, has_ports = expected

    assert split_udh(bytes.fromhex(body)) == (place, bytes.fromhex(rest), has_ports)


@given(st.binary(max_size=300))
@fast
def test_any_body_has_its_header_taken_off_or_stays_as_it_is(body: bytes) -> None:
    assert body.endswith(split_udh(body).body)


def test_the_library_agrees_on_the_alphabet_but_for_its_three_faults() -> None:
    shared = (set(BASIC) | set(EXTENSION)) - {"§", "\f"}

    assert all(gsm.gsm_encode(each) == octets_of(each) for each in shared)
    assert gsm.gsm_encode("`") == octets_of("§")  # so a backtick arrives as a section sign
    assert gsm.make_parts("§")[1] == 8  # the section sign costs a UCS-2 message
    assert gsm.make_parts("\f")[1] == 8  # and so does a form feed
