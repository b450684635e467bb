"""Two web workers, one warm-up: what one of them stored the other decides by, and shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.gateway import eventually_equal
from support.processes import ADMIN_KEY, Client, Installation

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.processes, pytest.mark.timeout(90)]

KEY: Final = {"X-Api-Key": "one of two"}
ADMIN: Final = {"X-Admin-Key": ADMIN_KEY}
EXTRA: Final = """
[warmup]
timezone = "+02:00"

[[ip_pools]]
name = "main"
ips = ["192.0.2.1", "192.0.2.2"]
"""


@pytest.fixture
def port(database_url: str) -> Iterator[int]:
    environment = {"WEB_CONCURRENCY": "2", "WARMUP_API_KEYS": "another,one of two"}
    with Installation(database_url, links=[1], extra=EXTRA, environment=environment) as gateway:
        gateway.start("projector")
        gateway.start("web")
        eventually_equal(lambda: answers(gateway.port), expected=True, timeout_s=20)
        yield gateway.port


def call(port: int, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Call by a connection of its own: some go to either worker."""
    return Client(port).call(method, path, body, KEY)


def answers(port: int) -> bool:
    try:
        return call(port, "GET", "/config")[0] == 200
    except OSError:
        return False


def ramp(grouping: str) -> dict[str, Any]:
    today = (datetime.now(UTC) + timedelta(hours=2)).date()
    return {
        "grouping": grouping,
        "mode": "AUTO",
        "start": {"date": today.isoformat(), "volume": 100},
        "end": {"date": (today + timedelta(days=9)).isoformat(), "volume": 1000},
    }


def shows(port: int, word: str) -> bool:
    return all(word in str(call(port, "GET", "/status/192.0.2.1")) for _ in range(10))


def test_an_address_is_configured_by_one_worker_and_shown_by_all(port: int) -> None:
    assert Client(port).call("GET", "/config")[0] == 401
    config = {"groupings": [ramp("&gmail")]}
    assert call(port, "POST", "/config/192.0.2.1", config)[0] == 200
    again = [call(port, "POST", "/config/192.0.2.1", config) for _ in range(10)]
    assert again == [(400, {"error": "IP already exists"})] * 10
    eventually_equal(lambda: shows(port, "ONSCHEDULE"), expected=True)
    assert "7200" in str(call(port, "GET", "/status/192.0.2.1"))
    assert call(port, "PUT", "/config/192.0.2.1/pause")[0] == 200
    eventually_equal(lambda: shows(port, "PAUSED"), expected=True)
    status, answer = Client(port).call("GET", "/api/v1/admin/warmup/today", None, ADMIN)
    assert (status, answer["success"]) == (200, True)
