"""The licence and the rate limits in real processes: uploaded over HTTP, kept by the relay."""

from __future__ import annotations

from http.client import HTTPConnection
from time import monotonic
from typing import TYPE_CHECKING, Final

import jwt
import pytest
from support.gateway import eventually, eventually_equal
from support.processes import ADMIN_KEY, Client, Installation
from support.smsc import NodeSmsc

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.processes, pytest.mark.timeout(90)]

VENDOR: Final = "a secret of the vendor, long enough"
ADMIN: Final = {"X-Admin-Key": ADMIN_KEY}
RATE_PER_S: Final = 20
BURST: Final = 30
EXTRA: Final = f"""
[license]
connections_max = 1
tps_max = 100

[limits]
app_requests_per_s = {RATE_PER_S}
app_requests_burst = {BURST}
"""


@pytest.fixture
def gateway(database_url: str) -> Iterator[Installation]:
    environment = {"LICENSE_KEY": VENDOR, "WEB_CONCURRENCY": "2"}
    with (
        NodeSmsc(DLR_DELAY_MS=5) as smsc,
        Installation(
            database_url, [smsc.port, smsc.port], extra=EXTRA, environment=environment
        ) as gateway,
    ):
        gateway.start_all()
        yield gateway


def test_an_uploaded_licence_lets_another_link_connect(gateway: Installation) -> None:
    gateway.wait_until_bound(1)
    assert _states(gateway) == {1: "LOADED", 2: "UNLICENSED"}
    assert _esme(gateway, 2)["error"] == "not licensed"
    assert _toggle(gateway, 2, enabled=False)[0] == 200
    refused = {"success": False, "error": "license allows 1 connections"}
    assert _toggle(gateway, 2, enabled=True) == (500, refused)
    assert _upload(gateway, _licence(max_connections=2, key="x" * 32))[0] == 400
    assert _upload(gateway, _licence(max_connections=2))[0] == 200
    eventually(lambda: _toggle(gateway, 2, enabled=True)[0] == 200)
    eventually_equal(lambda: _states(gateway), {1: "LOADED", 2: "LOADED"}, timeout_s=10)


def test_an_application_keeps_its_limit_over_all_web_processes(gateway: Installation) -> None:
    gateway.wait_until_bound(1)
    mine, other = gateway.client("mine"), gateway.client("other")
    connections = [Client(gateway.port, mine.app_id) for _ in range(10)]
    statuses: list[int] = []
    begun_s = monotonic()
    while len(statuses) < 200:
        for client in connections:
            client.headers = mine.headers
            statuses.append(client.info("none")[0])
    took_s = monotonic() - begun_s
    assert set(statuses) == {404, 429}
    assert BURST <= statuses.count(404) <= BURST + RATE_PER_S * took_s
    assert other.info("none")[0] == 404
    assert Client(gateway.port).call("GET", "/healthy")[0] == 200


def _states(gateway: Installation) -> dict[int, str]:
    path = "/api/v1/admin/dashboard/smpp-links"
    _, answer = Client(gateway.port).call("GET", path, headers=ADMIN)
    return {link["id"]: link["status"] for link in answer["data"]}


def _esme(gateway: Installation, link_id: int) -> dict[str, object]:
    answer: dict[str, object]
    client = gateway.client("asking")
    _, answer = client.call("POST", "/api/v1/sms/check-esme", {"esme": link_id})
    return answer


def _toggle(gateway: Installation, link_id: int, *, enabled: bool) -> tuple[int, object]:
    path = f"/api/v1/admin/smpp/{link_id}/toggle"
    return Client(gateway.port).call("PUT", path, {"enabled": enabled}, ADMIN)


def _licence(max_connections: int, key: str = VENDOR) -> str:
    claims = {"company": "UNIQUBIC", "valid_until": "2099-12-31", "max_tps": 100}
    return jwt.encode({**claims, "max_connections": max_connections}, key, algorithm="HS256")


def _upload(gateway: Installation, licence: str) -> tuple[int, bytes]:
    body = (
        '--b\r\nContent-Disposition: form-data; name="license"; filename="l.jws"\r\n\r\n'
        f"{licence}\r\n--b--\r\n"
    )
    headers = {**ADMIN, "Content-Type": "multipart/form-data; boundary=b"}
    connection = HTTPConnection("127.0.0.1", gateway.port, timeout=15)
    try:
        path = "/api/v1/admin/settings/license/upload"
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
