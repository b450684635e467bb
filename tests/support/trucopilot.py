"""The gateway below the surface of organisations: the domain's decisions, kept in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from support.described import DescribedClient
from support.signalhouse import FakeWebhooks, Store

from signalbox.actors.phone_messages import Received
from signalbox.domain import org
from signalbox.domain import phone_message as messages
from signalbox.domain.errors import InvalidField, UnknownPhoneMessage, WrongSecret
from signalbox.domain.phone_message import PushOutbound, QueueOutbound, ReceiveInbound
from signalbox.http.app import create_app
from signalbox.http.body import BodyReader
from signalbox.http.peer import Peers
from signalbox.http.trucopilot.openapi import document
from signalbox.http.trucopilot.routes import Trucopilot
from signalbox.projections.phone_views import NumberQuery, PhoneMessageView
from signalbox.projections.phones import SimsView

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import falcon.testing

    from signalbox.actors.phone_line import Line, LineEnd
    from signalbox.actors.phone_messages import InboundRequest, OutboundRequest
    from signalbox.domain.phone import Lost, SimCard
    from signalbox.domain.phone_message import PhoneMessage, ReportStatus
    from signalbox.http.limits import AllRequests

ORG: Final = "myorg"
OWNER: Final = "org_myorg"
SECRET: Final = "my-secret-key-123"
HEADERS: Final = {"X-Secret-Key": SECRET}
PEER: Final = "127.0.0.1"
BODY_OCTETS_MAX: Final = 1_048_576


class FakeOrgs:
    """Organisations by their secrets; `refuse` is raised instead of any answer."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.secrets: dict[str, str] = {}
        self.refuse: Exception | None = None
        self.asked_from: list[str] = []

    def authenticate(self, org_id: str, secret: str, *, peer: str) -> str | None:
        self._store.require()
        self.asked_from.append(peer)
        if self.refuse is not None:
            raise self.refuse
        known = self.secrets.get(org_id)
        if known is None:
            return None
        if known != secret:
            raise WrongSecret
        return org.owner_of(org_id)

    def claim(self, org_id: str, secret: str, *, peer: str, request_id: str = "") -> str:
        assert isinstance(peer, str)
        assert request_id
        self._store.require()
        if org.SECRET.fullmatch(secret) is None:
            raise InvalidField("secret_key", "expected 12 to 50 printable ASCII characters")
        if self.secrets.setdefault(org_id, secret) != secret:
            raise WrongSecret
        return org.owner_of(org_id)


