"""Addresses that send for each other: in which order a pool's members are asked.

    warming, least of its target used first ──▶ warm, by turns ──▶ the overflow pool, likewise

Mail that can't wait asks the warm ones first. What nobody takes is deferred, fails, or goes over
the target, as the pool says. The order is Halon's: an address that is warmed up gets all that its
day allows before others do.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import gcd
from typing import Final, Literal

Policy = Literal["defer", "exceed", "fail"]

_GOLDEN: Final = 0.618  # a step of this share of a round spreads every member's turns


@dataclass(frozen=True, slots=True, kw_only=True)
class IpPool:
    """A named list of addresses; `weights` are theirs among the warm ones, empty: all alike.

    `overflow` names the pool that is asked when nobody here takes it; that one's own is not.
    """

    name: str
    ips: tuple[str, ...]
    weights: tuple[int, ...] = ()
    overflow: str = ""
    policy: Policy = "defer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An address as it is now for a grouping; a `target` of None: nothing limits it."""

    ip: str
    target: int | None = None
    used: int = 0


def order(pool: IpPool, members: Iterable[Member], turn: int, *, urgent: bool) -> list[Member]:
    """Return the members in the order they are to be asked; `turn` counts the questions."""
    known = {one.ip: one for one in members}
    warming = sorted(
        (one for one in known.values() if one.target is not None),
        key=lambda one: one.used / max(1, one.target or 0),
    )
    # Whoever may not send now keeps its turns, so that those of the others stay where they are.
    warm = [known[ip] for ip in in_turn(pool, turn) if ip in known and known[ip].target is None]
    return warm + warming if urgent else warming + warm


def in_turn(pool: IpPool, turn: int) -> list[str]:
    """Return the addresses from the one whose turn it is, each as often first as its weight."""
    weights: Sequence[int] = pool.weights or [1] * len(pool.ips)
    ends = list(accumulate(weights))
    step = max(1, int(ends[-1] * _GOLDEN))
    while gcd(step, ends[-1]) != 1:
        step += 1
    place = turn * step % ends[-1]
    first = next(index for index, end in enumerate(ends) if place < end)
    return [*pool.ips[first:], *pool.ips[:first]]
