"""Large files as objects of an S3 server: where a tenant's lie, and which may go.

    s3://<bucket>/<prefix>    ─▶    <prefix>/<day it may go>/<token nobody guesses>/<name>

Nothing is ever removed that is not named so, whatever else the bucket holds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

from signalbox.actors.transports.smtp.transport import Unattached

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

S3: Final = "s3://"
LINK_LIFETIME_MAX: Final = timedelta(days=7)  # Signature Version 4, query parameters
_STORAGE: Final = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[\w.()=+ -]*)*)")
_DAY: Final = re.compile(r"[0-9]{8}")
_OURS: Final = re.compile(r"[A-Za-z0-9_-]{32}/[^/]+")


class Objects(Protocol):
    """A server that keeps objects; all of it raises `Unattached`."""

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Store an object."""

    def link(self, bucket: str, key: str, lifetime: timedelta) -> str:
        """Return a URL by which anybody gets an object for some time."""

    def names(self, bucket: str, prefix: str, *, deep: bool) -> list[str]:
        """Return the keys that begin so; unless `deep`, up to the next slash."""

    def remove(self, bucket: str, keys: Sequence[str]) -> None:
        """Remove objects."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where objects lie; `prefix` is empty or ends with a slash."""

    bucket: str
    prefix: str


def place_of(storage_url: str) -> Place:
    """Read an s3:// URL. Raises: `Unattached`, which tells nothing of it."""
    found = _STORAGE.fullmatch(storage_url)
    parts = [part for part in found[2].split("/") if part] if found else []
    if found is None or not {".", ".."}.isdisjoint(parts):
        raise Unattached("large files can't be stored there")
    return Place(found[1], "".join(f"{part}/" for part in parts))


def remove_past(objects: Objects, place: Place, today: date) -> int:
    """Remove what may go, and return how many objects that were. Raises: `Unattached`."""
    removed = 0
    for folder in objects.names(place.bucket, place.prefix, deep=False):
        day = folder.removeprefix(place.prefix).removesuffix("/")
        if folder.endswith("/") and _DAY.fullmatch(day) and day < f"{today:%Y%m%d}":
            names = objects.names(place.bucket, folder, deep=True)
            past = [name for name in names if _OURS.fullmatch(name.removeprefix(folder))]
            objects.remove(place.bucket, past)
            removed += len(past)
    return removed
