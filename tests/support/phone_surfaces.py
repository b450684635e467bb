"""The gateway below the surfaces of phones: the domain's decisions, kept in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Final

from signalbox.actors.phone_messages import Received
from signalbox.actors.webhooks import Configured
from signalbox.domain import phone_message as messages
from signalbox.domain import webhook as webhooks
from signalbox.domain.errors import UnknownPhoneMessage
from signalbox.eventstore.errors import Unavailable
from signalbox.projections.phone_views import PhoneMessageView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from signalbox.actors.phone_line import Line, LineEnd
    from signalbox.actors.phone_messages import InboundRequest, OutboundRequest
    from signalbox.domain.phone import Lost, SimCard
    from signalbox.domain.phone_message import PhoneMessage, ReportStatus
    from signalbox.domain.webhook import Webhook

BODY_OCTETS_MAX: Final = 1_048_576
NOW_S: Final = 1_776_695_400.0  # 2026-04-20T14:30:00Z


class Store:
    """The clock of all that is kept, and whether it can be reached."""

    def __init__(self) -> None:
        self.now_s = NOW_S
        self.away = False

    def require(self) -> None:
        if self.away:
            raise Unavailable("host 10.0.0.1 is down", retry_after_s=3)


class FakeMessages:
    """Messages by their owners and keys; those of who numbers them have their numbers for keys."""

    def __init__(self, store: Store, *, is_numbered: bool, lifetime_s: float) -> None:
        self._store = store
        self._is_numbered = is_numbered
        self._lifetime_s = lifetime_s
        self.found: dict[tuple[str, str], PhoneMessage] = {}
        self.once: dict[tuple[str, ...], list[str]] = {}
        self.asked_by: list[str] = []
        self.reports: list[ReportStatus] = []
        self.refuse: Exception | None = None

    def queue(
        self,
        owner: str,
        requests: Sequence[OutboundRequest],
        *,
        by: str,
        request_id: str = "",
        idempotency_key: str = "",
    ) -> list[str]:
        assert request_id
        self._ask(by)
        if idempotency_key and (owner, idempotency_key) in self.once:
            return self.once[owner, idempotency_key]
        keys = [self._queue(owner, one) for one in requests]
        self.once[owner, idempotency_key] = keys
        return keys

    def receive(
        self, owner: str, inbound: Sequence[InboundRequest], *, by: str, request_id: str = ""
    ) -> list[Received]:
        assert isinstance(request_id, str)
        self._ask(by)
        return [self._receive(owner, one) for one in inbound]

    def report(
        self, owner: str, key: str, report: ReportStatus, *, by: str, request_id: str = ""
    ) -> None:
        assert isinstance(request_id, str)
        self._ask(by)
        self._decide(owner, key, report)
        self.reports.append(report)

    def push(self, owner: str, key: str, phone_id: str) -> None:
        """Note that a phone is about to get it."""
        command = messages.PushOutbound(phone_id=phone_id, connection=1, is_same_phone=True)
        self._decide(owner, key, command)

    def of(self, owner: str) -> list[tuple[str, PhoneMessage]]:
        """Return an owner's messages with their keys, the oldest first."""
        self._store.require()
        return [(key, one) for (whose, key), one in self.found.items() if whose == owner]

    def _ask(self, by: str) -> None:
        self._store.require()
        self.asked_by.append(by)
        if self.refuse is not None:
            raise self.refuse

    def _queue(self, owner: str, one: OutboundRequest) -> str:
        key, number = self._next(owner)
        command = messages.QueueOutbound(
            owner=owner,
            to=one.to,
            text=one.text,
            segments=1,
            expires_at_s=self._store.now_s + self._lifetime_s,
            peer_digest="",
            number=number,
            sim=one.sim,
        )
        self._decide(owner, key, command)
        return key

    def _receive(self, owner: str, one: InboundRequest) -> Received:
        if (owner, *one.same) in self.once:
            return Received(self.once[owner, *one.same][0], is_new=False)
        key, number = self._next(owner)
        command = messages.ReceiveInbound(
            owner=owner,
            sender=one.sender,
            text=one.text,
            phone_id=one.phone_id,
            received_at_s=min(one.received_at_s, self._store.now_s),
            peer_digest="",
            number=number,
            device_ts_ms=one.device_ts_ms,
            sim_slot=one.sim_slot,
            sim_number=one.sim_number,
        )
        self._decide(owner, key, command)
        self.once[owner, *one.same] = [key]
        return Received(key, is_new=True)

    def _next(self, owner: str) -> tuple[str, int]:
        """Return the key and the number of the owner's next message."""
        if self._is_numbered:
            number = len(self.of(owner)) + 1
            return str(number), number
        return f"{len(self.found) + 1:032x}", 0

    def _decide(self, owner: str, key: str, command: messages.Command) -> None:
        if (message := self.found.get((owner, key))) is None and not isinstance(
            command, messages.QueueOutbound | messages.ReceiveInbound
        ):
            raise UnknownPhoneMessage
        for event in messages.decide(message, command, self._store.now_s):
            message = messages.evolve(message, event, self._store.now_s)
        assert message
        self.found[owner, key] = message


