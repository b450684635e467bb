"""Heads of requests: read in one way or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.http.head import BadHead, parse


def head(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1")


def test_a_head_is_read() -> None:
    parsed = parse(
        head("POST /api?x=1 HTTP/1.1", "Host: example.com", "x-app-id:  7 ", "Content-Length: 12")
    )
    assert (parsed.method, parsed.target, parsed.minor_version) == ("POST", "/api?x=1", 1)
    assert parsed.fields == {
        "HTTP_HOST": "example.com",
        "HTTP_X_APP_ID": "7",
        "CONTENT_LENGTH": "12",
    }
    assert (parsed.content_length, parsed.chunked, parsed.keeps_alive) == (12, False, True)


def test_a_field_given_twice_is_one_list() -> None:
    parsed = parse(head("GET / HTTP/1.1", "Host: a", "X-App-ID: 2", "X-App-ID: 3"))
    assert parsed.fields["HTTP_X_APP_ID"] == "2,3"


def test_a_field_can_not_pass_for_another() -> None:
    parsed = parse(head("GET / HTTP/1.1", "Host: a", "X_App_ID: 3", "X-App-ID: 2"))
    assert parsed.fields["HTTP_X_APP_ID"] == "2"


def test_chunks_have_no_length() -> None:
    parsed = parse(head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: Chunked"))
    assert (parsed.content_length, parsed.chunked) == (None, True)


@pytest.mark.parametrize(
    ("version", "connection", "keeps_alive"),
    [
        ("1.1", "keep-alive", True),
        ("1.1", "Close", False),
        ("1.0", "Keep-Alive", True),
        ("1.0", "", False),
    ],
)
def test_the_connection_stays_as_the_version_says(
    version: str,
    connection: str,
    keeps_alive: bool,  # noqa: FBT001
) -> None:
    parsed = parse(head(f"GET / HTTP/{version}", "Host: a", f"Connection: {connection}"))
    assert parsed.keeps_alive is keeps_alive


@pytest.mark.parametrize(
    "line",
    ["", "GET /", "GET  / HTTP/1.1", "GET / HTTP/2.0", "GET / HTTP/1.1 ", "GET /\xfc HTTP/1.1",
     "G(T / HTTP/1.1", "GET /a b HTTP/1.1", "get"],
)  # fmt: skip
def test_a_bad_request_line_is_refused(line: str) -> None:
    with pytest.raises(BadHead):
        parse(head(line, "Host: a"))


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("Host: a", "Host: a"),
        ("Host : a",),
        ("Host: a", " folded"),
        ("Host: a", "NoColon"),
        ("Host: a", ": empty"),
        ("Host: a", "X-A: 1\nX-B: 2"),
        ("Host: a", "X-A: 1\rX-B: 2"),
        ("Host: a", "X-A: \x00"),
        ("Host: a", "Content-Length: -1"),
        ("Host: a", "Content-Length: +1"),
        ("Host: a", "Content-Length: 1_0"),
        ("Host: a", "Content-Length: 1, 1"),
        ("Host: a", "Content-Length: \xb2"),
        ("Host: a", "Content-Length: " + "9" * 30),
        ("Host: a", "Content-Length: 1", "Content-Length: 1"),
        ("Host: a", "Content-Length: 1", "Transfer-Encoding: chunked"),
        ("Host: a", "Transfer-Encoding: xchunked"),
        ("Host: a", "Transfer-Encoding: gzip, chunked"),
        ("Host: a", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    ],
)
def test_fields_that_can_be_read_in_two_ways_are_refused(lines: tuple[str, ...]) -> None:
    with pytest.raises(BadHead) as caught:
        parse(head("POST / HTTP/1.1", *lines))
    assert caught.value.status == 400


def test_an_old_client_can_not_send_chunks() -> None:
    with pytest.raises(BadHead):
        parse(head("POST / HTTP/1.0", "Transfer-Encoding: chunked"))


def test_too_many_fields_are_refused() -> None:
    with pytest.raises(BadHead) as caught:
        parse(head("GET / HTTP/1.1", "Host: a", *(f"X-{n}: 1" for n in range(100))))
    assert caught.value.status == 431


@given(st.binary(max_size=300))
def test_noise_is_refused_and_does_nothing_worse(octets: bytes) -> None:
    with pytest.raises(BadHead):
        parse(b"GET / HTTP/1.1\r\n" + octets)


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_categories=["Cc"])))
def test_a_value_is_what_was_sent(value: str) -> None:
    parsed = parse(head("GET / HTTP/1.1", "Host: a", f"X-Value: {value}"))
    assert parsed.fields["HTTP_X_VALUE"] == value.strip(" ")
