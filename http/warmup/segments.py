"""The address and the grouping of a request, from its path as it came.

A server hands out a decoded path, in which an encoded slash can't be told from a real one. So the
path is split as it came, and each segment is decoded exactly once (RFC 3986, 2.4).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from signalbox.domain.errors import InvalidField, UnknownGrouping
from signalbox.domain.sending_ip import canonical_ip
from signalbox.http.context import RAW_TARGET
from signalbox.http.errors import Failure

if TYPE_CHECKING:
    from signalbox.http.context import Request


def ip_in(req: Request) -> str:
    """Return the address, canonical. Raises: `Failure` 400."""
    try:
        return canonical_ip(_segment(req, 1))
    except (InvalidField, UnicodeDecodeError):
        raise Failure(HTTPStatus.BAD_REQUEST, "Invalid IP address") from None


def grouping_in(req: Request) -> str:
    """Return the grouping. Raises: `UnknownGrouping` when no grouping is written like that."""
    try:
        return _segment(req, 2)
    except UnicodeDecodeError:
        raise UnknownGrouping("") from None


def _segment(req: Request, index: int) -> str:
    target: str = req.env[RAW_TARGET]
    segments = target.partition("?")[0].lstrip("/").split("/")
    return unquote_to_bytes(segments[index]).decode()
