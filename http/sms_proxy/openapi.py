"""The description of this surface in OpenAPI 3.1."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Final

from spectree import SecurityScheme, SecuritySchemeData
from spectree.models import InType, SecureType

from signalbox.http import openapi
from signalbox.http.context import encode
from signalbox.http.sms_proxy.operations import operations

TITLE: Final = "Signalbox SMS proxy"
DESCRIPTION: Final = """\
Sends text messages through SMPP links and tells what became of them.

Applications log in and call with `Authorization: Bearer <token>` and `X-App-ID`; operators call
with `X-Admin-Key`. Every answer has an `X-Request-ID`: the caller's own (1 to 64 letters, digits
and hyphens) or a new one. Names in a body that nobody asked for are ignored; a name that occurs
twice, NUL and lone surrogates are refused.
"""

SCHEMES: Final = (
    SecurityScheme(
        "token", SecuritySchemeData(SecureType.HTTP, scheme="bearer", bearer_format="JWT")
    ),
    SecurityScheme(
        "app_id",
        SecuritySchemeData(
            SecureType.API_KEY, "The application's number", "X-App-ID", InType.HEADER
        ),
    ),
    SecurityScheme(
        "admin_key",
        SecuritySchemeData(
            SecureType.API_KEY, "The value of ADMIN_API_KEY", "X-Admin-Key", InType.HEADER
        ),
    ),
)


@cache
def document(*, stats_auth: str, user_api_auth: str) -> bytes:
    """Return the document; who may call some of it is `SmsProxy`'s to say."""
    described = openapi.document(
        operations(stats_auth=stats_auth, user_api_auth=user_api_auth),
        schemes=SCHEMES,
        title=TITLE,
        version=version("signalbox"),
        description=DESCRIPTION,
    )
    return encode(described)
