"""An address mail leaves from while it is warmed up: its ramps, one per recipient grouping.

    AddIp ──▶ WarmupIpAdded ──▶ WarmupIpReplaced, WarmupGroupingRemoved, WarmupPaused, …
                    ▲                   │ RemoveIp
                    └── WarmupIpRemoved ┘
    JudgeResults ──▶ the events of `slowdown`
    FinishGrouping ──▶ WarmupFinished

Every change of the configuration is one event with the whole of it, so it is there or not, never
half. An address that was removed may be added again: the stream goes on, the history of its ramps
starts anew. When a ramp was configured or paused is the time of the event.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from ipaddress import IPv6Address, ip_address
from typing import Literal, assert_never

from signalbox.domain import slowdown
from signalbox.domain.errors import (
    GroupingExists,
    InvalidField,
    IpExists,
    UnknownGrouping,
    UnknownIp,
)
from signalbox.domain.ramp import Schedule, is_met
from signalbox.domain.slowdown import Results
from signalbox.domain.warming import Warming

Scope = Literal["ip", "grouping"]


@dataclass(frozen=True, slots=True)
class AddIp:
    """An operator warms up an address."""

    schedules: tuple[Schedule, ...]


@dataclass(frozen=True, slots=True)
class ReplaceIp:
    """An operator gives an address other ramps; groupings that are not among them go.

    The ramps of groupings in `flags_kept` stay paused or running, whatever theirs says.
    """

    schedules: tuple[Schedule, ...]
    flags_kept: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RemoveIp:
    """An operator warms the address up no more."""


@dataclass(frozen=True, slots=True)
class RemoveGrouping:
    """An operator takes one ramp away."""

    grouping: str


@dataclass(frozen=True, slots=True)
class Pause:
    """An operator holds one grouping, or all that there are (None)."""

    grouping: str | None = None


@dataclass(frozen=True, slots=True)
class Resume:
    """An operator lets one grouping go on, or all (None); a suspension ends with it."""

    grouping: str | None = None


@dataclass(frozen=True, slots=True)
class JudgeResults:
    """Results of a grouping came in, or it is time to see whether a slow-down is over."""

    grouping: str
    results: Results


@dataclass(frozen=True, slots=True)
class FinishGrouping:
    """A day began for a grouping; `delivered` is what its ramp's last day brought."""

    grouping: str
    local_date: date
    delivered: int


Configuring = ReplaceIp | RemoveIp | RemoveGrouping | Pause | Resume
Command = AddIp | Configuring | JudgeResults | FinishGrouping


@dataclass(frozen=True, slots=True)
class WarmupIpAdded:
    """An address is warmed up from now on."""

    schedules: tuple[Schedule, ...]


@dataclass(frozen=True, slots=True)
class WarmupIpReplaced:
    """An address has these ramps now, and no others."""

    schedules: tuple[Schedule, ...]


@dataclass(frozen=True, slots=True)
class WarmupIpRemoved:
    """An address is not warmed up any more."""


@dataclass(frozen=True, slots=True)
class WarmupGroupingRemoved:
    """A ramp was taken away; its grouping has no limit on this address."""

    grouping: str


@dataclass(frozen=True, slots=True)
class WarmupPaused:
    """These groupings, which ran, are held; their calendar goes on."""

    groupings: tuple[str, ...]
    scope: Scope


@dataclass(frozen=True, slots=True)
class WarmupResumed:
    """These groupings, which were held, go on where the calendar is."""

    groupings: tuple[str, ...]
    scope: Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmupFinished:
    """A ramp is over; `target`, `delivered` and `met` are its last day's."""

    grouping: str
    target: int
    delivered: int
    met: bool


GroupingEvent = WarmupPaused | WarmupResumed | WarmupFinished | slowdown.Event
Change = WarmupIpReplaced | WarmupGroupingRemoved | GroupingEvent
Event = WarmupIpAdded | WarmupIpRemoved | Change


@dataclass(frozen=True, slots=True)
class SendingIp:
    """An address that is warmed up; its groupings in the order they were given."""

    warmings: tuple[Warming, ...]

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        """The configuration."""
        return tuple(warming.schedule for warming in self.warmings)

    def find(self, grouping: str) -> Warming | None:
        """Return a grouping's ramp; None when it has none here, and so no limit."""
        return next((one for one in self.warmings if one.grouping == grouping), None)

    def excludes(self, grouping: str, local_date: date) -> bool:
        """Tell whether it takes no mail of a grouping as long as others warm it up."""
        warming = any(local_date <= one.schedule.end_date for one in self.warmings)
        return warming and self.find(grouping) is None


def canonical_ip(text: str) -> str:
    """Return an address as it is written everywhere here. Raises: `InvalidField`."""
    try:
        address = ip_address(text)
    except ValueError:
        raise InvalidField("ip", "not an address") from None
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.scope_id is not None:
        raise InvalidField("ip", "zone ids mean nothing elsewhere")
    mapped = address.ipv4_mapped  # Python 3.13 began to write these with dots.
    return str(address) if mapped is None else f"::ffff:{mapped}"


def ip_order(canonical: str) -> tuple[int, int]:
    """Return what addresses are sorted by: version, then number."""
    address = ip_address(canonical)
    return address.version, int(address)


def stream_of(canonical: str) -> str:
    """Name an address's stream."""
    return f"ip-{canonical}"


def ip_of(stream_id: str) -> str:
    """Return the address a stream name holds."""
    return stream_id.removeprefix("ip-")


