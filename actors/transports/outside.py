"""Connections to hosts that somebody else named: never to our own side of the network.

    host ──▶ resolved once ──▶ every address judged ──▶ a connection to one of just these addresses

A name is not asked for a second time, so an answer that changes in between (DNS rebinding) changes
nothing; certificate and Host header are still those of the name. How the host is spelt (decimal,
octal, hexadecimal) does not matter either: the resolver reads it, and what it read is judged. The
registries: RFC 6890, RFC 6052 (NAT64); `ipaddress` alone takes some of it for global.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from time import monotonic
from typing import TYPE_CHECKING, Final

import gevent
from gevent.lock import Semaphore
from gevent.monkey import get_original
from gevent.threadpool import ThreadPool

from signalbox.actors.threads import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

NAT64: Final = ip_network("64:ff9b::/96")
GLOBAL_UNICAST: Final = ip_network("2000::/3")
TUNNELS: Final = (ip_network("2002::/16"), ip_network("2001::/32"))  # 6to4, Teredo
METADATA: Final = (IPv4Address("168.63.129.16"),)  # of Azure: global, and yet inside
RESOLVE_S: Final = 5.0
THREAD_S: Final = 2.0  # of these: how long a look-up may wait to begin
SILENT_S: Final = 60.0  # how long a host that could not be looked up in time is not tried again
SILENT_MAX: Final = 10_000  # hosts
ADDRESSES_MAX: Final = 4  # tried one after the other
THREADS: Final = 32  # each is busy for half a minute where a name server is silent

_getaddrinfo = get_original("socket", "getaddrinfo")

Address = IPv4Address | IPv6Address


@dataclass(eq=False)
class NotOutside(Exception):  # noqa: N818  named after what was found
    """The host has an address that is not to be connected to."""

    def __str__(self) -> str:
        return "address not allowed"


@dataclass(eq=False)
class Unresolved(Exception):  # noqa: N818  same
    """Nobody knows where the host is, now."""

    reason: str

    def __str__(self) -> str:
        return f"host not found: {self.reason}"


@dataclass(eq=False)
class NoThread(Unresolved):
    """Nobody looked for the host: too many other look-ups hang."""

    reason: str = "too many look-ups"


class Resolver:
    """Asks the system's resolver, in threads of its own.

    Whoever names a host may let its name server hang: that must not hold up any other look-up.
    """

    def __init__(self) -> None:
        self._threads = ThreadPool(THREADS)
        self._free = Semaphore(THREADS)

    def __call__(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host, best first.

        Raises: `NoThread`, `OSError`, `UnicodeError`.
        """
        if not self._free.acquire(timeout=THREAD_S):  # The pool itself takes one too many.
            raise NoThread
        ask = partial(_getaddrinfo, host, port, 0, socket.SOCK_STREAM)
        look_up = self._threads.spawn(Outcome, ask)
        look_up.rawlink(lambda _: self._free.release())
        return list(dict.fromkeys(str(address[0]) for *_, address in look_up.get().get()))


class Outside:
    """What may be connected to: the world, and the networks an operator adds to it (CIDR)."""

    def __init__(
        self,
        allowed_networks: Iterable[str] = (),
        resolve: Callable[[str, int], Sequence[str]] | None = None,
    ) -> None:
        self._allowed = tuple(ip_network(network) for network in allowed_networks)
        self._resolve = resolve or Resolver()
        self._silent_until_s: OrderedDict[str, float] = OrderedDict()

    def addresses(self, host: str, port: int) -> list[str]:
        """Resolve a host and return where to connect to: these addresses and no others.

        Raises:
            NotOutside: one of its addresses is not allowed, whatever the others are.
            Unresolved: it has none, or nobody answered in time, now or a moment ago.
            NoThread: nobody was asked.
        """
        found = [ip_address(address) for address in self._answer(host, port)]
        if not found:
            raise Unresolved("no address")
        if not all(self.allows(address) for address in found):
            raise NotOutside
        return [str(address) for address in found[:ADDRESSES_MAX]]

    def allows(self, address: Address) -> bool:
        """True for an address of the world, or of a network the operator lists."""
        plain = _embedded(address)
        return _is_of_the_world(plain) or any(plain in network for network in self._allowed)

    def _answer(self, host: str, port: int) -> Sequence[str]:
        if monotonic() < self._silent_until_s.get(host, 0.0):
            raise Unresolved("no answer")
        try:
            with gevent.Timeout(RESOLVE_S):
                return self._resolve(host, port)
        except gevent.Timeout:
            self._note_silence(host)
            raise Unresolved("no answer") from None
        except (OSError, UnicodeError) as error:
            raise Unresolved(str(error)) from error

    def _note_silence(self, host: str) -> None:
        """Ask no more for a while: a thread may still wait for the answer, after its asker left."""
        self._silent_until_s[host] = monotonic() + SILENT_S
        self._silent_until_s.move_to_end(host)
        if len(self._silent_until_s) > SILENT_MAX:
            self._silent_until_s.popitem(last=False)


def _embedded(address: Address) -> Address:
    """Return the IPv4 address that is reached in the end, where there is one in it."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in NAT64 else address


def _is_of_the_world(address: Address) -> bool:
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, IPv4Address):
        return address not in METADATA
    return address in GLOBAL_UNICAST and not any(address in tunnel for tunnel in TUNNELS)
