"""Request bodies: one reader of JSON for every surface, strict where JSON libraries are not.

Refused: anything that is no JSON object, duplicate names (RFC 8259, 4), NaN and infinities,
integers beyond 63 bits, NUL and lone surrogates (Postgres takes neither), nesting beyond
`DEPTH_MAX`, and whatever is too large or too slow. Names that nobody asked for are ignored.
"""

from __future__ import annotations

import json
import math
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar

import gevent
import msgspec

from signalbox.http.errors import Failure

if TYPE_CHECKING:
    from signalbox.http.context import Request

DEPTH_MAX: Final = 32
INTEGER_MAX: Final = 2**63 - 1
GRACE_S: Final = 5.0  # a body may take this long,
OCTETS_PER_S_MIN: Final = 1_024  # and longer only if it keeps coming this fast

T = TypeVar("T", bound=msgspec.Struct)

_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
# msgspec's sentences.
_MISSING: Final = re.compile(r"Object missing required field `(.*?)`(?: - at `\$(.*)`)?")

# A string that never ends reaches to the end: looked through once, whatever is in it.
_BRACKETS: Final = re.compile(rb'"(?:[^"\\]++|\\.?)*+(?:"|\Z)|[\[\]{}]', re.DOTALL)


class BadBody(Failure):
    """A body that can't be taken as it is."""

    def __init__(self, reason: str) -> None:
        super().__init__(HTTPStatus.BAD_REQUEST, f"invalid request body: {reason}")


class Unstorable(BadBody):
    """JSON with a string that holds NUL or a lone surrogate."""


class BodyReader:
    """Reads bodies of at most `octets_max` octets."""

    def __init__(self, octets_max: int) -> None:
        self._octets_max = octets_max

    def read(self, req: Request, kind: type[T]) -> T:
        """Return the body as a `kind`.

        Raises:
            BadBody: no JSON, or not what `kind` says.
            Failure: 413 too large, 415 declared as something else, 408 too slow.
        """
        media_type = (req.content_type or "application/json").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise Failure(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected application/json")
        return convert(self.octets(req), kind)

    def fields(self, req: Request, kind: type[T], *, mend: bool = False) -> T:
        """Return the body as a `kind`, whatever it is declared as.

        Raises: what `fields` does; `Failure` 413 too large, 408 too slow.
        """
        found: T = fields(self.octets(req), kind, mend=mend)
        return found

    def octets(self, req: Request) -> bytes:
        """Return the body as it came. Raises: `BadBody`; `Failure` 413 too large, 408 too slow."""
        announced = req.content_length  # None when it comes in chunks.
        too_large = Failure(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "request body too large")
        if announced is not None and announced > self._octets_max:
            raise too_large
        expected = self._octets_max + 1 if announced is None else announced
        too_slow = Failure(HTTPStatus.REQUEST_TIMEOUT, "request body too slow")
        with gevent.Timeout(GRACE_S + expected / OCTETS_PER_S_MIN, too_slow):
            octets = _read(req, expected)
        if len(octets) > self._octets_max:
            raise too_large
        return octets


def convert(octets: bytes, kind: type[T]) -> T:
    """Return JSON as a `kind`. Raises: `BadBody`."""
    value = parse(octets)
    if not isinstance(value, dict):
        raise BadBody("expected a JSON object")
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise BadBody(str(error).replace("`", "")) from None


def fields(octets: bytes, kind: Any, *, mend: bool = False) -> Any:  # noqa: ANN401  see below
    """Return JSON as a `kind`: a struct, or a union of structs.

    With `mend` what Postgres doesn't take in strings becomes U+FFFD instead of a refusal.

    Raises:
        BadBody: no JSON object.
        Failure: 422, a field is missing or not what `kind` says.
    """
    try:
        value = parse(octets, mend=mend)
    except Unstorable as unstorable:
        raise _unprocessable(str(unstorable)) from None
    if not isinstance(value, dict):
        raise BadBody("expected a JSON object")
    return members(value, kind)


def members(value: object, kind: Any) -> Any:  # noqa: ANN401  as `fields`
    """Return a JSON value that was read as a `kind`. Raises: `Failure` 422."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _unprocessable(_in_words(str(error))) from None


def parse(octets: bytes, *, mend: bool = False) -> object:
    """Return the JSON value; `mend` as in `fields`. Raises: `BadBody`, `Unstorable`."""
    if octets.count(b"[") + octets.count(b"{") > DEPTH_MAX:
        _refuse_depth(octets)
    try:
        value: object = _decoder.decode(octets.decode())
    except (ValueError, RecursionError):
        raise BadBody("not valid JSON") from None
    if b"\\u" in octets:  # Written in any other way they are no JSON.
        if mend:
            return _mended(value)
        _refuse_unstorable(value)
    return value


def storable(text: str) -> str:
    """Return a text with U+FFFD in place of what Postgres doesn't take."""
    return _UNSTORABLE.sub("\ufffd", text)


def _unprocessable(error: str) -> Failure:
    return Failure(HTTPStatus.UNPROCESSABLE_ENTITY, error)


def _in_words(sentence: str) -> str:
    """Put the name of the field before what msgspec says of it."""
    if missing := _MISSING.fullmatch(sentence):
        return f"{_path(missing[2], missing[1])}: required"
    what, _, path = sentence.partition(" - at `$")
    told = what[:1].lower() + what[1:].replace("`", "")
    return f"{path.strip('.`')}: {told}" if path else told


def _path(parent: str | None, name: str) -> str:
    return f"{(parent or '').strip('.')}.{name}".strip(".")


def _read(req: Request, octets: int) -> bytes:
    try:
        # The server's stream ends where the body does, chunked or not; falcon's bounded one
        # takes a chunked body for an empty one.
        body: bytes = req.stream.read(octets)
    except OSError:
        raise BadBody("ended early") from None
    return body


def _refuse_depth(octets: bytes) -> None:
    depth = 0
    for token in _BRACKETS.finditer(octets):
        if token[0] in b"[{":
            depth += 1
        elif token[0] in b"]}":
            depth -= 1
        if depth > DEPTH_MAX:
            raise BadBody("nested too deeply")


def _mended(value: object) -> object:
    match value:
        case str():
            return storable(value)
        case dict():
            return {storable(name): _mended(member) for name, member in value.items()}
        case list():
            return [_mended(member) for member in value]
        case _:
            return value


def _refuse_unstorable(value: object) -> None:
    match value:
        case str():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise Unstorable("lone surrogate in a string") from None
            if "\0" in value:
                raise Unstorable("NUL in a string")
        case dict():
            for name, member in value.items():
                _refuse_unstorable(name)
                _refuse_unstorable(member)
        case list():
            for member in value:
                _refuse_unstorable(member)
        case _:
            pass


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise BadBody("a name occurs twice")
    return members


def _integer(digits: str) -> int:
    number = int(digits)
    if not -INTEGER_MAX <= number <= INTEGER_MAX:
        raise BadBody("number out of range")
    return number


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise BadBody("number out of range")
    return number


def _constant(name: str) -> object:
    raise BadBody(f"{name} is not JSON")


_decoder: Final = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_int=_integer,
    parse_float=_finite,
    parse_constant=_constant,
)
