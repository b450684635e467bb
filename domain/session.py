"""What happened on a link's wire on one day: claimed, bound, lost, refused, throttled.

The stream is `link-<id>-<yyyy-mm-dd>` (UTC), one a day, so that a flapping link never makes a
stream without end. `ClaimLink` comes first after a take-over: its epoch tells which owner wrote
what follows.
"""

from dataclasses import dataclass, replace
from typing import Literal, assert_never

BindState = Literal["down", "bound"]


@dataclass(frozen=True, slots=True)
class ClaimLink:
    """A process holds the lease of the link's partition and is about to act."""

    owner: str
    epoch: int


@dataclass(frozen=True, slots=True)
class RecordBind:
    """The SMSC answered the bind with ESME_ROK."""

    smsc_id: str


@dataclass(frozen=True, slots=True)
class RecordLoss:
    """The session ended: cut, timed out, unbound by either side, or never came to be."""

    reason: str
    retry_in_s: float


@dataclass(frozen=True, slots=True)
class RecordBindRefusal:
    """The SMSC answered the bind with an error status."""

    error: str
    retry_in_s: float


@dataclass(frozen=True, slots=True)
class RecordThrottle:
    """The SMSC asked for less; the link pauses and goes on at `factor` of its rate."""

    pause_s: float
    factor: float


Command = ClaimLink | RecordBind | RecordLoss | RecordBindRefusal | RecordThrottle


@dataclass(frozen=True, slots=True)
class LinkClaimed:
    """A process took the link over; earlier owners can append nothing any more."""

    owner: str
    epoch: int


@dataclass(frozen=True, slots=True)
class LinkBound:
    """The link is bound and takes messages."""

    smsc_id: str


@dataclass(frozen=True, slots=True)
class LinkLost:
    """The link is down; the next attempt follows in `retry_in_s` (0: not before it is wanted)."""

    reason: str
    retry_in_s: float


@dataclass(frozen=True, slots=True)
class BindRefused:
    """The SMSC refused the bind."""

    error: str
    retry_in_s: float


@dataclass(frozen=True, slots=True)
class LinkThrottled:
    """The SMSC throttled the link."""

    pause_s: float
    factor: float


Event = LinkClaimed | LinkBound | LinkLost | BindRefused | LinkThrottled


@dataclass(frozen=True, slots=True)
class Session:
    """One day of a link; a new day starts with what the day before left."""

    bind_state: BindState = "down"
    last_trouble: str = ""


def stream_of(link_id: int, day: str) -> str:
    """Name the stream of a link's session events of one UTC day (`2026-11-21`)."""
    return f"link-{link_id}-{day}"


def decide(session: Session, command: Command) -> tuple[Event, ...]:
    """Return the events of one command. A trouble that only repeats itself is told once."""
    match command:
        case ClaimLink(owner, epoch):
            return (LinkClaimed(owner, epoch),)
        case RecordBind(smsc_id):
            return (LinkBound(smsc_id),)
        case RecordLoss(reason, retry_in_s):
            repeated = session.bind_state == "down" and session.last_trouble == reason
            return () if repeated else (LinkLost(reason, retry_in_s),)
        case RecordBindRefusal(error, retry_in_s):
            return () if session.last_trouble == error else (BindRefused(error, retry_in_s),)
        case RecordThrottle(pause_s, factor):
            return (LinkThrottled(pause_s, factor),)
        case _:
            assert_never(command)


def evolve(session: Session, event: Event) -> Session:
    """Apply one event."""
    match event:
        case LinkBound():
            return Session("bound", "")
        case LinkLost(reason):
            return Session("down", reason)
        case BindRefused(error):
            return Session("down", error)
        case LinkClaimed():
            return replace(session, bind_state="down")
        case LinkThrottled():
            return session
        case _:
            assert_never(event)
