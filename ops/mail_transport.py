"""What sends the mails of tenants, put together from the settings."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final

import gevent

from signalbox.actors.attachment_cache import AttachmentCache, CacheLimits
from signalbox.actors.attachments import AttachmentLimits, Attachments
from signalbox.actors.large_files import LargeFileStore
from signalbox.actors.transports.fetching import Fetcher
from signalbox.actors.transports.outside import Outside
from signalbox.actors.transports.smtp.connecting import Means, Patience, connect, only_to
from signalbox.actors.transports.smtp.sessions import Sessions
from signalbox.actors.transports.smtp.transport import SmtpTransport
from signalbox.actors.transports.trust import trusting
from signalbox.domain.tenant import TenantDeleted
from signalbox.ops.mail_objects import objects_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

    from signalbox.actors.tenants import Tenants
    from signalbox.domain.tenant_config import LargeFiles
    from signalbox.ops.mail_sections import Mail

NAME_S: Final = 2.0
NOWHERE: Final = "[127.0.0.1]"  # RFC 5321, 4.1.3: for who has no name


def transport_of(
    settings: Mail, tenants: Tenants, tenant_ids: Callable[[], Iterable[str]] = tuple
) -> SmtpTransport:
    """Return what a relay sends mails with; `tenant_ids` tells whose old files are removed."""
    tls = trusting(settings.tls_ca_file)
    patience = Patience(
        connect_s=settings.connect_timeout_s,
        reply_s=settings.reply_timeout_s,
        content_s=settings.content_timeout_s,
        accept_s=settings.accept_timeout_s,
    )
    outside = Outside(settings.allowed_networks)
    means = Means(
        tls=tls,
        our_name=settings.our_name or name_of_this_machine(),
        patience=patience,
        connect=connect if settings.mail_servers_inside else only_to(outside),
    )
    sessions = Sessions(
        means, idle_s=settings.idle_connection_s, idle_max=settings.idle_connections_max
    )
    return SmtpTransport(
        sessions,
        attachments_of(settings, tenants, tenant_ids, tls),
        per_account_max=settings.in_flight_per_account_max,
        mails_max=settings.in_flight_max,
    )


def attachments_of(
    settings: Mail,
    tenants: Tenants,
    tenant_ids: Callable[[], Iterable[str]],
    tls: ssl.SSLContext,
) -> Attachments:
    """Return what fetches attachments; what was kept of a tenant goes with it."""
    cache = AttachmentCache(
        CacheLimits(
            memory_octets_max=settings.cache_memory_octets_max,
            memory_ttl_s=settings.cache_memory_ttl_s,
            folder=_folder(settings.cache_folder),
            disk_octets_max=settings.cache_folder_octets_max,
            disk_ttl_s=settings.cache_folder_ttl_s,
        )
    )
    fetcher = Fetcher(
        Outside(settings.allowed_networks),
        octets_max=settings.attachment_octets_max,
        connect_timeout_s=settings.connect_timeout_s,
        timeout_s=settings.attachment_timeout_s,
        tls=tls,
    )
    limits = AttachmentLimits(
        octets_max=settings.attachment_octets_max,
        mail_octets_max=settings.attachments_octets_max,
        fetches_max=settings.attachment_fetches_max,
        root=_folder(settings.attachment_root),
    )

    def changed(tenant_id: str, event: object) -> None:
        if isinstance(event, TenantDeleted):
            gevent.spawn(cache.forget, tenant_id)

    tenants.on_change(changed)

    def wishes() -> Iterable[LargeFiles]:
        return (tenants.known(tenant_id).large_files for tenant_id in tenant_ids())

    large_files = LargeFileStore(
        _folder(settings.large_files_root), objects_of(settings, tls), wishes
    )
    return Attachments(tenants, fetcher, cache, large_files, limits)


def name_of_this_machine() -> str:
    """Return the whole name of this machine, if it has one and somebody knows it."""
    name = ""
    with gevent.Timeout(NAME_S, False):  # noqa: FBT003  gevent's way: then there is none
        name = socket.getfqdn()
    return name if "." in name and name.isascii() else NOWHERE


def _folder(path: str) -> Path | None:
    return Path(path) if path else None
