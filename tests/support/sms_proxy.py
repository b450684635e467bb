"""The gateway below the SMS proxy's HTTP surface, as small as the surface's tests need it."""

# ruff: noqa: FBT001  the methods are those of signalbox.http.sms_proxy.ports

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import falcon.testing
from support.described import DescribedClient

from signalbox.actors.accounts import Identity
from signalbox.actors.licenses import Terms
from signalbox.actors.sending import SendRequest, Sent
from signalbox.actors.users import NewApp, Registered
from signalbox.domain.account import App
from signalbox.domain.errors import (
    BadLicense,
    UnknownLink,
    UnknownUser,
    UserExists,
    UserIsAdmin,
    WrongCredentials,
)
from signalbox.domain.link import Link, LinkSpec
from signalbox.domain.message import Part
from signalbox.eventstore.errors import Unavailable
from signalbox.http.app import create_app
from signalbox.http.body import BodyReader
from signalbox.http.limits import AllRequests
from signalbox.http.monitoring import Check
from signalbox.http.peer import Peers
from signalbox.http.sms_proxy.auth import no_limit
from signalbox.http.sms_proxy.ports import PoolRow, SystemLoad
from signalbox.http.sms_proxy.routes import SmsProxy
from signalbox.http.sms_proxy.wire_settings import (
    Filter,
    Monitoring,
    Security,
    ServerConfig,
    Smpp,
    StatisticExporter,
    Storage,
)
from signalbox.projections.accounts import UserRow
from signalbox.projections.activity import Minute
from signalbox.projections.campaigns import OFFSET_MAX, Campaign, Campaigns, TooFarBackError
from signalbox.projections.dashboard import Figures, Statistics
from signalbox.projections.links import LinkRow
from signalbox.projections.messages import MessageInfo

APP_ID: Final = 7
TOKEN: Final = "good-token"
ADMIN_KEY: Final = "an admin key with ümlaut"
USER: Final = {"Authorization": f"Bearer {TOKEN}", "X-App-ID": str(APP_ID)}
ADMIN: Final = {"X-Admin-Key": ADMIN_KEY.encode().decode("latin-1")}
BODY_OCTETS_MAX: Final = 10_000
MESSAGE_ID: Final = "01936b6e-0000-7000-8000-000000000001"

SENT: Final = Sent(
    message_id=MESSAGE_ID, task_id=12345, transaction_id="tx-001", parts=2, status="submitted"
)
SERVER_CONFIG: Final = ServerConfig(
    env="production",
    server_name="sms-proxy-01",
    endpoint="0.0.0.0:8088",
    storage=Storage(db_path="postgresql://db/signalbox"),
    security=Security(token_ttl="24h0m0s"),
    smpp=Smpp(rules_loaded=True),
    filters={
        "no-spam": Filter(active=True, blacklist=True, description="d", snippet="refuse if …")
    },
    statistic_exporter=StatisticExporter(enabled=True, target="b", bucket="sms", tls=True),
    monitoring=Monitoring(otel=True, sampling=0.1, collector="otel:4318"),
)
SPEC: Final = LinkSpec(name="smpp-link-1", host="smsc", port=2775, system_id="my_system")
ROW: Final = LinkRow(
    id=1,
    name="smpp-link-1",
    host="smsc",
    port=2775,
    system_id="my_system",
    system_type="",
    response_timeout_s=5,
    enabled=True,
    bind_state="bound",
    status="LOADED",
    reason="",
    current_tps=40,
    limit_tps=100.0,
)
HOUR_S: Final = 1_800_000_000 // 60 * 60  # the running minute begins
STATISTICS: Final = Statistics(
    now_s=HOUR_S + 10.0,
    minutes=(
        *(Minute(HOUR_S - 60 * ago) for ago in range(59, 1, -1)),
        Minute(HOUR_S - 60, accepted=69_000, rejected=1, sent=68_900, failed=2, partial=7),
        Minute(HOUR_S, accepted=12_000),
    ),
    current_requests=12_004,
    top=(
        Campaign(APP_ID, 1, "campaign-abc", sent=54_000, failed=321, partial=0),
        Campaign(APP_ID, 1, "a campaign with a long name", sent=1, failed=0, partial=0),
    ),
)
CAMPAIGNS: Final = Campaigns(
    (Campaign(APP_ID, 1, "abc-123", sent=1000, failed=5, partial=2),), total=120
)
INFO: Final = MessageInfo(
    message_id=MESSAGE_ID,
    app_id=APP_ID,
    link_id=1,
    carrier_id=1,
    task_id=12345,
    transaction_id="tx-001",
    campaign="",
    long_mode="udh8",
    accepted_at_s=1_699_999_999.5,
    status="sending",
    delivered_count=1,
    sent_at_s=1_700_000_000,
    updated_at_s=1_700_000_010,
    error="",
    parts=(Part("delivered", smsc_id="a1"), Part("submitted", smsc_id="a2")),
)


