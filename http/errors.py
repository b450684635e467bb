"""Answers that tell a failure: one place decides their form, the surfaces their words.

Nothing of an unexpected exception reaches the caller but an id under which it is in the log.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from signalbox.http.context import encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    import falcon

    from signalbox.eventstore.errors import Unavailable
    from signalbox.http.context import Request

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Failure(Exception):  # noqa: N818  an answer, not an accident
    """A request that gets `status` and the sentence `error`, with `more` keys beside it."""

    status: int
    error: str
    more: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.error


class Denied(Failure):
    """The caller is not who it must be; answered with `error` alone."""


def answer(req: Request, resp: falcon.Response, status: int, error: str) -> None:
    """Answer a failure in the form the resource asked for."""
    resp.status = status
    resp.data = encode(req.context.phrase(req.context.failure, status, error))


def on_failure(
    req: Request, resp: falcon.Response, failure: Failure, _params: Mapping[str, Any]
) -> None:
    """Answer what a resource refused by itself."""
    if isinstance(failure, Denied):
        req.context.failure = {}
    if failure.more:
        req.context.failure = {**req.context.failure, **failure.more}
    answer(req, resp, failure.status, failure.error)


def on_unavailable(
    req: Request, resp: falcon.Response, unavailable: Unavailable, _params: Mapping[str, Any]
) -> None:
    """Answer that the store is away: nothing was acknowledged, so it may be asked again."""
    log.warning("store unavailable", extra={"reason": unavailable.reason, **_named(req)})
    resp.set_header("Retry-After", str(unavailable.retry_after_s))
    answer(req, resp, *req.context.unavailable)


def on_accident(
    req: Request, resp: falcon.Response, error: Exception, _params: Mapping[str, Any]
) -> None:
    """Answer what nobody expected."""
    log.error("request failed", extra=_named(req), exc_info=error)
    req.context.failure = {**req.context.failure, "id": req.context.request_id}
    answer(req, resp, HTTPStatus.INTERNAL_SERVER_ERROR, "internal error")


def serialize(req: Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    """Put falcon's own refusals (no such route, no such method) into our form."""
    answer(req, resp, error.status_code, HTTPStatus(error.status_code).phrase.lower())


def _named(req: Request) -> dict[str, str]:
    return {"route": req.uri_template or "unmatched", "request_id": req.context.request_id}
