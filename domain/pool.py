"""Links that stand in for each other: which one of a pool takes a message.

The link that was asked for carries the message while it is fit: switched on, bound, and with a
queue short enough. Otherwise the fit member with the most room does; a balanced pool gives every
message to that one. When none is fit the message waits where it was sent, or, should that link be
switched off, at the member whose queue is the shortest.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A named set of links whose texts look the same on the air.

    A member is left alone when a message would wait there longer than `queue_wait_s_max`, or once
    it has been down for `failover_after_s`.
    """

    name: str
    link_ids: tuple[int, ...]
    queue_wait_s_max: float = 5.0
    failover_after_s: float = 1.0
    balance: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A link as it is now: `wait_s` is how long a new part would wait, `free_parts` the room."""

    link_id: int
    enabled: bool
    bound: bool = False
    wait_s: float = 0.0
    free_parts: int = 0


def choose(pool: Pool, requested_id: int, members: Iterable[Member]) -> int | None:
    """Return the link that takes a message sent to `requested_id`; None when all are off."""
    on = {member.link_id: member for member in members if member.enabled}
    fit = [member for member in on.values() if _is_fit(pool, member)]
    requested = on.get(requested_id)
    if not pool.balance and requested in fit:
        return requested_id
    if fit:
        return _roomiest(fit).link_id
    if requested is not None:
        return requested_id
    return min(on.values(), key=lambda one: (one.wait_s, one.link_id)).link_id if on else None


def choose_other(pool: Pool, link_id: int, members: Iterable[Member]) -> int | None:
    """Return the fit member with the most room that is not `link_id`; None when there is none."""
    others = [m for m in members if m.link_id != link_id and m.enabled and _is_fit(pool, m)]
    return _roomiest(others).link_id if others else None


def _is_fit(pool: Pool, member: Member) -> bool:
    return member.bound and member.wait_s <= pool.queue_wait_s_max


def _roomiest(members: list[Member]) -> Member:
    return max(members, key=lambda one: (one.free_parts, -one.wait_s, -one.link_id))