class FakeMessages:
    """Messages and their read models at once; those in `at_once` are pushed when asked for."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.found: dict[str, list[PhoneMessage]] = {}
        self.once: dict[tuple[str, ...], list[str]] = {}
        self.asked_by: list[str] = []
        self.queries: list[NumberQuery] = []
        self.reports: list[ReportStatus] = []
        self.refuse: Exception | None = None
        self.at_once: set[str] = set()
        self.shown_sims = SimsView(0, [], [])

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
        if not key.isdecimal() or not 0 < int(key) <= len(self.found.get(owner, ())):
            raise UnknownPhoneMessage
        self.reports.append(report)
        self._decide(owner, int(key), report)

    def wait_pushed(self, owner: str, keys: Collection[str], timeout_s: float) -> set[str]:
        assert 0 < timeout_s <= 0.3
        for key in self.at_once & set(keys):
            push = PushOutbound(phone_id="phone", connection=1, is_same_phone=True)
            self._decide(owner, int(key), push)
        return self.at_once & set(keys)

    def numbered(self, owner: str, query: NumberQuery) -> list[PhoneMessageView]:
        self._store.require()
        self.queries.append(query)
        rows = [
            _view(one)
            for one in self.found.get(owner, ())
            if one.number > query.since_number
            and query.direction in {None, one.direction}
            and (not query.numbers or one.number in query.numbers)
        ]
        return (rows[::-1] if query.newest_first else rows)[: query.limit]

    def sims(self, owner: str) -> SimsView:
        assert owner
        self._store.require()
        return self.shown_sims

    def _ask(self, by: str) -> None:
        self._store.require()
        self.asked_by.append(by)
        if self.refuse is not None:
            raise self.refuse

    def _queue(self, owner: str, one: OutboundRequest) -> str:
        command = QueueOutbound(
            owner=owner,
            to=one.to,
            text=one.text,
            segments=1,
            expires_at_s=self._store.now_s + 604_800,
            peer_digest="",
            number=len(self.found.get(owner, ())) + 1,
            sim=one.sim,
        )
        return self._begin(owner, command)

    def _receive(self, owner: str, one: InboundRequest) -> Received:
        if (owner, *one.same) in self.once:
            return Received(self.once[owner, *one.same][0], is_new=False)
        command = ReceiveInbound(
            owner=owner,
            sender=one.sender,
            text=one.text,
            phone_id=one.phone_id,
            received_at_s=min(one.received_at_s, self._store.now_s),
            peer_digest="",
            number=len(self.found.get(owner, ())) + 1,
            device_ts_ms=one.device_ts_ms,
            sim_slot=one.sim_slot,
            sim_number=one.sim_number,
        )
        key = self._begin(owner, command)
        self.once[owner, *one.same] = [key]
        return Received(key, is_new=True)

    def _begin(self, owner: str, command: QueueOutbound | ReceiveInbound) -> str:
        (event,) = messages.decide(None, command, self._store.now_s)
        self.found.setdefault(owner, []).append(messages.evolve(None, event, self._store.now_s))
        return str(command.number)

    def _decide(self, owner: str, number: int, command: messages.Command) -> None:
        message = self.found[owner][number - 1]
        for event in messages.decide(message, command, self._store.now_s):
            message = messages.evolve(message, event, self._store.now_s)
        self.found[owner][number - 1] = message


@dataclass(eq=False)
class FakeLiveLine:
    """A connection."""

    owner: str
    phone_id: str
    connection: int
    line: Line
    anonymous: bool
    said: list[str] = field(default_factory=list)
    sims: tuple[SimCard, ...] | None = None
    lost: Lost | None = None
    refuse: Exception | None = None

    def report_sims(self, sims: Sequence[SimCard]) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.sims = tuple(sims)

    def heard(self) -> None:
        self.said.append("heard")

    def ready(self) -> None:
        self.said.append("ready")

    def disconnect(self, reason: Lost) -> None:
        assert self.lost is None
        self.lost = reason

    def end(self, reason: LineEnd) -> None:
        self.line.end(reason)


class FakeLines:
    """The connections of phones, each with its socket."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.lines: list[FakeLiveLine] = []
        self.refuse: Exception | None = None

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
        self._store.require()
        if self.refuse is not None:
            raise self.refuse
        live = FakeLiveLine(owner, phone_id, len(self.lines) + 1, line, anonymous)
        self.lines.append(live)
        return live

    def online(self, owner: str) -> list[FakeLiveLine]:
        self._store.require()
        return [one for one in self.lines if one.owner == owner and one.lost is None]


class NoLine:
    """A phone that takes everything."""

    def push(self, sms: object) -> None: ...

    def end(self, reason: object) -> None: ...


@dataclass
class Surface:
    """The surface, and what is below it; `myorg` is claimed unless it is not to be."""

    limit: AllRequests | None = None
    body_octets_max: int = BODY_OCTETS_MAX
    trusted_proxies: Sequence[str] = ()
    public_url: str = ""
    strangers_per_ip_max: int = 20
    bad_frames_per_minute_max: int = 20
    alone: bool = False
    claimed: bool = True

    def __post_init__(self) -> None:
        self.store = Store()
        self.orgs = FakeOrgs(self.store)
        self.messages = FakeMessages(self.store)
        self.lines = FakeLines(self.store)
        self.webhooks = FakeWebhooks(self.store)
        if self.claimed:
            self.orgs.secrets[ORG] = SECRET

    def surface(self) -> Trucopilot:
        """Return the surface."""
        return Trucopilot(
            orgs=self.orgs,
            messages=self.messages,
            lines=self.lines,
            reads=self.messages,
            webhooks=self.webhooks,
            body=BodyReader(self.body_octets_max),
            peers=Peers(self.trusted_proxies),
            trusted_proxies=self.trusted_proxies,
            public_url=self.public_url,
            strangers_per_ip_max=self.strangers_per_ip_max,
            bad_frames_per_minute_max=self.bad_frames_per_minute_max,
        )

    def app(self) -> falcon.App[Any, Any]:
        """Return the WSGI application."""
        surface = self.surface()
        shape = surface.guard(alone=self.alone)
        return create_app(surface.routes(alone=self.alone), {}, self.limit, shapes=[shape])

    def client(self) -> falcon.testing.TestClient:
        """Return a client of it; every answer must be the described one."""
        return DescribedClient(self.app(), document())

    def phone(self, *sims: SimCard, told: bool = True) -> FakeLiveLine:
        """Have a phone of `myorg` connected."""
        live = self.lines.connect(OWNER, "phone", NoLine(), by="phone", request_id="test")
        live.sims = sims if told else None
        return live


def _view(one: PhoneMessage) -> PhoneMessageView:
    return PhoneMessageView(
        key=str(one.number),
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
