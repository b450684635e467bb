"""The connections of one phone on one day: made, told of SIMs, lost.

The stream is `phone-<phone id>-<yyyy-mm-dd>` (UTC), one a day, so that a phone on a bad network
never makes a stream without end. A connection is named by the Unix time in ms at which it was made,
moved on where two would be the same: of two connections of a phone the greater one counts.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, Literal, assert_never

SIMS_MAX: Final = 16

Lost = Literal[
    "closed", "replaced", "revoked", "silent", "slow", "refused", "shutdown", "lost", "failed"
]
"""Why a connection ended: `closed` by the phone, `silent` for too long, `lost` with its process."""


@dataclass(frozen=True, slots=True)
class SimCard:
    """A SIM as the phone reports it; many phones can't read their own number."""

    slot: int
    number: str = ""
    label: str = ""
    carrier: str = ""


@dataclass(frozen=True, slots=True)
class Connect:
    """A phone proved who it is; `process` holds its socket."""

    owner: str
    phone_id: str
    process: str


@dataclass(frozen=True, slots=True)
class ReportSims:
    """The phone told which SIMs it has."""

    connection: int
    sims: tuple[SimCard, ...]


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The connection is gone; the phone was last heard over it at `heard_at_s` (Unix)."""

    connection: int
    reason: Lost
    heard_at_s: float = 0.0


Command = Connect | ReportSims | Disconnect


@dataclass(frozen=True, slots=True)
class PhoneConnected:
    """A phone is online; any older connection of it counts no more."""

    owner: str
    phone_id: str
    connection: int
    process: str


@dataclass(frozen=True, slots=True)
class SimsReported:
    """The SIMs in the phone, in place of what it told before."""

    owner: str
    phone_id: str
    connection: int
    sims: tuple[SimCard, ...]


@dataclass(frozen=True, slots=True)
class PhoneDisconnected:
    """A connection ended; the phone is offline unless it has a newer one.

    It was last heard over this one at `heard_at_s` (Unix), 0 where that is not known.
    """

    owner: str
    phone_id: str
    connection: int
    reason: Lost
    heard_at_s: float = 0.0


Event = PhoneConnected | SimsReported | PhoneDisconnected


@dataclass(frozen=True, slots=True)
class DayOfPhone:
    """What is known of a phone's connections of one day."""

    owner: str = ""
    phone_id: str = ""
    newest: int = 0
    live: frozenset[int] = frozenset()
    sims: dict[int, tuple[SimCard, ...]] = field(default_factory=dict)


def decide(day: DayOfPhone, command: Command, at_s: float) -> tuple[Event, ...]:
    """Return the events of one command at `at_s` (Unix); none when nothing changes."""
    match command:
        case Connect(owner, phone_id, process):
            connection = max(int(at_s * 1000), day.newest + 1)
            return (PhoneConnected(owner, phone_id, connection, process),)
        case ReportSims(connection, sims):
            known = connection not in day.live or day.sims.get(connection) == sims
            told = SimsReported(day.owner, day.phone_id, connection, sims)
            return () if known else (told,)
        case Disconnect(connection, reason, heard_at_s):
            gone = PhoneDisconnected(
                day.owner, day.phone_id, connection, reason, min(heard_at_s, at_s)
            )
            return (gone,) if connection in day.live else ()
        case _:
            assert_never(command)


def evolve(day: DayOfPhone, event: Event) -> DayOfPhone:
    """Apply one event."""
    match event:
        case PhoneConnected():
            return replace(
                day,
                owner=event.owner,
                phone_id=event.phone_id,
                newest=event.connection,
                live=day.live | {event.connection},
            )
        case SimsReported():
            return replace(day, sims={**day.sims, event.connection: event.sims})
        case PhoneDisconnected(connection=connection):
            sims = {of: told for of, told in day.sims.items() if of != connection}
            return replace(day, live=day.live - {connection}, sims=sims)
        case _:
            assert_never(event)


def stream_of(phone_id: str, at_s: float) -> str:
    """Return the stream of a phone's connections that are made at `at_s` (Unix)."""
    return f"phone-{phone_id}-{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d}"


def named(owner: str, name: str) -> str:
    """Return the id of an owner's phone that tells its own name; the ids of others have no dot."""
    return f"{owner}.{name}"


def has_name(phone_id: str) -> bool:
    """Tell whether a phone can be known again by its id alone."""
    return "." in phone_id
