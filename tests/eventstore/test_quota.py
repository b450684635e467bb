"""Buckets that processes share: whoever asks, together they never get more than the limit."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Final

import gevent
import pytest
from gevent.event import Event
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.gateway import eventually

from signalbox.eventstore import quota as quotas
from signalbox.eventstore.log import EventLog
from signalbox.eventstore.quota import Quota

MakeQuota = Callable[..., Quota]
SLOW: Final = 0.01  # a rate at which no token comes back during a test
SECRET_KEY: Final = "a secret key for tests, long enough"
SPENDER: Final = """
import signalbox.ops.patched
import json, sys, time
from signalbox.eventstore.log import EventLog
from signalbox.eventstore.quota import Quota
url, seconds = sys.argv[1], float(sys.argv[2])
log = EventLog(url, "a secret key for tests, long enough")
quota = Quota(log.pool, "shared", 200, 20)
print("ready", flush=True)
sys.stdin.readline()
start, spent = time.time(), 0
while time.time() < start + seconds:
    if wait_s := quota.acquire():
        time.sleep(wait_s)
    else:
        spent += 1
print(json.dumps([start, time.time(), spent]), flush=True)
quota.close()
log.close()
"""


@pytest.fixture
def make_quota(event_log: EventLog) -> Iterator[MakeQuota]:
    made: list[Quota] = []

    def make(rate_per_s: float, burst: float, key: str = "shared") -> Quota:
        made.append(Quota(event_log.pool, key, rate_per_s, burst))
        return made[-1]

    yield make
    for quota in made:
        quota.close()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect how many tokens the store is asked for, each time."""
    asked: list[int] = []
    grant = Quota._grant  # noqa: SLF001

    def count(quota: Quota, wanted: int) -> tuple[int, float]:
        asked.append(wanted)
        return grant(quota, wanted)

    monkeypatch.setattr(Quota, "_grant", count)
    return asked


def drain(quota: Quota) -> int:
    """Take until nothing is left; return how many there were."""
    spent = 0
    while not quota.acquire():
        spent += 1
    return spent


def test_a_new_bucket_is_full(make_quota: MakeQuota) -> None:
    assert drain(make_quota(SLOW, 7)) == 7


def test_who_comes_second_gets_what_the_first_left(make_quota: MakeQuota) -> None:
    first, second = make_quota(SLOW, 7), make_quota(SLOW, 7)
    assert [first.acquire() for _ in range(4)] == [0.0] * 4
    assert drain(second) == 3
    assert first.acquire() > 0


def test_every_key_has_a_bucket_of_its_own(make_quota: MakeQuota) -> None:
    assert drain(make_quota(SLOW, 2, "a")) == 2
    assert drain(make_quota(SLOW, 3, "b")) == 3


def test_a_rate_of_zero_sets_no_limit_and_asks_nobody(
    event_log: EventLog, make_quota: MakeQuota
) -> None:
    quota = make_quota(0, 1)
    assert {quota.acquire() for _ in range(100)} == {0.0}
    assert all(quota.take() for _ in range(100))
    assert buckets(event_log) == []


def test_an_empty_bucket_tells_when_to_come_again(make_quota: MakeQuota) -> None:
    quota = make_quota(10, 1)
    assert drain(quota) == 1
    wait_s = quota.acquire()
    assert 0 < wait_s <= 0.1
    gevent.sleep(wait_s)
    assert quota.acquire() == 0.0


def test_a_flood_upon_an_empty_bucket_asks_the_store_once(
    make_quota: MakeQuota, asked: list[int]
) -> None:
    quota = make_quota(0.5, 1)
    assert drain(quota) == 1
    before = len(asked)
    assert all(quota.acquire() > 1 for _ in range(1_000))
    assert len(asked) == before


def test_many_who_come_at_once_share_the_answer(make_quota: MakeQuota, asked: list[int]) -> None:
    quota = make_quota(10_000, 1_000)
    waits = [gevent.spawn(quota.acquire) for _ in range(500)]
    gevent.joinall(waits, raise_error=True)
    assert {wait.value for wait in waits} == {0.0}
    assert len(asked) <= 12
    assert max(asked) <= 10_000 * quotas.GRANT_S


def test_taking_never_asks_and_never_waits(event_log: EventLog, make_quota: MakeQuota) -> None:
    quota = make_quota(1_000, 1_000)
    assert not quota.take()
    assert buckets(event_log) == []
    assert quota.acquire() == 0.0


def test_what_is_not_spent_in_time_is_void(
    make_quota: MakeQuota, monkeypatch: pytest.MonkeyPatch
) -> None:
    quota = make_quota(200, 200)
    assert [quota.acquire() for _ in range(4)] == [0.0] * 4  # granted 1, 2, 4 tokens
    assert quota.take()
    later_s = monotonic() + quotas.HELD_S
    monkeypatch.setattr(quotas, "monotonic", lambda: later_s)
    assert not quota.take()


