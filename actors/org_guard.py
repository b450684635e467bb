"""Who may show a secret for an organisation at all, and how many wrong ones there were.

    arrive ──▶ Visit ──▶ failed | succeeded

Everything is counted in the database: all processes share it, and none forgets it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from signalbox.actors.attempts import Attempts, Failures
from signalbox.actors.trusted_sources import TrustedSources, source_of
from signalbox.domain.errors import OrgIsLocked, TooManyAttempts

if TYPE_CHECKING:
    from signalbox.eventstore.log import EventLog

NO_FAILURES: Final = Failures()


@dataclass(frozen=True, slots=True, kw_only=True)
class OrgLimits:
    """Who may claim, and how many secrets may be tried.

    Without `claimable` every name is. With `lockout` "trusted_source" an address that was let in
    within `trusted_source_s` still is, while strangers try secrets. A secret that was right needs
    not be hashed again for `verified_s`.
    """

    claiming: Literal["open", "closed"] = "open"
    claimable: tuple[str, ...] = ()
    claims_per_ip_max: int = 100
    claims_window_s: float = 3_600
    failures_max: int = 10
    failures_window_s: float = 86_400
    lock_s: float = 300
    lockout: Literal["strict", "trusted_source"] = "strict"
    trusted_source_s: float = 86_400
    failures_per_ip_max: int = 100
    failures_per_ip_window_s: float = 300
    verified_s: float = 300


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody at an address who shows a secret for an organisation."""

    org_id: str
    source: str
    failures: Failures
    """Those for the organisation, so far."""


class OrgGuard:
    """Counts what went wrong. Its methods raise `Unavailable`."""

    def __init__(self, event_log: EventLog, limits: OrgLimits) -> None:
        pool = event_log.pool
        self._log = event_log
        self._limits = limits
        self._by_org = Attempts(pool, limits.failures_window_s)
        self._by_source = Attempts(pool, limits.failures_per_ip_window_s)
        self._claims = Attempts(pool, limits.claims_window_s)
        self._trusted = TrustedSources(pool, limits.trusted_source_s)

    def arrive(self, org_id: str, peer: str) -> Visit:
        """Begin a visit. Raises: `TooManyAttempts` when the address had too many failures."""
        source = source_of(peer)
        org_key, source_key = self._org_key(org_id), self._source_key(source)
        with self._log.turns:
            recent = self._by_org.recent((org_key, source_key))
        of_source = recent.get(source_key, NO_FAILURES)
        if of_source.count >= self._limits.failures_per_ip_max:
            raise TooManyAttempts(of_source.ends_in_s)
        return Visit(org_id, source, recent.get(org_key, NO_FAILURES))

    def require_open(self, visit: Visit) -> None:
        """Raise `OrgIsLocked` for an organisation that is, unless the visitor is exempt."""
        if self._is_locked(visit) and not self._is_exempt(visit):
            raise OrgIsLocked(visit.failures.ends_in_s)

    def failed(self, visit: Visit) -> bool:
        """Count a wrong secret; tell whether that locks the organisation.

        Raises: `OrgIsLocked` when it is locked already: then the address alone is to blame.
        """
        self._by_source.count((self._source_key(visit.source),))
        if self._is_locked(visit):
            raise OrgIsLocked(visit.failures.ends_in_s)
        limits = self._limits
        return self._by_org.count_until(
            limits.failures_max, self._org_key(visit.org_id), lock_s=limits.lock_s
        )

    def succeeded(self, visit: Visit) -> None:
        """Forget the failures, unless they locked it; remember the address."""
        if visit.failures.count:
            self._by_org.clear(self._org_key(visit.org_id), self._limits.failures_max)
        if self._limits.lockout == "trusted_source":
            self._trusted.trust(self._trust_key(visit))

    def count_claim(self, peer: str) -> None:
        """Count a claim. Raises: `TooManyAttempts` when too many were made from the address."""
        self._claims.count_below(self._limits.claims_per_ip_max, self._claims_key(peer))

    def uncount_claim(self, peer: str) -> None:
        """Count a claim less: nothing came of it."""
        self._claims.take_back(self._claims_key(peer))

    def _is_locked(self, visit: Visit) -> bool:
        return visit.failures.count >= self._limits.failures_max

    def _is_exempt(self, visit: Visit) -> bool:
        lenient = self._limits.lockout == "trusted_source"
        return lenient and self._trusted.trusts(self._trust_key(visit))

    def _org_key(self, org_id: str) -> str:
        return self._log.secrets.digest("org secret", org_id)

    def _source_key(self, source: str) -> str:
        return self._log.secrets.digest("org secret from", source)

    def _claims_key(self, peer: str) -> str:
        return self._log.secrets.digest("org claimed from", source_of(peer))

    def _trust_key(self, visit: Visit) -> str:
        return self._log.secrets.digest("org trusts", visit.org_id, visit.source)
