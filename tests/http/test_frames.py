"""Frames as RFC 6455 has them; and each fault of gevent-websocket that is put right, shown."""

import io
import logging
import struct
import time
from collections.abc import Callable
from typing import Any, Final

import gevent
import pytest
from geventwebsocket import websocket
from hypothesis import given
from hypothesis import strategies as st
from support.websocket import BINARY, CONTINUATION, PING, TEXT, close, frame

from signalbox.http.frames import Close, Incoming, Violation, close_frame, text_frame

OCTETS_MAX: Final = 65_536
Read = Callable[[bytes], Any]


class Stream(io.BytesIO):
    """What a peer sends; keeps what the library writes, and how much it asked for at once."""

    def __init__(self, octets: bytes) -> None:
        super().__init__(octets)
        self.written = b""
        self.asked_octets = 0

    def read(self, size: int | None = -1) -> bytes:
        self.asked_octets = max(self.asked_octets, size or 0)
        return super().read(-1 if (size or 0) > OCTETS_MAX else size)

    def write(self, octets: Any) -> int:  # noqa: ANN401  whatever is a buffer
        self.written += octets
        return len(octets)


class LibrarysHandler:
    """What the library wants to know of a server."""

    server = type("Server", (), {"application": None})
    logger = logging.getLogger("test")


def library(octets: bytes) -> tuple[Any, Stream]:
    stream = Stream(octets)
    return websocket.WebSocket({}, stream, LibrarysHandler()), stream


def read(octets: bytes) -> str | None:
    return incoming(octets).message(OCTETS_MAX)


def incoming(octets: bytes) -> Incoming:
    return Incoming(Stream(octets), lambda: None, lambda _: None)  # type: ignore[arg-type]


def violation(octets: bytes) -> Close:
    with pytest.raises(Violation) as caught:
        read(octets)
    return caught.value.code


@given(st.text(), st.integers(0, 8))
def test_a_text_is_read_however_it_is_divided(text: str, cut: int) -> None:
    octets = text.encode()
    pieces = frame(TEXT, octets[:cut], fin=False) + frame(PING, b"x")
    assert read(pieces + frame(CONTINUATION, octets[cut:])) == text


@given(st.binary(max_size=2_000))
def test_only_a_violation_or_the_end_comes_of_any_octets(octets: bytes) -> None:
    try:
        read(octets)
    except (Violation, OSError) as refusal:
        assert isinstance(refusal, Violation) or str(refusal)  # noqa: PT017


def test_a_ping_is_told_of() -> None:
    heard: list[bytes] = []
    stream: Any = Stream(frame(PING, b"there?") + frame(TEXT, b"hello"))
    assert Incoming(stream, lambda: None, heard.append).message(OCTETS_MAX) == "hello"
    assert heard == [b"there?"]


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1012, 1013, 1014, 3000, 4999])
def test_a_close_tells_its_code(code: int) -> None:
    peer = incoming(close(code, b"bye"))
    assert peer.message(OCTETS_MAX) is None
    assert peer.closed_with == code


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000])
def test_a_close_with_a_code_nobody_may_send_is_1002(code: int) -> None:
    assert violation(close(code)) == Close.PROTOCOL_ERROR


def test_a_reason_is_cut_between_two_characters() -> None:
    octets = close_frame(4401, "ü" * 100)
    assert len(octets) == 2 + 2 + 122
    assert octets[4:].decode() == "ü" * 61


def test_the_library_sends_no_code_with_a_close() -> None:
    theirs, stream = library(b"")
    theirs.close(4401, "wrong key")
    assert stream.written == b"\x88\x09wrong key"

    assert close_frame(4401, "wrong key") == b"\x88\x0b" + struct.pack("!H", 4401) + b"wrong key"


def test_the_library_answers_a_close_with_what_is_none() -> None:
    theirs, stream = library(close(1000, b"bye"))
    theirs.receive()
    assert stream.written == b"\x88\x11bytearray(b'bye')"


@pytest.mark.parametrize("code", [1012, 1013, 1014])
def test_the_library_does_not_know_newer_codes(code: int) -> None:
    theirs, _ = library(b"")
    assert not theirs._is_valid_close_code(code)  # noqa: SLF001


def test_the_library_reads_whatever_length_is_claimed() -> None:
    claim = frame(TEXT, b"", length=8 * 2**30)
    theirs, stream = library(claim)
    with pytest.raises(OSError, match="EOF"):
        theirs.read_message()
    assert stream.asked_octets == 8 * 2**30

    ours: Any = Stream(claim)
    with pytest.raises(Violation, match="too big"):
        Incoming(ours, lambda: None, lambda _: None).message(OCTETS_MAX)
    assert ours.asked_octets <= 8


def test_the_library_joins_frames_without_end() -> None:
    parts = frame(TEXT, b"x" * 40_000, fin=False) + frame(CONTINUATION, b"x" * 40_000)
    theirs, _ = library(parts)
    assert len(theirs.receive()) == 80_000

    assert violation(parts) == Close.TOO_BIG


def test_the_library_takes_what_is_not_masked() -> None:
    theirs, _ = library(frame(TEXT, b"hello", masked=False))
    assert theirs.receive() == "hello"

    assert violation(frame(TEXT, b"hello", masked=False)) == Close.PROTOCOL_ERROR


def test_the_library_takes_long_to_unmask() -> None:
    octets = frame(TEXT, bytes(2**20))
    theirs, _ = library(octets)
    theirs.raw_read = io.BytesIO(octets[14:]).read
    their_s = _seconds(theirs.read_frame)
    ours: Any = incoming(b"")
    ours.stream = io.BytesIO(octets)
    ours.raw_read = ours.stream.read
    our_s = _seconds(lambda: ours.message(2**20))
    assert our_s * 5 < their_s  # 1 ms to 170 ms on a machine of 2023


def test_the_library_sends_when_it_is_forgotten() -> None:
    theirs, stream = library(b"")
    theirs.__del__()
    assert stream.written

    ours: Any = Stream(b"")
    Incoming(ours, lambda: None, lambda _: None).__del__()
    assert ours.written == b""


def test_the_library_mixes_what_two_send_at_once() -> None:
    theirs, _ = library(b"")
    written = bytearray()

    def write_slowly(octets: bytes) -> None:
        for octet in octets:
            written.append(octet)
            gevent.sleep(0)

    theirs.raw_write = write_slowly
    gevent.joinall([gevent.spawn(theirs.send, letter * 3) for letter in "ab"])
    assert bytes(written) == b"\x81\x81\x03\x03ababab"


def test_octets_are_text_that_is_encoded_already() -> None:
    assert text_frame("ü".encode()) == text_frame("ü") == b"\x81\x02\xc3\xbc"


def test_binary_is_refused() -> None:
    assert violation(frame(BINARY, b"x")) == Close.NO_BINARY


def _seconds(call: Callable[[], object]) -> float:
    started_s = time.perf_counter()
    call()
    return time.perf_counter() - started_s