def decide(ip: SendingIp | None, command: Command, now_s: float) -> tuple[Event, ...]:
    """Decide on an address, None while it is not warmed up; nothing when nothing changes.

    What comes by itself (`JudgeResults`, `FinishGrouping`) may come too late, and is never refused.

    Raises: `IpExists`, `UnknownIp`, `UnknownGrouping`, `GroupingExists` (twice in one command).
    """
    match command:
        case AddIp(schedules):
            return _add(ip, schedules)
        case JudgeResults() | FinishGrouping():
            return _follow(ip, command, now_s)
        case _:
            return _configure(_known(ip), command)


def evolve(ip: SendingIp | None, event: Event, at_s: float) -> SendingIp | None:
    """Apply one event that happened at `at_s` (Unix seconds)."""
    match event:
        case WarmupIpAdded(schedules):
            return SendingIp(tuple(Warming.begun(schedule, at_s) for schedule in schedules))
        case WarmupIpRemoved():
            return None
        case _:
            assert ip is not None, event
            return SendingIp(tuple(_changed(ip, event, at_s)))


def _configure(ip: SendingIp, command: Configuring) -> tuple[Event, ...]:
    match command:
        case ReplaceIp():
            return _replace(ip, command)
        case RemoveIp():
            return (WarmupIpRemoved(),)
        case RemoveGrouping(grouping):
            return tuple(WarmupGroupingRemoved(one.grouping) for one in _chosen(ip, grouping))
        case Pause(grouping):
            return _pause(_chosen(ip, grouping), _scope(grouping))
        case Resume(grouping):
            return _resume(_chosen(ip, grouping), _scope(grouping))
        case _:
            assert_never(command)


def _follow(
    ip: SendingIp | None, command: JudgeResults | FinishGrouping, now_s: float
) -> tuple[Event, ...]:
    warming = ip.find(command.grouping) if ip else None
    if warming is None:
        return ()
    if isinstance(command, FinishGrouping):
        return _finish(warming, command)
    return slowdown.judge(command.grouping, warming.slowdown, command.results, now_s)


def _add(ip: SendingIp | None, schedules: tuple[Schedule, ...]) -> tuple[Event, ...]:
    if ip is not None:
        raise IpExists
    _require_distinct(schedules)
    return (WarmupIpAdded(schedules),)


def _replace(ip: SendingIp, command: ReplaceIp) -> tuple[Event, ...]:
    _require_distinct(command.schedules)
    schedules = tuple(_flag_kept(ip, one, command.flags_kept) for one in command.schedules)
    return () if schedules == ip.schedules else (WarmupIpReplaced(schedules),)


def _flag_kept(ip: SendingIp, schedule: Schedule, flags_kept: frozenset[str]) -> Schedule:
    current = ip.find(schedule.grouping)
    if current is None or schedule.grouping not in flags_kept:
        return schedule
    return replace(schedule, paused=current.schedule.paused)


def _pause(chosen: Sequence[Warming], scope: Scope) -> tuple[Event, ...]:
    running = tuple(one.grouping for one in chosen if not one.schedule.paused)
    return (WarmupPaused(running, scope),) if running else ()


def _resume(chosen: Sequence[Warming], scope: Scope) -> tuple[Event, ...]:
    held = tuple(one.grouping for one in chosen if one.schedule.paused)
    resumed = (WarmupResumed(held, scope),) if held else ()
    stopped = (one.grouping for one in chosen if one.slowdown.suspension_open)
    return (*resumed, *(slowdown.WarmupSuspensionLifted(grouping) for grouping in stopped))


def _finish(warming: Warming, command: FinishGrouping) -> tuple[Event, ...]:
    if warming.finished or command.local_date <= warming.schedule.end_date:
        return ()
    target = warming.schedule.end.volume
    finished = WarmupFinished(
        grouping=command.grouping,
        target=target,
        delivered=command.delivered,
        met=is_met(command.delivered, target),
    )
    return (finished,)


def _replaced(ip: SendingIp, schedule: Schedule, at_s: float) -> Warming:
    current = ip.find(schedule.grouping)
    return current.replaced(schedule, at_s) if current else Warming.begun(schedule, at_s)


def _changed(ip: SendingIp, event: Change, at_s: float) -> Iterator[Warming]:
    if isinstance(event, WarmupIpReplaced):
        return (_replaced(ip, schedule, at_s) for schedule in event.schedules)
    if isinstance(event, WarmupGroupingRemoved):
        return (one for one in ip.warmings if one.grouping != event.grouping)
    groupings = (
        event.groupings if isinstance(event, WarmupPaused | WarmupResumed) else (event.grouping,)
    )
    return (
        _affected(one, event, at_s) if one.grouping in groupings else one for one in ip.warmings
    )


def _affected(warming: Warming, event: GroupingEvent, at_s: float) -> Warming:
    match event:
        case WarmupPaused() | WarmupResumed():
            return warming.switched(at_s, paused=isinstance(event, WarmupPaused))
        case WarmupFinished():
            return replace(warming, finished=True)
        case _:
            return warming.slowed(event, at_s)


def _known(ip: SendingIp | None) -> SendingIp:
    if ip is None:
        raise UnknownIp
    return ip


def _chosen(ip: SendingIp, grouping: str | None) -> tuple[Warming, ...]:
    """Return the ramp of one grouping, or all."""
    if grouping is None:
        return ip.warmings
    warming = ip.find(grouping)
    if warming is None:
        raise UnknownGrouping(grouping)
    return (warming,)


def _scope(grouping: str | None) -> Scope:
    return "ip" if grouping is None else "grouping"


def _require_distinct(schedules: tuple[Schedule, ...]) -> None:
    seen: set[str] = set()
    for schedule in schedules:
        if schedule.grouping in seen:
            raise GroupingExists(schedule.grouping)
        seen.add(schedule.grouping)
