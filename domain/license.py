"""The licence: for whom the gateway works, until when, with how many links and how fast.

    UploadLicense ──▶ LicenseUploaded

There is one, in the stream `license`; a new one takes the place of the one before. What a licence
file looks like and who signed it was found out before it becomes a command.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal, assert_never

from signalbox.domain.errors import LicenseExceeded, LicenseOlder, LicensePast

STREAM: Final = "license"

Status = Literal["active", "expired", "missing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadLicense:
    """An operator brings a licence. The fields are the event's."""

    company: str
    valid_until: date
    max_connections: int
    max_tps: int
    serial: int
    signed: bool
    digest: str


Command = UploadLicense


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseUploaded:
    """A licence came into force.

    `valid_until` is its last day (ISO 8601, UTC), `max_tps` parts per second over all links.
    `serial` grows from one licence to the next, `digest` is the file's SHA-256.
    """

    company: str
    valid_until: str
    max_connections: int
    max_tps: int
    serial: int
    signed: bool
    digest: str


Event = LicenseUploaded


@dataclass(frozen=True, slots=True)
class Limits:
    """Links bound at the same time, and parts per second over all of them; 0 sets no limit."""

    connections_max: int
    tps_max: int


@dataclass(frozen=True, slots=True)
class License:
    """The licence in force; `uploaded` is None as long as there never was one."""

    uploaded: LicenseUploaded | None = None

    def status(self, today: date) -> Status:
        """Return whether it is in force on this day."""
        if self.uploaded is None:
            return "missing"
        return "active" if today <= date.fromisoformat(self.uploaded.valid_until) else "expired"

    def limits(self, built_in: Limits) -> Limits:
        """Return what it allows; an expired one still says how the links go on."""
        if self.uploaded is None:
            return built_in
        return Limits(self.uploaded.max_connections, self.uploaded.max_tps)


def decide(license_: License, command: Command, today: date) -> tuple[Event, ...]:
    """Return the event of an upload; nothing when that licence is in force already.

    Raises:
        LicensePast: its last day is over.
        LicenseOlder: one with a higher serial is in force. A signed one replaces any unsigned one.
    """
    current = license_.uploaded
    if command.valid_until < today:
        raise LicensePast(command.valid_until.isoformat())
    if current is not None:
        if command.digest == current.digest:
            return ()
        supersedes = command.signed and not current.signed
        if command.serial < current.serial and not supersedes:
            raise LicenseOlder(command.serial, current.serial)
    return (_uploaded(command),)


def evolve(license_: License, event: Event) -> License:  # noqa: ARG001  as all streams' evolve
    """Apply one event."""
    match event:
        case LicenseUploaded():
            return License(event)
        case _:
            assert_never(event)


def licensed(enabled_ids: Iterable[int], connections_max: int, taken: int = 0) -> frozenset[int]:
    """Return the links that may connect, when so many others do: those with the lowest numbers."""
    ids = sorted(set(enabled_ids))
    return frozenset(ids[: max(0, connections_max - taken)] if connections_max else ids)


def require_room(enabled_ids: Iterable[int], link_id: int, connections_max: int) -> None:
    """Raise `LicenseExceeded` when one more link than allowed would be on with `link_id`."""
    enabled = set(enabled_ids) | {link_id}
    if connections_max and len(enabled) > connections_max:
        raise LicenseExceeded(connections_max)


def _uploaded(command: UploadLicense) -> LicenseUploaded:
    return LicenseUploaded(
        company=command.company,
        valid_until=command.valid_until.isoformat(),
        max_connections=command.max_connections,
        max_tps=command.max_tps,
        serial=command.serial,
        signed=command.signed,
        digest=command.digest,
    )
