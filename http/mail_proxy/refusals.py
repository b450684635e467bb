"""How this surface says no: `{"detail": …}`, a sentence or what is wrong field by field."""

from __future__ import annotations

from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from signalbox.domain import errors as domain
from signalbox.http.errors import Failure
from signalbox.http.mail_proxy.faults import fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

STATUSES: Final[Mapping[type[domain.Refused], HTTPStatus]] = {
    domain.UnknownTenant: HTTPStatus.NOT_FOUND,
    domain.UnknownMailAccount: HTTPStatus.BAD_REQUEST,
    domain.CannotActivateBatch: HTTPStatus.BAD_REQUEST,
    domain.TenantHasTooMuch: HTTPStatus.BAD_REQUEST,
    domain.BounceHostMissing: HTTPStatus.BAD_REQUEST,
    domain.TenantErased: HTTPStatus.BAD_REQUEST,
    domain.InvalidField: HTTPStatus.UNPROCESSABLE_ENTITY,
}


def body_of(failure: Mapping[str, object], status: int, error: str) -> dict[str, object]:
    """Return the body of a failure's answer, as `Context.phrase` does."""
    phrase = HTTPStatus(status).phrase
    # What falcon itself refuses, the reference's framework says in capital letters.
    return {"detail": phrase if error == phrase.lower() else error, **failure}


@contextmanager
def phrased(body: object = None) -> Iterator[None]:
    """Phrase the refusals of what is done within, with a request's body. Raises: `Failure`."""
    try:
        yield
    except domain.InvalidField as invalid:
        said = f"Value error, {invalid.reason}"
        value = getattr(body, invalid.field, None)
        raise fault("value_error", ("body", invalid.field), said, value) from invalid
    except domain.Refused as refused:
        raise Failure(STATUSES[type(refused)], str(refused)) from refused


def bad(error: str) -> Failure:
    """Return what a request is answered with that can't be done."""
    return Failure(HTTPStatus.BAD_REQUEST, error)
