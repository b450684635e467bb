"""Everything a composition root needs to know, read from file and environment.

    signalbox.toml ──▶ environment over it ──▶ Settings (frozen, checked, secrets hidden)

Only the composition roots load settings; everything below is handed the values it needs.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self, TypeVar

import msgspec

from signalbox.actors.license_key import LicenseKey
from signalbox.ops.callback_section import Callbacks
from signalbox.ops.configfile import ConfigFile, SettingsError, explained
from signalbox.ops.entries import (
    Application,
    Filter,
    Grouping,
    IpPool,
    Link,
    Pool,
    read_applications,
    read_filters,
    read_groupings,
    read_ip_pools,
    read_links,
    read_pools,
)
from signalbox.ops.mail_sections import Mail
from signalbox.ops.phone_sections import Phones, Signalhouse, Trucopilot, Websockets
from signalbox.ops.sections import (
    Actors,
    Database,
    Journal,
    Leases,
    License,
    Limits,
    Listeners,
    Log,
    Monitoring,
    Projector,
    Section,
    Security,
    Server,
    Sms,
    StatisticExporter,
    Warmup,
)

__all__ = ["Settings", "SettingsError"]


SECRET_KEY_OCTETS_MIN: Final = 32


AnySection = TypeVar("AnySection", bound=Section)


SECTIONS: Final = (
    "server",
    "listeners",
    "websockets",
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
    "warmup",
    "phones",
    "signalhouse",
    "trucopilot",
    "callbacks",
    "mail",
)
LISTS: Final = ("applications", "links", "pools", "filters", "ip_pools", "groupings")

# What a platform sets, and the key it replaces.
ENVIRONMENT: Final[tuple[tuple[str, type[Section], str], ...]] = (
    ("PORT", Server, "port"),
    ("WEB_CONCURRENCY", Server, "web_concurrency"),
    ("DATABASE_URL", Database, "url"),
    ("LICENSE_REQUIRED", License, "required"),
    ("STATISTIC_EXPORTER_TOKEN", StatisticExporter, "token"),
    ("LOG_LEVEL", Log, "level"),
    ("LOG_FORMAT", Log, "format"),
    ("WARMUP_API_KEYS", Warmup, "api_keys"),
    ("MAIL_API_TOKEN", Mail, "api_token"),
    ("MAIL_S3_ACCESS_KEY", Mail, "s3_access_key"),
    ("MAIL_S3_SECRET_KEY", Mail, "s3_secret_key"),
)


class Settings(Section, frozen=True, kw_only=True):
    """Everything a composition root needs to know."""

    server: Server = Server()
    listeners: Listeners = Listeners()
    websockets: Websockets = Websockets()
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
    warmup: Warmup = Warmup()
    phones: Phones = Phones()
    signalhouse: Signalhouse = Signalhouse()
    trucopilot: Trucopilot = Trucopilot()
    callbacks: Callbacks = Callbacks()
    mail: Mail = Mail()
    applications: tuple[Application, ...] = ()
    links: tuple[Link, ...] = ()
    pools: tuple[Pool, ...] = ()
    filters: tuple[Filter, ...] = ()
    ip_pools: tuple[IpPool, ...] = ()
    groupings: tuple[Grouping, ...] = ()
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
        config.refuse_other_sections((*SECTIONS, *LISTS))

        def read(name: str, kind: type[AnySection]) -> AnySection:
            return config.section(name, kind, _overrides(kind, environ))

        return cls(
            server=_reachable(read("server", Server), config, environ),
            listeners=read("listeners", Listeners),
            websockets=read("websockets", Websockets),
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
            warmup=read("warmup", Warmup),
            phones=read("phones", Phones),
            signalhouse=read("signalhouse", Signalhouse),
            trucopilot=read("trucopilot", Trucopilot),
            callbacks=read("callbacks", Callbacks),
            mail=read("mail", Mail),
            applications=read_applications(config),
            links=(links := read_links(config, environ)),
            pools=read_pools(config, links),
            filters=read_filters(config),
            ip_pools=read_ip_pools(config),
            groupings=read_groupings(config),
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
    value: object = text.lower() if kind is Log else text
    if kind is Warmup:
        value = [part.strip() for part in text.split(",")]
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
