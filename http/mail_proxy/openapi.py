"""The description of this surface in OpenAPI 3.1."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Final

from signalbox.http import openapi
from signalbox.http.context import encode
from signalbox.http.mail_proxy.operations import KEY, operations
from signalbox.http.mail_proxy.rows import ROWS

TITLE: Final = "Signalbox mail proxy"
DESCRIPTION: Final = """\
Takes mails of tenants, sends them through the tenants' own SMTP accounts, and reports to the
tenants' servers what became of each.

Who calls shows the admin's token or a tenant's key in `X-API-Token`; a tenant acts for itself
alone. All paths are below `/mailproxy/v1`, too. Bodies are read as JSON whatever they are declared
as; names that nobody asked for are ignored, and numbers may be written as text. 1000 mails at most
come in one call.
"""


@cache
def document() -> bytes:
    """Return the document."""
    described = openapi.document(
        operations(ROWS),
        schemes=(KEY,),
        title=TITLE,
        version=version("signalbox"),
        description=DESCRIPTION,
    )
    return encode(described)
