"""Where each message of an owner goes now: over a line of this process, elsewhere, later, nowhere.

Every process with a line of the owner asks the same of the same messages and lines, and comes to
the same answer; where views differ for a moment, the version of the message settles who was first,
and patience who goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from signalbox.actors.phone_line import sim_key
from signalbox.domain.phone_routing import Candidate, choose, has_sim, same_phone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signalbox.actors.phone_feeder import Tracked
    from signalbox.actors.phone_line import HeldLine
    from signalbox.actors.phone_pace import Buckets, InFlight
    from signalbox.actors.phone_registry import Registry
    from signalbox.domain.pacing import TokenBucket
    from signalbox.domain.phone_message import Sim
    from signalbox.domain.phone_rules import PhoneRules


@dataclass(frozen=True, slots=True)
class Go:
    """Push it over this line now."""

    held: HeldLine
    is_same_phone: bool


@dataclass(frozen=True, slots=True)
class Later:
    """Ask again in so many seconds; infinity waits for something to happen."""

    in_s: float = inf


class Choice:
    """One look at an owner's lines, good until one of them changes. Made anew for each.

    `patience_s` is how long a message is left to another process's line.
    """

    def __init__(  # noqa: PLR0913  its parts
        self,
        owner: str,
        rules: PhoneRules,
        registry: Registry,
        in_flight: InFlight,
        buckets: Buckets,
        *,
        now_s: float,
        patience_s: float,
    ) -> None:
        self._rules = rules
        self._in_flight = in_flight
        self._buckets = buckets
        self._now_s = now_s
        self._mono_s = monotonic()
        self._patience_s = patience_s
        self._own = {held.phone_id: held for held in registry.own(owner) if held.is_ready}
        self._others = [
            Candidate(
                phone_id=line.phone_id,
                connection=line.connection,
                sims=line.sims,
                in_flight=in_flight.count(line.key),
                has_room=in_flight.count(line.key) < rules.window,
                anonymous=line.anonymous,
                age_s=now_s - line.connection / 1000,
            )
            for line in registry.others(owner)
            if line.phone_id not in self._own
        ]
        self._known: dict[Sim | None, list[Candidate]] = {}

    @property
    def has_room(self) -> bool:
        """True while a line of this process may take another message."""
        return any(self._has_window(held) for held in self._own.values())

    def place(self, tracked: Tracked) -> Go | Later | None:
        """Return what is to be done with a message; None when no line there is could take it."""
        return self._again(tracked) if tracked.message.attempts else self._first(tracked)

    def _first(self, tracked: Tracked) -> Go | Later | None:
        message = tracked.message
        waited_s = self._mono_s - tracked.since_s
        candidates = self._candidates(message.sim)
        if waited_s >= self._patience_s:
            candidates = [one for one in candidates if one.phone_id in self._own]
        chosen = choose(
            message,
            candidates,
            last_phone_id=tracked.last_phone_id,
            first_connected=self._rules.first_connected,
        )
        if chosen is None:
            return self._later(message.sim, candidates)
        held = self._own.get(chosen.phone_id)
        if held is None:
            self._leave_to(chosen)
            return Later(self._patience_s - waited_s)
        return self._go(held, message.sim, is_same_phone=False)

    def _again(self, tracked: Tracked) -> Go | Later | None:
        """Push it again only to its own phone, over a newer connection, and not too soon."""
        message = tracked.message
        candidates = self._candidates(message.sim)
        same = same_phone(message, tracked.pushed_sims, candidates)
        held = self._own.get(same.phone_id) if same is not None else None
        if held is None:
            return None
        due_in_s = message.pushed_at_s + self._rules.repush_s - self._now_s
        if due_in_s > 0:
            return Later(due_in_s)
        if message.attempts >= self._rules.attempts_max or self._now_s >= message.expires_at_s:
            return Go(held, is_same_phone=True)  # It is given up, which takes no room.
        wait_s = self._wait_s(held, message.sim)
        return Later(wait_s) if wait_s else self._go(held, message.sim, is_same_phone=True)

    def _go(self, held: HeldLine, sim: Sim | None, *, is_same_phone: bool) -> Go:
        self._bucket(held, sim).take(self._mono_s)
        self._known.clear()
        return Go(held, is_same_phone)

    def _leave_to(self, chosen: Candidate) -> None:
        """Reckon with what the process of another line is about to do."""
        in_flight = chosen.in_flight + 1
        busier = replace(chosen, in_flight=in_flight, has_room=in_flight < self._rules.window)
        self._others = [busier if one.phone_id == chosen.phone_id else one for one in self._others]
        self._known.clear()

    def _later(self, sim: Sim | None, candidates: Sequence[Candidate]) -> Later | None:
        """Return when there may be room; None when none of these has the SIM."""
        able = [one for one in candidates if has_sim(one, sim)]
        if not able:
            return None
        own = [self._own[one.phone_id] for one in able if one.phone_id in self._own]
        return Later(min((self._wait_s(held, sim) for held in own), default=inf))

    def _candidates(self, sim: Sim | None) -> list[Candidate]:
        """Return all lines as they are for a message with this wish for a SIM."""
        known = self._known.get(sim)
        if known is None:
            own = [self._candidate(held, sim) for held in self._own.values()]
            known = self._known[sim] = [*own, *self._others]
        return known

    def _candidate(self, held: HeldLine, sim: Sim | None) -> Candidate:
        return Candidate(
            phone_id=held.phone_id,
            connection=held.connection,
            sims=held.sims,
            in_flight=self._in_flight.count(held.key),
            has_room=not self._wait_s(held, sim),
            anonymous=held.anonymous,
            age_s=self._mono_s - held.connected_s,
        )

    def _has_window(self, held: HeldLine) -> bool:
        return self._in_flight.count(held.key) < self._rules.window

    def _wait_s(self, held: HeldLine, sim: Sim | None) -> float:
        """Return in how many seconds a line may take a message; infinity with a full window."""
        return self._bucket(held, sim).wait_s(self._mono_s) if self._has_window(held) else inf

    def _bucket(self, held: HeldLine, sim: Sim | None) -> TokenBucket:
        return self._buckets.of(held.phone_id, sim_key(held.sims, sim), self._rules)
