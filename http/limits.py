"""How many requests are let in: L1 for all of them, before routing, and L2 for each application.

Both are buckets that all web processes share (`signalbox.eventstore.quota`). Who is refused learns
when to come again.
"""

from __future__ import annotations

from collections import OrderedDict
from http import HTTPStatus
from math import ceil
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from signalbox.eventstore import metrics
from signalbox.http.errors import Failure, on_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    import falcon

    from signalbox.http.context import Request

KEYS_MAX: Final = 10_000
IDLE_S: Final = 60.0

K = TypeVar("K")


class Bucket(Protocol):
    """A bucket of requests, as `signalbox.eventstore.quota.Quota` is one."""

    def acquire(self) -> float:
        """Take one; return 0.0, or the seconds until one is due."""

    def close(self) -> None:
        """Give it up."""


class RateLimited(Failure):
    """Too many requests; one more may come in `retry_after_s` whole seconds."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(HTTPStatus.TOO_MANY_REQUESTS, "rate limit exceeded")
        self.retry_after_s = max(1, ceil(wait_s))


class AllRequests:
    """Middleware, L1: every request to any surface counts, those to no route included.

    Paths in `exempt_paths` don't: a busy gateway must not look like a dead one.
    """

    def __init__(self, bucket: Bucket, exempt_paths: Collection[str]) -> None:
        self._bucket = bucket
        self._exempt_paths = frozenset(exempt_paths)

    def process_request(self, req: Request, _resp: falcon.Response) -> None:
        """Let the request go on. Raises: `RateLimited`."""
        if req.path in self._exempt_paths:
            return
        wait_s = self._bucket.acquire()
        if wait_s:
            metrics.LIMITED.labels("all").inc()
            req.context.failure = {}
            raise RateLimited(wait_s)


class Each(Generic[K]):
    """A bucket for each of many, made by `bucket`; those that are idle for long are given up."""

    def __init__(self, bucket: Callable[[K], Bucket], level: str, keys_max: int = KEYS_MAX) -> None:
        self._bucket = bucket
        self._level = level
        self._keys_max = keys_max
        self._buckets: OrderedDict[K, tuple[Bucket, float]] = OrderedDict()

    def __call__(self, key: K) -> None:
        """Let one more go on. Raises: `RateLimited`."""
        wait_s = self._of(key).acquire()
        if wait_s:
            metrics.LIMITED.labels(self._level).inc()
            raise RateLimited(wait_s)

    def close(self) -> None:
        """Give up all buckets."""
        while self._buckets:
            self._give_up_oldest()

    def _of(self, key: K) -> Bucket:
        known = self._buckets.pop(key, None)
        now_s = monotonic()
        if known is None:
            self._make_room(now_s)
        bucket = known[0] if known else self._bucket(key)
        self._buckets[key] = (bucket, now_s)
        return bucket

    def _make_room(self, now_s: float) -> None:
        while self._buckets:
            _, used_s = next(iter(self._buckets.values()))
            if len(self._buckets) < self._keys_max and now_s - used_s < IDLE_S:
                return
            self._give_up_oldest()

    def _give_up_oldest(self) -> None:
        _, (bucket, _) = self._buckets.popitem(last=False)
        bucket.close()


class EachApplication(Each[int]):
    """L2: a bucket for each application."""

    def __init__(self, bucket: Callable[[str], Bucket], apps_max: int = KEYS_MAX) -> None:
        super().__init__(lambda app_id: bucket(f"app-{app_id}"), "application", apps_max)


def on_limited(
    req: Request, resp: falcon.Response, limited: RateLimited, params: Mapping[str, Any]
) -> None:
    """Answer a request too many."""
    resp.set_header("Retry-After", str(limited.retry_after_s))
    on_failure(req, resp, limited, params)
