"""The gateway below the surface of organisations: the domain's decisions, kept in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from support import phone_surfaces
from support.described import DescribedClient
from support.phone_surfaces import BODY_OCTETS_MAX, FakeLines, FakeWebhooks, Store, view_of

from signalbox.domain import org
from signalbox.domain.errors import InvalidField, WrongSecret
from signalbox.http.app import create_app
from signalbox.http.body import BodyReader
from signalbox.http.peer import Peers
from signalbox.http.trucopilot.openapi import document
from signalbox.http.trucopilot.routes import Trucopilot
from signalbox.projections.phones import SimsView

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import falcon.testing
    from support.phone_surfaces import FakeLiveLine

    from signalbox.domain.phone import SimCard
    from signalbox.http.limits import AllRequests
    from signalbox.projections.phone_views import NumberQuery, PhoneMessageView

ORG: Final = "myorg"
OWNER: Final = "org_myorg"
SECRET: Final = "my-secret-key-123"
HEADERS: Final = {"X-Secret-Key": SECRET}


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


class FakeMessages(phone_surfaces.FakeMessages):
    """Messages and their read models at once; those in `at_once` are pushed when asked for."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, is_numbered=True, lifetime_s=604_800)
        self.queries: list[NumberQuery] = []
        self.at_once: set[str] = set()
        self.shown_sims = SimsView(0, [], [])

    def wait_pushed(self, owner: str, keys: Collection[str], timeout_s: float) -> set[str]:
        assert 0 < timeout_s <= 0.3
        for key in self.at_once & set(keys):
            self.push(owner, key, "phone")
        return self.at_once & set(keys)

    def numbered(self, owner: str, query: NumberQuery) -> list[PhoneMessageView]:
        self._store.require()
        self.queries.append(query)
        rows = [
            view_of(key, one)
            for key, one in self.of(owner)
            if one.number > query.since_number
            and query.direction in {None, one.direction}
            and (not query.numbers or one.number in query.numbers)
        ]
        return (rows[::-1] if query.newest_first else rows)[: query.limit]

    def sims(self, owner: str) -> SimsView:
        assert owner
        self._store.require()
        return self.shown_sims


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
