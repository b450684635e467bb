"""The gateway below the Signalhouse surface: the domain's decisions, kept in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from support import phone_surfaces
from support.described import DescribedClient
from support.phone_surfaces import BODY_OCTETS_MAX, FakeLines, FakeWebhooks, Store, view_of
from support.signalhouse_accounts import INVITE, FakeAccounts

from signalbox.actors.phone_accounts import NewPhone
from signalbox.domain import phone_message as messages
from signalbox.http.app import create_app
from signalbox.http.body import BodyReader
from signalbox.http.peer import Peers
from signalbox.http.signalhouse.openapi import document
from signalbox.http.signalhouse.routes import Signalhouse
from signalbox.projections.phone_counts import PhoneStats, Traffic
from signalbox.projections.phones import PhoneRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import falcon.testing

    from signalbox.actors.phone_messages import InboundRequest, Received
    from signalbox.domain.phone_message import PhoneMessage
    from signalbox.http.limits import AllRequests
    from signalbox.projections.phone_views import MessageQuery, PhoneMessageView

EMAIL: Final = "you@example.com"
PASSWORD: Final = "your-password"

Headers = dict[str, str]


class FakeMessages(phone_surfaces.FakeMessages):
    """Messages and their read models at once, so that what is read is what was written."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, is_numbered=False, lifetime_s=259_200)
        self.numbers: dict[str, str] = {}
        self.seen_at_s: dict[str, float] = {}

    def receive(
        self, owner: str, inbound: Sequence[InboundRequest], *, by: str, request_id: str = ""
    ) -> list[Received]:
        assert request_id  # None comes over a socket.
        return super().receive(owner, inbound, by=by, request_id=request_id)

    def archive(self, owner: str, key: str, *, by: str, request_id: str = "") -> None:
        assert request_id
        self._ask(by)
        self._decide(owner, key, messages.Archive())

    def find(self, owner: str, key: str) -> PhoneMessage | None:
        self._store.require()
        return self.found.get((owner, key))

    def expire(self, owner: str, key: str) -> None:
        """Let its time be over."""
        self.found[owner, key] = replace(self.found[owner, key], expires_at_s=self._store.now_s)
        self._decide(owner, key, messages.ExpireOutbound())

    def messages(self, owner: str, query: MessageQuery) -> tuple[list[PhoneMessageView], bool]:
        rows = [
            view_of(key, one)
            for key, one in reversed(self.of(owner))
            if query.direction in {None, one.direction}
            and query.archived in {None, one.archived}
            and (query.since_s is None or one.accepted_at_s > query.since_s)
        ]
        rows.sort(key=lambda row: -row.accepted_at_s)
        end = query.offset + query.limit
        return rows[query.offset : end], len(rows) > end

    def stats(self, owner: str) -> PhoneStats:
        mine = [one for _, one in self.of(owner)]
        return PhoneStats(
            total_received=self._traffic(mine, 0).received,
            total_sent=self._traffic(mine, 0).sent,
            by_status={one.status: 1 for one in mine if one.direction == "outbound"},
            last_24h=self._traffic(mine, self._store.now_s - 86_400),
            last_7d=self._traffic(mine, self._store.now_s - 7 * 86_400),
        )

    def phones(self, owner: str) -> list[PhoneRow]:
        assert owner
        self._store.require()
        return [
            PhoneRow(
                phone_id,
                online=False,
                connected_at_s=None,
                last_seen_at_s=self.seen_at_s.get(phone_id),
                number=self.numbers.get(phone_id, ""),
            )
            for phone_id in {*self.numbers, *self.seen_at_s}
        ]

    def _traffic(self, mine: Iterable[PhoneMessage], since_s: float) -> Traffic:
        recent = [one.direction for one in mine if one.accepted_at_s > since_s]
        return Traffic(recent.count("inbound"), recent.count("outbound"))


@dataclass
class Surface:
    """The surface, and what is below it."""

    limit: AllRequests | None = None
    limiter: Callable[[str], None] = lambda _account_id: None
    body_octets_max: int = BODY_OCTETS_MAX
    trusted_proxies: Sequence[str] = ()
    public_url: str = ""
    require_phone: bool = False
    strangers_per_ip_max: int = 20
    bad_frames_per_minute_max: int = 20
    alone: bool = False

    def __post_init__(self) -> None:
        self.store = Store()
        self.accounts = FakeAccounts(self.store)
        self.messages = FakeMessages(self.store)
        self.lines = FakeLines(self.store)
        self.webhooks = FakeWebhooks(self.store)

    def surface(self) -> Signalhouse:
        """Return the surface."""
        return Signalhouse(
            accounts=self.accounts,
            messages=self.messages,
            lines=self.lines,
            reads=self.messages,
            webhooks=self.webhooks,
            body=BodyReader(self.body_octets_max),
            peers=Peers(self.trusted_proxies),
            limiter=self.limiter,
            public_url=self.public_url,
            require_phone=self.require_phone,
            strangers_per_ip_max=self.strangers_per_ip_max,
            bad_frames_per_minute_max=self.bad_frames_per_minute_max,
        )

    def app(self) -> falcon.App[Any, Any]:
        """Return the WSGI application."""
        surface = self.surface()
        return create_app(surface.routes(), {}, self.limit, [surface.guard(alone=self.alone)])

    def client(self) -> falcon.testing.TestClient:
        """Return a client of it; every answer must be the described one."""
        return DescribedClient(self.app(), document())

    def account(self, email: str = EMAIL) -> Headers:
        """Open an account; return the header with its key."""
        account_id = self.accounts.register(
            email, PASSWORD, "Your Name", INVITE, peer="", request_id="test"
        )
        return bearer(f"sh_live_{account_id}")

    def phone(self, account: Headers, kind: str = "gw", name: str = "Pixel 6a") -> str:
        """Pair a phone; return its id."""
        phone = NewPhone(kind="dev" if kind == "dev" else "gw", name=name, model=name)
        paired = self.accounts.pair(owner_of(account), phone, by="test", request_id="test")
        return paired.phone.phone_id

    def later(self, seconds: float) -> None:
        """Put the clock forward."""
        self.store.now_s += seconds


def bearer(credential: str) -> Headers:
    """Return the header with a credential."""
    return {"Authorization": f"Bearer {credential}"}


def owner_of(account: Headers) -> str:
    """Return whose key a header has."""
    return account["Authorization"].removeprefix("Bearer sh_live_")
