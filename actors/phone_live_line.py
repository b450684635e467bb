"""A line as the greenlet of its socket holds it: what the phone does, told to the core."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signalbox.domain.phone import SIMS_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signalbox.actors.phone_line import HeldLine
    from signalbox.actors.phone_lines import PhoneLines
    from signalbox.domain.phone import Lost, SimCard


class LiveLine:
    """A line as the greenlet of its socket holds it."""

    def __init__(self, lines: PhoneLines, held: HeldLine) -> None:
        self._lines = lines
        self._held = held
        self.owner = held.owner
        self.phone_id = held.phone_id
        self.connection = held.connection

    def report_sims(self, sims: Sequence[SimCard]) -> None:
        """The phone told its SIMs; stored on return. Raises: `Unavailable`."""
        self._lines.take_sims(self._held, tuple(sims)[:SIMS_MAX])

    def ready(self) -> None:
        """The greeting is sent: from now on there are pushes."""
        self._lines.begin(self._held)

    def disconnect(self, reason: Lost) -> None:
        """The socket is gone; stored as soon as the store is there. The first reason counts."""
        self._lines.leave(self._held, reason)
