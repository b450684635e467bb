"""The server itself, over real sockets: what it waits for, what it refuses, how it stops."""

import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any, Final

import falcon
import gevent
import pytest
from support.sms_proxy import TOKEN, Surface

from signalbox.http import body, handler
from signalbox.http.worker import Handler, Limits, Server

LIMITS: Final = Limits(header_timeout_s=0.3, header_line_octets_max=1_000)
GET: Final = b"GET /healthy HTTP/1.1\r\nHost: a\r\n\r\n"
LAST_GET: Final = b"GET /healthy HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
SEND: Final = (
    b"POST /api/v1/sms/send HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    b"Authorization: Bearer " + TOKEN.encode() + b"\r\nX-App-ID: 7\r\n"
)
CHUNKED: Final = SEND + b"Transfer-Encoding: chunked\r\n\r\n"

Open = Callable[[], socket.socket]


class Slow:
    """A resource that takes its time."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer after a while."""
        gevent.sleep(0.3)
        resp.text = "done"


class Stream:
    """A resource whose answer's length nobody knows."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer in three pieces."""
        resp.stream = (b"piece" for _ in range(3))


class Broken:
    """A resource whose answer ends in an accident."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Begin an answer."""
        resp.stream = (b"x" * (1 // number) for number in (0, 1))


@pytest.fixture
def surface() -> Surface:
    return Surface()


@pytest.fixture
def server(surface: Surface) -> Iterator[Any]:
    app = surface.app()
    for resource in (Slow(), Stream(), Broken()):
        app.add_route(f"/{type(resource).__name__.lower()}", resource)
    server = Server(("127.0.0.1", 0), app, log=None, handler_class=Handler, limits=LIMITS)
    server.start()
    yield server
    server.stop(timeout=1)


@pytest.fixture
def connect(server: Any) -> Iterator[Open]:  # noqa: ANN401  gevent's, untyped
    opened: list[socket.socket] = []

    def connect() -> socket.socket:
        opened.append(socket.create_connection(server.address, timeout=5))
        return opened[-1]

    yield connect
    for one in opened:
        one.close()


def exchange(connection: socket.socket, *pieces: bytes, pause_s: float = 0.0) -> bytes:
    """Send the pieces and return everything up to the end of the connection."""
    for piece in pieces:
        connection.sendall(piece)
        gevent.sleep(pause_s)
    return b"".join(iter(lambda: connection.recv(65_536), b""))


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def test_a_connection_serves_one_request_after_the_other(connect: Open) -> None:
    answer = exchange(connect(), GET, GET, LAST_GET)
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert answer.count(b'{"status":"ok"}') == 3


def test_requests_may_come_in_one_piece(connect: Open) -> None:
    assert exchange(connect(), GET + GET + LAST_GET).count(b'{"status":"ok"}') == 3


def test_a_request_may_come_in_small_pieces(connect: Open) -> None:
    pieces = [LAST_GET[i : i + 5] for i in range(0, len(LAST_GET), 5)]
    assert status_of(exchange(connect(), *pieces, pause_s=0.005)) == 200


def test_a_head_that_does_not_come_to_an_end_is_408(connect: Open) -> None:
    started_s = time.monotonic()
    answer = exchange(connect(), GET[:20])
    assert status_of(answer) == 408
    assert b'{"error":"head too slow"}' in answer
    assert time.monotonic() - started_s < 2


def test_dripping_does_not_prolong_a_head(connect: Open) -> None:
    connection = connect()
    connection.sendall(GET[:-2])
    drips = gevent.spawn(_drip, connection)
    assert status_of(exchange(connection)) == 408
    drips.kill()


def test_an_idle_connection_is_not_a_slow_head(connect: Open) -> None:
    connection = connect()
    connection.sendall(GET)
    gevent.sleep(LIMITS.header_timeout_s * 2)
    assert exchange(connection, LAST_GET).count(b"200 OK") == 2


def test_a_silent_connection_is_closed(connect: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler, "IDLE_S", 0.2)
    started_s = time.monotonic()
    assert exchange(connect(), GET).count(b"200 OK") == 1
    assert exchange(connect()) == b""
    assert time.monotonic() - started_s < 2


def test_who_leaves_in_the_middle_of_a_head_is_not_answered(connect: Open) -> None:
    connection = connect()
    connection.sendall(GET[:20])
    connection.shutdown(socket.SHUT_WR)
    assert exchange(connection) == b""


def test_a_slow_body_is_408(connect: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "GRACE_S", 0.2)
    monkeypatch.setattr(handler, "LINGER_S", 0.2)
    answer = exchange(connect(), SEND + b"Content-Length: 100\r\n\r\n{")
    assert status_of(answer) == 408
    assert b"request body too slow" in answer


@pytest.mark.parametrize("octets", [1_100, 20_000, 200_000])
def test_a_long_header_line_is_431(connect: Open, octets: int) -> None:
    answer = exchange(connect(), GET[:-2] + b"X-Long: " + b"x" * octets + b"\r\n\r\n")
    assert status_of(answer) == 431
    assert b'{"error":"header field too long"}' in answer


def test_a_long_request_line_is_414(connect: Open) -> None:
    answer = exchange(connect(), b"GET /" + b"x" * 2_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert status_of(answer) == 414


def test_many_short_header_lines_are_taken(connect: Open) -> None:
    fields = b"".join(b"X-%d: %s\r\n" % (n, b"x" * 100) for n in range(90))
    assert status_of(exchange(connect(), LAST_GET[:-2] + fields + b"\r\n")) == 200


def test_too_many_header_lines_are_431(connect: Open) -> None:
    fields = b"".join(b"X-%d: x\r\n" % n for n in range(5_000))
    assert status_of(exchange(connect(), GET[:-2] + fields + b"\r\n")) == 431


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /healthy HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET /healthy HTTP/1.1\r\n\r\n",
        b"GET /healthy HTTP/1.1\nHost: a\n\n" + GET,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        SEND + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        SEND + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        SEND + b"Content-Length: -1\r\n\r\n",
        SEND + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_a_head_that_can_be_read_in_two_ways_is_400(connect: Open, request_: bytes) -> None:
    answer = exchange(connect(), request_)
    assert status_of(answer) == 400
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    "target", ["http://a/healthy", "/%2Fhealthy", "/healthy%00", "/healthy%2F", "*", "/%252F"]
)
def test_a_strange_target_is_404(connect: Open, target: str) -> None:
    assert status_of(exchange(connect(), LAST_GET.replace(b"/healthy", target.encode()))) == 404


def test_a_path_is_decoded_once(connect: Open) -> None:
    assert status_of(exchange(connect(), LAST_GET.replace(b"/healthy", b"/h%65althy"))) == 200


def test_a_chunked_body_is_read(connect: Open, surface: Surface) -> None:
    message = b'{"esme":1,"source":"1","destination":"123","message":"Hi"}'
    connection = connect()
    connection.sendall(CHUNKED + b"%x\r\n%s\r\n" % (len(message), message) + b"0\r\n\r\n")
    assert exchange(connection, LAST_GET).count(b"200 OK") == 2
    assert surface.sending.requests[0].text == "Hi"


def test_a_chunked_body_without_end_is_413_as_soon_as_it_is_too_large(connect: Open) -> None:
    connection = connect()
    connection.sendall(CHUNKED)
    chunks = gevent.spawn(_chunks, connection)
    answer = exchange(connection)
    chunks.kill()
    assert status_of(answer) == 413
    assert b'{"success":false,"error":"request body too large"}' in answer


def test_an_announced_body_that_is_too_large_is_413_before_it_comes(connect: Open) -> None:
    answer = exchange(connect(), SEND + b"Content-Length: 100000000\r\n\r\n")
    assert status_of(answer) == 413


def test_who_asks_first_is_told_not_to_send_a_body_that_is_too_large(connect: Open) -> None:
    head = SEND + b"Expect: 100-continue\r\nContent-Length: 100000000\r\n\r\n"
    assert status_of(exchange(connect(), head)) == 413


def test_who_asks_first_is_told_to_go_on(connect: Open) -> None:
    connection = connect()
    connection.sendall(SEND + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert connection.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert status_of(exchange(connection, b"{}" + LAST_GET)) == 400


def test_a_body_that_ends_early_is_refused(connect: Open) -> None:
    connection = connect()
    connection.sendall(SEND + b"Content-Length: 100\r\n\r\n{}")
    connection.shutdown(socket.SHUT_WR)
    answer = exchange(connection)
    assert status_of(answer) == 400
    assert b"ended early" in answer


def test_bad_chunks_end_the_connection(connect: Open) -> None:
    answer = exchange(connect(), CHUNKED + b"zz\r\n" + GET)
    assert status_of(answer) == 400
    assert answer.count(b"HTTP/1.1") == 1


def test_a_small_body_nobody_read_does_not_disturb_the_next_request(connect: Open) -> None:
    unread = b"POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /"
    answer = exchange(connect(), unread + LAST_GET)
    assert answer.count(b"HTTP/1.1 404") == 1
    assert answer.count(b"HTTP/1.1 200") == 1


def test_an_answer_without_a_length_is_sent_in_chunks(connect: Open) -> None:
    answer = exchange(connect(), LAST_GET.replace(b"/healthy", b"/stream"))
    assert answer.endswith(b"5\r\npiece\r\n" * 3 + b"0\r\n\r\n")


def test_an_accident_in_the_server_is_logged_and_answered(
    connect: Open, caplog: pytest.LogCaptureFixture
) -> None:
    answer = exchange(connect(), LAST_GET.replace(b"/healthy", b"/broken"))
    assert status_of(answer) == 500
    assert [(record.name, record.message) for record in caplog.records] == [
        ("signalbox.http.handler", "answer failed")
    ]


def test_a_stopping_server_finishes_its_answers_and_closes_what_waits(
    server: Any,  # noqa: ANN401
    connect: Open,
) -> None:
    idle, busy = connect(), connect()
    idle.sendall(GET)
    busy.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    gevent.sleep(0.1)
    server.close()
    assert exchange(idle).count(b"200 OK") == 1
    assert exchange(busy).endswith(b"done")
    with pytest.raises(OSError, match="refused"):
        connect()


def test_nothing_of_a_request_is_logged_but_its_route(
    connect: Open, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    exchange(connect(), b"GET /secret?api_key=hidden HTTP/1.1\r\nHost: a\r\nsecret\r\n\r\n")
    exchange(connect(), LAST_GET.replace(b"/healthy", b"/secret?api_key=hidden"))
    exchange(connect(), LAST_GET.replace(b"/healthy", b"/healthy?api_key=hidden"))
    told = [(r.message, r.__dict__["route"], r.__dict__["status"]) for r in caplog.records]
    assert told == [
        ("answered", "unread", 400),
        ("answered", "unmatched", 404),
        ("answered", "/healthy", 200),
    ]
    assert capfd.readouterr() == ("", "")


def test_requests_are_counted_by_route_and_status(connect: Open) -> None:
    with closing(connect()) as connection:
        exchange(connection, LAST_GET)
    answer = exchange(connect(), LAST_GET.replace(b"/healthy", b"/metrics"))
    counted = b'signalbox_http_request_seconds_count{route="/healthy",status="200"}'
    assert counted in answer


def _drip(connection: socket.socket) -> None:
    with suppress(OSError):  # The server has heard enough.
        while True:
            gevent.sleep(0.05)
            connection.sendall(b"X-Drip: 1\r\n")


def _chunks(connection: socket.socket) -> None:
    chunk = b"1000\r\n" + b" " * 0x1000 + b"\r\n"
    with suppress(OSError):
        while True:
            connection.sendall(chunk)
            gevent.sleep(0.001)
