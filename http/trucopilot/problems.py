"""What can be wrong with a request, with all of it or with one of the messages in it."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

import msgspec

from signalbox.http.errors import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with one of several messages, by its place from 0."""

    index: int
    error: str


def wrong(error: str, **more: object) -> Failure:
    """Return what a value is answered with that can't be taken."""
    return Failure(HTTPStatus.UNPROCESSABLE_ENTITY, error, more)


def bad(error: str) -> Failure:
    """Return what a request is answered with that makes no sense."""
    return Failure(HTTPStatus.BAD_REQUEST, error)


def each(values: Iterable[object], take: Callable[[object], T]) -> tuple[list[T], list[Fault]]:
    """Return what could be taken, and what is wrong with the others."""
    taken: list[T] = []
    faults: list[Fault] = []
    for index, value in enumerate(values):
        try:
            taken.append(take(value))
        except Failure as failure:
            faults.append(Fault(index, failure.error))
    return taken, faults
