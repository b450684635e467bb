"""A phone's live connection as the core knows it, and what a dialect implements for it.

dialect's socket ◀── Line.push, Line.end ── core
dialect's socket ──▶ LiveLine: report_sims, ready, disconnect (actors/phone_lines.py)
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum
from time import time
from typing import TYPE_CHECKING, Final, Protocol

from signalbox.domain.phone_routing import digits, slot_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from signalbox.domain.phone import Lost, SimCard
    from signalbox.domain.phone_message import Sim

LineKey = tuple[str, int]
"""A phone and its connection: the number alone is not unique among phones."""

ANY_SIM: Final = -1
HANDED_MAX: Final = 1_000


class LineEnd(Enum):
    """Why the core ends a line."""

    REPLACED = "replaced"
    REVOKED = "revoked"
    UNKNOWN_PHONE = "unknown phone"
    SHUTDOWN = "shutdown"
    OVERLOAD = "overload"


LOST_BY: Final[Mapping[LineEnd, Lost]] = {
    LineEnd.REPLACED: "replaced",
    LineEnd.REVOKED: "revoked",
    LineEnd.UNKNOWN_PHONE: "revoked",
    LineEnd.SHUTDOWN: "shutdown",
    LineEnd.OVERLOAD: "failed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedSms:
    """A text a phone is to send. It may come twice; the phone tells by `key` or `number`."""

    key: str
    number: int
    to: str
    text: str
    sim: Sim | None
    queued_at_s: float


class Line(Protocol):
    """What a dialect does for the core. All return at once, whatever the socket is doing."""

    @property
    def is_quiet(self) -> bool:
        """True while the phone owes a sign of life, so that it may be gone."""
        ...

    @property
    def heard_ago_s(self) -> float:
        """For how long nothing has come from the phone."""
        ...

    def push(self, sms: PushedSms) -> None:
        """Send it to the phone. A line whose queue is full ends itself."""
        ...

    def end(self, reason: LineEnd) -> None:
        """Close the socket; it may come before `PhoneLines.connect` has returned."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds. Rows are renewed every `renew_s` and believed for `ttl_s`, read every `look_s`.

    A message is left to another process's line for `patience_s`. What a phone has not confirmed
    after `confirm_s` keeps no other message from it any more.
    """

    renew_s: float = 15.0
    ttl_s: float = 45.0
    look_s: float = 2.0
    patience_s: float = 5.0
    confirm_s: float = 30.0
    close_s: float = 5.0


@dataclass(slots=True, eq=False)
class HeldLine:
    """A line whose socket this process holds. `connected_s` by the monotonic clock.

    Nothing goes over it before it `is_ready`, nor once it `is_over`.
    """

    owner: str
    phone_id: str
    connection: int
    stream_id: str
    line: Line
    anonymous: bool
    connected_s: float
    sims: tuple[SimCard, ...] | None = None
    is_ready: bool = False
    is_over: bool = False
    _handed: OrderedDict[str, None] = field(default_factory=OrderedDict)

    @property
    def key(self) -> LineKey:
        """What tells it from all other lines."""
        return self.phone_id, self.connection

    @property
    def seen_at_s(self) -> float:
        """When something came from the phone last, Unix seconds."""
        return time() - self.line.heard_ago_s

    @property
    def online(self) -> OnlineLine:
        """What others may know of it."""
        return OnlineLine(
            owner=self.owner,
            phone_id=self.phone_id,
            connection=self.connection,
            sims=self.sims,
            seen_at_s=self.seen_at_s,
            anonymous=self.anonymous,
        )

    def hands_over(self, stream_id: str) -> bool:
        """Note that a message goes over it; False when it did before, as far as it remembers."""
        if stream_id in self._handed:
            return False
        self._handed[stream_id] = None
        if len(self._handed) > HANDED_MAX:
            self._handed.popitem(last=False)
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineLine:
    """A live line of any process; `sims` is None until the phone told them."""

    owner: str
    phone_id: str
    connection: int
    sims: tuple[SimCard, ...] | None
    seen_at_s: float
    anonymous: bool = False

    @property
    def key(self) -> LineKey:
        """What tells it from all other lines."""
        return self.phone_id, self.connection


def numbers_of(sims: Sequence[SimCard] | None) -> frozenset[str]:
    """Return the SIMs' own numbers, as they are compared; many phones know none."""
    return frozenset(filter(None, (digits(card.number) for card in sims or ())))


def sim_key(sims: Sequence[SimCard] | None, sim: Sim | None) -> int | str:
    """Return one name for a SIM, whichever way it was asked for."""
    if sim is None:
        return sims[0].slot if sims and len(sims) == 1 else ANY_SIM
    slot = slot_of(sim)
    if slot is not None:
        return slot
    wanted = digits(str(sim))
    return next((card.slot for card in sims or () if digits(card.number) == wanted), wanted)
