"""The sections of the configuration file: names, units, defaults, bounds.

Each key is explained in `signalbox.example.toml`.
"""

import ipaddress
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta
from typing_extensions import override

from signalbox.domain.warmup_status import WarmupStatus
from signalbox.ops.zones import zone_of

Port = Annotated[int, Meta(ge=1, le=65_535)]

PortOrNone = Annotated[int, Meta(ge=0, le=65_535)]
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]

CountOrNone = Annotated[int, Meta(ge=0, le=2**31 - 1)]

Seconds = Annotated[float, Meta(gt=0, le=31_536_000)]

WholeSeconds = Annotated[int, Meta(ge=1, le=31_536_000)]

HIDDEN: Final = frozenset(
    {
        "admin_api_key",
        "api_keys",
        "api_token",
        "s3_access_key",
        "s3_secret_key",
        "license_key",
        "password",
        "secret_key",
        "token",
        "url",
    }
)


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all settings: immutable, no unknown keys, secrets hidden from `repr`."""

    @override
    def __repr__(self) -> str:
        shown = (f"{name}={self._shown(name)}" for name in self.__struct_fields__)
        return f"{type(self).__name__}({', '.join(shown)})"

    def _shown(self, name: str) -> str:
        value: object = getattr(self, name)
        return "'***'" if value and name in HIDDEN else repr(value)


class Server(Section, frozen=True):
    """The HTTP server."""

    host: str = "127.0.0.1"
    port: Port = 8088
    web_concurrency: Count = 1
    connections_max: Count = 12_000
    connections_per_ip_max: CountOrNone = 0
    backlog: Count = 4_096
    body_bytes_max: Count = 1_048_576
    header_timeout_s: Seconds = 5.0
    header_line_octets_max: Count = 8_192
    graceful_timeout_s: WholeSeconds = 25
    trusted_proxies: tuple[str, ...] = ()
    name: str = ""
    environment: str = "production"

    @property
    def endpoint(self) -> str:
        """Where it listens: `host:port`."""
        return self.endpoint_at(self.port)

    def endpoint_at(self, port: int) -> str:
        """Return `host:port` for a port of its host."""
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{port}"

    @property
    def url(self) -> str:
        """Where this machine reaches it."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::", ""} else self.host  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def __post_init__(self) -> None:
        require_networks("trusted_proxies", self.trusted_proxies)


class Listeners(Section, frozen=True):
    """Ports of single surfaces, beside the one they share; 0: none."""

    sms_proxy: PortOrNone = 0
    warmup: PortOrNone = 0
    signalhouse: PortOrNone = 0
    trucopilot: PortOrNone = 0
    mail_proxy: PortOrNone = 0

    def __post_init__(self) -> None:
        if len(set(self.ports.values())) < len(self.ports):
            raise ValueError(f"{list(self.ports)[-1]}: two surfaces have the same port")

    @property
    def ports(self) -> dict[str, int]:
        """The ports in use, by surface."""
        found = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: port for name, port in found.items() if port}


class Database(Section, frozen=True):
    """Where the events are kept; an empty `url` means the embedded PostgreSQL of `up`."""

    url: str = ""
    pool_connections_max: Count = 10
    connect_timeout_s: WholeSeconds = 5
    lock_timeout_s: Seconds = 5.0
    statement_timeout_s: Seconds = 10.0

    def __post_init__(self) -> None:
        if self.url and not self.url.startswith(("postgresql://", "postgres://")):
            raise ValueError("url: expected postgresql://user:password@host:port/database")


class Journal(Section, frozen=True):
    """Group commit: how much is written at once, and how much may wait how long."""

    batch_events_max: Count = 500
    waiting_appends_max: Count = 20_000
    wait_s_max: Seconds = 2.0


class Leases(Section, frozen=True):
    """Who may act for an entity, and until when."""

    partitions: Count = 128
    ttl_s: Seconds = 10.0
    renew_s: Seconds = 3.0
    safety_s: Seconds = 2.0

    def __post_init__(self) -> None:
        if self.renew_s + self.safety_s >= self.ttl_s:
            raise ValueError(f"renew_s: renew_s + safety_s must stay below ttl_s ({self.ttl_s:g})")


class Projector(Section, frozen=True):
    """The process that keeps the read models."""

    batch_events_max: Count = 1_000
    lag_ready_s: Seconds = 30.0
    read_wait_s: Seconds = 1.0


