"""The gateway below the SMS proxy's HTTP surface, as small as the surface's tests need it."""

# ruff: noqa: FBT001  the methods are those of signalbox.http.sms_proxy.ports

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import falcon.testing

from signalbox.actors.accounts import Identity, Registered
from signalbox.actors.sending import SendRequest, Sent
from signalbox.domain.account import App
from signalbox.domain.errors import UnknownLink, UserExists, WrongCredentials
from signalbox.domain.link import Link, LinkSpec
from signalbox.domain.message import Part
from signalbox.http.app import create_app
from signalbox.http.body import BodyReader
from signalbox.http.monitoring import Check
from signalbox.http.peer import Peers
from signalbox.http.sms_proxy.routes import SmsProxy
from signalbox.projections.dashboard import Figures
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


class FakeAccounts:
    """One application, one token, one user, whose password is `right`."""

    def __init__(self) -> None:
        self.peers: list[str] = []
        self.registered_by: list[str] = []

    def register(
        self,
        email: str,
        password: str,
        app_name: str,
        app_secret: str,
        *,
        by: str,
        request_id: str,
    ) -> Registered:
        assert all((password, app_name, app_secret, request_id))
        if email.startswith("taken"):
            raise UserExists
        self.registered_by.append(by)
        return Registered(42, APP_ID)

    def log_in(self, email: str, password: str, app_id: int, *, peer: str) -> str:
        assert all((email, app_id))
        self.peers.append(peer)
        if password != "right":
            raise WrongCredentials
        return TOKEN

    def app(self, app_id: int) -> App | None:
        app = App(name="my-app", secret_sealed="", secret_fingerprint="")
        return app if app_id == APP_ID else None

    def authenticate(self, token: str, app_id: int) -> Identity | None:
        return Identity(42, app_id, is_admin=False) if token == TOKEN else None


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
    """One link and one message."""

    def __init__(self) -> None:
        self.rows: list[LinkRow] = [ROW]

    def message(self, message_id: str, *, app_id: int, link_id: int) -> MessageInfo | None:
        asked = (message_id, app_id, link_id)
        return INFO if asked == (INFO.message_id, INFO.app_id, INFO.link_id) else None

    def links(self) -> Sequence[LinkRow]:
        return self.rows

    def figures(self) -> Figures:
        return Figures(accepted=1_234_567, applications=45)


@dataclass
class Surface:
    """The surface, and what is below it."""

    admin_api_key: str = ADMIN_KEY
    trusted_proxies: Sequence[str] = ()
    checks: Mapping[str, Check] = field(default_factory=dict)
    accounts: FakeAccounts = field(default_factory=FakeAccounts)
    sending: FakeSending = field(default_factory=FakeSending)
    links: FakeLinks = field(default_factory=FakeLinks)
    reads: FakeReads = field(default_factory=FakeReads)

    def app(self) -> "falcon.App[falcon.Request, falcon.Response]":
        """Return the WSGI application."""
        sms_proxy = SmsProxy(
            accounts=self.accounts,
            sending=self.sending,
            links=self.links,
            reads=self.reads,
            body=BodyReader(BODY_OCTETS_MAX),
            peers=Peers(self.trusted_proxies),
            admin_api_key=self.admin_api_key,
        )
        return create_app(sms_proxy.routes(), self.checks)

    def client(self) -> falcon.testing.TestClient:
        """Return a client of it."""
        return falcon.testing.TestClient(self.app())
