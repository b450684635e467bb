"""Files that are too large for a mail: told about, refused, or put where they can be downloaded.

    <storage>/<day it may go, yyyymmdd>/<token nobody guesses>/<name>
        ▲ file://… below the operator's folder                       │
        │ s3://bucket/prefix on the operator's server                │
        └───────────── <public base URL>/<the same path> ◀───────────┘

What is past its day is removed once an hour, and nothing else that lies there. A web server of the
operator's gives the files out; an S3 server does so itself where there is no public base URL, for
as long as it can promise to.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import gevent

from signalbox.actors.object_files import LINK_LIFETIME_MAX, S3, place_of
from signalbox.actors.object_files import remove_past as remove_past_objects
from signalbox.actors.threads import in_thread
from signalbox.actors.transports.smtp.transport import Unattached
from signalbox.eventstore.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from signalbox.actors.object_files import Objects
    from signalbox.actors.transports.smtp.message import File
    from signalbox.domain.mail_content import MailContent
    from signalbox.domain.tenant_config import LargeFiles

log = logging.getLogger(__name__)

MB: Final = 1_048_576
TOKEN_OCTETS: Final = 24
TTL_DAYS_MAX: Final = 3_650
SWEEP_S: Final = 3_600.0
INTRODUCTION: Final = "Attachments to download:"
_DAY: Final = re.compile(r"[0-9]{8}")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{32}")
_UNSAFE: Final = re.compile(r"[^\w.() -]")
_END_OF_HTML: Final = re.compile(r"</body\s*>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Link:
    """A file that lies somewhere else now; `until` is told where the link ends before the file."""

    name: str
    octets: int
    url: str
    until: datetime | None = None

    @property
    def text(self) -> str:
        """Name and size, and when the link ends."""
        size = f"{self.octets / MB:.1f} MB"
        until = f", until {self.until:%Y-%m-%d %H:%M} UTC" if self.until else ""
        return f"{self.name} ({size}{until})"


class LargeFileStore:
    """See the module.

    `root` is the folder below which tenants may have files put; None: none. `objects` is an S3
    server, or the reason why there is none. `wishes` tells where tenants have files put; what was
    told once is swept for as long as this process lives.
    """

    def __init__(
        self,
        root: Path | None,
        objects: Objects | str = "no S3 server",
        wishes: Callable[[], Iterable[LargeFiles]] = tuple,
    ) -> None:
        self._root = root
        self._objects = objects
        self._wishes = wishes
        self._used: set[str] = set()
        self._sweeping = gevent.spawn(self._sweep)

    def placed(
        self, mail: MailContent, files: Sequence[File], wanted: LargeFiles
    ) -> tuple[MailContent, Sequence[File]]:
        """Return a mail and what is still attached to it. Raises: `Unattached`."""
        large = [file for file in files if len(file.content) > wanted.max_size_mb * MB]
        if not large or wanted.action not in {"reject", "rewrite"}:
            for file in large:
                log.warning("large attachment", extra={"octets": len(file.content)})
            return mail, files
        if wanted.action == "reject":
            raise Unattached(_too_large(large[0], wanted.max_size_mb))
        links = [self._put(file, wanted) for file in large]
        kept = [file for file in files if file not in large]
        return replace(mail, body=with_links(mail, links)), kept

    def close(self) -> None:
        """Sweep no more."""
        self._sweeping.kill()

    def remove_past(self, today: date) -> int:
        """Remove what may go, and return how many days that were."""
        assert self._root is not None
        folders = [Path(folder) for folder, _, _ in os.walk(self._root)]
        past = [
            folder
            for folder in folders
            if _DAY.fullmatch(folder.name) and folder.name < f"{today:%Y%m%d}"
        ]
        return sum(map(_past_day_removed, past))

    def _put(self, file: File, wanted: LargeFiles) -> Link:
        ttl_days = min(max(wanted.file_ttl_days, 1), TTL_DAYS_MAX)
        day = datetime.now(UTC).date() + timedelta(days=ttl_days)
        token = secrets.token_urlsafe(TOKEN_OCTETS)
        path = f"{day:%Y%m%d}/{token}/{_UNSAFE.sub('_', file.name).strip('. ') or 'file'}"
        if wanted.storage_url.startswith(S3):
            return self._put_object(file, wanted, path, ttl_days)
        if not wanted.public_base_url:
            raise Unattached("large files have no public_base_url")
        try:
            self._write(wanted.storage_url, path, file.content)
        except OSError as error:
            raise Unattached("a large file can't be stored now", temporary=True) from error
        return Link(file.name, len(file.content), _public(wanted, path))

    def _put_object(self, file: File, wanted: LargeFiles, path: str, ttl_days: int) -> Link:
        place = place_of(wanted.storage_url)
        if isinstance(self._objects, str):
            raise Unattached(self._objects)
        key = place.prefix + path
        self._objects.put(place.bucket, key, file.content)
        self._used.add(wanted.storage_url)
        if wanted.public_base_url:
            return Link(file.name, len(file.content), _public(wanted, path))
        lifetime = min(timedelta(days=ttl_days), LINK_LIFETIME_MAX)
        url = self._objects.link(place.bucket, key, lifetime)
        return Link(file.name, len(file.content), url, datetime.now(UTC) + lifetime)

    def _write(self, storage_url: str, path: str, content: bytes) -> None:
        target = self._folder(storage_url) / path
        in_thread(lambda: _write_file(target, content))

    def _folder(self, storage_url: str) -> Path:
        folder = Path(storage_url.removeprefix("file://"))
        if self._root is None or "\0" in storage_url:
            raise Unattached("no folder for large files is configured")
        if not folder.is_absolute() or not folder.resolve().is_relative_to(self._root.resolve()):
            raise Unattached("large files can't be stored there")
        return folder.resolve()

    def remove_past_objects(self, today: date) -> int:
        """Remove objects that may go, and return how many; what can't be done now waits."""
        storages = self._known_storages()
        if isinstance(self._objects, str):
            if storages:
                log.warning("large files can't go to S3", extra={"reason": self._objects})
            return 0
        return sum(_past_removed(self._objects, storage_url, today) for storage_url in storages)

    def _known_storages(self) -> set[str]:
        try:
            wishes = list(self._wishes())
        except Unavailable as error:
            log.warning("old large files wait", extra={"reason": error.reason})
            wishes = []
        self._used |= {one.storage_url for one in wishes if one.storage_url.startswith(S3)}
        return set(self._used)

    def _sweep(self) -> None:
        self._sweep_once()
        while self._root is not None or not isinstance(self._objects, str):
            gevent.sleep(SWEEP_S)
            self._sweep_once()

    def _sweep_once(self) -> None:
        today = datetime.now(UTC).date()
        if self._root is not None:
            in_thread(lambda: self.remove_past(today))
        self.remove_past_objects(today)


