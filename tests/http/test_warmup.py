"""The warm-up's surface: the reference's calls, shapes and codes, above the domain itself."""

import json
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import falcon.testing
import pytest
from support.warmup import BODY_OCTETS_MAX, FakeWarmup, Surface
from support.warmup_vectors import VECTORS

from signalbox.domain import sending_ip
from signalbox.domain.errors import Refused
from signalbox.domain.warmup_status import WarmupStatus
from signalbox.http.limits import AllRequests
from signalbox.http.warmup.refusals import ANSWERS

IP: Final = "/config/10.0.0.1"
AUTO: Final = {
    "end": {"date": "2025-08-30", "volume": 20000},
    "grouping": "&auto_example",
    "mode": "AUTO",
    "paused": False,
    "start": {"date": "2025-08-01", "volume": 100},
}
MANUAL: Final = {
    "grouping": "&manual_example",
    "mode": "MANUAL",
    "paused": False,
    "schedule": [{"day": 1, "messages": 300}, {"day": 2, "messages": 400}],
    "start": {"date": "2025-08-01"},
}
BOTH: Final = {"groupings": [AUTO, MANUAL]}
SUCCESS: Final = b'{"status":"success"}'
MANUAL_STATUS: Final = {
    "current_day": 1,
    "end": {"date": "2025-08-02", "volume": 400},
    "mode": "MANUAL",
    "paused": False,
    "properties": None,
    "schedule": [
        {"date": "2025-08-01", "day": 1, "messages": 300},
        {"date": "2025-08-02", "day": 2, "messages": 400},
    ],
    "start": {"date": "2025-08-01", "volume": 300},
    "status": "ONSCHEDULE",
}


@pytest.fixture
def surface() -> Surface:
    return Surface()


@pytest.fixture
def warmup(surface: Surface) -> FakeWarmup:
    return surface.warmup


@pytest.fixture
def configured(client: falcon.testing.TestClient) -> falcon.testing.TestClient:
    assert client.simulate_post(IP, json=BOTH).content == SUCCESS
    return client


def test_the_calls_of_the_vectors_in_order(client: falcon.testing.TestClient) -> None:
    for call in VECTORS["http"]:
        body = None if call["body"] is None else json.dumps(call["body"]).encode()
        answer = client.simulate_request(call["method"], call["path"], body=body)
        assert answer.status_code == call["expect_code"], call["name"]
        if call["expect"] == "error:string":
            assert list(answer.json) == ["error"], call["name"]
            assert isinstance(answer.json["error"], str), call["name"]
        else:
            assert answer.json == call["expect"], call["name"]


@pytest.mark.parametrize("grouping", BOTH["groupings"])
def test_a_grouping_is_told_as_it_was_given(
    configured: falcon.testing.TestClient, grouping: dict[str, Any]
) -> None:
    name = grouping["grouping"].replace("&", "%26")
    answer = configured.simulate_get(f"{IP}/{name}")
    assert (answer.status_code, answer.json) == (200, grouping)
    assert answer.headers["content-type"] == "application/json"


def test_no_address_is_an_empty_object(client: falcon.testing.TestClient) -> None:
    assert client.simulate_get("/config").content == b'{"ips":{}}'
    assert client.simulate_get("/status").content == b'{"ips":{}}'


def test_answers_are_compact_and_sorted_by_name(configured: falcon.testing.TestClient) -> None:
    for path in (IP, f"{IP}/%26auto_example", f"{IP}/%26manual_example", "/status/10.0.0.1",
                 "/status", "/status/10.0.0.1/%26manual_example", "/config"):  # fmt: skip
        answer = configured.simulate_get(path)
        compact = json.dumps(answer.json, sort_keys=True, separators=(",", ":"))
        assert answer.text == compact, path


def test_addresses_are_sorted_by_version_and_number(client: falcon.testing.TestClient) -> None:
    for ip in ("2001:db8::1", "10.0.0.10", "10.0.0.9", "2001:db8::"):
        assert client.simulate_post(f"/config/{ip}", json=BOTH).status_code == 200
    in_order = ["10.0.0.9", "10.0.0.10", "2001:db8::", "2001:db8::1"]
    assert list(client.simulate_get("/config").json["ips"]) == in_order
    assert list(client.simulate_get("/status").json["ips"]) == in_order


def test_all_three_shapes_of_a_status(configured: falcon.testing.TestClient) -> None:
    named = {**MANUAL_STATUS, "grouping": "&manual_example"}
    one = configured.simulate_get("/status/10.0.0.1/%26manual_example")
    assert one.json == MANUAL_STATUS
    ip = configured.simulate_get("/status/10.0.0.1").json
    assert set(ip) == {"groupings", "timezone_offset"}
    assert (ip["groupings"][1], ip["timezone_offset"]) == (named, 0)
    everything = configured.simulate_get("/status").json
    assert set(everything) == {"ips"}
    assert everything["ips"] == {"10.0.0.1": {"groupings": ip["groupings"]}}


