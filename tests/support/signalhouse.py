"""The gateway below the Signalhouse surface: the domain's decisions, kept in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from support.described import DescribedClient

from signalbox.actors.phone_accounts import NewPhone, Paired, Profile
from signalbox.actors.phone_callers import Caller, Revoked
from signalbox.actors.phone_messages import Received
from signalbox.actors.phone_sessions import Session
from signalbox.actors.phone_tokens import Access
from signalbox.actors.webhooks import Configured
from signalbox.domain import entered
from signalbox.domain import phone_account as accounts
from signalbox.domain import phone_message as messages
from signalbox.domain import webhook as webhooks
from signalbox.domain.errors import (
    EmailTaken,
    InvalidInvite,
    TooManyAttempts,
    UnknownPhoneMessage,
    WrongCredentials,
)
from signalbox.eventstore.errors import Unavailable
from signalbox.http.app import create_app
from signalbox.http.body import BodyReader
from signalbox.http.peer import Peers
from signalbox.http.signalhouse.openapi import document
from signalbox.http.signalhouse.routes import Signalhouse
from signalbox.projections.phone_counts import PhoneStats, Traffic
from signalbox.projections.phone_views import MessageQuery, PhoneMessageView
from signalbox.projections.phones import PhoneRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import falcon.testing

    from signalbox.actors.phone_line import Line, LineEnd
    from signalbox.actors.phone_messages import InboundRequest, OutboundRequest
    from signalbox.domain.phone import Lost, SimCard
    from signalbox.domain.phone_account import PhoneAccount
    from signalbox.domain.phone_message import PhoneMessage, ReportStatus
    from signalbox.domain.webhook import Webhook
    from signalbox.http.limits import AllRequests

BODY_OCTETS_MAX: Final = 1_048_576
NOW_S: Final = 1_776_695_400.0  # 2026-04-20T14:30:00Z
EMAIL: Final = "you@example.com"
PASSWORD: Final = "your-password"
INVITE: Final = "your-invite-code"
URL: Final = "http://gateway.example.com"
PHONES_MAX: Final = 3

Headers = dict[str, str]


class Store:
    """The clock of all that is kept, and whether it can be reached."""

    def __init__(self) -> None:
        self.now_s = NOW_S
        self.away = False

    def require(self) -> None:
        if self.away:
            raise Unavailable("host 10.0.0.1 is down", retry_after_s=3)


class FakeAccounts:
    """Accounts; `full` has every attempt be one too many."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.accounts: dict[str, PhoneAccount] = {}
        self.profiles: dict[str, tuple[str, str]] = {}
        self.passwords: dict[str, str] = {}
        self.callers: dict[str, Caller] = {}
        self.watchers: list[Callable[[Revoked], None]] = []
        self.full = False
        self.asked_from: list[str] = []
        self._ids = count(1)

    def register(
        self,
        email: str,
        password: str,
        name: str,
        invite_code: str,
        *,
        peer: str,
        request_id: str,
    ) -> str:
        assert request_id
        self._ask(peer)
        address = entered.normal_email(email)
        entered.require_name(name)
        entered.require_password(password)
        if invite_code != INVITE:
            raise InvalidInvite
        if any(address == known for known, _ in self.profiles.values()):
            raise EmailTaken
        account_id = self._id("usr_")
        opened = accounts.OpenAccount(
            account_id=account_id, email=email, name=name, password_hash="", key_id="key"
        )
        self._decide(account_id, opened)
        self.profiles[account_id] = (address, name)
        self.passwords[account_id] = password
        self.callers[f"sh_live_{account_id}"] = Caller(account_id, "live", key_id=account_id)
        self.callers[f"access.{account_id}"] = Caller(account_id, "token")
        return account_id

    def log_in(self, email: str, password: str, *, peer: str, request_id: str = "") -> Session:
        assert request_id
        self._ask(peer)
        for account_id, (address, _) in self.profiles.items():
            if address == email.casefold() and self.passwords[account_id] == password:
                access = Access(f"access.{account_id}", 7_776_000)
                return Session(access, f"refresh.{account_id}")
        raise WrongCredentials

    def refresh(self, token: str) -> Access | None:
        self._store.require()
        account_id = token.removeprefix("refresh.").removeprefix("access.")
        return Access(f"access.{account_id}", 7_776_000) if account_id in self.accounts else None

    def authenticate(self, credential: str, *, peer: str) -> Caller | None:
        self._ask(peer)
        return self.callers.get(credential)

    def account(self, account_id: str) -> PhoneAccount:
        self._store.require()
        return self.accounts[account_id]

    def profile(self, account_id: str) -> Profile:
        email, name = self.profiles[account_id]
        account = self.account(account_id)
        return Profile(
            account_id=account_id,
            email=email,
            name=name,
            role=account.role,
            opened_at_s=account.opened_at_s,
        )

    def live_key(self, account_id: str) -> str:
        self._store.require()
        return f"sh_live_{account_id}"

    def pair(self, account_id: str, phone: NewPhone, *, by: str, request_id: str) -> Paired:
        assert by
        assert request_id
        phone_id = self._id(f"{phone.kind}_")
        key = f"sh_device_{phone_id}" if phone.kind == "dev" else ""
        command = accounts.PairPhone(
            phone_id=phone_id,
            name=phone.name,
            model=phone.model,
            os_version=phone.os_version,
            key_id=key,
            phones_max=PHONES_MAX,
        )
        self._decide(account_id, command)
        if key:
            self.callers[key] = Caller(account_id, "device", phone_id, key)
        paired = self.accounts[account_id].phone(phone_id)
        assert paired
        return Paired(paired, key)

    def unpair(self, account_id: str, phone_id: str, *, by: str, request_id: str) -> None:
        assert by
        assert request_id
        self._decide(account_id, accounts.UnpairPhone(phone_id=phone_id))
        self.tell(Revoked(what="phone", account_id=account_id, phone_id=phone_id))
        self.callers.pop(f"sh_device_{phone_id}", None)

    def replace_key(self, account_id: str, *, by: str, request_id: str) -> str:
        assert by
        assert request_id
        self._store.require()
        before = next(key for key, one in self.callers.items()
                      if (one.account_id, one.kind) == (account_id, "live"))  # fmt: skip
        caller = self.callers.pop(before)
        self.tell(Revoked(what="key", account_id=account_id, key_id=caller.key_id))
        self.callers[f"{before}x"] = Caller(account_id, "live", key_id=f"{caller.key_id}x")
        return f"{before}x"

    def on_revoked(self, watch: Callable[[Revoked], None]) -> None:
        self.watchers.append(watch)

    def tell(self, revoked: Revoked) -> None:
        """Have all who watch hear of it, as the follower does."""
        for watch in self.watchers:
            watch(revoked)

    def _ask(self, peer: str) -> None:
        self._store.require()
        self.asked_from.append(peer)
        if self.full:
            raise TooManyAttempts(retry_after_s=42)

    def _decide(self, account_id: str, command: accounts.Command) -> None:
        self._store.require()
        account = self.accounts.get(account_id)
        for event in accounts.decide(account, command):
            account = accounts.evolve(account, event, self._store.now_s)
        assert account
        self.accounts[account_id] = account

    def _id(self, prefix: str) -> str:
        return f"{prefix}{next(self._ids):026}"


