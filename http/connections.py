"""How many connections each address has to this worker; proxies that are trusted don't count."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from signalbox.eventstore import metrics
from signalbox.http.peer import Peers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Connections:
    """Counts up to `per_ip_max` connections of an address; 0 sets no limit.

    `trusted_proxies` are networks (CIDR).
    """

    def __init__(self, per_ip_max: int, trusted_proxies: Sequence[str]) -> None:
        self._per_ip_max = per_ip_max
        self.peers = Peers(trusted_proxies)
        self._open: Counter[str] = Counter()

    @contextmanager
    def counted(self, peer: str) -> Iterator[bool]:
        """Count a connection while in here; tell whether there was room for it."""
        if not self._per_ip_max or self.peers.trusts(peer):
            yield True
            return
        self._open[peer] += 1
        has_room = self._open[peer] <= self._per_ip_max
        if not has_room:
            metrics.LIMITED.labels("connections").inc()
        try:
            yield has_room
        finally:
            self._open[peer] -= 1
            if not self._open[peer]:
                del self._open[peer]
