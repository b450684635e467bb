"""What one address may send to one grouping on one local day: counted before it leaves.

    ReserveVolume ──▶ VolumeReserved ──▶ VolumeSettled ◀── SettleVolume
    CloseDay ──▶ WarmupDayClosed        (the first touch after midnight)

A recipient counts once per message and day: trying the same message again the same day is a
*repeat*, which asks the gate whether anything may go, but takes nothing from the day. What was
reserved and never settled (a crash) stays used. Whoever comes second to a version of the stream
reads it and asks again, so the sum of all grants never passes the target.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from math import ceil
from typing import Final, assert_never

from signalbox.domain import gate
from signalbox.domain.gate import HOUR_S, Allowance, Denial, Reason, Use
from signalbox.domain.ramp import is_met

_DATE_DIGITS: Final = len("yyyy-mm-dd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of recipients.

    `attempted` got as far as naming the sender, whatever the answer; `blocked` of the deferred and
    bounced were told that the address itself is unwelcome.
    """

    attempted: int = 0
    delivered: int = 0
    deferred: int = 0
    bounced: int = 0
    blocked: int = 0

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(
            attempted=self.attempted + other.attempted,
            delivered=self.delivered + other.delivered,
            deferred=self.deferred + other.deferred,
            bounced=self.bounced + other.bounced,
            blocked=self.blocked + other.blocked,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveVolume:
    """Somebody is about to send to so many recipients, and again to so many `repeats`.

    The id is for this reservation alone; the same one again is the same reservation.
    """

    reservation_id: str
    recipients: int
    allowance: Allowance
    repeats: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleVolume:
    """It is known what became of a reservation; `released` recipients never reached a server."""

    reservation_id: str
    outcome: Outcome
    released: int = 0


@dataclass(frozen=True, slots=True)
class CloseDay:
    """The day is over; `target` None when the ramp is gone: then the last one that was known."""

    target: int | None = None


Command = ReserveVolume | SettleVolume | CloseDay


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeReserved:
    """So many recipients of the day's target are taken, and so many repeats may go with them."""

    reservation_id: str
    recipients: int
    target: int
    repeats: int = 0


@dataclass(frozen=True, slots=True)
class VolumeSettled:
    """A reservation came to its end; `released` recipients of it are free again."""

    reservation_id: str
    outcome: Outcome
    released: int = 0


@dataclass(frozen=True, slots=True)
class WarmupDayClosed:
    """A day ended with these sums; nothing can be reserved on it any more."""

    target: int
    outcome: Outcome
    met: bool


Event = VolumeReserved | VolumeSettled | WarmupDayClosed


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What a reservation takes from the day, kept until it is settled and an hour old."""

    at_s: float
    recipients: int
    repeats: int
    settled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SendingDay:
    """A day so far. `used` is what was reserved and not released.

    `target` is the one of the last grant; `outcomes` are the last hour's, each with its time.
    """

    target: int = 0
    used: int = 0
    reservations: Mapping[str, Reservation] = field(default_factory=dict)
    totals: Outcome = Outcome()
    outcomes: tuple[tuple[float, Outcome], ...] = ()
    closed: bool = False

    @property
    def open_reservations(self) -> Mapping[str, Reservation]:
        """What is reserved and has no outcome yet, by id."""
        return {key: one for key, one in self.reservations.items() if not one.settled}

    def find_open(self, reservation_id: str) -> Reservation | None:
        """Return a reservation that has no outcome yet."""
        held = self.reservations.get(reservation_id)
        return None if held is None or held.settled else held

    def fits(self, reservation_id: str, target: int) -> bool:
        """Tell whether an open reservation is within a target that may be lower than it was.

        Where it is too low for all of them, the latest give way.
        """
        held = self.find_open(reservation_id)
        ids = [*self.open_reservations]
        later = ids[ids.index(reservation_id) + 1 :] if held else ()
        upto = self.used - sum(self.reservations[one].recipients for one in later)
        return held is not None and (not held.recipients or upto <= target)

    def use(self, now_s: float) -> Use:
        """Return what the gate has to know of what went."""
        hour = [
            (ceil(one.at_s + HOUR_S - now_s), one.recipients)
            for one in self.reservations.values()
            if one.recipients and one.at_s > now_s - HOUR_S
        ]
        return Use(self.used, hour)

    def outcome_since(self, since_s: float) -> Outcome:
        """Sum up what was known after `since_s`, an hour ago at most."""
        return sum((one for at_s, one in self.outcomes if at_s > since_s), Outcome())


@dataclass(frozen=True, slots=True)
class Granted:
    """So many recipients may be sent to, and so many repeats."""

    recipients: int
    repeats: int = 0


@dataclass(frozen=True, slots=True)
class Denied:
    """Nothing may be sent to: why, and when something may (Unix seconds, a midnight at the latest).

    "CLOSED" means that the next day has begun.
    """

    reason: Reason
    retry_at_s: float


def stream_of(ip: str, grouping: str, day: date) -> str:
    """Name the stream of an address, a grouping and a local date."""
    return f"day-{ip}-{grouping}-{day.isoformat()}"


def key_of(stream_id: str) -> tuple[str, str, date]:
    """Return the address, the grouping and the date a stream name holds."""
    key = stream_id.removeprefix("day-")
    ip, _, grouping = key[: -_DATE_DIGITS - 1].partition("-")
    return ip, grouping, date.fromisoformat(key[-_DATE_DIGITS:])


def admit(day: SendingDay, command: ReserveVolume, now_s: float) -> Granted | Denied:
    """Answer a reservation; `decide` has its event, which must be stored before anything leaves."""
    assert command.recipients + command.repeats > 0, command
    held = day.find_open(command.reservation_id)
    if held is not None:
        return Granted(held.recipients, held.repeats)
    assert command.reservation_id not in day.reservations, command
    if day.closed:
        return Denied("CLOSED", now_s)
    answer = gate.admit(command.allowance, day.use(now_s), command.recipients)
    if not isinstance(answer, Denial):
        return Granted(answer.recipients, command.repeats)
    if command.repeats and command.allowance.hold is None:
        return Granted(0, command.repeats)  # They were counted when they went the first time.
    return Denied(answer.reason, now_s + answer.retry_in_s)


def decide(day: SendingDay, command: Command, now_s: float) -> tuple[Event, ...]:
    """Return the event of one command; nothing when it is denied, done, or not counted.

    Nothing is counted where the allowance has no target.
    """
    match command:
        case ReserveVolume():
            return _reserve(day, command, now_s)
        case SettleVolume():
            return _settle(day, command)
        case CloseDay(target):
            return _close(day, day.target if target is None else target)
        case _:
            assert_never(command)


def evolve(day: SendingDay, event: Event, at_s: float) -> SendingDay:
    """Apply one event that happened at `at_s` (Unix seconds)."""
    match event:
        case VolumeReserved():
            return _reserved(day, event, at_s)
        case VolumeSettled():
            return _settled(day, event, at_s)
        case WarmupDayClosed(target=target):
            return replace(day, target=target, closed=True)
        case _:
            assert_never(event)


def _reserve(day: SendingDay, command: ReserveVolume, now_s: float) -> tuple[Event, ...]:
    answer = admit(day, command, now_s)
    target = command.allowance.target
    if target is None or isinstance(answer, Denied) or day.find_open(command.reservation_id):
        return ()
    reserved = VolumeReserved(
        reservation_id=command.reservation_id,
        recipients=answer.recipients,
        target=target,
        repeats=answer.repeats,
    )
    return (reserved,)


def _settle(day: SendingDay, command: SettleVolume) -> tuple[Event, ...]:
    held = day.find_open(command.reservation_id)
    if held is None:
        return ()  # Settled before, or never counted.
    outcome, released = command.outcome, command.released
    assert 0 <= released <= held.recipients, (command, held)
    assert outcome.attempted + released <= held.recipients + held.repeats, (command, held)
    assert outcome.delivered + outcome.deferred + outcome.bounced <= outcome.attempted, command
    return (VolumeSettled(command.reservation_id, outcome, released),)


def _close(day: SendingDay, target: int) -> tuple[Event, ...]:
    if day.closed or not day.reservations:
        return ()  # A day without traffic has no stream.
    return (WarmupDayClosed(target, day.totals, is_met(day.totals.delivered, target)),)


def _reserved(day: SendingDay, event: VolumeReserved, at_s: float) -> SendingDay:
    reservation = Reservation(at_s=at_s, recipients=event.recipients, repeats=event.repeats)
    return replace(
        day,
        target=event.target,
        used=day.used + event.recipients,
        reservations={**_recent(day, at_s), event.reservation_id: reservation},
    )


def _settled(day: SendingDay, event: VolumeSettled, at_s: float) -> SendingDay:
    held = day.reservations[event.reservation_id]
    kept = replace(held, recipients=held.recipients - event.released, settled=True)
    recent = (one for one in day.outcomes if one[0] > at_s - HOUR_S)
    return replace(
        day,
        used=day.used - event.released,
        reservations={**day.reservations, event.reservation_id: kept},
        totals=day.totals + event.outcome,
        outcomes=(*recent, (at_s, event.outcome)),
    )


def _recent(day: SendingDay, at_s: float) -> dict[str, Reservation]:
    """Return the reservations that are open or count for the last hour."""
    horizon_s = at_s - HOUR_S
    return {k: r for k, r in day.reservations.items() if not r.settled or r.at_s > horizon_s}
