"""Attachments: from where a mail's sender says they are to files that go with it.

    base64:…      ─▶ they are in the mail itself
    http(s)://…   ─▶ GET, with what the attachment itself says about who we are
    /…            ─▶ a file below the one folder that the operator has opened for it
    anything else ─▶ POST to the tenant's own server, which knows what the path means

Whatever a tenant writes, no host on our side of the network is asked (`transports/outside.py`), no
file outside of that folder is read, and no secret of the tenant's goes to anybody but its server.
A name may tell the MD5 of the content ("report{MD5:…}.pdf"): what was fetched lately and has it is
taken from the cache. It is a key and no claim: what is fetched is sent whatever its MD5.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
from gevent.lock import Semaphore

from signalbox.actors.attachment_cache import md5_of
from signalbox.actors.mail_calls import authorization_of, url_of
from signalbox.actors.threads import in_thread
from signalbox.actors.transports.fetching import Request, Unfetched
from signalbox.actors.transports.smtp.message import File
from signalbox.actors.transports.smtp.transport import Unattached

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from signalbox.actors.attachment_cache import AttachmentCache
    from signalbox.actors.tenants import Tenants
    from signalbox.actors.transports.fetching import Fetcher
    from signalbox.domain.mail_content import Attachment, AttachmentAuth, FetchMode, MailContent
    from signalbox.domain.tenant_config import LargeFiles

log = logging.getLogger(__name__)

ATTACHMENT_PATH: Final = "/mail-proxy/attachments"
BASE64_PREFIX: Final = "base64:"
_MD5_MARK: Final = re.compile(r"_?\{MD5:([0-9a-fA-F]{32})\}")
_MD5: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentLimits:
    """How much is attached: octets of a file, of all of a mail's, and fetches at the same time.

    `root` is the folder whose files may be attached by any tenant; None: nothing of this machine.
    """

    octets_max: int = 26_214_400
    mail_octets_max: int = 52_428_800
    fetches_max: int = 8
    root: Path | None = None


class Elsewhere(Protocol):
    """Puts files that are too large for a mail somewhere else."""

    def placed(
        self, mail: MailContent, files: Sequence[File], wanted: LargeFiles
    ) -> tuple[MailContent, Sequence[File]]:
        """Return a mail and what is still attached. Raises: `Unattached`."""

    def close(self) -> None:
        """Nothing more is placed."""


class Attachments:
    """See the module."""

    def __init__(
        self,
        tenants: Tenants,
        fetcher: Fetcher,
        cache: AttachmentCache,
        large_files: Elsewhere,
        limits: AttachmentLimits,
    ) -> None:
        self._tenants = tenants
        self._fetcher = fetcher
        self._cache = cache
        self._large_files = large_files
        self._limits = limits
        self._turns = Semaphore(limits.fetches_max)

    def attached(self, tenant_id: str, mail: MailContent) -> tuple[MailContent, Sequence[File]]:
        """Return a mail as it is to be sent, and its files. Raises: `Unattached`."""
        files: list[File] = []
        octets = 0
        for attachment in mail.attachments:
            file = self._file(tenant_id, attachment)
            octets += len(file.content)
            if octets > self._limits.mail_octets_max:
                raise Unattached(f"attachments exceed {self._limits.mail_octets_max} octets")
            files.append(file)
        wanted = self._tenants.known(tenant_id).large_files
        return self._large_files.placed(mail, files, wanted) if wanted.enabled else (mail, files)

    def close(self) -> None:
        """Nothing more is fetched."""
        self._large_files.close()
        self._cache.close()

    def _file(self, tenant_id: str, attachment: Attachment) -> File:
        name, md5 = named(attachment)
        try:
            content = self._content(tenant_id, attachment, md5)
        except Unfetched as error:
            reason = f"Attachment fetch failed for {name}: {error}"
            raise Unattached(reason, temporary=error.temporary) from error
        return File(name, content, attachment.mime_type)

    def _content(self, tenant_id: str, attachment: Attachment, md5: str) -> bytes:
        mode = mode_of(attachment)
        if mode == "base64":
            return self._within_bounds(_decoded(attachment.storage_path))
        if mode == "filesystem":
            return self._read(attachment.storage_path)
        known = self._cache.get(tenant_id, md5) if md5 else None
        if known is not None:
            return known
        with self._turns:
            content = self._fetcher.fetch(self._request(tenant_id, attachment, mode))
        if md5 and md5_of(content) != md5:
            log.warning("attachment has another MD5 than was said", extra={"tenant": tenant_id})
        elif md5:
            self._cache.put(tenant_id, content)
        return content

    def _request(self, tenant_id: str, attachment: Attachment, mode: FetchMode) -> Request:
        if mode == "http_url":
            return Request(url=attachment.storage_path, authorization=_own(attachment.auth))
        tenant = self._tenants.known(tenant_id)
        if not tenant.client_base_url:
            raise Unfetched("the tenant has no client_base_url")
        try:
            authorization = authorization_of(tenant, self._tenants)
        except ValueError as error:
            raise Unfetched(str(error)) from error
        return Request(
            url=url_of(tenant, tenant.client_attachment_path or ATTACHMENT_PATH),
            authorization=authorization,
            json=msgspec.json.encode({"storage_path": attachment.storage_path}),
        )

    def _within_bounds(self, content: bytes) -> bytes:
        if len(content) > self._limits.octets_max:
            raise Unfetched(f"larger than {self._limits.octets_max} octets")
        return content

    def _read(self, path: str) -> bytes:
        root = self._limits.root
        if root is None:
            raise Unfetched("no files of this machine can be attached")
        octets_max = self._limits.octets_max + 1
        try:
            found = in_thread(lambda: read_below(root, path, octets_max))
        except (OSError, ValueError) as error:
            raise Unfetched("no such file") from error
        return self._within_bounds(found)


def named(attachment: Attachment) -> tuple[str, str]:
    """Return an attachment's name without a mark, and the MD5 said of its content, if any."""
    mark = _MD5_MARK.search(attachment.filename)
    name = _MD5_MARK.sub("", attachment.filename, count=1) if mark else attachment.filename
    md5 = (attachment.content_md5 or (mark[1] if mark else "")).lower()
    return name, md5 if _MD5.fullmatch(md5) else ""


