"""Values as clients of this surface write them: numbers as text, "yes" and "off", and so on.

The reference reads requests with pydantic 2, whose rules these are. What is as it should be is read
at once; only what isn't is looked at piece by piece, so that all that is wrong can be told.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
from msgspec import inspect

from signalbox.http.body import INTEGER_MAX
from signalbox.http.mail_proxy.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Mapping

    from signalbox.http.mail_proxy.faults import Loc

T = TypeVar("T", bound=msgspec.Struct)

TRUE: Final = frozenset({"1", "on", "t", "true", "y", "yes"})
FALSE: Final = frozenset({"0", "off", "f", "false", "n", "no"})

EXACT: Final[Mapping[type[inspect.Type], type]] = {
    inspect.StrType: str,
    inspect.IntType: int,
    inspect.FloatType: float,
    inspect.BoolType: bool,
    inspect.ListType: list,
}

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,30}(?:_[0-9]{1,30})*(?:\.0{1,30})?")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})")

_VALID: Final = "Input should be a valid"


def read(value: object, kind: type[T], loc: Loc, faults: Faults) -> T | None:
    """Return a JSON value as a `kind`; None, with what is wrong among `faults`, if it is none."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        found = Faults()
        coerced = _Coercion(found).struct(value, _described(kind), loc)
        faults.take(found)
        return None if found else msgspec.convert(coerced, kind)


