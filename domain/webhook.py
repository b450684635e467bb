"""Where an owner wants to be told what happens, and whether anybody there listens.

    ConfigureWebhook ──▶ WebhookConfigured ──▶ CallbackMissed ──▶ … ──▶ WebhookDisabled
                             ▲      ▲               │ RecordTaken          │ ConfigureWebhook
                             │      └─ CallbacksTakenAgain                 │
                             └─────────────────────────────────────────────┘
    RemoveWebhook ──▶ WebhookRemoved: whoever configures one again starts from nothing

Callbacks are streams of their own (`domain/callback.py`). Here it only counts how many were given
up in a row, so that a receiver that is gone is not called for ever.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, assert_never

from signalbox.domain.errors import InvalidField

URL_CHARS_MAX: Final = 2_048
HOST_CHARS_MAX: Final = 253  # RFC 1035, 2.3.4, without the length octets
PORT_MAX: Final = 65_535
PORTS: Final = {"http": 80, "https": 443}
KINDS: Final = frozenset({"inbound", "status", "presence"})
"""Messages that came in, what became of those that went out, phones that come and go."""

BY_OWNER: Final = "owner"
GONE: Final = "gone"
FAILURES: Final = "failures"

# Parsed once, by this alone: two parsers that disagree about a host are a hole.
_URL: Final = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<target>[/?][!-\"$-~]*)?",  # printable ASCII without the fragment's "#"
    re.ASCII | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Url:
    """A web address, taken apart; `target` is path and query as they are requested."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """Host and port as the Host header wants them (RFC 9110, 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigureWebhook:
    """The owner says where to, and of what; it starts anew if it was disabled."""

    url: str
    secret_sealed: str
    kinds: frozenset[str] = KINDS


@dataclass(frozen=True, slots=True)
class DisableWebhook:
    """Nothing is sent any more until it is configured again; the reason is one word."""

    reason: str


@dataclass(frozen=True, slots=True)
class RemoveWebhook:
    """The owner wants to be told nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordMissed:
    """A callback was given up; after `failures_max` of them in a row it is too much."""

    callback_id: str
    failures_max: int


@dataclass(frozen=True, slots=True)
class RecordTaken:
    """The receiver took a callback."""


Command = ConfigureWebhook | DisableWebhook | RemoveWebhook | RecordMissed | RecordTaken


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookConfigured:
    """What happens is posted to this URL from now on, signed with this secret."""

    url: str
    secret_sealed: str
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDisabled:
    """Nothing is posted any more; `failures` is how many callbacks were given up in a row."""

    reason: str
    failures: int = 0


@dataclass(frozen=True, slots=True)
class WebhookRemoved:
    """The owner has no webhook any more."""


@dataclass(frozen=True, slots=True)
class CallbackMissed:
    """A callback was given up: the receiver never took it."""

    callback_id: str


@dataclass(frozen=True, slots=True)
class CallbacksTakenAgain:
    """The receiver took a callback after it had missed some."""


Event = WebhookConfigured | WebhookDisabled | WebhookRemoved | CallbackMissed | CallbacksTakenAgain


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A webhook; `disabled_reason` is "owner", "gone" or "failures", empty while it is enabled."""

    url: str
    secret_sealed: str
    kinds: frozenset[str]
    disabled_reason: str = ""
    failures: int = 0
    missed_id: str = ""

    @property
    def enabled(self) -> bool:
        """True while callbacks are posted."""
        return not self.disabled_reason

    def wants(self, kind: str) -> bool:
        """True when the owner is to be told of this."""
        return self.enabled and kind in self.kinds


def decide(webhook: Webhook | None, command: Command) -> tuple[Event, ...]:
    """Return the events of one command; none when nothing changes. Raises: `InvalidField`."""
    if isinstance(command, ConfigureWebhook):
        return _configure(webhook, command)
    if webhook is None:
        return ()
    match command:
        case DisableWebhook(reason):
            return _disable(webhook, reason)
        case RemoveWebhook():
            return (WebhookRemoved(),)
        case RecordMissed():
            return _missed(webhook, command)
        case RecordTaken():
            return (CallbacksTakenAgain(),) if webhook.failures else ()
        case _:
            assert_never(command)


def evolve(webhook: Webhook | None, event: Event) -> Webhook | None:
    """Apply one event; None while there is no webhook."""
    match event:
        case WebhookConfigured():
            return Webhook(
                url=event.url, secret_sealed=event.secret_sealed, kinds=frozenset(event.kinds)
            )
        case WebhookRemoved():
            return None
    assert webhook is not None, event
    match event:
        case WebhookDisabled():
            return replace(webhook, disabled_reason=event.reason, failures=event.failures)
        case CallbackMissed():
            return replace(webhook, failures=webhook.failures + 1, missed_id=event.callback_id)
        case CallbacksTakenAgain():
            return replace(webhook, failures=0)
        case _:
            assert_never(event)


def stream_of(owner: str) -> str:
    """Name the stream of an owner's webhook, which is the inbox of its callbacks, too."""
    return f"webhook-{owner}"


def owner_of(stream_id: str) -> str:
    """Return whose webhook a stream is."""
    return stream_id.removeprefix("webhook-")


def read_url(url: str) -> Url:
    """Take a web address apart.

    Raises: `InvalidField` unless it is http or https, with no user and no fragment, in printable
    ASCII (an international name in its `xn--` form).
    """
    if len(url) > URL_CHARS_MAX:
        raise InvalidField("url", f"at most {URL_CHARS_MAX} characters are possible")
    found = _URL.fullmatch(url)
    if found is None:
        raise InvalidField("url", "expected an http or https URL without user and fragment")
    scheme, host = found["scheme"].lower(), found["host"].lower()
    port = int(found["port"] or PORTS[scheme])
    if len(host) > HOST_CHARS_MAX or not 0 < port <= PORT_MAX:
        raise InvalidField("url", "no such host or port")
    target = found["target"] or "/"
    return Url(scheme, host.strip("[]"), port, target if target[0] == "/" else f"/{target}")


def _configure(webhook: Webhook | None, command: ConfigureWebhook) -> tuple[Event, ...]:
    read_url(command.url)
    _require_kinds(command.kinds)
    wanted = Webhook(url=command.url, secret_sealed=command.secret_sealed, kinds=command.kinds)
    if webhook == wanted:
        return ()
    configured = WebhookConfigured(
        url=command.url,
        secret_sealed=command.secret_sealed,
        kinds=tuple(sorted(command.kinds)),
    )
    return (configured,)


def _require_kinds(kinds: Iterable[str]) -> None:
    if not kinds or not KINDS.issuperset(kinds):
        raise InvalidField("kinds", f"expected some of {', '.join(sorted(KINDS))}")


def _disable(webhook: Webhook, reason: str) -> tuple[Event, ...]:
    if not webhook.enabled:
        return ()
    return (WebhookDisabled(reason=reason, failures=webhook.failures),)


def _missed(webhook: Webhook, command: RecordMissed) -> tuple[Event, ...]:
    if not webhook.enabled or webhook.missed_id == command.callback_id:
        return ()  # Told before, by a process that ended in between.
    missed = CallbackMissed(command.callback_id)
    failures = webhook.failures + 1
    if failures < command.failures_max:
        return (missed,)
    return (missed, WebhookDisabled(reason=FAILURES, failures=failures))