def with_links(mail: MailContent, links: Sequence[Link]) -> str:
    """Return the text of a mail with links to its files."""
    if mail.content_type != "html":
        lines = [f"- {link.text}: {link.url}" for link in links]
        return "\n".join((mail.body, "", INTRODUCTION, *lines, ""))
    items = "".join(
        f'<li><a href="{escape(link.url)}">{escape(link.text)}</a></li>' for link in links
    )
    added = f"<p>{INTRODUCTION}</p><ul>{items}</ul>"
    ends = list(_END_OF_HTML.finditer(mail.body))
    at = ends[-1].start() if ends else len(mail.body)
    return mail.body[:at] + added + mail.body[at:]


def _past_day_removed(day: Path) -> bool:
    ours = [path for path in day.glob("*") if _TOKEN.fullmatch(path.name)]
    for path in ours:
        shutil.rmtree(path, ignore_errors=True)
    if ours:
        with suppress(OSError):  # It may be somebody else's folder, with more in it.
            day.rmdir()
    return bool(ours)


def _past_removed(objects: Objects, storage_url: str, today: date) -> int:
    try:
        return remove_past_objects(objects, place_of(storage_url), today)
    except Unattached as error:
        log.warning("old large files wait", extra={"reason": str(error)})
        return 0


def _public(wanted: LargeFiles, path: str) -> str:
    return f"{wanted.public_base_url.rstrip('/')}/{quote(path)}"


def _too_large(file: File, max_size_mb: float) -> str:
    size_mb = len(file.content) / MB
    return f"Attachment '{file.name}' ({size_mb:.1f} MB) exceeds limit ({max_size_mb:.1f} MB)"


def _write_file(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True)
    target.write_bytes(content)
