"""A link to an SMSC as operators see it: configured, switched on or off, taken away.

`ConfigureLink` ─▶ `LinkConfigured`, `ToggleLink` ─▶ `LinkToggled`, `RemoveLink` ─▶ `LinkRemoved`.
The stream `link-<id>` holds these control events only; what happens on the wire is the stream of
`session`, message fates are `message`.
"""

from dataclasses import dataclass, field, replace
from typing import Literal, assert_never

from signalbox.domain.errors import LinkIsDisabled, UnknownLink
from signalbox.domain.text import Alphabet, LongMode

InDoubt = Literal["resend", "hold", "fail"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSpec:
    """What the configuration says of a link, secrets left out. Rates in parts per second."""

    name: str
    host: str
    port: int
    system_id: str
    system_type: str = ""
    bind: Literal["transceiver", "transmitter", "receiver"] = "transceiver"
    tps: float = 100
    window: int = 10
    response_timeout_s: float = 5
    dlr_msgid: Literal[0, 1, 2] = 0
    long_mode: LongMode = "udh8"
    default_alphabet: Alphabet = "gsm7"
    in_doubt: InDoubt = "resend"
    enabled: bool = True

    @property
    def account(self) -> str:
        """The account at the SMSC: receipts may come on any bind of it."""
        return f"{self.host}:{self.port}/{self.system_id}"


@dataclass(frozen=True, slots=True)
class ConfigureLink:
    """The process that starts the link read this configuration."""

    spec: LinkSpec


@dataclass(frozen=True, slots=True)
class ToggleLink:
    """An operator wants the link on or off."""

    enabled: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RemoveLink:
    """The configuration has this link no longer."""


Command = ConfigureLink | ToggleLink | RemoveLink


@dataclass(frozen=True, slots=True)
class LinkConfigured:
    """A link was given this configuration, for the first time or anew."""

    spec: LinkSpec


@dataclass(frozen=True, slots=True)
class LinkToggled:
    """An operator switched the link on or off."""

    enabled: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LinkRemoved:
    """The link is configured no longer; a later `LinkConfigured` brings it back as if it were new.

    What waits for it stays in its queue.
    """


Event = LinkConfigured | LinkToggled | LinkRemoved


@dataclass(frozen=True, slots=True)
class Link:
    """One link; `spec` is None while it is not configured."""

    link_id: int
    spec: LinkSpec | None = None
    enabled: bool = field(default=False)

    def require_enabled(self) -> None:
        """Raise `UnknownLink` or `LinkIsDisabled` when the link takes no messages."""
        if self.spec is None:
            raise UnknownLink(self.link_id)
        if not self.enabled:
            raise LinkIsDisabled(self.link_id)


def stream_of(link_id: int) -> str:
    """Name the stream of a link's control events."""
    return f"link-{link_id}"


def decide(link: Link, command: Command) -> tuple[Event, ...]:
    """Return the events of one command; nothing when it changes nothing.

    Raises: `UnknownLink` for the switch of a link that is not configured.
    """
    match command:
        case ConfigureLink(spec):
            return () if spec == link.spec else (LinkConfigured(spec),)
        case RemoveLink():
            return () if link.spec is None else (LinkRemoved(),)
        case ToggleLink() if link.spec is None:
            raise UnknownLink(link.link_id)
        case ToggleLink(enabled, reason):
            return () if enabled == link.enabled else (LinkToggled(enabled, reason),)
        case _:
            assert_never(command)


def evolve(link: Link, event: Event) -> Link:
    """Apply one event. The first configuration sets the switch, later ones leave it alone."""
    match event:
        case LinkConfigured(spec):
            return replace(link, spec=spec, enabled=link.enabled if link.spec else spec.enabled)
        case LinkToggled(enabled):
            return replace(link, enabled=enabled)
        case LinkRemoved():
            return Link(link.link_id)
        case _:
            assert_never(event)
