"""Configurations as they are sent: read strictly, and refused with the name of what is wrong.

Names that nobody asked for are ignored, so that a status can be put back as a configuration.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from signalbox.domain.ramp import DAYS_MAX, VOLUME_MAX, Point, Schedule
from signalbox.http.body import BadBody, parse
from signalbox.http.errors import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

GROUPINGS_MAX: Final = 256
"""Of one address; every day of all their plans is computed and stored at once."""

# One segment of a path, and neither of the two words that have a meaning there.
_GROUPING: Final = re.compile(r"(?!(?:pause|resume)$)[^/\s\x00-\x1f\x7f-\x9f]{1,255}")
_MISSING: Final = re.compile(r"Object missing required field `(\w+)`(?: - at `\$(.*)`)?")
_INVALID: Final = re.compile(r".* - at `\$\.(.*)`", re.DOTALL)

# Told in the schema only: msgspec's `$` lets a line feed follow.
Grouping = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=255,
        examples=["&yahooapac"],
        extra_json_schema={"pattern": f"^{_GROUPING.pattern}$"},
    ),
]
Volume = Annotated[int, Meta(ge=1, le=VOLUME_MAX)]
Scalar = str | int | float | bool


class At(msgspec.Struct, frozen=True):
    """Where a ramp begins or ends."""

    date: date
    volume: Volume


class ManualStart(msgspec.Struct, frozen=True):
    """When a manual ramp begins; what else is said of it follows from the schedule."""

    date: date
    volume: Volume | UnsetType = UNSET


class ManualEnd(msgspec.Struct, frozen=True):
    """When a manual ramp ends; all of it follows from the schedule."""

    date: date | UnsetType = UNSET
    volume: Volume | UnsetType = UNSET


class Day(msgspec.Struct, frozen=True):
    """The messages of one day of a manual ramp."""

    day: Annotated[int, Meta(ge=1, le=DAYS_MAX)]
    messages: Volume


class ScheduledDay(msgspec.Struct, frozen=True):
    """A day of a plan."""

    date: date
    day: int
    messages: int


class AutoGrouping(msgspec.Struct, frozen=True, tag_field="mode", tag="AUTO", kw_only=True):
    """A ramp between two points."""

    end: At
    grouping: Grouping
    paused: bool | UnsetType = UNSET
    properties: dict[str, Scalar] | None = None
    start: At

    def schedule(self) -> Schedule:
        """Return the plan. Raises: `_Invalid`."""
        days = (self.end.date - self.start.date).days + 1
        if not 1 <= days <= DAYS_MAX:
            raise _Invalid("end.date")
        if self.end.volume < self.start.volume:
            raise _Invalid("end.volume")
        start, end = (
            Point(self.start.date, self.start.volume),
            Point(self.end.date, self.end.volume),
        )
        return Schedule.auto(self.grouping, start, end)


class ManualGrouping(msgspec.Struct, frozen=True, tag_field="mode", tag="MANUAL", kw_only=True):
    """A ramp day by day; the days are 1 … n, in any order."""

    end: ManualEnd | UnsetType = UNSET
    grouping: Grouping
    paused: bool | UnsetType = UNSET
    properties: dict[str, Scalar] | None = None
    schedule_: Annotated[list[Day], Meta(min_length=1, max_length=DAYS_MAX)] = msgspec.field(
        name="schedule"
    )
    start: ManualStart

    def schedule(self) -> Schedule:
        """Return the plan. Raises: `_Invalid`."""
        days = sorted(self.schedule_, key=lambda one: one.day)
        if [one.day for one in days] != list(range(1, len(days) + 1)):
            raise _Invalid("schedule: the days must be 1, 2, 3 and so on, none missing")
        if self.start.date.toordinal() + len(days) - 1 > date.max.toordinal():
            raise _Invalid("start.date")
        return Schedule(
            grouping=self.grouping,
            mode="MANUAL",
            start_date=self.start.date,
            messages=tuple(one.messages for one in days),
        )


class Configuration(msgspec.Struct, frozen=True):
    """All ramps of an address; names that nobody asked for are ignored."""

    groupings: Annotated[
        list[AutoGrouping | ManualGrouping], Meta(min_length=1, max_length=GROUPINGS_MAX)
    ]

    def schedules(self) -> tuple[Schedule, ...]:
        """Return the plans. Raises: `Failure` 400."""
        return tuple(self._schedules())

    def without_flag(self) -> frozenset[str]:
        """Return the groupings of which nothing is said about being paused."""
        return frozenset(one.grouping for one in self.groupings if one.paused is UNSET)

    def _schedules(self) -> Iterator[Schedule]:
        for index, one in enumerate(self.groupings):
            try:
                yield _schedule(one)
            except _Invalid as invalid:
                raise _invalid(f"groupings[{index}].{invalid}") from None


class _Invalid(Exception):  # noqa: N818  an answer, not an accident
    """A member of a grouping, by its name, does not go with the others."""


def value_of(octets: bytes) -> object:
    """Return the JSON value of a body. Raises: `Failure` 400."""
    try:
        return parse(octets)
    except BadBody:
        raise Failure(HTTPStatus.BAD_REQUEST, "Invalid JSON") from None


def configuration(value: object) -> Configuration:
    """Return what a body says, each member by itself. Raises: `Failure` 400."""
    try:
        return msgspec.convert(value, Configuration)
    except msgspec.ValidationError as error:
        raise _in_words(str(error)) from None


def _schedule(one: AutoGrouping | ManualGrouping) -> Schedule:
    if _GROUPING.fullmatch(one.grouping) is None:
        raise _Invalid("grouping")
    properties = None if one.properties is None else _texts(one.properties)
    return replace(one.schedule(), paused=one.paused is True, properties=properties)


def _texts(properties: Mapping[str, Scalar]) -> dict[str, str]:
    """Return values as text; what is no text is written as in JSON."""
    return {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for name, value in properties.items()
    }


def _in_words(sentence: str) -> Failure:
    """Turn msgspec's sentence, which may quote values, into one of ours."""
    if missing := _MISSING.fullmatch(sentence):
        member = f"{missing[2] or ''}.{missing[1]}".removeprefix(".")
        return Failure(HTTPStatus.BAD_REQUEST, f"Missing parameter: {member}")
    found = _INVALID.fullmatch(sentence)
    return _invalid(found[1] if found else "body")


def _invalid(member: str) -> Failure:
    return Failure(HTTPStatus.BAD_REQUEST, f"Invalid value: {member}")
