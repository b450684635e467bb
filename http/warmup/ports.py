"""What this surface needs of the gateway; the composition root of the web process provides it.

Addresses are canonical (`domain.sending_ip.canonical_ip`), groupings are as they were configured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signalbox.domain.ramp import Schedule
    from signalbox.domain.warmup_status import WarmupStatus


class Warmup(Protocol):
    """Changes the configuration; what returns is stored, in the log and for `WarmupReads`.

    The methods are those of signalbox.actors.sending_ips. They raise what
    `domain.sending_ip.decide` raises; nothing is stored when nothing changes.
    """

    def knows(self, ip: str) -> bool:
        """Tell whether an address is configured, by what any process has committed."""

    def add(self, ip: str, schedules: tuple[Schedule, ...], *, by: str, request_id: str) -> None:
        """Configure an address. Raises: `IpExists`, `GroupingExists`."""

    def replace(
        self,
        ip: str,
        schedules: tuple[Schedule, ...],
        flags_kept: frozenset[str],
        *,
        by: str,
        request_id: str,
    ) -> None:
        """Replace its groupings; `flags_kept` as in `ReplaceIp`. Raises: `UnknownIp`, …."""

    def remove(self, ip: str, *, by: str, request_id: str) -> None:
        """Forget an address. Raises: `UnknownIp`."""

    def remove_grouping(self, ip: str, grouping: str, *, by: str, request_id: str) -> None:
        """Forget a grouping. Raises: `UnknownIp`, `UnknownGrouping`."""

    def pause(self, ip: str, grouping: str | None, *, by: str, request_id: str) -> None:
        """Hold one grouping or all (None). Raises: `UnknownIp`, `UnknownGrouping`."""

    def resume(self, ip: str, grouping: str | None, *, by: str, request_id: str) -> None:
        """Let one grouping or all (None) go on. Raises: `UnknownIp`, `UnknownGrouping`."""


class IpConfig(Protocol):
    """An address and its ramps, in the order they were given."""

    @property
    def ip(self) -> str:
        """The address, canonical."""

    @property
    def schedules(self) -> Sequence[Schedule]:
        """Its ramps."""


class GroupingStatus(Protocol):
    """How one ramp stands now."""

    @property
    def schedule(self) -> Schedule:
        """What was configured."""

    @property
    def current_day(self) -> int:
        """`Schedule.current_day` of today's local date."""

    @property
    def status(self) -> WarmupStatus:
        """The word of `domain.warmup_status.status_of`."""


class IpStatus(Protocol):
    """How an address stands now."""

    @property
    def ip(self) -> str:
        """The address, canonical."""

    @property
    def offset_s(self) -> int:
        """Seconds that local time is east of UTC now."""

    @property
    def groupings(self) -> Sequence[GroupingStatus]:
        """Its ramps, in the order they were given."""


class WarmupReads(Protocol):
    """The read model; it has everything that `Warmup` returned from in this process.

    The methods are those of signalbox.projections.warmup. Addresses are sorted by
    `domain.sending_ip.ip_order`. One that is not configured is None; one whose groupings were all
    removed is there, without any.
    """

    def configs(self) -> Sequence[IpConfig]:
        """Return all addresses."""

    def config(self, ip: str) -> IpConfig | None:
        """Return one address."""

    def statuses(self) -> Sequence[IpStatus]:
        """Return how all addresses stand now."""

    def status(self, ip: str) -> IpStatus | None:
        """Return how one address stands now."""
