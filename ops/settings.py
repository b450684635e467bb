"""Every setting: its name, unit, default and bounds.

    signalbox.toml ──▶ environment over it ──▶ Settings (frozen, checked, secrets hidden)

Only the composition roots load settings; everything below is handed the values it needs. Each key
is explained in `signalbox.example.toml`.
"""

import ipaddress
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta
from typing_extensions import override

from signalbox.actors.filters import BadPattern, Pattern
from signalbox.actors.license_key import LicenseKey
from signalbox.ops.configfile import ConfigFile, Place, SettingsError, explained

__all__ = ["Link", "Settings", "SettingsError"]

Port = Annotated[int, Meta(ge=1, le=65_535)]
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
CountOrNone = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Seconds = Annotated[float, Meta(gt=0, le=31_536_000)]
WholeSeconds = Annotated[int, Meta(ge=1, le=31_536_000)]

SECRET_KEY_OCTETS_MIN: Final = 32
HIDDEN: Final = frozenset(
    {"admin_api_key", "license_key", "password", "secret_key", "token", "url"}
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


AnySection = TypeVar("AnySection", bound=Section)


def _require_networks(key: str, networks: tuple[str, ...]) -> None:
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None


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
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def url(self) -> str:
        """Where this machine reaches it."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::", ""} else self.host  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def __post_init__(self) -> None:
        _require_networks("trusted_proxies", self.trusted_proxies)


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


class Application(Section, frozen=True, kw_only=True):
    """What is configured for one application, whatever it was registered with."""

    id: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    allowed_ips: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require_networks("allowed_ips", self.allowed_ips)


class Link(Section, frozen=True, kw_only=True):
    """One SMPP account. Lengths of the bind's and the submit's strings are SMPP 3.4's (5.2)."""

    id: Count
    name: Annotated[str, Meta(min_length=1, max_length=64)]
    host: Annotated[str, Meta(min_length=1)]
    port: Port
    system_id: Annotated[str, Meta(max_length=15)]
    password: str = ""
    password_env: str = ""
    system_type: Annotated[str, Meta(max_length=12)] = ""
    bind: Literal["transceiver", "transmitter", "receiver"] = "transceiver"
    tps: CountOrNone = 100
    window: Count = 10
    response_timeout_s: Seconds = 5.0
    connect_timeout_s: Seconds = 5.0
    bind_timeout_s: Seconds = 30.0
    enquire_link_s: Seconds = 30.0
    enquire_link_misses_max: Count = 2
    inactivity_s: Seconds = 300.0
    reconnect_initial_s: Seconds = 1.0
    reconnect_max_s: Seconds = 60.0
    dlr_msgid: Literal[0, 1, 2] = 0
    dlr_by_text: bool = False
    long_mode: Literal["udh8", "udh16", "sar", "payload"] = "udh8"
    default_alphabet: Literal["gsm7", "latin1", "latin1_dc0"] = "gsm7"
    in_doubt: Literal["resend", "hold", "fail"] = "resend"
    registered_delivery: Annotated[int, Meta(ge=0, le=255)] = 1
    validity_period: Annotated[str, Meta(max_length=16)] = ""
    service_type: Annotated[str, Meta(max_length=5)] = ""
    tls: bool = False
    tls_verify: bool = True
    tls_ca_file: str = ""
    enabled: bool = True

    def __post_init__(self) -> None:
        if self.password and self.password_env:
            raise ValueError("password_env: give password or password_env, not both")
        if self.reconnect_initial_s > self.reconnect_max_s:
            raise ValueError("reconnect_initial_s: must not exceed reconnect_max_s")


class Pool(Section, frozen=True, kw_only=True):
    """Links that stand in for each other, by name."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    links: Annotated[tuple[str, ...], Meta(min_length=1)]
    queue_wait_s_max: Seconds = 5.0
    failover_after_s: Seconds = 1.0
    balance: bool = False


class Filter(Section, frozen=True, kw_only=True):
    """A rule for what applications may send; its expressions are RE2's."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    active: bool = True
    blacklist: bool = True
    description: str = ""
    source: str = ""
    destination: str = ""
    message: str = ""
    applications: tuple[Annotated[int, Meta(ge=1, le=2**63 - 1)], ...] = ()

    def __post_init__(self) -> None:
        for key in ("source", "destination", "message"):
            try:
                Pattern(getattr(self, key))
            except BadPattern as error:
                raise ValueError(f"{key}: filter {self.name}: {error}") from None
        if not (self.source or self.destination or self.message):
            if not self.applications:
                raise ValueError(f"name: filter {self.name} has no condition")
            if not self.blacklist:
                raise ValueError(
                    f"blacklist: filter {self.name} is an allow-list and needs"
                    " source, destination or message"
                )


LINK_ALIASES: Final = {
    "response_timeout": "response_timeout_s",
    "enquire_link": "enquire_link_s",
}

SECTIONS: Final = (
    "server",
    "database",
    "journal",
    "leases",
    "projector",
    "security",
    "sms",
    "limits",
    "license",
    "log",
    "monitoring",
    "statistic_exporter",
    "actors",
)

# What a platform sets, and the key it replaces.
ENVIRONMENT: Final[tuple[tuple[str, type[Section], str], ...]] = (
    ("PORT", Server, "port"),
    ("WEB_CONCURRENCY", Server, "web_concurrency"),
    ("DATABASE_URL", Database, "url"),
    ("LICENSE_REQUIRED", License, "required"),
    ("STATISTIC_EXPORTER_TOKEN", StatisticExporter, "token"),
    ("LOG_LEVEL", Log, "level"),
    ("LOG_FORMAT", Log, "format"),
)


class Settings(Section, frozen=True, kw_only=True):
    """Everything a composition root needs to know."""

    server: Server = Server()
    database: Database = Database()
    journal: Journal = Journal()
    leases: Leases = Leases()
    projector: Projector = Projector()
    security: Security = Security()
    sms: Sms = Sms()
    limits: Limits = Limits()
    license: License = License()
    log: Log = Log()
    monitoring: Monitoring = Monitoring()
    statistic_exporter: StatisticExporter = StatisticExporter()
    actors: Actors = Actors()
    applications: tuple[Application, ...] = ()
    links: tuple[Link, ...] = ()
    pools: tuple[Pool, ...] = ()
    filters: tuple[Filter, ...] = ()
    home: Path
    secret_key: str = ""
    admin_api_key: str = ""
    license_key: str = ""
    config_path: Path | None = None

    @classmethod
    def load(cls, path: Path | None, environ: Mapping[str, str]) -> Self:
        """Read `path` (or `./signalbox.toml` if there is one), then the environment over it.

        Raises:
            SettingsError: a file that is missing or no TOML, an unknown key, a value of the wrong
                type or out of bounds, or values that contradict each other.
        """
        config = ConfigFile.read(path)
        config.refuse_other_sections((*SECTIONS, "applications", "links", "pools", "filters"))

        def read(name: str, kind: type[AnySection]) -> AnySection:
            return config.section(name, kind, _overrides(kind, environ))

        return cls(
            server=_reachable(read("server", Server), config, environ),
            database=read("database", Database),
            journal=read("journal", Journal),
            leases=read("leases", Leases),
            projector=read("projector", Projector),
            security=read("security", Security),
            sms=read("sms", Sms),
            limits=read("limits", Limits),
            license=read("license", License),
            log=read("log", Log),
            monitoring=read("monitoring", Monitoring),
            statistic_exporter=read("statistic_exporter", StatisticExporter),
            actors=read("actors", Actors),
            applications=_applications(config),
            links=(links := _links(config, environ)),
            pools=_pools(config, links),
            filters=_filters(config),
            home=home_folder(environ),
            secret_key=_secret_key(environ),
            admin_api_key=environ.get("ADMIN_API_KEY", ""),
            license_key=_license_key(environ),
            config_path=config.path,
        )

    def with_database_url(self, url: str) -> Self:
        """Return these settings with another database."""
        database = msgspec.structs.replace(self.database, url=url)
        return msgspec.structs.replace(self, database=database)


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def home_folder(environ: Mapping[str, str]) -> Path:
    """Return SIGNALBOX_HOME, or its default for this user."""
    if chosen := environ.get("SIGNALBOX_HOME"):
        return Path(chosen).expanduser().absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/signalbox")
    return Path.home() / ".local/share/signalbox"


def _overrides(kind: type[Section], environ: Mapping[str, str]) -> dict[str, object]:
    """Return the keys of `kind` that the environment sets; an empty variable sets nothing."""
    return {
        key: _from_text(variable, kind, key, environ[variable])
        for variable, owner, key in ENVIRONMENT
        if owner is kind and environ.get(variable)
    }


def _from_text(variable: str, kind: type[Section], key: str, text: str) -> object:
    value = text.lower() if kind is Log else text
    try:
        section = msgspec.convert({key: value}, kind, strict=False)
    except msgspec.ValidationError as error:
        _, message = explained(str(error), kind)
        # Every variable is text: that it "got str" says nothing.
        raise SettingsError(f"{variable}: {message.removesuffix(', got str')}") from None
    return getattr(section, key)


def _reachable(server: Server, config: ConfigFile, environ: Mapping[str, str]) -> Server:
    """Listen everywhere when the platform assigned the port: it connects from outside."""
    if not environ.get("PORT") or config.has("server", "host"):
        return server
    return msgspec.structs.replace(server, host="0.0.0.0")  # noqa: S104  # asked for by PORT


def _secret_key(environ: Mapping[str, str]) -> str:
    secret_key = environ.get("SECRET_KEY", "")
    size_octets = len(secret_key.encode())
    if secret_key and size_octets < SECRET_KEY_OCTETS_MIN:
        raise SettingsError(
            f"SECRET_KEY: expected at least {SECRET_KEY_OCTETS_MIN} bytes, got {size_octets}"
        )
    return secret_key


def _license_key(environ: Mapping[str, str]) -> str:
    license_key = environ.get("LICENSE_KEY", "")
    try:
        LicenseKey(license_key)
    except ValueError as error:
        raise SettingsError(f"LICENSE_KEY: {error}") from None
    return license_key


def _applications(config: ConfigFile) -> tuple[Application, ...]:
    applications = config.sections("applications", Application, {})
    ids: set[int] = set()
    for index, application in enumerate(applications):
        if application.id in ids:
            message = f"{application.id} is given twice"
            raise config.refusal(Place("applications", index), "id", message)
        ids.add(application.id)
    return applications


def _links(config: ConfigFile, environ: Mapping[str, str]) -> tuple[Link, ...]:
    links = config.sections("links", Link, LINK_ALIASES)
    seen: set[int] = set()
    for index, link in enumerate(links):
        if link.id in seen:
            raise config.refusal(Place("links", index), "id", f"{link.id} is given twice")
        seen.add(link.id)
    return tuple(_with_password(config, environ, i, link) for i, link in enumerate(links))


def _pools(config: ConfigFile, links: tuple[Link, ...]) -> tuple[Pool, ...]:
    """Return the pools; a link is in one at most, and a text looks the same on all its members."""
    pools = config.sections("pools", Pool, {})
    by_name = {link.name: link for link in links}
    named = Counter(link.name for link in links)
    taken: dict[str, str] = {}
    for index, pool in enumerate(pools):
        place = Place("pools", index)
        if pool.name in taken.values():
            raise config.refusal(place, "name", f"{pool.name} is given twice")
        for name in pool.links:
            if named[name] != 1:
                raise config.refusal(
                    place, "links", f"{named[name] or 'no'} links are named {name}"
                )
            if name in taken:
                raise config.refusal(place, "links", f"{name} is in pool {taken[name]} already")
            taken[name] = pool.name
        alike = {(by_name[name].long_mode, by_name[name].default_alphabet) for name in pool.links}
        if len(alike) > 1:
            message = "members differ in long_mode or default_alphabet"
            raise config.refusal(place, "links", message)
    return pools


def _filters(config: ConfigFile) -> tuple[Filter, ...]:
    filters = config.sections("filters", Filter, {})
    seen: set[str] = set()
    for index, one in enumerate(filters):
        if one.name in seen:
            raise config.refusal(Place("filters", index), "name", f"{one.name} is given twice")
        seen.add(one.name)
    return filters


def _with_password(config: ConfigFile, environ: Mapping[str, str], index: int, link: Link) -> Link:
    if not link.password_env:
        return link
    password = environ.get(link.password_env)
    if password is None:
        message = f"the environment variable {link.password_env} is not set"
        raise config.refusal(Place("links", index), "password_env", message)
    return msgspec.structs.replace(link, password=password, password_env="")
