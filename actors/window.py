"""A link's submits that wait for their answer, by sequence number (SMPP 3.4, 3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from signalbox.eventstore import metrics

if TYPE_CHECKING:
    from signalbox.actors.work import Slot

LATE_MAX: Final = 1_000  # submits whose answer may still come after their timeout


class Window:
    """What is on the wire, what is about to be, and what was given up but may still be answered."""

    def __init__(self, label: str) -> None:
        self._gauge = metrics.WINDOW.labels(label)
        self._sent: dict[int, tuple[Slot, float]] = {}
        self._late: dict[int, Slot] = {}
        self._reserved = 0

    @property
    def in_use(self) -> int:
        """How many submits wait for an answer, those included whose attempt is being stored."""
        return len(self._sent) + self._reserved

    def reserve(self, submits: int) -> None:
        """Keep room for attempts that are being stored; a negative number gives it back."""
        self._reserved += submits

    def sent(self, sequence: int, slot: Slot, at_s: float) -> None:
        """A submit goes on the wire (monotonic seconds)."""
        self._sent[sequence] = (slot, at_s)
        self._gauge.set(len(self._sent))

    def answered(self, sequence: int) -> Slot | None:
        """Take out the submit of an answer, even a late one; None when nobody waits for it."""
        slot, _ = self._sent.pop(sequence, (None, 0.0))
        self._gauge.set(len(self._sent))
        return slot or self._late.pop(sequence, None)

    def overdue(self, before_s: float) -> list[Slot]:
        """Give up and return what was sent before; an answer may still settle it."""
        overdue = {s: slot for s, (slot, sent_s) in self._sent.items() if sent_s < before_s}
        for sequence in overdue:
            del self._sent[sequence]
        self._late |= overdue
        while len(self._late) > LATE_MAX:
            del self._late[next(iter(self._late))]
        self._gauge.set(len(self._sent))
        return list(overdue.values())

    def abandon(self) -> list[Slot]:
        """The session is over: give up and return all that was on its wire."""
        abandoned = [slot for slot, _ in self._sent.values()]
        self._sent.clear()
        self._late.clear()
        self._gauge.set(0)
        return abandoned
