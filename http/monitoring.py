"""For probes and for Prometheus: alive, ready, and what is counted."""

from __future__ import annotations

import os
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol

import gevent
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from signalbox.http.context import encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    import falcon

METRICS_TYPE: Final = "text/plain; version=0.0.4"
METRICS_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"


class Check(Protocol):
    """One condition of being ready."""

    def __call__(self) -> str:
        """Return what is wrong, nothing when all is well. Must come back within seconds."""


class Alive:
    """Answers that the process runs; it asks nobody else, so that no probe restarts it in vain."""

    def __init__(self, body: Mapping[str, object]) -> None:
        self._body = encode(body)

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200."""
        resp.data = self._body

    on_head = on_get


class Ready:
    """Answers whether everything is there that a request may need."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200 or 503, and what each check found: all at once, since each may wait."""
        asked = {name: gevent.spawn(check) for name, check in self._checks.items()}
        found = {name: job.get() or "ok" for name, job in asked.items()}
        ready = set(found.values()) <= {"ok"}
        resp.status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        resp.data = encode({"status": "ok" if ready else "not ready", "checks": found})

    on_head = on_get


class Metrics:
    """Everything that is counted, of all processes that share the folder of metrics."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer in Prometheus' text format."""
        resp.content_type = METRICS_TYPE
        resp.data = generate_latest(_registry())


def _registry() -> CollectorRegistry:
    if METRICS_FOLDER not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry
