"""Uploaded files (multipart/form-data, RFC 7578): one file in one part, nothing else."""

from __future__ import annotations

from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING

import falcon
from falcon.media import MultipartFormHandler
from falcon.media.multipart import MultipartParseOptions

from signalbox.http.body import BadBody
from signalbox.http.errors import Failure

if TYPE_CHECKING:
    from signalbox.http.body import BodyReader
    from signalbox.http.context import Request


def only_file(req: Request, body: BodyReader, field: str, octets_max: int) -> bytes:
    """Return the content of the one part `field`; it may come without a file's name.

    Raises:
        BadBody: no multipart form, no such part, an empty one, or more than this one.
        Failure: 413 too large, 408 too slow.
    """
    content_type: str = req.content_type or ""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != "multipart/form-data":
        raise BadBody("expected multipart/form-data")
    form = body.octets(req)
    try:
        content = _only_part(form, content_type, field, octets_max)
    except (falcon.HTTPError, ValueError):
        raise BadBody("not a valid multipart form") from None
    if len(content) > octets_max:
        raise Failure(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "file too large")
    if not content:
        raise BadBody(f"no file in {field}")
    return content


def _only_part(form: bytes, content_type: str, field: str, octets_max: int) -> bytes:
    content: bytes | None = None
    for part in _handler().deserialize(BytesIO(form), content_type, len(form)):
        if content is not None:
            raise BadBody("expected one part")
        if part.name != field:
            raise BadBody(f"no file in {field}")
        content = part.stream.read(octets_max + 1)
    return content or b""


def _handler() -> MultipartFormHandler:
    options = MultipartParseOptions()
    options.max_body_part_count = 2  # one too many is seen, those behind it are not looked at
    return MultipartFormHandler(options)