class Security(Section, frozen=True):
    """Tokens, passwords and who may call what."""

    token_ttl_s: WholeSeconds = 86_400
    password_octets_max: Count = 128
    login_failures_max: Count = 5
    login_failures_per_ip_max: Count = 20
    login_window_s: WholeSeconds = 900
    hash_threads: Count = 2
    hash_queue_max: Count = 16
    stats_auth: Literal["none", "admin"] = "none"
    user_api_auth: Literal["admin", "none"] = "admin"
    jwt_admin_mutations: bool = False


class Sms(Section, frozen=True):
    """Text messages on their way through the links."""

    send_wait_s: Annotated[float, Meta(ge=0, le=3_600)] = 5.0
    parts_max: Annotated[int, Meta(ge=1, le=255)] = 10
    transaction_window_s: WholeSeconds = 86_400
    retry_age_s_max: WholeSeconds = 1_200
    receipt_park_s: WholeSeconds = 600
    receipt_match_days: Count = 7
    mo_reassembly_s: WholeSeconds = 1_800


class Limits(Section, frozen=True):
    """How many requests are let in, over all web processes."""

    requests_per_s: CountOrNone = 5_000
    requests_burst: Count = 10_000
    app_requests_per_s: CountOrNone = 1_000
    app_requests_burst: Count = 2_000
    exempt_paths: tuple[str, ...] = ("/healthy", "/health", "/readyz", "/metrics")


class License(Section, frozen=True):
    """What is allowed without a licence, and whether that is enough."""

    connections_max: CountOrNone = 100
    tps_max: CountOrNone = 1_000
    required: bool = False


class Log(Section, frozen=True):
    """What operators read."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Monitoring(Section, frozen=True):
    """Traces, for a collector that takes OTLP over HTTP."""

    otel: bool = False
    sampling: Annotated[float, Meta(ge=0, le=1)] = 0.1
    collector: str = ""

    def __post_init__(self) -> None:
        if self.collector and not _is_web_address(self.collector_url):
            raise ValueError("collector: expected host:port, or a URL with http or https")
        if self.otel and not self.collector:
            raise ValueError("collector: needed for otel = true, such as 127.0.0.1:4318")

    @property
    def collector_url(self) -> str:
        """Where spans are sent."""
        scheme, found, rest = self.collector.rpartition("://")
        host, _, path = rest.partition("/")
        return f"{scheme if found else 'http'}://{host}/{path or 'v1/traces'}"


class StatisticExporter(Section, frozen=True):
    """What happened in each minute, for an InfluxDB."""

    enabled: bool = False
    target: str = ""
    bucket: str = ""
    org: str = ""
    token: str = ""
    tls: bool = True
    tls_ca_file: str = ""
    interval_s: Annotated[float, Meta(gt=0, le=600)] = 60.0
    timeout_s: Seconds = 10.0

    def __post_init__(self) -> None:
        if self.target and not _is_web_address(self.url):
            raise ValueError("target: expected host:port, or a URL with http or https")
        if "@" in self.target:
            raise ValueError("target: must not hold a user or password; there is token")
        if "://" in self.target and self.tls != self.url.startswith("https:"):
            raise ValueError(f"target: contradicts tls = {str(self.tls).lower()}")
        for key in ("target", "bucket"):
            if self.enabled and not getattr(self, key):
                raise ValueError(f"{key}: needed for enabled = true")

    @property
    def url(self) -> str:
        """Where the minutes are sent."""
        scheme = "https" if self.tls else "http"
        return self.target if "://" in self.target else f"{scheme}://{self.target}"


class Actors(Section, frozen=True):
    """Bounds of the actor runtime."""

    inbox_messages_max: Count = 10_000
    restarts_max: CountOrNone = 3


class Warmup(Section, frozen=True):
    """Addresses that mail leaves from, while they are warmed up."""

    timezone: str = "UTC"
    api_keys: tuple[Annotated[str, Meta(min_length=1)], ...] = ()
    strict_doc_shapes: bool = False
    status_words: dict[WarmupStatus, Annotated[str, Meta(min_length=1)]] = {}

    def __post_init__(self) -> None:
        try:
            zone_of(self.timezone)
        except ValueError as error:
            raise ValueError(f"timezone: {error}") from None


def require_networks(key: str, networks: tuple[str, ...]) -> None:
    """Raise `ValueError` for what is no network (CIDR)."""
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