def test_those_who_want_are_called_in_turn(make_quota: MakeQuota) -> None:
    quota = make_quota(100, 1)
    called: list[str] = []

    def wanting(name: str) -> Callable[[], None]:
        def call() -> None:
            while quota.take():
                called.append(name)
            if len(called) < 8:
                quota.want(call)

        return call

    for name in ("a", "b"):
        quota.want(wanting(name))
    eventually(lambda: len(called) >= 8)
    assert called[:8] == ["a", "b"] * 4


def test_who_waits_already_keeps_its_one_place(make_quota: MakeQuota) -> None:
    quota = make_quota(1_000, 10)
    called: list[int] = []

    def call() -> None:
        called.append(1)

    for _ in range(5):
        quota.want(call)
    eventually(lambda: called)
    gevent.sleep(0.05)
    assert called == [1]


def test_nobody_is_called_after_the_end(make_quota: MakeQuota) -> None:
    quota = make_quota(20, 1)
    drain(quota)
    called: list[int] = []
    quota.want(lambda: called.append(1))
    gevent.sleep(0)
    quota.close()
    gevent.sleep(0.1)
    assert called == []


def test_a_new_rate_holds_at_once(make_quota: MakeQuota) -> None:
    quota = make_quota(SLOW, 100)
    assert quota.acquire() == 0.0
    quota.set_rate(SLOW, 5)
    assert drain(quota) == 5
    quota.set_rate(1_000, 50)
    assert quota.acquire() <= 1
    eventually(lambda: quota.acquire() == 0.0, timeout_s=1)
    quota.set_rate(0, 1)
    assert all(quota.take() for _ in range(100))


def test_without_the_store_each_process_has_a_bucket_of_its_own(event_log: EventLog) -> None:
    quota = Quota(event_log.pool, "shared", SLOW, 5)
    event_log.pool.close()
    called: list[int] = []
    quota.want(lambda: called.append(1))
    eventually(lambda: called)
    assert quota.take()
    assert drain(quota) == 4
    assert quota.acquire() > 1
    quota.close()


def test_nobody_waits_for_a_store_that_hangs_and_it_is_asked_until_it_is_back(
    event_log: EventLog, make_quota: MakeQuota, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant, back = Quota._grant, Event()  # noqa: SLF001

    def hang(quota: Quota, wanted: int) -> tuple[int, float]:
        back.wait(30)
        return grant(quota, wanted)

    monkeypatch.setattr(quotas, "ANSWER_S", 0.05)
    monkeypatch.setattr(quotas, "AWAY_S", 0.05)
    monkeypatch.setattr(Quota, "_grant", hang)
    quota = make_quota(SLOW, 3)
    start_s = monotonic()
    assert drain(quota) == 3
    assert monotonic() - start_s < 5
    assert buckets(event_log) == []
    back.set()
    eventually(lambda: buckets(event_log) == ["shared"])
    eventually(lambda: quota.acquire() == 0.0)  # a token of the store's


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 30)), min_size=1, max_size=12),
    rate_per_s=st.sampled_from([SLOW, 20.0, 300.0]),
    burst=st.integers(1, 40),
)
def test_in_whatever_order_three_spend_they_keep_the_limit(
    make_quota: MakeQuota, steps: list[tuple[int, int]], rate_per_s: float, burst: int
) -> None:
    key = f"law {monotonic()}"
    three = [make_quota(rate_per_s, burst, key) for _ in range(3)]
    start_s, spent = monotonic(), 0
    for who, times in steps:
        for _ in range(times):
            spent += three[who].acquire() == 0.0
            assert spent <= burst + rate_per_s * (monotonic() - start_s) + 1e-6


def test_processes_together_keep_the_limit_and_use_it(database_url: str) -> None:
    EventLog(database_url, SECRET_KEY).close()
    command = [sys.executable, "-c", SPENDER, database_url, "1.5"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    spenders = [subprocess.Popen(command, **pipes) for _ in range(3)]
    for spender in spenders:
        assert spender.stdout is not None
        assert spender.stdout.readline() == "ready\n"
    results = [json.loads(spender.communicate("go\n", timeout=30)[0]) for spender in spenders]
    took_s = max(end for _, end, _ in results) - min(start for start, _, _ in results)
    spent = sum(spent for _, _, spent in results)
    assert 0.7 * (20 + 200 * 1.5) <= spent <= 20 + 200 * took_s


def buckets(event_log: EventLog) -> list[str]:
    with event_log.pool.connection() as connection:
        rows = connection.execute("SELECT key FROM signalbox.rate_buckets").fetchall()
    return [row["key"] for row in rows]
