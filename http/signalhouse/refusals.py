"""What this surface answers when the domain refuses: a status, and the refusal's own sentence."""

from __future__ import annotations

from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from signalbox.domain import errors as domain
from signalbox.http.errors import Failure
from signalbox.http.limits import RateLimited

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

STATUSES: Final[Mapping[type[domain.Refused], HTTPStatus]] = {
    domain.InvalidField: HTTPStatus.UNPROCESSABLE_ENTITY,
    domain.TextTooLong: HTTPStatus.UNPROCESSABLE_ENTITY,
    domain.NoPhonePaired: HTTPStatus.UNPROCESSABLE_ENTITY,
    domain.WrongCredentials: HTTPStatus.UNAUTHORIZED,
    domain.InvalidInvite: HTTPStatus.FORBIDDEN,
    domain.NotPushedToPhone: HTTPStatus.FORBIDDEN,
    domain.TenantErased: HTTPStatus.FORBIDDEN,
    domain.UnknownPhone: HTTPStatus.NOT_FOUND,
    domain.UnknownPhoneMessage: HTTPStatus.NOT_FOUND,
    domain.EmailTaken: HTTPStatus.CONFLICT,
    domain.IdempotencyConflict: HTTPStatus.CONFLICT,
    domain.TooManyAttempts: HTTPStatus.TOO_MANY_REQUESTS,
    domain.QueueFull: HTTPStatus.TOO_MANY_REQUESTS,
    domain.TooManyPhones: HTTPStatus.TOO_MANY_REQUESTS,
    domain.TooManyLines: HTTPStatus.TOO_MANY_REQUESTS,
}

PHONES_RETRY_S: Final = 3_600
"""There is room for another phone when somebody took one away; nobody knows when."""


class TooMany(RateLimited):
    """A limit of an account or of a caller, in words of its own."""

    def __init__(self, error: str, retry_after_s: float) -> None:
        super().__init__(retry_after_s)
        self.error = error


@contextmanager
def phrased() -> Iterator[None]:
    """Phrase the refusals of what is done within. Raises: `Failure`."""
    try:
        yield
    except domain.Refused as refused:
        raise failure_of(refused) from refused


def failure_of(refused: domain.Refused) -> Failure:
    """Return what a refusal is answered with."""
    status, error = STATUSES[type(refused)], _sentence(str(refused))
    if status is HTTPStatus.TOO_MANY_REQUESTS:
        return TooMany(error, getattr(refused, "retry_after_s", PHONES_RETRY_S))
    return Failure(status, error)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
