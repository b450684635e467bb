"""What this surface answers when the domain refuses: a status; the sentence is the refusal's own.

The statuses are the reference's: it knows no 404 for a link and says 500 for one that is disabled.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from signalbox.domain import errors as domain
from signalbox.http.errors import answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    import falcon

    from signalbox.http.context import Request

STATUSES: Final[Mapping[type[domain.Refused], HTTPStatus]] = {
    domain.UnknownLink: HTTPStatus.BAD_REQUEST,
    domain.LinkIsDisabled: HTTPStatus.INTERNAL_SERVER_ERROR,
    domain.TextTooLong: HTTPStatus.BAD_REQUEST,
    domain.InvalidField: HTTPStatus.BAD_REQUEST,
    domain.RejectedByFilter: HTTPStatus.BAD_REQUEST,
    domain.IdempotencyConflict: HTTPStatus.CONFLICT,
    domain.UserExists: HTTPStatus.BAD_REQUEST,
    domain.UnknownUser: HTTPStatus.NOT_FOUND,
    domain.UserIsAdmin: HTTPStatus.BAD_REQUEST,
    domain.UnknownApplication: HTTPStatus.BAD_REQUEST,
    domain.WrongCredentials: HTTPStatus.UNAUTHORIZED,
    domain.TooManyAttempts: HTTPStatus.TOO_MANY_REQUESTS,
    domain.BadLicense: HTTPStatus.BAD_REQUEST,
    domain.LicensePast: HTTPStatus.BAD_REQUEST,
    domain.LicenseOlder: HTTPStatus.BAD_REQUEST,
    domain.LicenseExpired: HTTPStatus.INTERNAL_SERVER_ERROR,
    domain.LicenseRequired: HTTPStatus.INTERNAL_SERVER_ERROR,
    domain.LicenseExceeded: HTTPStatus.INTERNAL_SERVER_ERROR,
    domain.IpExists: HTTPStatus.BAD_REQUEST,
    domain.UnknownIp: HTTPStatus.NOT_FOUND,
    domain.GroupingExists: HTTPStatus.BAD_REQUEST,
    domain.UnknownGrouping: HTTPStatus.NOT_FOUND,
    domain.TenantErased: HTTPStatus.FORBIDDEN,
}


def on_refused(
    req: Request, resp: falcon.Response, refused: domain.Refused, _params: Mapping[str, Any]
) -> None:
    """Answer a refusal of the domain."""
    if isinstance(refused, domain.TooManyAttempts):
        resp.set_header("Retry-After", str(refused.retry_after_s))
    answer(req, resp, STATUSES[type(refused)], str(refused))