class FakeMessages:
    """Messages and their read models at once, so that what is read is what was written."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.found: dict[tuple[str, str], PhoneMessage] = {}
        self.once: dict[tuple[str, ...], str] = {}
        self.asked_by: list[str] = []
        self.refuse: Exception | None = None
        self.numbers: dict[str, str] = {}
        self.seen_at_s: dict[str, float] = {}
        self._keys = count(1)

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
            return [self.once[owner, idempotency_key]]
        keys = [self._queue(owner, one) for one in requests]
        self.once[owner, idempotency_key] = keys[0]
        return keys

    def receive(
        self, owner: str, inbound: Sequence[InboundRequest], *, by: str, request_id: str = ""
    ) -> list[Received]:
        assert request_id
        self._ask(by)
        return [self._receive(owner, one) for one in inbound]

    def report(
        self, owner: str, key: str, report: ReportStatus, *, by: str, request_id: str = ""
    ) -> None:
        assert isinstance(request_id, str)
        self._ask(by)
        self._decide(owner, key, report)

    def archive(self, owner: str, key: str, *, by: str, request_id: str = "") -> None:
        assert request_id
        self._ask(by)
        self._decide(owner, key, messages.Archive())

    def find(self, owner: str, key: str) -> PhoneMessage | None:
        self._store.require()
        return self.found.get((owner, key))

    def push(self, owner: str, key: str, phone_id: str) -> None:
        """Note that a phone is about to get it."""
        command = messages.PushOutbound(phone_id=phone_id, connection=1, is_same_phone=True)
        self._decide(owner, key, command)

    def expire(self, owner: str, key: str) -> None:
        """Let its time be over."""
        self.found[owner, key] = replace(self.found[owner, key], expires_at_s=self._store.now_s)
        self._decide(owner, key, messages.ExpireOutbound())

    def messages(self, owner: str, query: MessageQuery) -> tuple[list[PhoneMessageView], bool]:
        self._store.require()
        rows = [
            _view(key, one)
            for (whose, key), one in reversed(self.found.items())
            if whose == owner
            and query.direction in {None, one.direction}
            and query.archived in {None, one.archived}
            and (query.since_s is None or one.accepted_at_s > query.since_s)
        ]
        rows.sort(key=lambda row: -row.accepted_at_s)
        end = query.offset + query.limit
        return rows[query.offset : end], len(rows) > end

    def stats(self, owner: str) -> PhoneStats:
        self._store.require()
        mine = [one for (whose, _), one in self.found.items() if whose == owner]
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

    def _ask(self, by: str) -> None:
        self._store.require()
        self.asked_by.append(by)
        if self.refuse is not None:
            raise self.refuse

    def _queue(self, owner: str, one: OutboundRequest) -> str:
        key = f"{next(self._keys):032x}"
        command = messages.QueueOutbound(
            owner=owner,
            to=one.to,
            text=one.text,
            segments=1,
            expires_at_s=self._store.now_s + 259_200,
            peer_digest="",
        )
        self._decide(owner, key, command)
        return key

    def _receive(self, owner: str, one: InboundRequest) -> Received:
        if one.same in self.once:
            return Received(self.once[one.same], is_new=False)
        key = self.once[one.same] = f"{next(self._keys):032x}"
        command = messages.ReceiveInbound(
            owner=owner,
            sender=one.sender,
            text=one.text,
            phone_id=one.phone_id,
            received_at_s=min(one.received_at_s, self._store.now_s),
            peer_digest="",
            device_ts_ms=one.device_ts_ms,
        )
        self._decide(owner, key, command)
        return Received(key, is_new=True)

    def _decide(self, owner: str, key: str, command: messages.Command) -> None:
        if (message := self.found.get((owner, key))) is None and not isinstance(
            command, messages.QueueOutbound | messages.ReceiveInbound
        ):
            raise UnknownPhoneMessage
        for event in messages.decide(message, command, self._store.now_s):
            message = messages.evolve(message, event, self._store.now_s)
        assert message
        self.found[owner, key] = message


@dataclass(eq=False)
class FakeLiveLine:
    """A connection."""

    owner: str
    phone_id: str
    line: Line
    seen_at_s: float = NOW_S
    said: list[str] = field(default_factory=list)
    lost: Lost | None = None

    def report_sims(self, sims: Sequence[SimCard]) -> None:
        self.said.append(f"{len(sims)} SIMs")

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
        self.before: Callable[[], None] = lambda: None

    def connect(
        self, owner: str, phone_id: str, line: Line, *, by: str = "", request_id: str = ""
    ) -> FakeLiveLine:
        assert by
        assert request_id
        self.before()
        self._store.require()
        if self.refuse is not None:
            raise self.refuse
        live = FakeLiveLine(owner, phone_id, line)
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


def _view(key: str, one: PhoneMessage) -> PhoneMessageView:
    return PhoneMessageView(
        key=key,
        number=0,
        direction=one.direction,
        peer=one.peer,
        text=one.text,
        status=one.status,
        accepted_at_s=one.accepted_at_s,
        received_at_s=one.received_at_s,
        sent_at_s=one.sent_at_s,
        delivered_at_s=one.delivered_at_s,
        device_ts_ms=one.device_ts_ms,
        sim_slot=None,
        sim_number=one.sim_number,
        sim=None,
        phone_id=one.phone_id,
        error=one.error,
        attempts=one.attempts,
        archived=one.archived,
    )
