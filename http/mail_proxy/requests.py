"""Bodies and queries, read as structs; what is wrong with either is told together."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from signalbox.http.body import BadBody, parse
from signalbox.http.errors import Failure
from signalbox.http.mail_proxy.coercion import read
from signalbox.http.mail_proxy.faults import Faults, fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from signalbox.http.body import BodyReader
    from signalbox.http.context import Request

T = TypeVar("T", bound=msgspec.Struct)
Q = TypeVar("Q", bound=msgspec.Struct)

BODY: Final = ("body",)
QUERY: Final = ("query",)


class Nothing(msgspec.Struct):
    """A query of which nothing is wanted."""


def query_of(req: Request, kind: type[Q]) -> Q:
    """Return what is asked for behind the question mark. Raises: `Failure` 422."""
    faults = Faults()
    found = read(_query(req), kind, QUERY, faults)
    faults.require_none()
    assert found is not None, "nothing is wrong with it"
    return found


def body_of(
    req: Request,
    reader: BodyReader,
    kind: type[T],
    spelled: Callable[[object], object] = lambda value: value,
) -> T:
    """Return the body, of whose JSON `spelled` makes what `kind` says.

    Raises: `Failure` 422 and what `BodyReader.octets` raises.
    """
    return both_of(req, reader, Nothing, kind, spelled)[1]


def both_of(
    req: Request,
    reader: BodyReader,
    query: type[Q],
    body: type[T],
    spelled: Callable[[object], object] = lambda value: value,
) -> tuple[Q, T]:
    """Return the query and the body. Raises: as `body_of`."""
    value = spelled(value_of(reader.octets(req)))
    faults = Faults()
    asked = read(_query(req), query, QUERY, faults)
    if value is None:
        faults.add("missing", BODY, "Field required", None)
    given = None if value is None else read(value, body, BODY, faults)
    faults.require_none()
    assert asked is not None, "nothing is wrong with it"
    assert given is not None, "nothing is wrong with it"
    return asked, given


def value_of(octets: bytes) -> object:
    """Return the JSON of a body, None without one. Raises: `Failure` 422, 400."""
    if not octets:
        return None
    try:
        return parse(octets)
    except BadBody as bad:
        _refuse_syntax(octets)
        raise _invalid(0, bad.error.removeprefix("invalid request body: ")) from None


def _refuse_syntax(octets: bytes) -> None:
    """Say where a body is no JSON at all. What is, and can't be taken all the same, returns."""
    try:
        json.loads(octets.decode())
    except UnicodeDecodeError:
        error = "There was an error parsing the body"
        raise Failure(HTTPStatus.BAD_REQUEST, error) from None
    except json.JSONDecodeError as error:
        raise _invalid(error.pos, error.msg) from None
    except (ValueError, RecursionError):
        return  # A number of thousands of digits, or too many brackets.


def _invalid(place: int, reason: str) -> Failure:
    return fault("json_invalid", (*BODY, place), "JSON decode error", {}, error=reason)


def _query(req: Request) -> dict[str, object]:
    """Return what is asked for by name; of a name that is there twice the last counts."""
    asked: dict[str, object] = {}
    for name in req.params:
        value: str = (req.get_param_as_list(name) or [""])[-1]
        if "\0" in value:  # What nobody can have stored, nobody can look for.
            raise fault("value_error", (*QUERY, name), "Value error, NUL in a text", value)
        asked[name] = value
    return asked
