"""The description of this surface in OpenAPI 3.1."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Final

from signalbox.http import openapi
from signalbox.http.context import encode
from signalbox.http.trucopilot.operations import KEY, operations

TITLE: Final = "Signalbox phone gateway"
DESCRIPTION: Final = """\
Sends and receives texts through the SIMs of Android phones. Phones push what they get and stay
connected by a WebSocket; applications read those texts and send others.

Everything belongs to an organisation: an `org_id` and a `secret_key`, claimed by whoever uses the
pair first. The secret goes into the header `X-Secret-Key`, or else into the body or, where it is
shown, the path. Ten wrong secrets lock an organisation for five minutes, unless configured
otherwise. Bodies are read as JSON whatever they are declared as; names that nobody asked for are
ignored.
"""


@cache
def document() -> bytes:
    """Return the document."""
    described = openapi.document(
        operations(),
        schemes=(KEY,),
        title=TITLE,
        version=version("signalbox"),
        description=DESCRIPTION,
    )
    return encode(described)