USERS: Final = (
    UserRow(
        user_id=1,
        stream_id="user-1",
        is_admin=False,
        app_id=10,
        app_name="my-app",
        app_fingerprint="secret-hash",
        email="api-user@example.com",
    ),
    UserRow(2, "user-2", is_admin=True, app_id=0, app_name="", app_fingerprint=""),
)


TERMS: Final = Terms(
    company="UNIQUBIC Corporation",
    valid_until="2025-12-31",
    max_connections=100,
    max_tps=1000,
    status="active",
)


class FakeAccounts:
    """One application, one token, one user, whose password is `right`."""

    def __init__(self) -> None:
        self.peers: list[str] = []
        self.is_admin = False
        self.allowed_ips: tuple[str, ...] = ()

    def log_in(self, email: str, password: str, app_id: int, *, peer: str, request_id: str) -> str:
        assert all((email, app_id, request_id))
        self.peers.append(peer)
        if password != "right":
            raise WrongCredentials
        return TOKEN

    def app(self, app_id: int) -> App | None:
        allowed_ips = self.allowed_ips
        app = App(name="a", secret_sealed="", secret_fingerprint="", allowed_ips=allowed_ips)
        return app if app_id == APP_ID else None

    def authenticate(self, token: str, app_id: int) -> Identity | None:
        return Identity(42, app_id, self.is_admin) if token == TOKEN else None


class FakeUsers:
    """Users 42 and, an administrator, 43; addresses that begin with `taken` are."""

    def __init__(self) -> None:
        self.admins = {42: False, 43: True}
        self.apps: list[NewApp | None] = []
        self.asked_by: list[str] = []

    def register(
        self, email: str, password: str, app: NewApp | None = None, *, by: str, request_id: str
    ) -> Registered:
        assert all((password, request_id))
        if email.startswith("taken"):
            raise UserExists
        self.asked_by.append(by)
        self.apps.append(app)
        return Registered(42, APP_ID if app else 0)

    def remove(self, user_id: int, *, admins_too: bool, by: str, request_id: str) -> None:
        assert request_id
        if self.is_admin(user_id) and not admins_too:
            raise UserIsAdmin(user_id)
        del self.admins[user_id]
        self.asked_by.append(by)

    def toggle_admin(self, user_id: int, *, by: str, request_id: str) -> bool:
        assert request_id
        self.admins[user_id] = not self.is_admin(user_id)
        self.asked_by.append(by)
        return self.admins[user_id]

    def is_admin(self, user_id: int) -> bool:
        if user_id not in self.admins:
            raise UnknownUser(user_id)
        return self.admins[user_id]


class FakeSending:
    """Answers with `outcome`, or raises it."""

    def __init__(self) -> None:
        self.requests: list[SendRequest] = []
        self.outcome: Sent | Exception = SENT

    def send(self, request: SendRequest) -> Sent:
        self.requests.append(request)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


class FakeLinks:
    """Link 1 and no other."""

    configured: Sequence[Link] = (Link(1, SPEC, enabled=True),)

    def __init__(self) -> None:
        self.toggles: list[tuple[bool, str, str]] = []

    def toggle(
        self,
        link_id: int,
        enabled: bool,
        reason: str,
        *,
        by: str,
        request_id: str = "",
    ) -> Link:
        assert request_id
        if link_id != 1:
            raise UnknownLink(link_id)
        self.toggles.append((enabled, reason, by))
        return Link(1, SPEC, enabled)


