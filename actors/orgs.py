"""Organisations: claimed by whoever comes first, entered by whoever knows the secret.

    authenticate ──▶ the owner, or None while nobody claimed it
    claim ──▶ OrgClaimed; who comes second is let in if it knows the same secret

Too many wrong secrets lock an organisation for a while: `OrgLocked`. Nobody new is let in then;
connections that are open stay open.
"""

from __future__ import annotations

import hmac
import logging
import os
from time import monotonic
from typing import TYPE_CHECKING, Final

import gevent

from signalbox.actors.memory import Memory
from signalbox.actors.org_guard import OrgGuard, OrgLimits
from signalbox.actors.streams import Streams
from signalbox.actors.turns import Turns
from signalbox.domain import org as domain
from signalbox.domain.errors import InvalidField, WrongSecret
from signalbox.eventstore import metrics
from signalbox.eventstore.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from signalbox.actors.org_guard import Visit
    from signalbox.actors.passwords import Passwords
    from signalbox.domain.names import Event
    from signalbox.domain.org import Org
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog

__all__ = ["OrgLimits", "Orgs"]

log = logging.getLogger(__name__)

REMEMBERED_MAX: Final = 10_000
LOCK_RETRY_S: Final = 5.0
BY: Final = "gateway"


class Orgs:
    """Everything about who may act for an organisation. Its methods raise `Unavailable`."""

    def __init__(
        self,
        event_log: EventLog,
        journal: Journal,
        limits: OrgLimits,
        passwords: Passwords,
        now_s: Callable[[], float] = monotonic,
    ) -> None:
        self._journal = journal
        self._limits = limits
        self._passwords = passwords
        self._now_s = now_s
        self._guard = OrgGuard(event_log, limits)
        self._streams: Streams[Org | None] = Streams(event_log, journal, None, _evolve)
        self._key = os.urandom(32)
        self._turns: Turns[bytes] = Turns()
        self._verified_until_s: Memory[bytes, float] = Memory(REMEMBERED_MAX, absence_s=0.0)

    def authenticate(self, org_id: str, secret: str, *, peer: str) -> str | None:
        """Return the owner that an organisation is; None while nobody claimed it.

        `peer` is the caller's IP address.

        Raises:
            TooManyAttempts: too many wrong secrets came from this address.
            OrgIsLocked: too many came for this organisation.
            WrongSecret: this is one.
        """
        visit = self._guard.arrive(org_id, peer)
        org = self._find(org_id)
        if org is None:
            return None
        self._guard.require_open(visit)
        if not self._is_verified(org_id, secret):
            with self._turns.of(self._digest(org_id, secret)):
                visit = self._verify(org, secret, visit, peer)
        self._guard.succeeded(visit)
        return domain.owner_of(org_id)

    def claim(self, org_id: str, secret: str, *, peer: str, request_id: str = "") -> str:
        """Make an organisation known by a secret; return the owner it is. Stored on return.

        Raises:
            InvalidField: nothing can be claimed with such a secret.
            WrongSecret: it can't be claimed, or was meanwhile, with another secret.
            TooManyAttempts: too many were claimed from this address.
            OrgIsLocked: it was claimed meanwhile, and locked.
        """
        if domain.SECRET.fullmatch(secret) is None:
            raise InvalidField("secret_key", "expected 12 to 50 printable ASCII characters")
        self._require_claimable(org_id)
        self._guard.count_claim(peer)
        is_claimed = False
        try:
            claim = domain.Claim(self._passwords.hash(secret))
            is_claimed = bool(self._decide(org_id, claim, request_id))
        finally:
            if not is_claimed:
                self._guard.uncount_claim(peer)
        if is_claimed:
            self._remember(org_id, secret)
        owner = self.authenticate(org_id, secret, peer=peer)
        assert owner is not None, "somebody claimed it"
        return owner

    def _verify(self, org: Org, secret: str, visit: Visit, peer: str) -> Visit:
        """Compare a secret, and count it if it is wrong. Raises: as `authenticate`."""
        org_id = visit.org_id
        if self._is_verified(org_id, secret):
            return visit  # By somebody who was before this one.
        if not self._matches(org, secret):
            if self._guard.failed(visit):
                metrics.ORGS_LOCKED.inc()
                log.warning("organisation locked", extra={"owner": domain.owner_of(org_id)})
                self._tell_lock(org_id, self._journal.now().timestamp() + self._limits.lock_s)
            raise WrongSecret
        # Guesses that ran at the same time as this one may have used up the attempts.
        visit = self._guard.arrive(org_id, peer)
        self._guard.require_open(visit)
        self._remember(org_id, secret)
        return visit

    def _require_claimable(self, org_id: str) -> None:
        limits = self._limits
        if limits.claiming == "closed" or (limits.claimable and org_id not in limits.claimable):
            raise WrongSecret

    def _find(self, org_id: str) -> Org | None:
        stream_id = domain.stream_of(org_id)
        # Another process may have seen it claimed before this one hears of it.
        return self._streams.remembered(stream_id) or self._streams.newest(stream_id)

    def _matches(self, org: Org, secret: str) -> bool:
        """Compare; what nobody could have claimed with is not worth the time."""
        possible = domain.SECRET.fullmatch(secret) is not None
        return possible and self._passwords.matches(secret, org.secret_hash)

    def _is_verified(self, org_id: str, secret: str) -> bool:
        digest = self._digest(org_id, secret)
        until_s = self._verified_until_s.get(digest, lambda: None)
        return until_s is not None and self._now_s() < until_s

    def _remember(self, org_id: str, secret: str) -> None:
        digest, until_s = self._digest(org_id, secret), self._now_s() + self._limits.verified_s
        self._verified_until_s.forget(digest)
        self._verified_until_s.get(digest, lambda: until_s)

    def _digest(self, org_id: str, secret: str) -> bytes:
        text = f"{org_id}\0{secret}".encode(errors="surrogatepass")
        return hmac.digest(self._key, text, "sha256")

    def _tell_lock(self, org_id: str, until_s: float) -> None:
        """Store that an organisation is locked: if that can't be now, then while it is."""
        try:
            self._decide(org_id, domain.Lock(until_s))
        except Unavailable as error:
            log.warning("lock of an organisation is not stored", extra={"error": error.reason})
            if self._journal.now().timestamp() < until_s:
                gevent.spawn_later(LOCK_RETRY_S, self._tell_lock, org_id, until_s)

    def _decide(
        self, org_id: str, command: domain.Command, request_id: str = ""
    ) -> Sequence[Event]:
        owner = domain.owner_of(org_id)
        return self._streams.change(
            domain.stream_of(org_id),
            lambda org, at_s: domain.decide(org, command, at_s),
            tenant_id=owner,
            by=owner if request_id else BY,
            request_id=request_id,
        )


def _evolve(org: Org | None, event: Event, _at_s: float) -> Org:
    assert isinstance(event, domain.Event), event
    return domain.evolve(org, event)
