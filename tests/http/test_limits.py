"""Requests too many: refused before anything is done for them, with the time to come again."""

from collections.abc import Sequence

import falcon.testing
import pytest
from support.sms_proxy import ADMIN, TOKEN, USER, Surface

from signalbox.eventstore import metrics
from signalbox.eventstore.log import EventLog
from signalbox.eventstore.quota import Quota
from signalbox.http import limits
from signalbox.http.limits import AllRequests, EachApplication, RateLimited

PROBES = ("/healthy", "/health", "/readyz", "/metrics")


class Bucket:
    """Holds some tokens and tells when the next is due."""

    def __init__(self, tokens: int = 0, wait_s: float = 1.2) -> None:
        self.tokens = tokens
        self.wait_s = wait_s
        self.closed = False

    def acquire(self) -> float:
        if not self.tokens:
            return self.wait_s
        self.tokens -= 1
        return 0.0

    def close(self) -> None:
        self.closed = True


def limited(bucket: Bucket, exempt_paths: Sequence[str] = PROBES) -> falcon.testing.TestClient:
    return Surface(limit=AllRequests(bucket, exempt_paths)).client()


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/nothing", {}),
        ("GET", "/api/v1/dashboard/metrics", USER),
        ("PUT", "/api/v1/dashboard/metrics", USER),
        ("POST", "/api/v1/sms/send", USER),
        ("POST", "/api/v1/user/login", {}),
        ("GET", "/api/v1/admin/dashboard/metrics", ADMIN),
    ],
)
def test_every_request_counts_before_it_is_routed(
    method: str, path: str, headers: dict[str, str]
) -> None:
    answer = limited(Bucket()).simulate_request(method, path, headers=headers)
    assert (answer.status_code, answer.json) == (429, {"error": "rate limit exceeded"})
    assert answer.headers["retry-after"] == "2"
    assert answer.headers["x-request-id"]


def test_a_request_that_finds_a_token_goes_on() -> None:
    client = limited(Bucket(tokens=2))
    statuses = [client.simulate_get("/nothing").status_code for _ in range(3)]
    assert statuses == [404, 404, 429]


@pytest.mark.parametrize(("wait_s", "retry_after"), [(0.01, "1"), (1.0, "1"), (30.1, "31")])
def test_the_time_to_come_again_is_whole_seconds(wait_s: float, retry_after: str) -> None:
    answer = limited(Bucket(wait_s=wait_s)).simulate_get("/nothing")
    assert answer.headers["retry-after"] == retry_after


@pytest.mark.parametrize("path", PROBES)
def test_probes_are_answered_however_busy_the_gateway_is(path: str) -> None:
    assert limited(Bucket()).simulate_get(path).status_code == 200
    assert limited(Bucket(), exempt_paths=()).simulate_get(path).status_code == 429


def test_what_was_refused_is_counted() -> None:
    counted = metrics.LIMITED.labels("all")
    before = counted._value.get()  # noqa: SLF001
    limited(Bucket()).simulate_get("/nothing")
    assert counted._value.get() == before + 1  # noqa: SLF001


@pytest.mark.parametrize("path", ["send", "check-esme", "info"])
def test_an_application_has_its_own_limit_for_messages(path: str) -> None:
    surface = Surface(limiter=EachApplication(lambda _: Bucket()))
    surface.accounts.allowed_ips = ("192.0.2.1",)  # The caller isn't there: the limit comes first,
    answer = surface.client().simulate_post(  # and so it does before the body.
        f"/api/v1/sms/{path}", body="no JSON", headers=USER
    )
    assert answer.status_code == 429
    assert answer.json == {"success": False, "error": "rate limit exceeded"}
    assert answer.headers["retry-after"] == "2"


def test_a_bad_token_takes_nothing_from_the_application() -> None:
    surface = Surface(limiter=EachApplication(lambda _: Bucket()))
    headers = {**USER, "Authorization": f"Bearer not {TOKEN}"}
    answer = surface.client().simulate_post("/api/v1/sms/send", body="{}", headers=headers)
    assert answer.status_code == 401


def test_other_paths_are_free_of_the_applications_limit() -> None:
    surface = Surface(limiter=EachApplication(lambda _: Bucket()))
    answer = surface.client().simulate_get("/api/v1/dashboard/metrics", headers=USER)
    assert answer.status_code == 200


def test_one_application_does_not_use_up_anothers_limit() -> None:
    limit = EachApplication(lambda _: Bucket(tokens=1))
    limit(1)
    limit(2)
    for app_id in (1, 2):
        with pytest.raises(RateLimited):
            limit(app_id)


def test_as_many_buckets_are_kept_as_there_is_room_for() -> None:
    made: dict[str, Bucket] = {}
    limit = EachApplication(lambda key: made.setdefault(key, Bucket(tokens=9)), apps_max=2)
    for app_id in (1, 2, 1, 3):
        limit(app_id)
    assert {key for key, bucket in made.items() if bucket.closed} == {"app-2"}
    limit.close()
    assert all(bucket.closed for bucket in made.values())


def test_a_bucket_nobody_uses_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, Bucket] = {}
    limit = EachApplication(lambda key: made.setdefault(key, Bucket(tokens=9)))
    now_s = 1_000.0
    monkeypatch.setattr(limits, "monotonic", lambda: now_s)
    limit(1)
    now_s += limits.IDLE_S + 1
    limit(2)
    assert (made["app-1"].closed, made["app-2"].closed) == (True, False)


def test_the_limit_holds_over_two_processes(event_log: EventLog) -> None:
    def client() -> falcon.testing.TestClient:
        bucket = Quota(event_log.pool, "requests", 0.01, 5)
        return Surface(limit=AllRequests(bucket, PROBES)).client()

    one, other = client(), client()
    statuses = [c.simulate_get("/nothing").status_code for c in (one, other) * 5]
    assert sorted(statuses) == [404] * 5 + [429] * 5
