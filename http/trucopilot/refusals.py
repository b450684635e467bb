"""How this surface says no: `{"ok": false, "error", "code", "detail"}`, and when to come again.

`detail` says what `error` does: clients of many web frameworks look for it there.
"""

from __future__ import annotations

from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from signalbox.domain import errors as domain
from signalbox.http.errors import Failure
from signalbox.http.limits import RateLimited
from signalbox.http.trucopilot.wire_answers import Failed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CODES: Final[Mapping[int, str]] = {
    400: "bad_request",
    401: "invalid_credentials",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    409: "conflict",
    413: "too_large",
    422: "invalid",
    426: "upgrade_required",
    429: "too_many_requests",
    500: "internal_error",
    503: "unavailable",
}

ANSWERS: Final[Mapping[type[domain.Refused], tuple[HTTPStatus, str]]] = {
    domain.WrongSecret: (HTTPStatus.UNAUTHORIZED, "invalid_credentials"),
    domain.OrgIsLocked: (HTTPStatus.TOO_MANY_REQUESTS, "locked"),
    domain.TooManyAttempts: (HTTPStatus.TOO_MANY_REQUESTS, "too_many_attempts"),
    domain.InvalidField: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid"),
    domain.TextTooLong: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid"),
    domain.TenantErased: (HTTPStatus.FORBIDDEN, "erased"),
    domain.IdempotencyConflict: (HTTPStatus.CONFLICT, "idempotency_conflict"),
    domain.UnknownPhoneMessage: (HTTPStatus.NOT_FOUND, "not_found"),
    domain.QueueFull: (HTTPStatus.TOO_MANY_REQUESTS, "queue_full"),
    domain.TooManyLines: (HTTPStatus.TOO_MANY_REQUESTS, "too_many_phones"),
}

LINES_RETRY_S: Final = 60
"""There is room for another phone when one hangs up; nobody knows when."""


class TooMany(RateLimited):
    """A limit was reached, in words of its own."""

    def __init__(self, error: str, code: str, retry_after_s: float) -> None:
        super().__init__(retry_after_s)
        self.error, self.more = error, {"code": code}


def body_of(failure: Mapping[str, object], status: int, error: str) -> Failed:
    """Return the body of a failure's answer, as `Context.phrase` does."""
    told = {"code": CODES.get(status, "failed"), **failure}
    return Failed(ok=False, error=error, detail=error, **told)  # type: ignore[arg-type]


@contextmanager
def phrased() -> Iterator[None]:
    """Phrase the refusals of what is done within. Raises: `Failure`."""
    try:
        yield
    except domain.Refused as refused:
        raise failure_of(refused) from refused


def failure_of(refused: domain.Refused) -> Failure:
    """Return what a refusal is answered with."""
    status, code = ANSWERS[type(refused)]
    if status is HTTPStatus.TOO_MANY_REQUESTS:
        return TooMany(str(refused), code, getattr(refused, "retry_after_s", LINES_RETRY_S))
    return Failure(status, str(refused), {"code": code})
