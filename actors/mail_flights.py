"""The mails of a dispatcher that left its lanes, and the append that some of them wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signalbox.actors.mail_changes import Flight, MailChanges, tell_operators

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from signalbox.actors.mail_feeder import Tracked
    from signalbox.actors.mail_hand import Hand, Lane
    from signalbox.actors.mail_slots import Slots
    from signalbox.domain import mail as mails
    from signalbox.domain.tenant import Tenant


class Flights:
    """One for each dispatcher; it outlives the hand, which begins anew after a failure."""

    def __init__(self, hand: Hand, slots: Slots) -> None:
        self._slots = slots
        self._hand = hand
        self._abroad: dict[str, Flight] = {}
        self.changes = MailChanges()

    def __len__(self) -> int:
        return len(self._abroad)

    def __iter__(self) -> Iterator[Flight]:
        return iter(self._abroad.values())

    @property
    def not_fresh(self) -> list[str]:
        """The streams of those that were put off before."""
        return [one for one, f in self._abroad.items() if not f.tracked.kind.startswith("mail")]

    def restart(self, hand: Hand) -> None:
        """Count what is being sent in the lanes of another hand."""
        self._hand = hand
        for flight in self:
            self.lane(flight).busy += flight.has_slot

    def is_current(self, flight: Flight) -> bool:
        """True unless the mail has come home meanwhile."""
        return self._abroad.get(flight.tracked.stream_id) is flight

    def has_left(self, tracked: Tracked) -> bool:
        """Tell whether a mail that was read left its lane; if by another row, remember this."""
        flight = self._abroad.get(tracked.stream_id)
        if flight is not None and flight.tracked.seq != tracked.seq:
            flight.newer = tracked
        return flight is not None

    def lane(self, flight: Flight) -> Lane:
        """Return the lane it came from."""
        return self._hand.lane(flight.tracked.mail.account_id)

    def begin(self, tracked: Tracked) -> Flight:
        """Note that a mail left its lane."""
        flight = self._abroad[tracked.stream_id] = Flight(tracked)
        return flight

    def seat(self, flight: Flight) -> None:
        """Count it among those that are sent at once; the slot was taken already."""
        flight.has_slot = True
        self.lane(flight).busy += 1

    def free(self, flight: Flight) -> None:
        """Count it no more among those that are sent at once."""
        if flight.has_slot:
            flight.has_slot = False
            lane = self.lane(flight)
            lane.busy = max(0, lane.busy - 1)
            self._slots.give()

    def end(self, flight: Flight) -> None:
        """Forget it; a row that its mail got meanwhile is looked at anew."""
        self.free(flight)
        self._abroad.pop(flight.tracked.stream_id, None)
        if flight.newer is not None:
            self._hand.again([flight.newer])

    def decide(self, flight: Flight, command: mails.Command, tenant: Tenant, now_s: float) -> None:
        """Decide what happens to it, to be stored with the next append."""
        events = self.changes.decide(flight, command, now_s)
        tell_operators(tenant, flight.tracked, events)
        if not events:
            self.end(flight)

    def over(self, flight: Flight, command: mails.Command, tenant: Tenant, now_s: float) -> None:
        """Make room for the next, and decide what it came to."""
        self.free(flight)
        flight.stage, flight.command = "over", command
        self.decide(flight, command, tenant, now_s)

    def take_changes(self) -> MailChanges:
        """Return what was decided since the last time."""
        changes, self.changes = self.changes, MailChanges()
        return changes

    def drop_rows(self, rows: Iterable[int]) -> None:
        """Have rows go that nobody waits for."""
        self.changes.taken += rows

    def clear(self) -> None:
        """Forget all of them."""
        self._slots.give(sum(flight.has_slot for flight in self))
        self._abroad.clear()
