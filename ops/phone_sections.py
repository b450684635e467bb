"""The sections of the configuration file for phones: names, units, defaults, bounds.

Each key is explained in `signalbox.example.toml`.
"""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta

from signalbox.ops.sections import Count, CountOrNone, Seconds, Section, WholeSeconds

Rate = Annotated[float, Meta(gt=0, le=1_000_000)]


class Websockets(Section, frozen=True):
    """Sockets of phones: what each may send, how long it may be silent and slow."""

    message_octets_max: Count = 65_536
    first_message_octets_max: Count = 4_096
    first_message_timeout_s: Seconds = 10.0
    frames_per_s: Rate = 20.0
    frames_burst: Count = 100
    queue_frames_max: Count = 64
    write_timeout_s: Seconds = 10.0
    ping_s: Seconds = 25.0
    silence_s: Seconds = 70.0
    allowed_origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.ping_s >= self.silence_s:
            raise ValueError(f"ping_s: must stay below silence_s ({self.silence_s:g})")
        for origin in self.allowed_origins:
            if origin != "*" and not _is_origin(origin):
                raise ValueError("allowed_origins: expected such as https://app.example.com")


class Phones(Section, frozen=True):
    """How messages go to phones, whoever they belong to."""

    window: Count = 10
    sim_rate_per_s: Seconds = 1.0
    sim_burst: Count = 20
    repush_s: Seconds = 30.0
    attempts_max: Count = 3
    idempotency_window_s: WholeSeconds = 86_400
    expiry_every_s: Seconds = 10.0
    line_ttl_s: Seconds = 45.0
    line_renew_s: Seconds = 15.0

    def __post_init__(self) -> None:
        if 2 * self.line_renew_s > self.line_ttl_s:
            raise ValueError(
                f"line_renew_s: twice as long must fit line_ttl_s ({self.line_ttl_s:g})"
            )


class Signalhouse(Section, frozen=True):
    """Accounts whose phones send and receive for them."""

    public_url: str = ""
    access_token_ttl_s: WholeSeconds = 7_776_000
    refresh_token_ttl_s: WholeSeconds = 15_552_000
    session_age_s_max: WholeSeconds = 31_536_000
    login_failures_max: Count = 5
    login_failures_per_ip_max: Count = 100
    login_window_s: WholeSeconds = 900
    bad_keys_max: Count = 20
    bad_keys_window_s: WholeSeconds = 300
    phones_max: Count = 50
    message_ttl_s: WholeSeconds = 259_200
    pending_max: Count = 1_000
    sends_per_s: CountOrNone = 50
    sends_burst: Count = 500
    require_phone: bool = False
    strangers_per_ip_max: Count = 20
    bad_frames_per_minute_max: Count = 20

    def __post_init__(self) -> None:
        _require_public(self.public_url)


class Trucopilot(Section, frozen=True):
    """Organisations whose phones send and receive for them, known by a secret."""

    public_url: str = ""
    claiming: Literal["open", "closed"] = "open"
    claimable: tuple[Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{3,64}$")], ...] = ()
    claims_per_ip_max: Count = 100
    claims_window_s: WholeSeconds = 3_600
    failures_max: Count = 10
    failures_window_s: WholeSeconds = 86_400
    lock_s: WholeSeconds = 300
    lockout: Literal["strict", "trusted_source"] = "strict"
    trusted_source_s: WholeSeconds = 86_400
    failures_per_ip_max: Count = 100
    failures_per_ip_window_s: WholeSeconds = 300
    verified_s: Seconds = 300.0
    strangers_per_ip_max: Count = 20
    bad_frames_per_minute_max: Count = 20
    lines_max: Count = 50
    message_ttl_s: WholeSeconds = 604_800
    pending_max: Count = 10_000

    def __post_init__(self) -> None:
        _require_public(self.public_url)


def _require_public(url: str) -> None:
    if url and not _is_origin(url.rstrip("/")):
        raise ValueError("public_url: expected such as https://sms.example.com")


def _is_origin(text: str) -> bool:
    scheme, _, place = text.partition("://")
    return scheme in {"http", "https"} and bool(place) and urlsplit(text).netloc == place.lower()
