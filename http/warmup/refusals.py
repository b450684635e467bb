"""What this surface answers when the domain refuses, in the reference's statuses and words."""

from __future__ import annotations

from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from signalbox.domain.errors import GroupingExists, IpExists, Refused, UnknownGrouping, UnknownIp
from signalbox.http.errors import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ANSWERS: Final[Mapping[type[Refused], tuple[HTTPStatus, str]]] = {
    IpExists: (HTTPStatus.BAD_REQUEST, "IP already exists"),
    GroupingExists: (HTTPStatus.BAD_REQUEST, "Grouping already exists"),
    UnknownIp: (HTTPStatus.NOT_FOUND, "IP not found"),
    UnknownGrouping: (HTTPStatus.NOT_FOUND, "Grouping not found"),
}


@contextmanager
def phrased() -> Iterator[None]:
    """Phrase the refusals of what is done within. Raises: `Failure`."""
    try:
        yield
    except Refused as refused:
        raise Failure(*ANSWERS[type(refused)]) from refused
