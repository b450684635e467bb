"""Whose servers take the mail of a recipient's domain, and so which grouping it belongs to.

    of("example.com") ──▶ listed? ──▶ MX remembered? ──▶ DNS ──▶ domain.groupings

Found hosts are remembered for their TTL, at least 5 minutes and a day at most. While DNS fails,
what was known before still holds; of a domain that was never known the grouping is its own name,
for the moment. Whoever stores a message stores its grouping too: a replay must not ask DNS.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

import gevent
from dns.exception import DNSException
from dns.rdtypes.ANY.MX import MX
from dns.resolver import NXDOMAIN, NoAnswer, Resolver
from gevent.lock import BoundedSemaphore

from signalbox.domain import groupings

if TYPE_CHECKING:
    from collections.abc import Callable

    from signalbox.domain.groupings import Tables

log = logging.getLogger(__name__)

TTL_S_MIN: Final = 300.0
TTL_S_MAX: Final = 86_400.0
FAILED_S: Final = 30.0  # how long a domain is left alone that DNS gave no answer for
DOMAINS_MAX: Final = 50_000
QUERIES_MAX: Final = 50  # at once
ANSWER_S_MAX: Final = 5.0


class LookupFailed(Exception):  # noqa: N818  named after what happened, as everywhere
    """DNS did not answer, or not properly: nothing is known about the domain."""


@dataclass(frozen=True, slots=True)
class Found:
    """Mail servers, best first; none where a domain has none or wants no mail (RFC 7505)."""

    hosts: tuple[str, ...]
    ttl_s: float


@dataclass(frozen=True, slots=True)
class _Known:
    hosts: tuple[str, ...]
    until_s: float


class DnsLookup:
    """Asks the servers of /etc/resolv.conf, or those that are given."""

    def __init__(
        self,
        nameservers: tuple[str, ...] = (),
        *,
        port: int = 53,
        answer_s_max: float = ANSWER_S_MAX,
    ) -> None:
        self._nameservers = nameservers
        self._port = port
        self._answer_s_max = answer_s_max
        self._resolver: Resolver | None = None

    def __call__(self, domain: str) -> Found:
        """Return the mail servers of a domain. Raises: `LookupFailed`."""
        try:
            answer = self._ready().resolve(f"{domain}.", "MX", lifetime=self._answer_s_max)
        except (NXDOMAIN, NoAnswer):
            return Found((), TTL_S_MIN)
        except (DNSException, OSError, ValueError) as error:
            raise LookupFailed(type(error).__name__) from error
        records = [record for record in answer if isinstance(record, MX)]
        records.sort(key=lambda record: record.preference)
        names = (record.exchange.to_text(omit_final_dot=True) for record in records)
        ttl_s = answer.rrset.ttl if answer.rrset else 0
        return Found(tuple(name.lower() for name in names if name not in {"", ".", "@"}), ttl_s)

    def _ready(self) -> Resolver:
        """Return the resolver; its configuration is read when somebody asks, not at the start."""
        if self._resolver is None:
            resolver = Resolver(configure=not self._nameservers)
            if self._nameservers:
                resolver.nameservers = list(self._nameservers)
                resolver.port = self._port
            self._resolver = resolver
        return self._resolver


class Groupings:
    """Tells the grouping of a domain. One per process."""

    def __init__(
        self,
        look_up: Callable[[str], Found] | None = None,
        tables: Tables | None = None,
        now_s: Callable[[], float] = monotonic,
    ) -> None:
        self._look_up = look_up or DnsLookup()
        self._tables = tables
        self._now_s = now_s
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._asking: dict[str, gevent.Greenlet[..., tuple[str, ...]]] = {}
        self._turns = BoundedSemaphore(QUERIES_MAX)

    def configure(self, tables: Tables) -> None:
        """Take other tables; what DNS said stays remembered."""
        self._tables = tables

    def of(self, domain: str) -> str:
        """Return the grouping; it asks DNS when the domain is not listed, and may wait for it.

        An internationalised domain is expected in its "xn--" form.
        """
        name = domain.rstrip(".").lower()
        listed = groupings.is_listed(name, self._tables)
        return groupings.grouping_of(name, () if listed else self._hosts(name), self._tables)

    def _hosts(self, name: str) -> tuple[str, ...]:
        known = self._known.get(name)
        if known is not None and self._now_s() < known.until_s:
            self._known.move_to_end(name)
            return known.hosts
        asking = self._asking.get(name)
        if asking is None:
            asking = self._asking[name] = gevent.spawn(self._ask, name, known)
        hosts: tuple[str, ...] = asking.get()
        return hosts

    def _ask(self, name: str, known: _Known | None) -> tuple[str, ...]:
        try:
            with self._turns:
                found = self._look_up(name)
        except LookupFailed as error:
            log.info("no answer from DNS", extra={"reason": str(error)})
            return self._remember(name, known.hosts if known else (), FAILED_S)
        finally:
            del self._asking[name]
        return self._remember(name, found.hosts, min(TTL_S_MAX, max(TTL_S_MIN, found.ttl_s)))

    def _remember(self, name: str, hosts: tuple[str, ...], ttl_s: float) -> tuple[str, ...]:
        self._known[name] = _Known(hosts, self._now_s() + ttl_s)
        self._known.move_to_end(name)
        if len(self._known) > DOMAINS_MAX:
            self._known.popitem(last=False)
        return hosts
