"""Who is on the other end of the connection, seen through proxies that are trusted."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from signalbox.http.context import Request


class Peers:
    """`trusted_proxies` are networks (CIDR) whose X-Forwarded-For is believed."""

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        self._trusted = [ipaddress.ip_network(network) for network in trusted_proxies]

    def of(self, req: Request) -> str:
        """Return the address nearest to us that is not one of our proxies."""
        return self.seen_in(req.env)

    def seen_in(self, env: Mapping[str, Any]) -> str:
        """Return it for a WSGI environment."""
        peer: str = env.get("REMOTE_ADDR", "")
        hops = env.get("HTTP_X_FORWARDED_FOR", "").split(",") if self._trusted else []
        for hop in reversed(hops):
            if not self.trusts(peer) or not _is_address(hop.strip()):
                break
            peer = hop.strip()
        return peer

    def trusts(self, peer: str) -> bool:
        """Tell whether this address is a proxy's."""
        return _is_address(peer) and any(ipaddress.ip_address(peer) in n for n in self._trusted)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
