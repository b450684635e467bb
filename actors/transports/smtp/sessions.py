"""Connections that are kept for the next mail, each for whoever opened it.

Two accounts share a connection only if nothing tells them apart: neither tenant nor TLS nor
password. One that has been silent for a while is asked whether it still listens; one that turns out
to be gone when the next mail begins is replaced, once, since the server has seen nothing of it.
"""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from hashlib import sha256
from time import monotonic
from typing import TYPE_CHECKING, Final

import gevent

from signalbox.actors.transports.smtp.faults import Fault, Stage, Stopped
from signalbox.actors.transports.smtp.session import Session

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from signalbox.actors.transports.smtp.connecting import Endpoint, Means
    from signalbox.actors.transports.smtp.message import Message
    from signalbox.actors.transports.smtp.session import Accepted

log = logging.getLogger(__name__)

SWEEP_S: Final = 5.0
TRUSTED_S: Final = 2.0  # a connection that was used so lately is not asked first


class Sessions:
    """The connections of a process that wait, `idle_max` of them, `idle_per_key_max` of a kind."""

    def __init__(
        self,
        means: Means,
        *,
        idle_per_key_max: int = 5,
        idle_max: int = 200,
        idle_s: float = 30.0,
    ) -> None:
        self._means = means
        self._idle_per_key_max = idle_per_key_max
        self._idle_max = idle_max
        self._idle_s = idle_s
        self._idle: OrderedDict[Hashable, deque[tuple[Session, float]]] = OrderedDict()
        self._sweeper = gevent.spawn(self._sweep)

    def send(self, endpoint: Endpoint, message: Message, ttl_s: float) -> Accepted:
        """Send a mail through a connection no older than `ttl_s`. Raises: `Fault`."""
        kept = self._kept(endpoint)
        if kept is not None:
            try:
                return self._send(kept, message, ttl_s)
            except Fault as fault:
                if not _was_gone(fault):
                    raise
        fresh = Session(endpoint, self._means)
        return self._send(fresh, message, ttl_s)

    @property
    def idle(self) -> int:
        """How many connections wait."""
        return sum(map(len, self._idle.values()))

    def close(self) -> None:
        """End all connections that wait."""
        self._sweeper.kill()
        waiting = [session for kept in self._idle.values() for session, _ in kept]
        self._idle.clear()
        gevent.joinall([gevent.spawn(session.close, politely=True) for session in waiting])

    def _send(self, session: Session, message: Message, ttl_s: float) -> Accepted:
        try:
            return session.send(message)
        finally:
            self._keep(session, ttl_s)

    def _kept(self, endpoint: Endpoint) -> Session | None:
        """Take one that still listens; the one used last first, so that the others can go."""
        kept = self._idle.get(key_of(endpoint))
        while kept:
            session, until_s = kept.pop()
            silent_s = monotonic() - session.used_s
            ask = session.needs_reset or silent_s > TRUSTED_S
            if monotonic() < until_s and (not ask or session.reset()):
                return session
            session.close()
        return None

    def _keep(self, session: Session, ttl_s: float) -> None:
        until_s = session.opened_s + ttl_s
        if session.is_over:
            return
        if monotonic() >= until_s:
            gevent.spawn(session.close, politely=True)
            return
        session.used_s = monotonic()
        kept = self._idle.setdefault(key_of(session.endpoint), deque())
        kept.append((session, until_s))
        if len(kept) > self._idle_per_key_max:
            gevent.spawn(kept.popleft()[0].close, politely=True)
        elif self.idle > self._idle_max:
            self._drop_one()

    def _drop_one(self) -> None:
        longest = max(self._idle.values(), key=len)
        gevent.spawn(longest.popleft()[0].close, politely=True)

    def _sweep(self) -> None:
        while True:
            gevent.sleep(SWEEP_S)
            for session in list(self._past(monotonic())):
                gevent.spawn(session.close, politely=True)

    def _past(self, now_s: float) -> Iterator[Session]:
        for key, kept in list(self._idle.items()):
            for entry in list(kept):
                session, until_s = entry
                if now_s >= min(until_s, session.used_s + self._idle_s):
                    kept.remove(entry)
                    yield session
            if not kept:
                self._idle.pop(key, None)


def _was_gone(fault: Fault) -> bool:
    """True when the server had hung up, or wanted to, before it heard of the mail."""
    at_the_beginning = fault.over and fault.stage == Stage.MAIL and fault.result == "temporary"
    return at_the_beginning and not isinstance(fault, Stopped)


def key_of(endpoint: Endpoint) -> Hashable:
    """Return what a connection is kept under; the password only as its digest."""
    digest = sha256(endpoint.password.encode("utf-8", "surrogatepass")).digest()
    return (
        endpoint.tenant_id,
        endpoint.account_id,
        endpoint.host,
        endpoint.port,
        endpoint.security,
        endpoint.user,
        endpoint.source_ip,
        digest,
    )
