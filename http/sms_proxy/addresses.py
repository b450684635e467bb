"""From where an application may send: addresses and networks (CIDR), or anywhere.

The list an application was registered with counts, unless the configuration gives it another.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from signalbox.http.errors import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from signalbox.http.context import Request
    from signalbox.http.peer import Peers
    from signalbox.http.sms_proxy.ports import Accounts

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LISTS_REMEMBERED_MAX: Final = 1_024


class AllowedAddresses:
    """`configured` are the networks of applications that the configuration knows."""

    def __init__(
        self, accounts: Accounts, peers: Peers, configured: Mapping[int, tuple[str, ...]]
    ) -> None:
        self._accounts = accounts
        self._peers = peers
        self._configured = configured

    def require(self, req: Request, app_id: int) -> None:
        """Raise `Failure` when the caller's address is none of the application's."""
        allowed_ips = self._allowed_ips(app_id)
        if allowed_ips and not _is_in(self._peers.of(req), _networks(allowed_ips)):
            raise Failure(HTTPStatus.FORBIDDEN, "IP not allowed")

    def _allowed_ips(self, app_id: int) -> tuple[str, ...]:
        configured = self._configured.get(app_id)
        if configured is not None:
            return configured
        app = self._accounts.app(app_id)
        return app.allowed_ips if app else ()


@lru_cache(maxsize=LISTS_REMEMBERED_MAX)
def _networks(allowed_ips: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(network) for network in allowed_ips)


def _is_in(peer: str, networks: tuple[Network, ...]) -> bool:
    try:
        address: Address = ipaddress.ip_address(peer)
    except ValueError:
        return False  # A connection without an address comes from nowhere that is listed.
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = (
            address.ipv4_mapped
        )  # How a server for both families sees IPv4 (RFC 4291, 2.5.5.2).
    return any(address in network for network in networks)
