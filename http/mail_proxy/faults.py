"""What is wrong with the fields of a request, one by one, in the words clients of it know.

The reference says so as FastAPI does: `{"detail": [{"type", "loc", "msg", "input", "ctx"?}, …]}`.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from signalbox.http.context import encode
from signalbox.http.errors import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FAULTS_MAX: Final = 1_000
INPUT_OCTETS_MAX: Final = 4_096  # of each fault; a body may be ten thousand times as large

Loc = tuple[str | int, ...]
"""Where a value is: "body" or "query", then names and places."""


class Fault(msgspec.Struct, frozen=True):
    """What is wrong at one place, and what was there; `type` and `ctx` are for programs."""

    type: str
    loc: list[str | int]
    msg: str
    input: Any
    ctx: dict[str, Any] | UnsetType = UNSET


class Faults:
    """What was found wrong so far; no more than anybody would read."""

    def __init__(self) -> None:
        self._found: list[Fault] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._found)

    def add(
        self, kind: str, loc: Loc, msg: str, value: object, ctx: Mapping[str, object] | None = None
    ) -> None:
        """Note that `value` is not what is expected at `loc`."""
        if len(self._found) < FAULTS_MAX:
            told = dict(ctx) if ctx else UNSET
            self._found.append(Fault(kind, [*loc], msg, _shown(value), told))

    def take(self, others: Faults) -> None:
        """Take over what is wrong elsewhere."""
        self._found += [*others][: FAULTS_MAX - len(self._found)]

    def require_none(self) -> None:
        """Raises: `Failure` 422 if anything is wrong."""
        if self._found:
            raise unprocessable(self._found)


def unprocessable(faults: list[Fault]) -> Failure:
    """Return what a request is answered with whose values can't be taken."""
    return Failure(HTTPStatus.UNPROCESSABLE_ENTITY, "", {"detail": faults})


def fault(kind: str, loc: Loc, msg: str, value: object = None, **ctx: object) -> Failure:
    """Return what a request is answered with of which one value can't be taken."""
    faults = Faults()
    faults.add(kind, loc, msg, value, ctx)
    return unprocessable([*faults])


def _shown(value: object) -> object:
    """Return a value as it is told back, as text if there is too much of it."""
    octets = encode(value)
    if len(octets) <= INPUT_OCTETS_MAX:
        return value
    return octets[:INPUT_OCTETS_MAX].decode(errors="ignore") + "…"
