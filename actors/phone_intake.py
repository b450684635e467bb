"""How a message of a phone comes into the log: its own event and all that goes with it, at once.

One append has the messages, the rows of those that wait for a phone, the numbers where the owner's
messages have them, and what sees to it that nothing is taken twice (domain/once.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import gevent

from signalbox.actors.ids import uuid7
from signalbox.actors.phone_pending import KIND
from signalbox.domain import once
from signalbox.domain import phone_message as domain
from signalbox.domain.once import OnceDone
from signalbox.domain.text import choose_encoding, count_parts
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.journal import Append, Write
from signalbox.eventstore.recorder import InboxRow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gevent.event import AsyncResult

    from signalbox.actors.numbering import Numbering
    from signalbox.actors.streams import Asked
    from signalbox.domain.phone_message import Sim
    from signalbox.domain.phone_rules import PhoneRules
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog

STORED_SLACK_S: Final = 1.0  # beyond what the journal itself allows


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundRequest:
    """A text somebody sends, checked by the surface it came through."""

    to: str
    text: str
    sim: Sim | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundRequest:
    """A text that a phone got; two of an owner with the same `same` are one."""

    sender: str
    text: str
    phone_id: str
    received_at_s: float
    same: tuple[str, ...]
    device_ts_ms: int | None = None
    sim_slot: int | None = None
    sim_number: str = ""


@dataclass(frozen=True, slots=True)
class Guard:
    """The version of a stream that only one of several who ask for the same can append."""

    stream_id: str
    version: int
    fingerprint: str

    def done(self, owner: str, keys: Sequence[str]) -> Write:
        """Return the write that says which messages it became."""
        done = OnceDone(tuple(keys), self.fingerprint)
        return Write(self.stream_id, self.version, (done,), owner)


class Intake:
    """Appends messages. Its methods return their keys, in order, once they are stored.

    They raise `Conflict` when somebody else was first with a number or a guard, `Unavailable`, and
    `TenantErased`.
    """

    def __init__(self, log: EventLog, journal: Journal, numbering: Numbering) -> None:
        self._secrets = log.secrets
        self._journal = journal
        self._numbering = numbering

    def queue(
        self,
        asked: Asked,
        requests: Sequence[OutboundRequest],
        rules: PhoneRules,
        guard: Guard | None,
    ) -> list[str]:
        """Take texts on that somebody sends."""
        owner, now_s = asked.tenant_id, self._now_s()

        def make(keys: Sequence[str]) -> Append:
            streams = [domain.stream_of(owner, key) for key in keys]
            writes = [
                self._write(stream, self._queued(owner, one, key, rules, now_s), now_s)
                for stream, one, key in zip(streams, requests, keys, strict=True)
            ]
            guards = [guard.done(owner, keys)] if guard else []
            inbox = [InboxRow(domain.inbox_of(owner), KIND, stream) for stream in streams]
            return self._append_of(asked, [*writes, *guards], inbox)

        return self._store(asked, len(requests), rules, make)

    def receive(
        self, asked: Asked, inbound: Mapping[str, InboundRequest], rules: PhoneRules
    ) -> list[str]:
        """Take texts that came in, each under the stream that keeps it from coming twice."""
        owner, now_s = asked.tenant_id, self._now_s()

        def make(keys: Sequence[str]) -> Append:
            writes = []
            for (guard, one), key in zip(inbound.items(), keys, strict=True):
                command = self._received(owner, one, key, rules)
                writes.append(self._write(domain.stream_of(owner, key), command, now_s))
                writes.append(Guard(guard, 1, "").done(owner, (key,)))
            return self._append_of(asked, writes)

        return self._store(asked, len(inbound), rules, make)

    def request_guard(
        self, owner: str, idempotency_key: str, requests: Sequence[OutboundRequest]
    ) -> tuple[str, str]:
        """Return the stream that guards a request, and what tells it from another one."""
        stream_id = once.stream_of(self._secrets.digest("request of", owner, idempotency_key))
        sims = ["" if one.sim is None else str(one.sim) for one in requests]
        parts = [
            part
            for one, sim in zip(requests, sims, strict=True)
            for part in (one.to, one.text, sim)
        ]
        return stream_id, self._secrets.digest("requests", *parts)

    def inbound_guard(self, owner: str, inbound: InboundRequest) -> str:
        """Return the stream that guards a text which came in."""
        return once.stream_of(self._secrets.digest("inbound", owner, *inbound.same))

    def _queued(
        self, owner: str, request: OutboundRequest, key: str, rules: PhoneRules, now_s: float
    ) -> domain.QueueOutbound:
        return domain.QueueOutbound(
            owner=owner,
            to=request.to,
            text=request.text,
            segments=count_parts(request.text, choose_encoding(request.text, "gsm7"), "udh8"),
            expires_at_s=now_s + rules.ttl_s,
            peer_digest=self._peer_digest(owner, request.to),
            number=int(key) if rules.numbered else 0,
            sim=request.sim,
        )

    def _received(
        self, owner: str, inbound: InboundRequest, key: str, rules: PhoneRules
    ) -> domain.ReceiveInbound:
        return domain.ReceiveInbound(
            owner=owner,
            sender=inbound.sender,
            text=inbound.text,
            phone_id=inbound.phone_id,
            received_at_s=inbound.received_at_s,
            peer_digest=self._peer_digest(owner, inbound.sender),
            number=int(key) if rules.numbered else 0,
            device_ts_ms=inbound.device_ts_ms,
            sim_slot=inbound.sim_slot,
            sim_number=inbound.sim_number,
        )

    def _peer_digest(self, owner: str, peer: str) -> str:
        return self._secrets.digest("peer", owner, domain.comparable(peer))

    def _write(
        self, stream_id: str, command: domain.QueueOutbound | domain.ReceiveInbound, now_s: float
    ) -> Write:
        return Write(stream_id, 1, domain.decide(None, command, now_s), command.owner)

    def _append_of(
        self, asked: Asked, writes: Sequence[Write], inbox: Sequence[InboxRow] = ()
    ) -> Append:
        return Append(
            writes=writes,
            by=asked.by,
            request_id=asked.request_id,
            inbox=inbox,
            wait_s=self._journal.wait_s_max,
        )

    def _store(
        self, asked: Asked, count: int, rules: PhoneRules, make: Callable[[Sequence[str]], Append]
    ) -> list[str]:
        keys: list[str] = []

        def numbered(numbers: range) -> Append:
            keys.extend(map(str, numbers))
            return make(keys)

        if rules.numbered:
            result = self._numbering.append(asked.tenant_id, count, numbered)
        else:
            keys.extend(uuid7().hex for _ in range(count))
            result = self._journal.append(make(keys))
        self._wait(result)
        return keys

    def _wait(self, result: AsyncResult) -> None:
        try:
            result.get(timeout=self._journal.wait_s_max + STORED_SLACK_S)
        except gevent.Timeout:
            raise Unavailable("store does not answer") from None

    def _now_s(self) -> float:
        return self._journal.now().timestamp()
