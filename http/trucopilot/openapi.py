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

Everything belongs to an organisation: an `org_id` (3 to 64 of A-Z, a-z, 0-9, `_` and `-`) and a
`secret_key` (12 to 50 printable ASCII characters). The first POST /webhook or connection of a phone
claims the pair. The secret goes into the header `X-Secret-Key`, or else into the body or, where it
is shown, the path; the `org_id`, where the path has none, into the header `X-Org-Id` or the body.
Ten wrong secrets lock an organisation for five minutes, unless configured otherwise. Bodies are
read as JSON whatever they are declared as; names that nobody asked for are ignored.
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
