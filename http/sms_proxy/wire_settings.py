"""Answers about the configuration. Names and shapes are the API reference's, durations Go's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from signalbox.domain.link import Link


class SmppAccount(msgspec.Struct, frozen=True, kw_only=True):
    """How a link connects; `response_timeout` in whole seconds, a part of one counts as one."""

    host: str
    port: int
    system_id: str
    system_type: str
    interface_version: Literal["3.4"] = "3.4"
    response_timeout: int


class Storage(msgspec.Struct, frozen=True, kw_only=True):
    """The database's URL without its secrets."""

    db_path: str


class Aerospike(msgspec.Struct, frozen=True, kw_only=True):
    """There is none: everything is in the one database."""

    hosts: str = ""
    port: int = 0
    namespace: str = ""
    sweep_time: str = "0s"
    ttl: str = "0s"


class Security(msgspec.Struct, frozen=True, kw_only=True):
    """How long a token lives."""

    token_ttl: str


class Grpc(msgspec.Struct, frozen=True, kw_only=True):
    """There is none."""

    port: int = 0
    timeout: str = "0s"


class Smpp(msgspec.Struct, frozen=True, kw_only=True):
    """Whether pools or filters decide about messages."""

    rules_loaded: bool


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """A filter; its `snippet` is the rule as a line to read."""

    active: bool
    blacklist: bool
    description: str
    snippet: str


class StatisticExporter(msgspec.Struct, frozen=True, kw_only=True):
    """Where statistics are sent; `target` without credentials."""

    enabled: bool
    target: str
    bucket: str
    tls: bool


class Monitoring(msgspec.Struct, frozen=True, kw_only=True):
    """Traces; `collector` without credentials."""

    otel: bool
    sampling: float
    collector: str


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration in force, without secrets. The process itself speaks plain HTTP."""

    env: str
    server_name: str
    endpoint: str
    tls: bool = False
    storage: Storage
    aerospike: Aerospike = Aerospike()
    security: Security
    grpc: Grpc = Grpc()
    smpp: Smpp
    filters: dict[str, Filter]
    statistic_exporter: StatisticExporter
    monitoring: Monitoring


def smpp_account(link: Link) -> SmppAccount:
    """Return how a configured link connects."""
    spec = link.spec
    assert spec is not None, link
    return SmppAccount(
        host=spec.host,
        port=spec.port,
        system_id=spec.system_id,
        system_type=spec.system_type,
        response_timeout=max(1, round(spec.response_timeout_s)),
    )


def go_duration(seconds: float) -> str:
    """Return a duration as Go's `time.Duration` prints it; finer than a millisecond is dropped.

    >>> go_duration(86_400), go_duration(90.5), go_duration(0.25), go_duration(0)
    ('24h0m0s', '1m30.5s', '250ms', '0s')
    """
    if 0 < seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest_ms = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    rest = f"{rest_ms / 1000:g}s"
    if hours:
        return f"{hours}h{minutes}m{rest}"
    return f"{minutes}m{rest}" if minutes else rest