def test_the_examples_shape_names_no_groupings(surface: Surface) -> None:
    surface.strict_doc_shapes = True
    client = surface.client()
    client.simulate_post(IP, json={"groupings": [MANUAL]})
    answer = client.simulate_get("/status")
    assert answer.json == {"ips": {"10.0.0.1": {"groupings": [MANUAL_STATUS]}}}
    assert client.simulate_get("/status/10.0.0.1").json["groupings"][0]["grouping"]


def test_the_days_of_an_automatic_ramp_are_told(configured: falcon.testing.TestClient) -> None:
    status = configured.simulate_get("/status/10.0.0.1/%26auto_example").json
    volumes = [day["messages"] for day in status["schedule"]]
    assert (len(volumes), volumes[:3], volumes[-1]) == (30, [100, 120, 144], 20000)
    assert status["schedule"][29] == {"date": "2025-08-30", "day": 30, "messages": 20000}


def test_the_offset_is_in_seconds_and_moves_the_day(
    configured: falcon.testing.TestClient, warmup: FakeWarmup
) -> None:
    warmup.zone = ZoneInfo("Asia/Tokyo")
    warmup.now = datetime(2025, 8, 1, 15, tzinfo=UTC)
    answer = configured.simulate_get("/status/10.0.0.1").json
    assert answer["timezone_offset"] == 9 * 3600
    assert answer["groupings"][0]["current_day"] == 2


def test_a_status_word_can_be_another(surface: Surface) -> None:
    surface.status_words = {WarmupStatus.PAUSED: "SUSPENDED"}
    client = surface.client()
    client.simulate_post(IP, json=BOTH)
    client.simulate_put(f"{IP}/%26auto_example/pause")
    words = [one["status"] for one in client.simulate_get("/status/10.0.0.1").json["groupings"]]
    assert words == ["SUSPENDED", "ONSCHEDULE"]


@pytest.mark.parametrize("body", [None, b"{}", b"not JSON", b"[1]"])
@pytest.mark.parametrize("path", ["", "/%26auto_example"])
def test_pausing_and_resuming_look_at_no_body(
    configured: falcon.testing.TestClient, path: str, body: bytes | None
) -> None:
    for word, paused in (("pause", True), ("pause", True), ("resume", False), ("resume", False)):
        answer = configured.simulate_put(f"{IP}{path}/{word}", body=body)
        assert (answer.status_code, answer.content) == (200, SUCCESS)
        flag = configured.simulate_get(f"{IP}/%26auto_example").json["paused"]
        assert flag is paused


def test_pausing_a_grouping_leaves_the_others(configured: falcon.testing.TestClient) -> None:
    configured.simulate_put(f"{IP}/%26auto_example/pause")
    groupings = configured.simulate_get(IP).json["groupings"]
    assert [one["paused"] for one in groupings] == [True, False]


def test_what_is_told_can_be_put_back_and_changes_nothing(
    configured: falcon.testing.TestClient, warmup: FakeWarmup
) -> None:
    configured.simulate_put(f"{IP}/pause")
    events = len(warmup.events)
    for path in (IP, "/status/10.0.0.1"):
        told = configured.simulate_get(path).content
        assert configured.simulate_put(IP, body=told).status_code == 200
    assert len(warmup.events) == events


def test_a_replacement_without_a_flag_leaves_it(configured: falcon.testing.TestClient) -> None:
    configured.simulate_put(f"{IP}/pause")
    silent = {name: value for name, value in AUTO.items() if name != "paused"}
    added = {**MANUAL, "grouping": "new.example"}
    del added["paused"]
    assert configured.simulate_put(IP, json={"groupings": [silent, added]}).status_code == 200
    groupings = configured.simulate_get(IP).json["groupings"]
    assert [(one["grouping"], one["paused"]) for one in groupings] == [
        ("&auto_example", True),
        ("new.example", False),
    ]


