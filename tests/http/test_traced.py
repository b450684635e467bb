"""The server's span of a request: route and status, the caller's trace, and nothing it holds."""

from collections.abc import Iterator

import falcon.testing
import pytest
from support.collector import Collector, Taken, traced
from support.gateway import eventually
from support.sms_proxy import USER, Surface

from signalbox.domain.errors import RejectedByFilter, UnknownLink
from signalbox.eventstore.errors import Unavailable

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SEND = {"esme": 1, "source": "Zug", "destination": "+987654321", "message": "a secret"}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector, traced(collector.url):
        yield collector


@pytest.fixture
def surface() -> Surface:
    return Surface()


@pytest.fixture
def client(collector: Collector, surface: Surface) -> falcon.testing.TestClient:
    assert collector.spans == []
    return surface.client()


def send(client: falcon.testing.TestClient, **headers: str) -> falcon.testing.Result:
    headers = {**USER, **headers}
    return client.simulate_post("/api/v1/sms/send", json=SEND, headers=headers)


def only(collector: Collector) -> Taken:
    eventually(lambda: collector.spans)
    (span,) = collector.spans
    return span


def test_a_request_is_a_span_of_its_route_and_status(
    collector: Collector, client: falcon.testing.TestClient
) -> None:
    assert send(client, traceparent=CALLER).status_code == 200
    span = only(collector)
    assert (span.name, span.kind) == ("POST /api/v1/sms/send", "server")
    assert span.attributes == {
        "http.request.method": "POST",
        "http.route": "/api/v1/sms/send",
        "http.response.status_code": 200,
    }
    assert f"00-{span.trace_id}-{span.parent_id}-01" == CALLER
    assert not span.failed


def test_what_the_gateway_does_for_a_request_hangs_on_its_span(
    collector: Collector, surface: Surface, client: falcon.testing.TestClient
) -> None:
    send(client)
    span = only(collector)
    assert [request.traceparent for request in surface.sending.requests] == [span.traceparent]


def test_nothing_a_request_holds_reaches_the_collector(
    collector: Collector, client: falcon.testing.TestClient
) -> None:
    send(client)
    only(collector)
    for word in (b"a secret", b"987654321", b"Zug", b"good-token"):
        assert word not in collector.raw


@pytest.mark.parametrize(
    ("outcome", "status", "error"),
    [
        (UnknownLink(1), 400, ""),
        (RejectedByFilter("f"), 400, ""),
        (Unavailable("away"), 503, "Service Unavailable"),
        (RuntimeError("a secret"), 500, "Internal Server Error"),
    ],
)
def test_only_a_fault_of_the_server_is_a_failed_span(
    collector: Collector,
    surface: Surface,
    client: falcon.testing.TestClient,
    outcome: Exception,
    status: int,
    error: str,
) -> None:
    surface.sending.outcome = outcome
    assert send(client).status_code == status
    span = only(collector)
    assert span.attributes["http.response.status_code"] == status
    assert (span.failed, span.error) == (bool(error), error)


def test_a_request_without_a_token_is_traced_too(
    collector: Collector, client: falcon.testing.TestClient
) -> None:
    client.simulate_post("/api/v1/sms/info", json={})
    assert only(collector).attributes["http.response.status_code"] == 401


def test_other_requests_are_not_traced(
    collector: Collector, client: falcon.testing.TestClient
) -> None:
    for path in ("/healthy", "/metrics", "/api/v1/dashboard/metrics", "/nowhere"):
        client.simulate_get(path, headers={**USER, "traceparent": CALLER})
    send(client)
    assert only(collector).attributes["http.route"] == "/api/v1/sms/send"