def mode_of(attachment: Attachment) -> FetchMode:
    """Return where an attachment comes from: what it says, else what its path looks like."""
    path = attachment.storage_path
    if attachment.fetch_mode:
        return attachment.fetch_mode
    if path.startswith(BASE64_PREFIX):
        return "base64"
    if path.startswith(("http://", "https://")):
        return "http_url"
    return "filesystem" if path.startswith("/") else "endpoint"


def read_below(root: Path, path: str, octets_max: int) -> bytes:
    """Return the first octets of a regular file below a folder, wherever links lead.

    Raises: `OSError`, `ValueError`.
    """
    real = (root / path).resolve(strict=True)
    if not real.is_relative_to(root.resolve(strict=True)):
        raise PermissionError(path)
    # Neither a link that has come meanwhile nor a pipe that nobody writes to.
    handle = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise PermissionError(path)
        return file.read(octets_max)


def _decoded(path: str) -> bytes:
    text = path.removeprefix(BASE64_PREFIX)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unfetched("no proper Base64") from error


def _own(auth: AttachmentAuth | None) -> str:
    """Return the header that the attachment itself asks for; never the tenant's."""
    if auth is None:
        return ""
    if auth.method == "basic":
        pair = f"{auth.user}:{auth.password}".encode()
        return "Basic " + base64.b64encode(pair).decode("ascii")
    if auth.method != "bearer":
        return ""
    if not (auth.token.isascii() and auth.token.isprintable()):
        raise Unfetched("the token can't be told")
    return f"Bearer {auth.token}"