class FakeReads:
    """One link and one message; `away` when the store is."""

    def __init__(self) -> None:
        self.rows: list[LinkRow] = [ROW]
        self.away = False
        self.hour = STATISTICS
        self.asked_for: list[tuple[int, int]] = []

    def message(self, message_id: str, *, app_id: int, link_id: int) -> MessageInfo | None:
        asked = (message_id, app_id, link_id)
        return INFO if asked == (INFO.message_id, INFO.app_id, INFO.link_id) else None

    def links(self) -> Sequence[LinkRow]:
        self._require()
        return self.rows

    def users(self) -> Sequence[UserRow]:
        return USERS

    def figures(self) -> Figures:
        self._require()
        return Figures(accepted=1_234_567, applications=45)

    def statistics(self) -> Statistics:
        self._require()
        return self.hour

    def campaigns(self, offset: int, limit: int) -> Campaigns:
        self._require()
        self.asked_for.append((offset, limit))
        if offset > OFFSET_MAX:
            raise TooFarBackError(offset)
        return CAMPAIGNS

    def _require(self) -> None:
        if self.away:
            raise Unavailable("host 10.0.0.1 is down", retry_after_s=3)


class FakeLicenses:
    """Takes every file but `bad`."""

    def __init__(self) -> None:
        self.terms = TERMS
        self.failure: Exception | None = None
        self.uploads: list[tuple[bytes, str]] = []

    def upload(self, octets: bytes, *, by: str, request_id: str) -> Terms:
        assert request_id
        if self.failure is not None:
            raise self.failure
        if octets == b"bad":
            raise BadLicense("it is not signed")
        self.uploads.append((octets, by))
        return self.terms


@dataclass(frozen=True)
class FakePool:
    """A pool of the configuration."""

    name: str
    links: tuple[str, ...]


@dataclass
class Surface:
    """The surface, and what is below it."""

    admin_api_key: str = ADMIN_KEY
    trusted_proxies: Sequence[str] = ()
    stats_auth: str = "none"
    user_api_auth: str = "admin"
    jwt_admin_mutations: bool = False
    limit: AllRequests | None = None
    limiter: Callable[[int], None] = no_limit
    body_octets_max: int = BODY_OCTETS_MAX
    allowed_ips: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    checks: Mapping[str, Check] = field(default_factory=dict)
    accounts: FakeAccounts = field(default_factory=FakeAccounts)
    users: FakeUsers = field(default_factory=FakeUsers)
    sending: FakeSending = field(default_factory=FakeSending)
    links: FakeLinks = field(default_factory=FakeLinks)
    licenses: FakeLicenses = field(default_factory=FakeLicenses)
    reads: FakeReads = field(default_factory=FakeReads)
    pools: Sequence[PoolRow] = ()

    def routes(self) -> dict[str, object]:
        """Return the resource of each path."""
        sms_proxy = SmsProxy(
            accounts=self.accounts,
            users=self.users,
            sending=self.sending,
            links=self.links,
            licenses=self.licenses,
            reads=self.reads,
            system=lambda: SystemLoad(23.4, 65.0, 41.2),
            server_config=lambda: SERVER_CONFIG,
            pools=self.pools,
            body=BodyReader(self.body_octets_max),
            peers=Peers(self.trusted_proxies),
            admin_api_key=self.admin_api_key,
            stats_auth=self.stats_auth,
            user_api_auth=self.user_api_auth,
            jwt_admin_mutations=self.jwt_admin_mutations,
            limiter=self.limiter,
            allowed_ips=self.allowed_ips,
        )
        return sms_proxy.routes()

    def app(self) -> "falcon.App[falcon.Request, falcon.Response]":
        """Return the WSGI application."""
        return create_app(self.routes(), self.checks, self.limit)

    def client(self) -> falcon.testing.TestClient:
        """Return a client of it; every answer must be the described one."""
        return DescribedClient(self.app())
