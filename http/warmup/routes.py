"""The paths of this surface."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from signalbox.http import swagger
from signalbox.http.warmup import resources
from signalbox.http.warmup.auth import Guard, KeyGate
from signalbox.http.warmup.openapi import TITLE, document

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from signalbox.domain.warmup_status import WarmupStatus
    from signalbox.http.body import BodyReader
    from signalbox.http.warmup.ports import Warmup, WarmupReads

WORDS: Final = frozenset({"config", "status"})
OPEN_WORDS: Final = frozenset({"healthy", "health", "readyz", "metrics", "warmup"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmupSurface:
    """What the surface is made of.

    Without `api_keys` it is open. `strict_doc_shapes` leaves the names of groupings out of
    `/status`, as the reference's example does. `status_words` are said instead of the usual ones.
    """

    warmup: Warmup
    reads: WarmupReads
    body: BodyReader
    api_keys: Collection[str] = ()
    strict_doc_shapes: bool = False
    status_words: Mapping[WarmupStatus, str] = field(default_factory=dict)

    def routes(self) -> dict[str, object]:
        """Return the resource of each path."""
        gate = KeyGate(self.api_keys)
        make = partial(document, with_keys=bool(self.api_keys))
        return {
            **swagger.routes("/warmup", TITLE, make),
            **self._config(gate),
            **self._switches(gate),
            **self._status(gate),
        }

    def guard(self, *, alone: bool = False) -> Guard:
        """Return what stands before these paths, for `create_app`.

        On a port where the surface is `alone`, every path is its own but probes and documents.
        """
        return Guard(KeyGate(self.api_keys), _is_closed if alone else WORDS.__contains__)

    def _config(self, gate: KeyGate) -> dict[str, object]:
        warmup, reads = self.warmup, self.reads
        return {
            "/config": resources.AllConfig(gate, warmup, reads),
            "/config/{ip}": resources.IpConfig(gate, warmup, reads, self.body),
            "/config/{ip}/{grouping}": resources.GroupingConfig(gate, warmup, reads),
        }

    def _switches(self, gate: KeyGate) -> dict[str, object]:
        return {
            f"/config/{{ip}}{below}/{word}": resources.Switch(
                gate, self.warmup, pauses=word == "pause", of_grouping=bool(below)
            )
            for below in ("", "/{grouping}")
            for word in ("pause", "resume")
        }

    def _status(self, gate: KeyGate) -> dict[str, object]:
        reads, words = self.reads, self.status_words
        strict_shapes = self.strict_doc_shapes
        return {
            "/status": resources.AllStatus(gate, reads, words, strict_shapes=strict_shapes),
            "/status/{ip}": resources.IpStatus(gate, reads, words),
            "/status/{ip}/{grouping}": resources.GroupingStatus(gate, reads, words),
        }


def _is_closed(word: str) -> bool:
    return word not in OPEN_WORDS