def test_removing_groupings_and_the_address(configured: falcon.testing.TestClient) -> None:
    for name in ("%26auto_example", "%26manual_example"):
        assert configured.simulate_delete(f"{IP}/{name}").content == SUCCESS
        assert configured.simulate_delete(f"{IP}/{name}").status_code == 404
    assert configured.simulate_get(IP).content == b'{"groupings":[]}'
    assert configured.simulate_delete(IP).content == SUCCESS
    assert configured.simulate_delete(IP).json == {"error": "IP not found"}
    assert configured.simulate_post(IP, json=BOTH).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "error"),
    [
        ("GET", "/config/10.9.9.9", "IP not found"),
        ("GET", "/config/10.9.9.9/%26g", "IP not found"),
        ("GET", "/status/10.9.9.9", "IP not found"),
        ("GET", "/status/10.9.9.9/%26g", "IP not found"),
        ("PUT", "/config/10.9.9.9", "IP not found"),
        ("DELETE", "/config/10.9.9.9", "IP not found"),
        ("DELETE", "/config/10.9.9.9/%26g", "IP not found"),
        ("PUT", "/config/10.9.9.9/pause", "IP not found"),
        ("PUT", "/config/10.9.9.9/resume", "IP not found"),
        ("PUT", "/config/10.9.9.9/%26g/pause", "IP not found"),
        ("PUT", "/config/10.9.9.9/%26g/resume", "IP not found"),
        ("GET", f"{IP}/%26g", "Grouping not found"),
        ("GET", "/status/10.0.0.1/%26g", "Grouping not found"),
        ("DELETE", f"{IP}/%26g", "Grouping not found"),
        ("PUT", f"{IP}/%26g/pause", "Grouping not found"),
        ("PUT", f"{IP}/%26g/resume", "Grouping not found"),
        ("GET", f"{IP}/%26AUTO_EXAMPLE", "Grouping not found"),
        ("GET", f"{IP}/%FF", "Grouping not found"),
        ("GET", "/config/10.0.0.1/%26g/more", "not found"),
    ],
)
def test_what_is_not_there_is_404(
    configured: falcon.testing.TestClient, method: str, path: str, error: str
) -> None:
    answer = configured.simulate_request(method, path, body=b"{}")
    assert (answer.status_code, answer.json) == (404, {"error": error})


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/config", {"GET", "OPTIONS"}),
        ("PATCH", IP, {"GET", "POST", "PUT", "DELETE", "OPTIONS"}),
        ("PUT", f"{IP}/%26g", {"GET", "DELETE", "OPTIONS"}),
        ("POST", f"{IP}/pause", {"PUT", "OPTIONS"}),
        ("GET", f"{IP}/%26g/resume", {"PUT", "OPTIONS"}),
        ("DELETE", "/status/10.0.0.1", {"GET", "OPTIONS"}),
    ],
)
def test_another_method_is_405_and_tells_the_right_ones(
    client: falcon.testing.TestClient, method: str, path: str, allowed: set[str]
) -> None:
    answer = client.simulate_request(method, path)
    assert (answer.status_code, answer.json) == (405, {"error": "method not allowed"})
    assert set(answer.headers["allow"].split(", ")) == allowed


def test_a_body_that_is_too_large_is_413(client: falcon.testing.TestClient) -> None:
    answer = client.simulate_post(IP, body=b" " * (BODY_OCTETS_MAX + 1))
    assert (answer.status_code, list(answer.json)) == (413, ["error"])


@pytest.mark.parametrize(("method", "path"), [("GET", "/config"), ("PUT", f"{IP}/pause")])
def test_a_store_that_is_away_is_503(
    client: falcon.testing.TestClient, warmup: FakeWarmup, method: str, path: str
) -> None:
    warmup.away = True
    answer = client.simulate_request(method, path)
    assert (answer.status_code, list(answer.json)) == (503, ["error"])
    assert answer.headers["retry-after"] == "3"


class Spent:
    """A bucket that has nothing left."""

    def acquire(self) -> float:
        return 1.5

    def close(self) -> None:
        """Nothing to give up."""


def test_one_request_too_many_is_429(surface: Surface) -> None:
    surface.limit = AllRequests(Spent(), ())
    answer = surface.client().simulate_get("/config")
    assert (answer.status_code, list(answer.json)) == (429, ["error"])
    assert answer.headers["retry-after"] == "2"


def test_an_accident_tells_its_id_alone(
    configured: falcon.testing.TestClient, warmup: FakeWarmup
) -> None:
    warmup.states = None  # type: ignore[assignment]
    answer = configured.simulate_get("/status")
    assert (answer.status_code, set(answer.json)) == (500, {"error", "id"})


def test_who_lost_the_race_to_add_an_address_is_told_so(
    client: falcon.testing.TestClient, warmup: FakeWarmup
) -> None:
    def first() -> None:
        warmup.seen = lambda: None
        assert client.simulate_post(IP, json=BOTH).status_code == 200

    warmup.seen = first
    answer = client.simulate_post(IP, json=BOTH)
    assert (answer.status_code, answer.json) == (400, {"error": "IP already exists"})


def test_every_refusal_the_domain_can_give_is_phrased() -> None:
    known = {
        one
        for one in vars(sending_ip).values()
        if isinstance(one, type) and issubclass(one, Refused)
    }
    assert known - set(ANSWERS) == {sending_ip.InvalidField}  # the address, phrased at the path
