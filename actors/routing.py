"""Which link carries a message: the one that was asked for, or another of its pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signalbox.domain import pool as domain
from signalbox.domain.errors import LinkIsDisabled, UnknownLink

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from signalbox.actors.links import Links
    from signalbox.actors.loads import Loads
    from signalbox.domain.pool import Pool


class Pools:
    """The configured pools, by the links in them."""

    def __init__(self, pools: Iterable[Pool] = ()) -> None:
        self.configure(pools)

    def configure(self, pools: Iterable[Pool]) -> None:
        """Take these pools instead of those before."""
        self._of = {link_id: pool for pool in pools for link_id in pool.link_ids}

    def of(self, link_id: int) -> Pool | None:
        """Return the pool of a link, None when it is in none."""
        return self._of.get(link_id)

    def link_ids(self) -> list[int]:
        """Return the links that are in a pool."""
        return list(self._of)


class Routes:
    """Chooses among links by what this process knows of them now."""

    def __init__(self, links: Links, pools: Pools, loads: Loads) -> None:
        self._links = links
        self._pools = pools
        self._loads = loads

    def carrier(self, link_id: int) -> int:
        """Return the link for a new message to `link_id`.

        Raises: `UnknownLink`; `LinkIsDisabled` when it is off, and with it all who could help.
        """
        self._links.link(link_id)
        pool = self._pools.of(link_id)
        if pool is None:
            return link_id
        chosen = domain.choose(pool, link_id, self._members(pool))
        if chosen is None:
            raise LinkIsDisabled(link_id)
        self._loads.add_part(chosen)
        return chosen

    def pool(self, link_id: int) -> Pool | None:
        """Return the pool of a link."""
        return self._pools.of(link_id)

    def elsewhere(self, link_id: int) -> int | None:
        """Return another link that could take a message from `link_id`'s queue at once."""
        pool = self._pools.of(link_id)
        chosen = domain.choose_other(pool, link_id, self._members(pool)) if pool else None
        if chosen is not None:
            self._loads.add_part(chosen)
        return chosen

    def _members(self, pool: Pool) -> Iterator[domain.Member]:
        for link_id in pool.link_ids:
            try:
                link = self._links.link(link_id)
            except UnknownLink:
                continue
            load = self._loads.of(link_id)
            if load is None:
                yield domain.Member(link_id=link_id, enabled=link.enabled)
            else:
                yield domain.Member(
                    link_id=link_id,
                    enabled=link.enabled,
                    bound=load.bound,
                    wait_s=load.wait_s,
                    free_parts=load.free_parts,
                )
