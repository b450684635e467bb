"""Which phone an outbound message goes to, among those that are connected.

A message that was pushed stays with its phone: sent by another one too, it would arrive twice.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from signalbox.domain.phone import SimCard, has_name
from signalbox.domain.phone_message import PhoneMessage, Sim

SLOT: Final = re.compile(r"[0-9]{1,2}")
SIMS_WAIT_S: Final = 2.0  # how long a phone may take to tell its SIMs after it connected


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A phone's live connection.

    `sims` is None until it told them. `in_flight` messages wait for its word. An `anonymous` phone
    can only be known again by its SIMs. `age_s` is how long it is connected.
    """

    phone_id: str
    connection: int
    sims: tuple[SimCard, ...] | None = None
    in_flight: int = 0
    has_room: bool = True
    anonymous: bool = False
    age_s: float = 0.0


def choose(
    message: PhoneMessage,
    candidates: Sequence[Candidate],
    *,
    last_phone_id: str = "",
    first_connected: bool = False,
) -> Candidate | None:
    """Return who is to get a message that no phone got yet; None while nobody can.

    The phone the recipient last spoke with comes first, then the one with the least in flight, then
    the one that is connected longest; with `first_connected` only the last rule holds.
    """
    able = [one for one in candidates if one.has_room and has_sim(one, message.sim)]
    if first_connected:
        return min(able, key=_connected, default=None)
    last = [one for one in able if one.phone_id == last_phone_id]
    return min(last or able, key=lambda one: (one.in_flight, _connected(one)), default=None)


def same_phone(
    message: PhoneMessage,
    pushed_sims: Sequence[SimCard] | None,
    candidates: Sequence[Candidate],
) -> Candidate | None:
    """Return the newer connection of the phone that a message was pushed to, if it is there.

    A phone without a name is known by a SIM's number; an anonymous one that told none, after a
    moment in which it might, is taken for it only where no other phone is connected.
    """
    for one in candidates:
        if one.phone_id == message.phone_id and one.connection > message.connection:
            return one
    if has_name(message.phone_id):
        return None
    anonymous = [one for one in candidates if one.anonymous and one.connection > message.connection]
    numbers = {sim.number for sim in pushed_sims or () if sim.number}
    for one in anonymous:
        if numbers & {sim.number for sim in one.sims or ()}:
            return one
    alone = len(candidates) == 1 and bool(anonymous) and not _may_tell_sims(anonymous[0])
    unknown = alone and not (numbers and _numbers(anonymous[0]))
    return anonymous[0] if unknown else None


def has_sim(candidate: Candidate, sim: Sim | None) -> bool:
    """Tell whether a phone can send with a SIM; one that never told its SIMs is given the chance.

    That is after a moment in which it might tell them.
    """
    if sim is None:
        return True
    if candidate.sims is None:
        return not _may_tell_sims(candidate)
    return any(_is(card, sim) for card in candidate.sims)


def slot_of(sim: Sim) -> int | None:
    """Return the slot that was asked for, None when a number was."""
    if isinstance(sim, int):
        return sim
    return int(sim) if SLOT.fullmatch(sim) else None


def digits(number: str) -> str:
    """Return what numbers are compared by."""
    return "".join(character for character in number if character in "0123456789")


def _may_tell_sims(candidate: Candidate) -> bool:
    return candidate.sims is None and candidate.age_s < SIMS_WAIT_S


def _is(card: SimCard, sim: Sim) -> bool:
    slot = slot_of(sim)
    if slot is not None:
        return card.slot == slot
    return bool(digits(card.number)) and digits(card.number) == digits(str(sim))


def _numbers(candidate: Candidate) -> set[str]:
    return {sim.number for sim in candidate.sims or () if sim.number}


def _connected(candidate: Candidate) -> int:
    return candidate.connection
