"""The settings in force as the API shows them: whole, and without a secret."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlencode

from signalbox.actors.filters import snippet
from signalbox.http.sms_proxy import wire_settings as wire
from signalbox.ops import links as configured

if TYPE_CHECKING:
    from signalbox.ops.settings import Settings

# What a database's URL may say of itself; whatever else its query holds may be a secret.
SHOWN: Final = frozenset({"dbname", "host", "hostaddr", "port", "sslmode", "user"})


def server_config(settings: Settings) -> wire.ServerConfig:
    """Return the settings as `GET …/settings/server-config` answers them."""
    server, monitoring = settings.server, settings.monitoring
    exporter = settings.statistic_exporter
    return wire.ServerConfig(
        env=server.environment,
        server_name=server.name or socket.gethostname(),
        endpoint=server.endpoint,
        storage=wire.Storage(db_path=without_password(settings.database.url)),
        security=wire.Security(token_ttl=wire.go_duration(settings.security.token_ttl_s)),
        smpp=wire.Smpp(rules_loaded=bool(settings.pools or settings.filters)),
        filters=_filters(settings),
        statistic_exporter=wire.StatisticExporter(
            enabled=exporter.enabled,
            target=without_credentials(exporter.target),
            bucket=exporter.bucket,
            tls=exporter.tls,
        ),
        monitoring=wire.Monitoring(
            otel=monitoring.otel,
            sampling=monitoring.sampling,
            collector=without_credentials(monitoring.collector),
        ),
    )


def without_password(url: str) -> str:
    """Return a database's URL without what must stay secret.

    >>> without_password("postgresql://me:hush@db1:5432,db2/box?sslmode=require&sslpassword=x")
    'postgresql://me@db1:5432,db2/box?sslmode=require'
    """
    scheme, separator, rest = url.partition("://")
    user_info, at, where = rest.partition("@")
    if not at or "/" in user_info:  # As libpq reads it: credentials come before any slash.
        user_info, at, where = "", "", rest
    address, mark, options = where.partition("?")
    query = urlencode([(k, v) for k, v in parse_qsl(options) if k in SHOWN], safe="/")
    user = user_info.partition(":")[0]
    return f"{scheme}{separator}{user}{at}{address}{mark if query else ''}{query}"


def without_credentials(target: str) -> str:
    """Return `host:port` or a URL without user, password and query.

    >>> without_credentials("https://me:hush@traces.example/v1?key=x")
    'https://traces.example/v1'
    """
    scheme, separator, rest = target.rpartition("://")
    address = rest.rpartition("@")[2]  # Whatever comes before it: a password may hold anything.
    return f"{scheme}{separator}{address.partition('?')[0].partition('#')[0]}"


def _filters(settings: Settings) -> dict[str, wire.Filter]:
    return {
        rule.name: wire.Filter(
            active=rule.active,
            blacklist=rule.blacklist,
            description=rule.description,
            snippet=snippet(rule),
        )
        for rule in configured.filter_rules(settings)
    }
