"""PDUs cut from a byte stream."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signalbox.actors.transports.smpp.framing import (
    HEADER,
    Frame,
    Framer,
    FramingError,
    ProtocolError,
)

words = st.integers(0, 0xFFFFFFFF)
frames_sent = st.lists(st.builds(Frame, words, words, words, st.binary(max_size=80)), max_size=12)


def octets_of(frame: Frame) -> bytes:
    return HEADER.pack(HEADER.size + len(frame.body), *frame[:3]) + frame.body


@given(frames_sent, st.lists(st.integers(0, 1200), max_size=30))
@settings(deadline=None)
def test_every_way_to_cut_the_stream_gives_the_same_pdus(
    sent: list[Frame], cuts: list[int]
) -> None:
    stream = b"".join(map(octets_of, sent))
    framer = Framer()

    pieces = [stream[start:end] for start, end in pairwise([0, *sorted(cuts), len(stream)])]
    received = [frame for piece in pieces for frame in framer.feed(piece)]

    assert received == sent
    assert not framer.partial


def test_a_pdu_that_comes_octet_by_octet_is_whole_only_at_its_end() -> None:
    framer = Framer()
    *beginning, last = octets_of(Frame(4, 0, 7, b"body"))

    assert [framer.feed(bytes([octet])) for octet in beginning] == [[]] * len(beginning)
    assert framer.partial
    assert framer.feed(bytes([last])) == [Frame(4, 0, 7, b"body")]
    assert not framer.partial


@pytest.mark.parametrize("length", [0, 1, 15, 65537, 0x7FFFFFFF, 0xFFFFFFFF])
def test_an_impossible_length_ends_the_session_at_once(length: int) -> None:
    with pytest.raises(FramingError, match=f"command_length {length}") as refusal:
        Framer().feed(HEADER.pack(length, 4, 0, 1))

    assert refusal.value.length == length
    assert isinstance(refusal.value, ProtocolError)


def test_the_good_pdus_before_a_bad_length_are_not_lost() -> None:
    good = Frame(0x80000004, 0, 7, b"id\0")

    with pytest.raises(FramingError) as refusal:
        Framer().feed(octets_of(good) + HEADER.pack(3, 4, 0, 1))

    assert refusal.value.frames == (good,)


@pytest.mark.parametrize(("octets", "fits"), [(99, True), (100, True), (101, False)])
def test_the_longest_pdu_allowed_is_a_setting(octets: int, *, fits: bool) -> None:
    framer = Framer(frame_octets_max=100)
    pdu = octets_of(Frame(4, 0, 1, bytes(octets - HEADER.size)))

    if fits:
        assert len(framer.feed(pdu)) == 1
    else:
        with pytest.raises(FramingError):
            framer.feed(pdu)
