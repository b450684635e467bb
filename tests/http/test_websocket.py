"""WebSockets over real connections: what is accepted, what ends them, and with which code."""

from __future__ import annotations

import logging
import socket
import struct
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import gevent
import psutil
import pytest
from gevent.pool import Group
from support.gateway import eventually
from support.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Echo,
    RawPeer,
    close,
    frame,
    serving,
)

from signalbox.eventstore import metrics
from signalbox.http.app import create_app
from signalbox.http.channel import ChannelLimits
from signalbox.http.errors import Failure
from signalbox.http.websocket import Channel, Close, accept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import falcon

    from signalbox.http.context import Request

pytestmark = pytest.mark.timeout(30)

LIMITS: Final = ChannelLimits(
    first_message_timeout_s=0.3,
    frames_per_s=1.0,
    frames_burst=20,
    write_timeout_s=0.5,
    ping_s=0.2,
    silence_s=1.0,
    allowed_origins=("https://app.example.com",),
)


class Runs:
    """A resource that runs a function with its sockets."""

    def __init__(self, run: Callable[[Channel], None]) -> None:
        self._run = run

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Accept everybody."""
        accept(req, resp, self._run)


class Guarded:
    """A resource that knows nobody."""

    def on_get(self, req: Request, _resp: falcon.Response) -> None:
        """Refuse."""
        req.context.failure = {"success": False}
        raise Failure(401, "invalid key")


class Served:
    """A server with all the routes, and what its sockets heard."""

    def __init__(self) -> None:
        self.echo = Echo()
        self.first: list[str | None] = []
        self.ended: list[int] = []
        self.routes = {
            "/echo": self.echo,
            "/guarded": Guarded(),
            "/first": Runs(self._first),
            "/closes": Runs(lambda channel: channel.close(Close.BAD_CREDENTIAL, "wrong key")),
            "/broken": Runs(lambda channel: channel.send(str(1 // 0))),
            "/flood": Runs(self._flood),
        }
        self.port = 0

    def peer(self, path: str = "/echo", **fields: str | None) -> RawPeer:
        return RawPeer(self.port, path, **fields)

    def _first(self, channel: Channel) -> None:
        self.first.append(channel.receive_first())
        self.first.append(channel.receive())

    def _flood(self, channel: Channel) -> None:
        while channel.is_open:
            channel.send("x" * 100_000)
            gevent.sleep(0.001)
        self.ended.append(channel.closed_with)


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    with serving(create_app(served.routes, {}), channel_limits=LIMITS) as server:
        served.port = server.server_port
        yield served


@pytest.mark.parametrize(
    ("fields", "status", "error"),
    [
        ({"Upgrade": None}, 426, "this is a websocket: upgrade needed"),
        ({"Upgrade": "h2c"}, 426, "this is a websocket: upgrade needed"),
        ({"Connection": None}, 400, "invalid websocket handshake"),
        ({"Connection": "not-upgrade-really"}, 400, "invalid websocket handshake"),
        ({"version": "HTTP/1.0"}, 400, "invalid websocket handshake"),
        ({"Sec_WebSocket_Version": None}, 426, "websocket version 13 needed"),
        ({"Sec_WebSocket_Version": "99"}, 426, "websocket version 13 needed"),
        ({"Sec_WebSocket_Version": "8"}, 426, "websocket version 13 needed"),
        ({"Sec_WebSocket_Key": None}, 400, "invalid Sec-WebSocket-Key"),
        ({"Sec_WebSocket_Key": "abc"}, 400, "invalid Sec-WebSocket-Key"),
        ({"Sec_WebSocket_Key": "YWJj"}, 400, "invalid Sec-WebSocket-Key"),
        ({"Sec_WebSocket_Key": "ä" * 24}, 400, "invalid Sec-WebSocket-Key"),
        ({"Content_Length": "2"}, 400, "a websocket handshake has no body"),
        ({"Origin": "https://evil.example"}, 403, "origin not allowed"),
        ({"Origin": "null"}, 403, "origin not allowed"),
        ({"Origin": "http://[", "Host": "["}, 403, "origin not allowed"),
        ({"Origin": "http://127.0.0.1:81"}, 403, "origin not allowed"),
        ({"path": "/guarded"}, 401, "invalid key"),
        ({"path": "/nope"}, 404, "not found"),
    ],
)
def test_a_handshake_that_is_none_gets_an_ordinary_answer(
    served: Served, fields: dict[str, Any], status: int, error: str
) -> None:
    peer = served.peer(**fields)
    assert peer.status == status
    if fields.get("Upgrade", "websocket") == "websocket":
        assert peer.answer.lower().count(b"connection: close") == 1
    else:
        peer.half_close()
    assert b'"error":"%s"' % error.encode() in peer.rest()
    if status == 426:
        assert b"upgrade: websocket" in peer.answer
        assert b"sec-websocket-version: 13" in peer.answer


@pytest.mark.parametrize(
    "fields",
    [
        {"Connection": "keep-alive, Upgrade"},
        {"Upgrade": "WebSocket"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://127.0.0.1:80", "Host": "127.0.0.1"},
        {"Origin": "https://APP.example.com"},
        {"Sec_WebSocket_Protocol": "chat", "Sec_WebSocket_Extensions": "permessage-deflate"},
    ],
)
def test_a_handshake_is_answered_and_nothing_promised(
    served: Served, fields: dict[str, str]
) -> None:
    with served.peer(**fields) as peer:
        assert peer.answer.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        for word in (b"protocol:", b"extensions", b"content-", b"Content-", b"chunked"):
            assert word not in peer.answer
        peer.send(frame(TEXT, b"hello"))
        assert peer.frame() == (TEXT, b"hello")


def test_a_handshake_may_come_slowly_and_with_the_first_frame(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=5) as connection:
        head = (
            b"GET /echo HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        for piece in (head[:50], head[50:90], head[90:] + frame(TEXT, b"at once")):
            connection.sendall(piece)
            gevent.sleep(0.05)
        answer = connection.recv(1_000)
        while not answer.endswith(b"at once"):
            answer += connection.recv(1_000)
    assert b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer  # RFC 6455, 1.3


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (frame(TEXT, b"hello", masked=False), 1002),
        (frame(TEXT, b"hello", rsv=0x40), 1002),
        (frame(TEXT, b"hello", rsv=0x10), 1002),
        (frame(3, b"x"), 1002),
        (frame(0xB, b"x"), 1002),
        (frame(TEXT, b"\xff\xfe"), 1007),
        (frame(TEXT, b"\xc3"), 1007),
        (frame(TEXT, b"\xed\xa0\x80"), 1007),
        (frame(TEXT, b"ok\xff", fin=False), 1007),
        (frame(BINARY, b"x"), 1003),
        (frame(PING, b"x" * 126), 1002),
        (frame(PING, b"abc", fin=False), 1002),
        (frame(CONTINUATION, b"abc"), 1002),
        (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
        (frame(TEXT, b"x" * 65_537), 1009),
        (frame(TEXT, b"", length=8 * 2**30), 1009),
        (frame(TEXT, b"", length=2**64 - 1), 1009),
        (b"".join(frame(TEXT if not n else 0, b"x" * 20_000, fin=False) for n in range(5)), 1009),
        (b"".join(frame(PONG, b"") for _ in range(30)), 4429),
        (close(1000, b"bye"), 1000),
        (close(1012), 1012),
        (close(1014), 1014),
        (close(3333), 3333),
        (frame(CLOSE, b""), 1000),
        (close(1005), 1002),
        (close(999), 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (close(1000, b"\xff"), 1007),
        (close(1000, b"x" * 124), 1002),
    ],
)
def test_what_can_not_be_taken_closes_the_socket_and_says_why(
    served: Served, octets: bytes, code: int
) -> None:
    with served.peer() as peer:
        peer.send(octets)
        assert peer.closed_with() == code
        peer.half_close()
        assert peer.rest() == b""


def test_a_claimed_length_takes_no_memory(served: Served) -> None:
    before = psutil.Process().memory_info()
    peers = [served.peer() for _ in range(20)]
    for peer in peers:
        peer.send(frame(TEXT, b"", length=8 * 2**30))
        assert peer.closed_with() == Close.TOO_BIG
        peer.close()
    after = psutil.Process().memory_info()
    assert after.rss - before.rss < 50 * 2**20
    assert after.vms - before.vms < 2**30


def test_a_ping_is_answered_in_the_middle_of_a_message(served: Served) -> None:
    with served.peer() as peer:
        peer.send(frame(TEXT, b"hel", fin=False), frame(PING, b"?"), frame(CONTINUATION, b"lo"))
        assert peer.frame() == (PONG, b"?")
        assert peer.frame() == (TEXT, b"hello")


def test_the_longest_message_is_taken(served: Served) -> None:
    with served.peer() as peer:
        peer.send(frame(TEXT, b"x" * 65_536))
        assert peer.frame() == (TEXT, b"x" * 65_536)


def test_a_close_of_ours_has_its_code_and_reason(served: Served) -> None:
    with served.peer("/closes") as peer:
        assert peer.frame() == (CLOSE, struct.pack("!H", 4401) + b"wrong key")


def test_what_came_too_late_does_not_destroy_the_close(served: Served) -> None:
    with served.peer("/closes") as peer:
        peer.send(frame(TEXT, b"x" * 60_000) * 10)
        assert peer.closed_with() == Close.BAD_CREDENTIAL


def test_an_accident_is_1011_and_logged(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    with served.peer("/broken?api_key=hidden") as peer:
        assert peer.closed_with() == Close.ACCIDENT
    assert [(r.message, r.__dict__["route"]) for r in caplog.records] == [
        ("websocket failed", "/broken")
    ]
    assert "hidden" not in caplog.text


def test_a_first_message_comes_in_time_or_not_at_all(served: Served) -> None:
    with served.peer("/first") as peer:
        peer.send(frame(TEXT, b"late")[:4])
        gevent.sleep(0.5)
        peer.send(frame(TEXT, b"late")[4:], frame(TEXT, b"later"))
        assert peer.closed_with() == Close.TOO_LATE
    eventually(lambda: served.first == [None, None])


def test_a_first_message_is_short_and_others_may_be_long(served: Served) -> None:
    with served.peer("/first") as peer:
        peer.send(frame(TEXT, b"x" * 4_097))
        assert peer.closed_with() == Close.TOO_BIG
    with served.peer("/first") as peer:
        peer.send(frame(TEXT, b"me"), frame(TEXT, b"x" * 4_097))
        assert peer.closed_with() == Close.NORMAL
    eventually(lambda: served.first == [None, None, "me", "x" * 4_097])


def test_who_does_not_read_is_dropped(served: Served) -> None:
    with served.peer("/flood"):
        eventually(lambda: served.ended == [Close.NO_CLOSE])


@pytest.mark.parametrize(("asked", "answered"), [(TEXT, TEXT), (PING, PONG)])
def test_what_comes_at_once_is_answered(asked: int, answered: int) -> None:
    with (
        serving(create_app({"/echo": Echo()}, {})) as server,
        RawPeer(server.server_port) as peer,
    ):
        peer.send(frame(asked, b"?") * 90)
        assert [peer.frame() for _ in range(90)] == [(answered, b"?")] * 90
        peer.send(frame(asked, b"still there?"))
        assert peer.frame() == (answered, b"still there?")


@pytest.mark.parametrize(("asked", "answered"), [(TEXT, TEXT), (PING, PONG)])
def test_too_much_at_once_is_answered_up_to_the_limit_and_closed(asked: int, answered: int) -> None:
    limits = ChannelLimits(frames_per_s=1.0)
    with (
        serving(create_app({"/echo": Echo()}, {}), channel_limits=limits) as server,
        RawPeer(server.server_port) as peer,
    ):
        peer.send(frame(asked, b"?") * 130)
        assert [peer.frame() for _ in range(100)] == [(answered, b"?")] * 100
        assert peer.closed_with() == Close.TOO_MANY


def test_who_asks_and_does_not_read_the_answers_is_dropped() -> None:
    echo = Echo()
    limits = ChannelLimits(frames_burst=10_000, write_timeout_s=20.0)
    with (
        serving(create_app({"/echo": echo}, {}), channel_limits=limits) as server,
        RawPeer(server.server_port) as peer,
    ):
        with suppress(OSError):  # It is cut while it still asks.
            peer.send(frame(TEXT, b"x" * 60_000) * 500)
        eventually(lambda: echo.closed_with == [Close.NO_CLOSE])
    assert echo.channels[0].reason == "too slow"


def test_who_takes_nothing_for_too_long_is_dropped() -> None:
    echo = Echo()
    limits = ChannelLimits(queue_frames_max=1_000_000, frames_burst=10_000, write_timeout_s=0.3)
    with (
        serving(create_app({"/echo": echo}, {}), channel_limits=limits) as server,
        RawPeer(server.server_port),
    ):
        eventually(lambda: len(echo.channels) == 1)
        for _ in range(200):
            echo.channels[0].send(b"x" * 100_000)
        eventually(lambda: echo.closed_with == [Close.NO_CLOSE])


def test_a_peer_that_has_gone_silent_is_dropped(served: Served) -> None:
    with served.peer() as peer:
        started_s = time.monotonic()
        for _ in range(3):
            assert peer.frame() == (PING, b"")
        assert peer.closed_with() == Close.NO_CLOSE
        assert 0.9 < time.monotonic() - started_s < 3
    assert served.echo.closed_with == [Close.NO_CLOSE]


def test_a_peer_that_owes_an_answer_is_quiet_before_it_is_dropped(served: Served) -> None:
    with served.peer() as peer:
        for _ in range(5):
            assert peer.frame() == (PING, b"")
            peer.send(frame(PONG, b""))
        (channel,) = served.echo.channels
        assert not channel.is_quiet
        eventually(lambda: channel.is_quiet)
        assert channel.is_open
        peer.send(frame(PONG, b""))
        eventually(lambda: not channel.is_quiet)
        assert channel.is_open


def test_dripping_a_frame_is_silence(served: Served) -> None:
    with served.peer() as peer:
        dripping = gevent.spawn(_drip, peer, frame(TEXT, b"x" * 1_000))
        eventually(lambda: served.echo.closed_with == [Close.NO_CLOSE])
        dripping.kill()


def test_who_answers_pings_stays(served: Served) -> None:
    with served.peer() as peer:
        deadline_s = time.monotonic() + 2 * LIMITS.silence_s
        while time.monotonic() < deadline_s:
            assert peer.frame() == (PING, b"")
            peer.send(frame(PONG, b""))
        assert served.echo.closed_with == []


def test_whoever_hangs_up_is_noticed(served: Served) -> None:
    served.peer().close()
    eventually(lambda: served.echo.closed_with == [Close.NO_CLOSE])


def test_a_close_from_elsewhere_ends_the_reader_even_if_the_peer_says_nothing(
    served: Served,
) -> None:
    with served.peer() as peer:
        eventually(lambda: len(served.echo.channels) == 1)
        channel = served.echo.channels[0]
        channel.close(Close.REPLACED, "replaced")
        channel.close(Close.NORMAL)
        channel.send("after")
        assert peer.closed_with() == Close.REPLACED
        eventually(lambda: served.echo.closed_with == [Close.REPLACED])
        assert peer.rest() == b""


def test_large_messages_of_many_senders_arrive_whole() -> None:
    echo = Echo()
    with (
        serving(create_app({"/echo": echo}, {})) as server,
        RawPeer(server.server_port) as peer,
    ):
        eventually(lambda: len(echo.channels) == 1)
        senders = Group()
        for letter in "abc":
            senders.spawn(echo.channels[0].send, letter * 8 * 2**20)
        got = [peer.frame()[1] for _ in range(3)]
        senders.join()
    assert sorted((octets[:1], len(octets), len(set(octets))) for octets in got) == [
        (letter, 8 * 2**20, 1) for letter in (b"a", b"b", b"c")
    ]


def test_a_large_message_does_not_stop_the_others() -> None:
    limits = ChannelLimits(message_octets_max=8 * 2**20)
    with (
        serving(create_app({"/echo": Echo()}, {}), channel_limits=limits) as server,
        RawPeer(server.server_port) as peer,
    ):
        octets = frame(TEXT, b"x" * 8 * 2**20)
        slowest_s = gevent.spawn(_slowest_step_s)
        peer.send(octets)
        assert len(peer.frame()[1]) == 8 * 2**20
        assert slowest_s.get(timeout=10) < 1.0  # 4 s with the library alone


def test_a_server_that_ends_says_so_to_all() -> None:
    echo = Echo()
    with serving(create_app({"/echo": echo}, {})) as server:
        peers = [RawPeer(server.server_port) for _ in range(50)]
        eventually(lambda: len(echo.channels) == 50)
        started_s = time.monotonic()
        server.close()
        assert {peer.closed_with() for peer in peers} == {Close.GOING_AWAY}
        assert time.monotonic() - started_s < 3
        for peer in peers:
            peer.close()
        eventually(lambda: echo.closed_with == [Close.GOING_AWAY] * 50)


def test_sockets_are_counted_and_logged_by_their_route_alone(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    open_before = metrics.WEBSOCKETS_OPEN._value.get()  # noqa: SLF001
    with served.peer("/echo?secret_key=hidden") as peer:
        eventually(lambda: metrics.WEBSOCKETS_OPEN._value.get() == open_before + 1)  # noqa: SLF001
        peer.send(close(3456, b"hidden"))
        assert peer.closed_with() == 3456
    told = partial(_told, caplog)
    eventually(lambda: told() == [("answered", "/echo", 101), ("websocket closed", "/echo", 3456)])
    assert "hidden" not in str([record.__dict__ for record in caplog.records])
    assert metrics.WEBSOCKETS_OPEN._value.get() == open_before  # noqa: SLF001
    assert metrics.WEBSOCKET_CLOSES.labels("/echo", "other")._value.get() >= 1  # noqa: SLF001


def _told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, int]]:
    fields = [(record.message, record.__dict__) for record in caplog.records]
    return [(m, f["route"], f.get("status") or f["code"]) for m, f in fields]


def _drip(peer: RawPeer, octets: bytes) -> None:
    for at in range(len(octets)):
        peer.send(octets[at : at + 1])
        gevent.sleep(0.05)


def _slowest_step_s() -> float:
    slowest_s, last_s = 0.0, time.monotonic()
    for _ in range(200):
        gevent.sleep(0.005)
        slowest_s, last_s = max(slowest_s, time.monotonic() - last_s), time.monotonic()
    return slowest_s
