"""What holds for every path: failures in our own form, ids, probes, and no word left out."""

from collections.abc import Iterator
from threading import Barrier

import falcon.testing
import pytest
from support.sms_proxy import ADMIN, BODY_OCTETS_MAX, USER, Surface

from signalbox.domain.errors import Refused
from signalbox.eventstore import metrics
from signalbox.http.mail_proxy import refusals as mail_proxy
from signalbox.http.signalhouse import refusals as signalhouse
from signalbox.http.sms_proxy.refusals import STATUSES
from signalbox.http.trucopilot import refusals as trucopilot
from signalbox.http.warmup import refusals as warmup


def _all(cls: type[Refused]) -> Iterator[type[Refused]]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _all(subclass)


def test_every_refusal_of_the_domain_is_phrased_by_some_surface() -> None:
    phones = {*signalhouse.STATUSES, *trucopilot.ANSWERS}
    phrased = {*STATUSES, *warmup.ANSWERS, *phones, *mail_proxy.STATUSES}
    assert phrased == {cls for cls in _all(Refused) if cls.__module__.startswith("signalbox")}


@pytest.mark.parametrize("path", ["/nothing", "/api/v1/sms", "/api/v1/sms/send/more"])
def test_an_unknown_path_is_404(client: falcon.testing.TestClient, path: str) -> None:
    answer = client.simulate_get(path)
    assert (answer.status_code, answer.json) == (404, {"success": False, "error": "not found"})


def test_another_method_is_405_and_tells_the_right_one(client: falcon.testing.TestClient) -> None:
    answer = client.simulate_get("/api/v1/sms/send", headers=USER)
    assert answer.status_code == 405
    assert answer.json == {"success": False, "error": "method not allowed"}
    assert "POST" in answer.headers["allow"]


@pytest.mark.parametrize("path", ["/healthy/", "/api/v1/admin/dashboard/smpp-links/"])
def test_a_trailing_slash_changes_nothing(client: falcon.testing.TestClient, path: str) -> None:
    assert client.simulate_get(path, headers=ADMIN).status_code == 200


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
def test_a_body_declared_as_something_else_is_415(
    client: falcon.testing.TestClient, content_type: str
) -> None:
    answer = _send(client, b"{}", content_type)
    assert (answer.status_code, answer.json["error"]) == (415, "expected application/json")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "APPLICATION/JSON"])
def test_json_is_json_whatever_its_parameters(
    client: falcon.testing.TestClient, content_type: str
) -> None:
    answer = _send(client, b"{}", content_type)
    assert "missing required field" in answer.json["error"]


def test_a_body_that_is_too_large_is_413(client: falcon.testing.TestClient) -> None:
    answer = _send(client, b" " * (BODY_OCTETS_MAX + 1))
    assert answer.status_code == 413
    assert answer.json == {"success": False, "error": "request body too large"}


def test_a_body_may_be_as_large_as_the_limit(client: falcon.testing.TestClient) -> None:
    assert _send(client, b"{}".ljust(BODY_OCTETS_MAX)).status_code == 400


@pytest.mark.parametrize("request_id", ["a", "0-Z", "x" * 64])
def test_a_request_keeps_its_id(client: falcon.testing.TestClient, request_id: str) -> None:
    answer = client.simulate_get("/healthy", headers={"X-Request-ID": request_id})
    assert answer.headers["x-request-id"] == request_id


@pytest.mark.parametrize("request_id", ["", "a b", "x" * 65, "a_b", "\xfc", "a,b"])
def test_an_id_that_could_do_harm_is_replaced(
    client: falcon.testing.TestClient, request_id: str
) -> None:
    answer = client.simulate_get("/healthy", headers={"X-Request-ID": request_id})
    assert len(answer.headers["x-request-id"]) == 16


def test_probes_are_answered(client: falcon.testing.TestClient) -> None:
    assert client.simulate_get("/healthy").json == {"status": "ok"}
    assert client.simulate_get("/health").json == {"status": "ok", "ok": True}
    assert client.simulate_head("/healthy").status_code == 200


def test_the_gateway_is_ready_when_every_check_passes() -> None:
    answer = (
        Surface(checks={"store": lambda: "", "leases": lambda: ""}).client().simulate_get("/readyz")
    )
    assert answer.status_code == 200
    assert answer.json == {"status": "ok", "checks": {"store": "ok", "leases": "ok"}}


def test_the_gateway_is_not_ready_when_one_check_fails() -> None:
    surface = Surface(checks={"store": lambda: "", "projector": lambda: "40 s behind"})
    answer = surface.client().simulate_get("/readyz")
    assert answer.status_code == 503
    assert answer.json == {
        "status": "not ready",
        "checks": {"store": "ok", "projector": "40 s behind"},
    }


def test_all_that_must_be_ready_is_asked_at_once() -> None:
    asked = Barrier(3)

    def check() -> str:
        asked.wait(timeout=5)
        return ""

    surface = Surface(checks=dict.fromkeys(("store", "leases", "projector"), check))
    assert surface.client().simulate_get("/readyz").status_code == 200


def test_metrics_have_the_references_type_and_all_processes_counts(
    client: falcon.testing.TestClient,
) -> None:
    metrics.ACCEPTED.labels("1").inc()
    answer = client.simulate_get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4"
    assert 'signalbox_messages_accepted_total{link="1"}' in answer.text


def _send(
    client: falcon.testing.TestClient, body: bytes, content_type: str = "application/json"
) -> falcon.testing.Result:
    return client.simulate_post(
        "/api/v1/sms/send", body=body, headers={**USER, "Content-Type": content_type}
    )