class _Coercion:
    """Makes values what they should be; whatever comes back counts only if nothing is wrong."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def struct(self, value: object, kind: inspect.StructType, loc: Loc) -> object:
        if not isinstance(value, dict):
            said = f"{_VALID} dictionary or object to extract fields from"
            return self._wrong("model_attributes_type", loc, said, value)
        coerced: dict[str, object] = {}
        for one in kind.fields:
            self._field(value, one, loc, coerced)
        if kind.forbid_unknown_fields:
            self._refuse_extra(value, kind, loc)
        return coerced

    def _field(
        self,
        value: Mapping[str, object],
        one: inspect.Field,
        loc: Loc,
        coerced: dict[str, object],
    ) -> None:
        name = one.encode_name
        if name in value:
            coerced[name] = self.any(value[name], one.type, (*loc, name))
        elif one.required:
            parent = None if loc == ("query",) else value
            self._faults.add("missing", (*loc, name), "Field required", parent)

    def _refuse_extra(
        self, value: Mapping[str, object], kind: inspect.StructType, loc: Loc
    ) -> None:
        known = {one.encode_name for one in kind.fields}
        for name, extra in value.items():
            if name not in known:
                said = "Extra inputs are not permitted"
                self._faults.add("extra_forbidden", (*loc, name), said, extra)

    def any(self, value: object, kind: inspect.Type, loc: Loc) -> object:
        match kind:
            case inspect.Metadata(type=described):
                return self.any(value, described, loc)
            case inspect.UnionType():
                return self._union(value, kind, loc)
            case inspect.StructType():
                return self.struct(value, kind, loc)
            case inspect.ListType():
                return self._list(value, kind, loc)
            case inspect.DictType():
                return self._mapping(value, kind, loc)
            case _:
                return self._single(value, kind, loc)

    def _single(self, value: object, kind: inspect.Type, loc: Loc) -> object:
        match kind:
            case inspect.StrType():
                return self._text(value, kind, loc)
            case inspect.IntType():
                return self._integer(value, kind, loc)
            case inspect.FloatType():
                return self._number(value, loc)
            case inspect.BoolType():
                return self._truth(value, loc)
            case inspect.EnumType() | inspect.LiteralType():
                return self._word(value, kind, loc)
            case _:
                return value

    def _union(self, value: object, kind: inspect.UnionType, loc: Loc) -> object:
        members = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
        if value is None and len(members) < len(kind.types):
            return None
        if len(members) == 1:
            return self.any(value, members[0], loc)
        return self._one_of(value, members, loc)

    def _one_of(self, value: object, members: list[inspect.Type], loc: Loc) -> object:
        """Return the value as what it is already, else as the first that it can be."""
        told = Faults()
        for member in sorted(members, key=lambda one: type(value) is not EXACT.get(type(one))):
            found = Faults()
            coerced = _Coercion(found).any(value, member, (*loc, _label(member)))
            if not found:
                return coerced
            told.take(found)
        self._faults.take(told)
        return None

    def _list(self, value: object, kind: inspect.ListType, loc: Loc) -> object:
        if not isinstance(value, list):
            return self._wrong("list_type", loc, f"{_VALID} list", value)
        return [self.any(item, kind.item_type, (*loc, place)) for place, item in enumerate(value)]

    def _text(self, value: object, kind: inspect.StrType, loc: Loc) -> object:
        if not isinstance(value, str):
            self._faults.add("string_type", loc, f"{_VALID} string", value)
        elif kind.min_length is not None and len(value) < kind.min_length:
            said = f"String should have at least {_characters(kind.min_length)}"
            ctx = {"min_length": kind.min_length}
            self._faults.add("string_too_short", loc, said, value, ctx)
        elif kind.max_length is not None and len(value) > kind.max_length:
            said = f"String should have at most {_characters(kind.max_length)}"
            self._faults.add("string_too_long", loc, said, value, {"max_length": kind.max_length})
        elif kind.pattern is not None and re.search(kind.pattern, value) is None:
            said = f"String should match pattern '{kind.pattern}'"
            ctx_pattern = {"pattern": kind.pattern}
            self._faults.add("string_pattern_mismatch", loc, said, value, ctx_pattern)
        return value

    def _integer(self, value: object, kind: inspect.IntType, loc: Loc) -> object:
        said = f"{_VALID} integer"
        match value:
            case bool() | int():
                number = int(value)
            case float() if value.is_integer():
                number = int(value)
            case float():
                said += ", got a number with a fractional part"
                return self._wrong("int_from_float", loc, said, value)
            case str() if _INTEGER.fullmatch(value.strip()):
                number = int(value.strip().partition(".")[0])
            case str():
                said += ", unable to parse string as an integer"
                return self._wrong("int_parsing", loc, said, value)
            case _:
                return self._wrong("int_type", loc, said, value)
        return self._bounded(number, value, kind, loc)

    def _bounded(self, number: int, value: object, kind: inspect.IntType, loc: Loc) -> object:
        least = -INTEGER_MAX if kind.ge is None else kind.ge
        if number < least:
            said = f"Input should be greater than or equal to {least}"
            return self._wrong("greater_than_equal", loc, said, value, {"ge": least})
        if number > INTEGER_MAX:
            said = f"Input should be less than or equal to {INTEGER_MAX}"
            return self._wrong("less_than_equal", loc, said, value, {"le": INTEGER_MAX})
        return number

    def _number(self, value: object, loc: Loc) -> object:
        if isinstance(value, int | float):
            return float(value)
        if not isinstance(value, str):
            return self._wrong("float_type", loc, f"{_VALID} number", value)
        if _NUMBER.fullmatch(value.strip()) is None:
            said = f"{_VALID} number, unable to parse string as a number"
            return self._wrong("float_parsing", loc, said, value)
        return float(value)

    def _truth(self, value: object, loc: Loc) -> object:
        word = value.strip().lower() if isinstance(value, str) else value
        if isinstance(word, bool):
            return word
        if isinstance(word, str | int | float):
            if word in TRUE or word == 1:
                return True
            if word in FALSE or word == 0:
                return False
            said = f"{_VALID} boolean, unable to interpret input"
            return self._wrong("bool_parsing", loc, said, value)
        return self._wrong("bool_type", loc, f"{_VALID} boolean", value)

    def _mapping(self, value: object, kind: inspect.DictType, loc: Loc) -> object:
        if not isinstance(value, dict):
            return self._wrong("dict_type", loc, f"{_VALID} dictionary", value)
        return {name: self.any(item, kind.value_type, (*loc, name)) for name, item in value.items()}

    def _word(
        self, value: object, kind: inspect.EnumType | inspect.LiteralType, loc: Loc
    ) -> object:
        if isinstance(kind, inspect.EnumType):
            fault, words = "enum", [one.value for one in kind.cls]
        else:
            fault, words = "literal_error", [*kind.values]
        if not isinstance(value, str) or value not in words:
            *first, last = [repr(word) for word in words]
            expected = f"{', '.join(first)} or {last}" if first else last
            said = f"Input should be {expected}"
            self._faults.add(fault, loc, said, value, {"expected": expected})
        return value

    def _wrong(
        self, kind: str, loc: Loc, msg: str, value: object, ctx: Mapping[str, object] | None = None
    ) -> object:
        """Note what is wrong; whatever stands in its place counts for nothing."""
        self._faults.add(kind, loc, msg, value, ctx)
        return None


@cache
def _described(kind: type[msgspec.Struct]) -> inspect.StructType:
    described = inspect.type_info(kind)
    assert isinstance(described, inspect.StructType), kind
    return described


def _label(kind: inspect.Type) -> str:
    """Return what a member of a union is called in a fault's place."""
    match kind:
        case inspect.Metadata(type=described):
            return _label(described)
        case inspect.ListType(item_type=item):
            return f"list[{_label(item)}]"
        case inspect.LiteralType(values=values):
            return f"literal[{','.join(repr(value) for value in values)}]"
        case _:
            return EXACT[type(kind)].__name__


def _characters(count: int) -> str:
    return "1 character" if count == 1 else f"{count} characters"
