"""What the configuration lists: `[[links]]`, `[[pools]]`, `[[filters]]` and the like."""

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from signalbox.actors.filters import BadPattern, Pattern
from signalbox.domain.errors import InvalidField
from signalbox.domain.groupings import PUBLISHED_DOMAINS, PUBLISHED_MX_HOSTS
from signalbox.domain.ip_pool import Policy
from signalbox.domain.sending_ip import canonical_ip
from signalbox.ops.configfile import ConfigFile, Place
from signalbox.ops.sections import Count, CountOrNone, Port, Seconds, Section, require_networks


class Application(Section, frozen=True, kw_only=True):
    """What is configured for one application, whatever it was registered with."""

    id: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    allowed_ips: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_networks("allowed_ips", self.allowed_ips)


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


class IpPool(Section, frozen=True, kw_only=True):
    """Addresses mail leaves from, by name; see `domain.ip_pool`."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    ips: Annotated[tuple[str, ...], Meta(min_length=1)]
    weights: tuple[Annotated[int, Meta(ge=1, le=1_000)], ...] = ()
    overflow: str = ""
    policy: Policy = "defer"

    @property
    def canonical_ips(self) -> tuple[str, ...]:
        """The addresses as everything else names them."""
        return tuple(canonical_ip(ip) for ip in self.ips)

    def __post_init__(self) -> None:
        try:
            distinct = set(self.canonical_ips)
        except InvalidField as error:
            raise ValueError(f"ips: {error}") from None
        if len(distinct) < len(self.ips):
            raise ValueError("ips: an address is given twice")
        if self.weights and len(self.weights) != len(self.ips):
            raise ValueError("weights: expected one for each address, or none")


# A name, ".example.com" for those below it; "*" is a label. See `domain.groupings`.
HostPattern = Annotated[
    str, Meta(pattern=r"^\.?([A-Za-z0-9_-]+|\*)(\.([A-Za-z0-9_-]+|\*))*$", max_length=253)
]


class Grouping(Section, frozen=True, kw_only=True):
    """Whose mail is warmed up together, beside or instead of what `domain.groupings` has."""

    name: Annotated[str, Meta(pattern=r"^&\S+$", max_length=64, description="a name like &gmail")]
    domains: tuple[HostPattern, ...] = ()
    mx: tuple[HostPattern, ...] = ()

    def __post_init__(self) -> None:
        known = self.name in PUBLISHED_DOMAINS or self.name in PUBLISHED_MX_HOSTS
        if not (self.domains or self.mx or known):
            raise ValueError(f"name: {self.name} has neither domains nor mx")


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


AnyEntry = TypeVar("AnyEntry", bound=Section)

LINK_ALIASES: Final = {
    "response_timeout": "response_timeout_s",
    "enquire_link": "enquire_link_s",
}


def read_applications(config: ConfigFile) -> tuple[Application, ...]:
    """Return what is configured of applications, each once."""
    return _once(config, "applications", "id", config.sections("applications", Application, {}))


def read_links(config: ConfigFile, environ: Mapping[str, str]) -> tuple[Link, ...]:
    """Return the links, each number once, with passwords from the environment."""
    links = _once(config, "links", "id", config.sections("links", Link, LINK_ALIASES))
    return tuple(_with_password(config, environ, i, link) for i, link in enumerate(links))


def read_pools(config: ConfigFile, links: tuple[Link, ...]) -> tuple[Pool, ...]:
    """Return the pools; a link is in one at most, and a text looks the same on all its members."""
    pools = _once(config, "pools", "name", config.sections("pools", Pool, {}))
    by_name = {link.name: link for link in links}
    named = Counter(link.name for link in links)
    taken: dict[str, str] = {}
    for index, pool in enumerate(pools):
        place = Place("pools", index)
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


def read_ip_pools(config: ConfigFile) -> tuple[IpPool, ...]:
    """Return the pools of addresses; one that others overflow into has no overflow itself."""
    pools = _once(config, "ip_pools", "name", config.sections("ip_pools", IpPool, {}))
    overflows = {pool.name: pool.overflow for pool in pools}
    for index, pool in enumerate(pools):
        place = Place("ip_pools", index)
        if pool.overflow and pool.overflow not in overflows:
            raise config.refusal(place, "overflow", f"no pool is named {pool.overflow}")
        if overflows.get(pool.overflow):
            message = f"{pool.overflow} has an overflow itself"
            raise config.refusal(place, "overflow", message)
    return pools


def read_groupings(config: ConfigFile) -> tuple[Grouping, ...]:
    """Return the groupings, each name once, and each pattern in one of them at most."""
    groupings = _once(config, "groupings", "name", config.sections("groupings", Grouping, {}))
    taken: dict[tuple[str, str], str] = {}
    for index, grouping in enumerate(groupings):
        for key in ("domains", "mx"):
            for pattern in getattr(grouping, key):
                owner = taken.setdefault((key, pattern.lower()), grouping.name)
                if owner != grouping.name:
                    message = f"{pattern} is in grouping {owner} already"
                    raise config.refusal(Place("groupings", index), key, message)
    return groupings


def read_filters(config: ConfigFile) -> tuple[Filter, ...]:
    """Return the filters in order, each name once."""
    return _once(config, "filters", "name", config.sections("filters", Filter, {}))


def _once(
    config: ConfigFile, section: str, key: str, entries: tuple[AnyEntry, ...]
) -> tuple[AnyEntry, ...]:
    """Return the entries. Raises: `SettingsError` when two have the same `key`."""
    seen: set[object] = set()
    for index, entry in enumerate(entries):
        value = getattr(entry, key)
        if value in seen:
            raise config.refusal(Place(section, index), key, f"{value} is given twice")
        seen.add(value)
    return entries


def _with_password(config: ConfigFile, environ: Mapping[str, str], index: int, link: Link) -> Link:
    if not link.password_env:
        return link
    password = environ.get(link.password_env)
    if password is None:
        message = f"the environment variable {link.password_env} is not set"
        raise config.refusal(Place("links", index), "password_env", message)
    return msgspec.structs.replace(link, password=password, password_env="")
