"""Which addresses proved lately that they know a secret; rows, since all processes share them.

An address of IPv6 stands for the /64 it is in: its owner has all of that.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from signalbox.actors.directory import store

if TYPE_CHECKING:
    from signalbox.eventstore.postgres import Pool

REFRESH_SHARE: Final = 24  # a row is written again only when this part of its time is over
NETWORK_BITS: Final = 64

_TRUST: Final = """
    INSERT INTO signalbox.trusted_sources AS t (key, trusted_until)
    VALUES (%(key)s, clock_timestamp() + make_interval(secs => %(ttl_s)s))
    ON CONFLICT (key) DO UPDATE SET trusted_until = excluded.trusted_until
        WHERE t.trusted_until
            < excluded.trusted_until - make_interval(secs => %(ttl_s)s::float / %(share)s)
"""
_PRUNE: Final = """
    DELETE FROM signalbox.trusted_sources WHERE key IN (
        SELECT key FROM signalbox.trusted_sources WHERE trusted_until < clock_timestamp()
        FOR UPDATE SKIP LOCKED)
"""
_TRUSTED: Final = """
    SELECT 1 FROM signalbox.trusted_sources WHERE key = %s AND trusted_until > clock_timestamp()
"""


class TrustedSources:
    """Keys of addresses, each trusted for `ttl_s` seconds. Its methods raise `Unavailable`."""

    def __init__(self, pool: Pool, ttl_s: float) -> None:
        self._pool = pool
        self._ttl_s = ttl_s

    def trust(self, key: str) -> None:
        """Note that it has just proved itself."""
        trusted = {"key": key, "ttl_s": self._ttl_s, "share": REFRESH_SHARE}
        with store(), self._pool.connection() as connection:
            connection.execute(_PRUNE)
            connection.execute(_TRUST, trusted)

    def trusts(self, key: str) -> bool:
        """Tell whether it did within its time."""
        with store(), self._pool.connection() as connection:
            return connection.execute(_TRUSTED, (key,)).fetchone() is not None


def source_of(peer: str) -> str:
    """Return what an address is known by.

    >>> source_of("2001:db8:1:2:3:4:5:6"), source_of("::ffff:192.0.2.1"), source_of("")
    ('2001:db8:1:2::/64', '192.0.2.1', '')
    """
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return peer  # Of a socket in the file system.
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    mapped = address.ipv4_mapped
    return str(mapped or ipaddress.ip_network((address, NETWORK_BITS), strict=False))
