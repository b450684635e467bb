"""Statistics of real processes: what was sent, what failed and what a filter refused is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from support.gateway import eventually, eventually_equal
from support.processes import ADMIN_KEY, Client, Installation
from support.smsc import NodeSmsc

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.processes, pytest.mark.timeout(60)]

ADMIN: Final = {"X-Admin-Key": ADMIN_KEY}
EXTRA: Final = """
[[pools]]
name = "pool-1"
links = ["link-1", "link-2"]

[[filters]]
name = "no casinos"
message = "casino"
"""


@pytest.fixture
def gateway(database_url: str) -> Iterator[Installation]:
    with NodeSmsc(DLR_DELAY_MS=5) as smsc:
        links = [{"port": smsc.port, "tps": tps} for tps in (50, 100)]
        with Installation(database_url, links, extra=EXTRA) as gateway:
            gateway.start_all()
            gateway.wait_until_bound()
            yield gateway


def test_everything_that_was_asked_for_is_in_the_statistics(gateway: Installation) -> None:
    client = gateway.client()
    for number in range(3):
        assert client.send(f"49170000000{number}", "hello", campaign="spring sale")[0] == 200
    assert client.send("491700009011", "hello", transaction_id="tx-1")[0] == 500
    assert client.send("491700000003", "our casino")[0] == 400

    assert _campaigns(gateway) == [
        ("tx-1", 0, 1, 1, 1, client.app_id),
        ("spring sale", 3, 0, 3, 1, client.app_id),
    ]
    eventually_equal(lambda: _errors(gateway), (5, 2))
    stats = _get(gateway, "/dashboard/stats")
    assert stats["errors"]["rate"] == 40.0
    top = [(one["name"], one["messages"]) for one in stats["topCampaignStats"]]
    assert top == [("spring sale", 3), ("tx-1", 1)]
    eventually(lambda: _get(gateway, "/dashboard/stats")["system"]["cpu"] > 0)
    assert stats["system"]["ram"] > 0
    assert _get(gateway, "/api/v1/admin/dashboard/load-balancers") == [
        {"id": 0, "name": "pool-1", "links": ["link-1", "link-2"], "total_tps": 150}
    ]


def _get(gateway: Installation, path: str) -> Any:  # noqa: ANN401  (JSON)
    status, answer = Client(gateway.port).call("GET", path, headers=ADMIN)
    assert status == 200, answer
    return answer["data"]


def _campaigns(gateway: Installation) -> list[tuple[object, ...]]:
    return [(*tuple(row.values())[:5], row["app_id"]) for row in _listed(gateway)]


def _listed(gateway: Installation) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = _get(gateway, "/api/v1/admin/metrics/campaigns")
    return rows


def _errors(gateway: Installation) -> tuple[int, int]:
    """Return how many messages were asked for, and how many of them are errors."""
    stats = _get(gateway, "/dashboard/stats")
    errors = sum(minute["errors"] for minute in stats["errors"]["data"])
    rate = stats["errors"]["rate"]
    return round(100 * errors / rate) if rate else 0, errors
