"""How many requests are let in: L1 for all of them, before routing, and L2 for each application.

Both are buckets that all web processes share (`signalbox.eventstore.quota`). Who is refused learns
when to come again.
"""

from __future__ import annotations

from collections import OrderedDict
from http import HTTPStatus
from math import ceil
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

from signalbox.eventstore import metrics
from signalbox.http.errors import Failure, on_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    import falcon

    from signalbox.http.context import Request

APPS_MAX: Final = 10_000
IDLE_S: Final = 60.0


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


class EachApplication:
    """L2: a bucket for each application; those that are idle for long are given up."""

    def __init__(self, bucket: Callable[[str], Bucket], apps_max: int = APPS_MAX) -> None:
        self._bucket = bucket
        self._apps_max = apps_max
        self._buckets: OrderedDict[int, tuple[Bucket, float]] = OrderedDict()

    def __call__(self, app_id: int) -> None:
        """Let a request of the application go on. Raises: `RateLimited`."""
        wait_s = self._of(app_id).acquire()
        if wait_s:
            metrics.LIMITED.labels("application").inc()
            raise RateLimited(wait_s)

    def close(self) -> None:
        """Give up all buckets."""
        while self._buckets:
            self._give_up_oldest()

    def _of(self, app_id: int) -> Bucket:
        known = self._buckets.pop(app_id, None)
        now_s = monotonic()
        if known is None:
            self._make_room(now_s)
        bucket = known[0] if known else self._bucket(f"app-{app_id}")
        self._buckets[app_id] = (bucket, now_s)
        return bucket

    def _make_room(self, now_s: float) -> None:
        while self._buckets:
            _, used_s = next(iter(self._buckets.values()))
            if len(self._buckets) < self._apps_max and now_s - used_s < IDLE_S:
                return
            self._give_up_oldest()

    def _give_up_oldest(self) -> None:
        _, (bucket, _) = self._buckets.popitem(last=False)
        bucket.close()


def on_limited(
    req: Request, resp: falcon.Response, limited: RateLimited, params: Mapping[str, Any]
) -> None:
    """Answer a request too many."""
    resp.set_header("Retry-After", str(limited.retry_after_s))
    on_failure(req, resp, limited, params)
