"""What operators look at: the dashboard, behind several doors, and the campaigns.

The reference gives the dashboard 500 when it can't be shown, where everything else says 503.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from signalbox.http.body import INTEGER_MAX
from signalbox.http.context import STORE_AWAY, encode
from signalbox.http.errors import Failure
from signalbox.http.sms_proxy import wire_statistics as wire
from signalbox.projections.campaigns import TooFarBackError

if TYPE_CHECKING:
    from collections.abc import Callable

    import falcon
    import msgspec

    from signalbox.http.context import Request
    from signalbox.http.sms_proxy.auth import Gate
    from signalbox.http.sms_proxy.ports import Reads

LIMIT: Final = 50
LIMIT_MAX: Final = 100

_NUMBER: Final = re.compile(r"-?[0-9]+")
_DIGITS_MAX: Final = len(str(INTEGER_MAX))


class Dashboard:
    """`GET …/dashboard/…`: whatever `content` returns, or 500 and `failed`."""

    def __init__(
        self, gate: Gate, content: Callable[[], msgspec.Struct], failed: str = STORE_AWAY
    ) -> None:
        self._gate = gate
        self._content = content
        self._failed = failed

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Answer with the content."""
        req.context.unavailable = (HTTPStatus.INTERNAL_SERVER_ERROR, self._failed)
        self._gate(req)
        resp.data = encode(self._content())


class CampaignMetrics:
    """`GET /api/v1/admin/metrics/campaigns`."""

    def __init__(self, gate: Gate, reads: Reads) -> None:
        self._gate = gate
        self._reads = reads

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Answer with a page of campaigns, those that changed last first."""
        self._gate(req)
        page = _asked(req, "page") or 1
        limit = min(_asked(req, "limit") or LIMIT, LIMIT_MAX)
        try:
            found = self._reads.campaigns((page - 1) * limit, limit)
        except TooFarBackError:
            raise Failure(HTTPStatus.BAD_REQUEST, "page: too far back") from None
        resp.data = encode(wire.campaigns(found, page, limit))


def _asked(req: Request, name: str) -> int:
    """Return a number of the query, `INTEGER_MAX` at most; 0 when it is below 1 or not there."""
    text: str = req.get_param(name, default="0")
    if not _NUMBER.fullmatch(text):
        raise Failure(HTTPStatus.BAD_REQUEST, f"{name}: expected a number")
    if text.startswith("-"):
        return 0
    return INTEGER_MAX if len(text) > _DIGITS_MAX else min(int(text), INTEGER_MAX)
