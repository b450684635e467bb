"""The description of this surface in OpenAPI 3.1."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Final

from spectree import SecurityScheme, SecuritySchemeData
from spectree.models import SecureType

from signalbox.http import openapi
from signalbox.http.context import encode
from signalbox.http.signalhouse.operations import operations

TITLE: Final = "Signalhouse"
DESCRIPTION: Final = """\
Sends and receives text messages through Android phones.

Bodies are read as JSON whatever they are declared as; names that nobody asked for are ignored.
Times are ISO 8601 in UTC. Prefixes of ids (`msg_`, `dev_`, `gw_`) may be left out. Every answer has
an `X-Request-ID`: the caller's own (1 to 64 letters, digits and hyphens) or a new one.

### WebSocket

A phone connects to `/ws/device/{device_id}` or `/api/v1/ws/device/{device_id}`, with its key in
the query (`?api_key=…`), in the Authorization header, or in a first frame within 10 seconds:
`{"type": "auth", "api_key": "…"}`. Frames are JSON texts:

* `{"type": "send_sms", "sms_id", "to", "message", "timestamp"}` from the gateway: send this text.
  It may come twice under the same `sms_id`; then do not send it twice.
* `{"type": "sms_status", "sms_id", "status"}` from the phone: it was `sent`, `delivered` or
  `failed`; with `delivered_at` and `error` if they are known.
* `{"type": "sims", "sims": [{"slot", "number", "label", "carrier"}]}` from the phone: its SIMs, of
  which only `slot` must be given; answered with `{"type": "sims_ack", "count"}`.
* `{"type": "ping"}` from the phone is answered with `{"type": "pong"}`.
* `{"type": "error", "error"}` from the gateway: what is wrong with the last frame.

Closed with: 1001 the gateway stops, 1009 more than 64 KiB, 1013 try again, 4400 too many bad
frames, 4401 wrong or revoked key, 4403 another device's key, 4404 unknown device, 4408 no `auth` in
time, 4409 replaced by a newer connection, 4429 too many.
"""

SCHEMES: Final = (
    SecurityScheme(
        "account",
        SecuritySchemeData(
            SecureType.HTTP,
            "An account's key (`sh_live_…`) or access token",
            scheme="bearer",
        ),
    ),
    SecurityScheme(
        "device",
        SecuritySchemeData(SecureType.HTTP, "A phone's own key (`sh_device_…`)", scheme="bearer"),
    ),
)


@cache
def document() -> bytes:
    """Return the document."""
    described = openapi.document(
        operations(),
        schemes=SCHEMES,
        title=TITLE,
        version=version("signalbox"),
        description=DESCRIPTION,
    )
    return encode(described)