def view_of(key: str, one: PhoneMessage) -> PhoneMessageView:
    """Return what the read model has of a message."""
    return PhoneMessageView(
        key=key,
        number=one.number,
        direction=one.direction,
        peer=one.peer,
        text=one.text,
        status=one.status,
        accepted_at_s=one.accepted_at_s,
        received_at_s=one.received_at_s,
        sent_at_s=one.sent_at_s,
        delivered_at_s=one.delivered_at_s,
        device_ts_ms=one.device_ts_ms,
        sim_slot=one.sim_slot,
        sim_number=one.sim_number,
        sim=one.sim,
        phone_id=one.phone_id,
        error=one.error,
        attempts=one.attempts,
        archived=one.archived,
    )


@dataclass(eq=False)
class FakeLiveLine:
    """A connection."""

    owner: str
    phone_id: str
    connection: int
    line: Line
    anonymous: bool = False
    seen_at_s: float = NOW_S
    said: list[str] = field(default_factory=list)
    sims: tuple[SimCard, ...] | None = None
    lost: Lost | None = None
    refuse: Exception | None = None

    def report_sims(self, sims: Sequence[SimCard]) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.said.append(f"{len(sims)} SIMs")
        self.sims = tuple(sims)

    def ready(self) -> None:
        self.said.append("ready")

    def disconnect(self, reason: Lost) -> None:
        assert self.lost is None
        self.lost = reason

    def end(self, reason: LineEnd) -> None:
        self.line.end(reason)


class FakeLines:
    """The connections of phones, each with its socket; `before` is done before one is there."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.lines: list[FakeLiveLine] = []
        self.refuse: Exception | None = None
        self.before: Callable[[], None] = lambda: None

    def connect(
        self,
        owner: str,
        phone_id: str,
        line: Line,
        *,
        anonymous: bool = False,
        by: str = "",
        request_id: str = "",
    ) -> FakeLiveLine:
        assert by
        assert request_id
        self.before()
        self._store.require()
        if self.refuse is not None:
            raise self.refuse
        live = FakeLiveLine(owner, phone_id, len(self.lines) + 1, line, anonymous)
        self.lines.append(live)
        return live

    def online(self, owner: str) -> list[FakeLiveLine]:
        self._store.require()
        return [one for one in self.lines if one.owner == owner and one.lost is None]


class FakeWebhooks:
    """Webhooks."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.found: dict[str, Webhook] = {}
        self._secrets = count(1)

    def configure(
        self,
        owner: str,
        url: str,
        kinds: Iterable[str] = webhooks.KINDS,
        *,
        new_secret: bool = False,
        by: str = "",
        request_id: str = "",
    ) -> Configured:
        assert by
        assert request_id
        self._store.require()
        before = self.found.get(owner)
        is_new = before is None or new_secret
        secret = f"whsec_{next(self._secrets)}" if is_new else ""
        command = webhooks.ConfigureWebhook(
            url=url, secret_sealed=secret or (before.secret_sealed if before else ""),
            kinds=frozenset(kinds),
        )  # fmt: skip
        for event in webhooks.decide(before, command):
            before = webhooks.evolve(before, event)
        assert before
        self.found[owner] = before
        return Configured(before, secret)

    def show(self, owner: str) -> Webhook | None:
        self._store.require()
        return self.found.get(owner)

    def remove(self, owner: str, *, by: str = "", request_id: str = "") -> None:
        assert by
        assert request_id
        self._store.require()
        self.found.pop(owner, None)
