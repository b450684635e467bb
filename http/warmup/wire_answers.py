"""Answers of this surface. Names and shapes are the API reference's.

Members are declared by the alphabet, as the reference prints them; the addresses alone are sorted
by number.
"""

from __future__ import annotations

from datetime import date  # noqa: TC003  msgspec reads it
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from signalbox.http.warmup.wire import At, Day, Grouping, ScheduledDay, Volume

if TYPE_CHECKING:
    from collections.abc import Mapping

    from signalbox.domain.ramp import Point, Schedule
    from signalbox.domain.warmup_status import WarmupStatus
    from signalbox.http.warmup import ports

Address = Annotated[str, Meta(examples=["10.0.0.1", "2001:db8::1"])]


class Succeeded(msgspec.Struct, frozen=True):
    """It was done, and is stored."""

    status: Literal["success"] = "success"


class Failed(msgspec.Struct, frozen=True):
    """Nothing was done; an internal error has an `id`, under which it is in the log."""

    error: str
    id: str | UnsetType = UNSET


class Start(msgspec.Struct, frozen=True):
    """When a ramp begins; where the days are told one by one, that is all."""

    date: date
    volume: Volume | UnsetType = UNSET


class GroupingConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration of a ramp: up to its `end`, or the days of its `schedule`."""

    end: At | UnsetType = UNSET
    grouping: Grouping
    mode: Literal["AUTO", "MANUAL"]
    paused: bool
    properties: dict[str, str] | UnsetType = UNSET
    schedule: list[Day] | UnsetType = UNSET
    start: Start


class IpConfig(msgspec.Struct, frozen=True):
    """The configuration of an address."""

    groupings: list[GroupingConfig]


class AllConfig(msgspec.Struct, frozen=True):
    """The configuration of all addresses."""

    ips: dict[Address, IpConfig]


class GroupingStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a ramp stands; its `grouping` is left out where the path has it."""

    current_day: int
    end: At
    grouping: Grouping | UnsetType = UNSET
    mode: Literal["AUTO", "MANUAL"]
    paused: bool
    properties: dict[str, str] | None
    schedule: list[ScheduledDay]
    start: At
    status: str


class IpStatus(msgspec.Struct, frozen=True):
    """How an address stands; `timezone_offset` is in seconds east of UTC."""

    groupings: list[GroupingStatus]
    timezone_offset: int


class GroupingsStatus(msgspec.Struct, frozen=True):
    """How one of all addresses stands."""

    groupings: list[GroupingStatus]


class AllStatus(msgspec.Struct, frozen=True):
    """How all addresses stand."""

    ips: dict[Address, GroupingsStatus]


def grouping_config(schedule: Schedule) -> GroupingConfig:
    """Write what was configured."""
    properties = UNSET if schedule.properties is None else _sorted(schedule.properties)
    is_auto = schedule.mode == "AUTO"
    days = [Day(day, messages) for day, _, messages in schedule.days()]
    return GroupingConfig(
        end=_at(schedule.end) if is_auto else UNSET,
        grouping=schedule.grouping,
        mode=schedule.mode,
        paused=schedule.paused,
        properties=properties,
        schedule=UNSET if is_auto else days,
        start=Start(schedule.start_date, schedule.start.volume if is_auto else UNSET),
    )


def ip_config(row: ports.IpConfig) -> IpConfig:
    """Write an address's configuration."""
    return IpConfig([grouping_config(schedule) for schedule in row.schedules])


def grouping_status(
    row: ports.GroupingStatus, words: Mapping[WarmupStatus, str], *, named: bool
) -> GroupingStatus:
    """Write how a ramp stands; `words` are said instead of the usual ones."""
    schedule = row.schedule
    properties = schedule.properties
    return GroupingStatus(
        current_day=row.current_day,
        end=_at(schedule.end),
        grouping=schedule.grouping if named else UNSET,
        mode=schedule.mode,
        paused=schedule.paused,
        properties=None if properties is None else _sorted(properties),
        schedule=[ScheduledDay(on, day, messages) for day, on, messages in schedule.days()],
        start=_at(schedule.start),
        status=words.get(row.status, row.status.value),
    )


def _sorted(properties: Mapping[str, str]) -> dict[str, str]:
    return dict(sorted(properties.items()))


def _at(point: Point) -> At:
    return At(point.date, point.volume)
