"""The S3 server for large files as the settings make it, or why there is none."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import ssl

    from signalbox.actors.object_files import Objects
    from signalbox.ops.mail_sections import Mail

log = logging.getLogger(__name__)

NO_SERVER: Final = "no S3 server for large files is configured"
NO_CREDENTIALS: Final = "no credentials of the S3 server for large files are configured"
NO_CLIENT: Final = "large files on an S3 server need signalbox[s3], which is not installed"


def objects_of(settings: Mail, tls: ssl.SSLContext) -> Objects | str:
    """Return the server, or the reason why there is none."""
    if not settings.s3_endpoint:
        return NO_SERVER
    server = _server(settings, tls)
    if isinstance(server, str):
        log.warning("large files can't go to S3", extra={"reason": server})
    return server


def _server(settings: Mail, tls: ssl.SSLContext) -> Objects | str:
    if not (settings.s3_access_key and settings.s3_secret_key):
        return NO_CREDENTIALS
    try:
        from signalbox.actors.transports.s3 import S3Access, S3Server  # noqa: PLC0415  an extra
    except ModuleNotFoundError:
        return NO_CLIENT
    access = S3Access(
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key,
        connect_timeout_s=settings.connect_timeout_s,
        timeout_s=settings.attachment_timeout_s,
        connections_max=settings.attachment_fetches_max,
    )
    return S3Server(access, tls)
