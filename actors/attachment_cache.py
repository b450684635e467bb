"""Contents of attachments that were fetched lately, by their MD5, each tenant's for itself.

A client that names the MD5 of a file sends it to many and has it fetched once. What is kept is what
has that MD5; and nobody gets a file by naming the MD5 of somebody else's.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import shutil
import time
from collections import OrderedDict
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

import gevent

from signalbox.actors.threads import in_thread

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

LEFT_FREE: Final = 0.1  # of the disk's share, when something has to go
SWEEP_S: Final = 3_600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheLimits:
    """How much is kept for how long, in memory and, with a folder, on disk; 0 octets: nothing."""

    memory_octets_max: int = 0
    memory_ttl_s: float = 300.0
    folder: Path | None = None
    disk_octets_max: int = 0
    disk_ttl_s: float = 86_400.0


class AttachmentCache:
    """See the module. What is on disk is read and written by threads, and swept once an hour."""

    def __init__(self, limits: CacheLimits) -> None:
        self._limits = limits
        self._memory: OrderedDict[tuple[str, str], tuple[bytes, float]] = OrderedDict()
        self._memory_octets = 0
        self._disk_octets: int | None = None
        self._sweeping = gevent.spawn(self._sweep)

    def get(self, tenant_id: str, md5: str) -> bytes | None:
        """Return a content of a tenant's that is still kept."""
        found = self._from_memory((tenant_id, md5))
        if found is None and self._limits.folder is not None:
            found = in_thread(lambda: self._from_disk(tenant_id, md5))
            if found is not None:
                self._to_memory((tenant_id, md5), found)
        return found

    def put(self, tenant_id: str, content: bytes) -> None:
        """Keep a content, and let go of what was not asked for longest."""
        md5 = md5_of(content)
        self._to_memory((tenant_id, md5), content)
        if self._limits.folder is not None and len(content) <= self._limits.disk_octets_max:
            in_thread(lambda: self._to_disk(tenant_id, md5, content))

    def forget(self, tenant_id: str) -> None:
        """Keep nothing of a tenant any more."""
        for key in [key for key in self._memory if key[0] == tenant_id]:
            self._drop(key)
        if self._limits.folder is not None:
            folder = self._folder(tenant_id)
            in_thread(lambda: shutil.rmtree(folder, ignore_errors=True))
            self._disk_octets = None

    def close(self) -> None:
        """Sweep no more."""
        self._sweeping.kill()

    def sweep(self) -> None:
        """Remove what is on disk for too long, of tenants that are not there any more too."""
        try:
            self._disk_octets = in_thread(self._swept)
        except OSError as error:
            log.warning("attachments on disk wait", extra={"error": str(error)})

    def _sweep(self) -> None:
        while self._limits.folder is not None:
            self.sweep()
            gevent.sleep(SWEEP_S)

    # memory

    def _from_memory(self, key: tuple[str, str]) -> bytes | None:
        content, until_s = self._memory.get(key, (None, 0.0))
        if content is None:
            return None
        if monotonic() >= until_s:
            self._drop(key)
            return None
        self._memory.move_to_end(key)
        return content

    def _to_memory(self, key: tuple[str, str], content: bytes) -> None:
        if len(content) > self._limits.memory_octets_max:
            return
        self._drop(key)
        self._memory[key] = (content, monotonic() + self._limits.memory_ttl_s)
        self._memory_octets += len(content)
        while self._memory_octets > self._limits.memory_octets_max:
            self._drop(next(iter(self._memory)))

    def _drop(self, key: tuple[str, str]) -> None:
        content, _ = self._memory.pop(key, (b"", 0.0))
        self._memory_octets -= len(content)

    # disk; a disk that is full or gone only means that more is fetched

    def _folder(self, tenant_id: str) -> Path:
        assert self._limits.folder is not None
        name = hashlib.sha256(tenant_id.encode("utf-8", "surrogatepass")).hexdigest()
        return self._limits.folder / name[:32]

    def _from_disk(self, tenant_id: str, md5: str) -> bytes | None:
        path = self._folder(tenant_id) / md5
        try:
            if time.time() - path.stat().st_mtime >= self._limits.disk_ttl_s:
                path.unlink()
                return None
            content = path.read_bytes()
        except OSError:
            return None
        return content if md5_of(content) == md5 else None

    def _to_disk(self, tenant_id: str, md5: str, content: bytes) -> None:
        folder = self._folder(tenant_id)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = folder / f".{secrets.token_hex(8)}"
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            draft.replace(folder / md5)
            self._tidy(len(content))
        except OSError as error:
            log.warning("attachments can't be kept on disk", extra={"error": str(error)})

    def _tidy(self, added_octets: int) -> None:
        if self._disk_octets is not None:
            self._disk_octets += added_octets
        if self._disk_octets is None or self._disk_octets > self._limits.disk_octets_max:
            self._disk_octets = self._swept()

    def _swept(self) -> int:
        """Remove what is too old, then the oldest until there is room; return what is left."""
        assert self._limits.folder is not None
        entries = [(path, path.stat()) for path in self._limits.folder.glob("*/*")]
        octets = sum(stat.st_size for _, stat in entries)
        wanted = self._limits.disk_octets_max
        if octets > wanted:
            wanted = int(wanted * (1 - LEFT_FREE))
        oldest_s = time.time() - self._limits.disk_ttl_s
        for path, stat in sorted(entries, key=lambda entry: entry[1].st_mtime):
            if octets <= wanted and stat.st_mtime > oldest_s:
                break
            path.unlink(missing_ok=True)
            octets -= stat.st_size
        return octets


def md5_of(content: bytes) -> str:
    """Return the MD5 of a content in hexadecimal; it names it and proves nothing."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
