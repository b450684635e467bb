"""The head of a request, read strictly (RFC 9112): request line, fields, and where the body ends.

Whatever two programs could read in two ways is refused, because that is how requests are smuggled:
two lengths, a length beside chunks, a space before the colon, folded lines, lines that end in LF.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote

FIELDS_MAX: Final = 100
LENGTH_DIGITS_MAX: Final = 18

# RFC 9110, 5.6.2 and 5.5; the control characters include CR and LF.
_REQUEST_LINE: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/1\.([01])")
_FIELD: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\x00-\x08\x0a-\x1f\x7f]*)")


@dataclass(eq=False)
class BadHead(Exception):  # noqa: N818  an answer, not an accident
    """A head that can't be taken as it is."""

    status: HTTPStatus
    reason: str


@dataclass(frozen=True, slots=True)
class Head:
    """`fields` have WSGI's names; `content_length` is None without a body and for chunks."""

    method: str
    target: str
    minor_version: int
    fields: dict[str, str]
    content_length: int | None
    chunked: bool

    @property
    def keeps_alive(self) -> bool:
        """True when the connection stays open for another request (RFC 9112, 9.3)."""
        connection = self.fields.get("HTTP_CONNECTION", "").lower()
        return connection != "close" if self.minor_version else connection == "keep-alive"


def parse(octets: bytes) -> Head:
    """Return a head that ends with its empty line. Raises: `BadHead`."""
    request_line, *lines = octets.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    parsed = _REQUEST_LINE.fullmatch(request_line)
    if parsed is None:
        raise BadHead(HTTPStatus.BAD_REQUEST, "invalid request line")
    if len(lines) > FIELDS_MAX:
        raise BadHead(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "too many header fields")
    fields: dict[str, str] = {}
    for line in lines:
        _take_field(fields, line)
    method, target, minor_version = parsed[1], parsed[2], int(parsed[3])
    if minor_version and "HTTP_HOST" not in fields:
        raise BadHead(HTTPStatus.BAD_REQUEST, "no host")
    chunked = _is_chunked(fields, minor_version)
    return Head(method, target, minor_version, fields, _length(fields), chunked)


def decoded(path: str) -> str:
    """Decode a path once; one with an encoded slash or NUL stays as it is and matches no route."""
    if "%" not in path:
        return path
    decoded = unquote(path, encoding="latin-1")
    return path if "\0" in decoded or decoded.count("/") != path.count("/") else decoded


def too_long(*, first: bool) -> BadHead:
    """Return what tells that the first line, or a later one, is too long."""
    if first:
        return BadHead(HTTPStatus.REQUEST_URI_TOO_LONG, "request line too long")
    return BadHead(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "header field too long")


def _take_field(fields: dict[str, str], line: str) -> None:
    parsed = _FIELD.fullmatch(line)
    if parsed is None:
        raise BadHead(HTTPStatus.BAD_REQUEST, "invalid header field")
    key, value = _wsgi_key(parsed[1]), parsed[2].strip(" \t")
    if key in fields:
        if key in _SINGLE:
            raise BadHead(HTTPStatus.BAD_REQUEST, "header field given twice")
        value = f"{fields[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{value}"
    if key:
        fields[key] = value


_SINGLE: Final = frozenset(
    {"HTTP_HOST", "CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_TRANSFER_ENCODING"}
)


@lru_cache(maxsize=512)
def _wsgi_key(name: str) -> str:
    """Return CGI's name for a field (RFC 3875, 4.1.18), none where it would be another's."""
    if "_" in name:
        return ""  # `X_App_ID` would read as `X-App-ID`.
    key = name.upper().replace("-", "_")
    return key if key in {"CONTENT_LENGTH", "CONTENT_TYPE"} else f"HTTP_{key}"


def _is_chunked(fields: dict[str, str], minor_version: int) -> bool:
    coding = fields.get("HTTP_TRANSFER_ENCODING")
    if coding is None:
        return False
    if coding.lower() != "chunked" or not minor_version or "CONTENT_LENGTH" in fields:
        raise BadHead(HTTPStatus.BAD_REQUEST, "invalid transfer encoding")
    return True


def _length(fields: dict[str, str]) -> int | None:
    digits = fields.get("CONTENT_LENGTH")
    if digits is None:
        return None
    if not (digits.isascii() and digits.isdigit()) or len(digits) > LENGTH_DIGITS_MAX:
        raise BadHead(HTTPStatus.BAD_REQUEST, "invalid content length")
    return int(digits)
