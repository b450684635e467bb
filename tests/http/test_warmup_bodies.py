"""What a configuration may say, and in which order it is looked at; nothing of a bad one stays."""

import json
from copy import deepcopy
from typing import Any, Final

import falcon.testing
import pytest
from support.warmup import FakeWarmup, Surface

IP: Final = "/config/10.0.0.1"
AUTO: Final = {
    "grouping": "&g",
    "start": {"date": "2025-08-01", "volume": 100},
    "end": {"date": "2025-08-30", "volume": 20000},
    "mode": "AUTO",
    "paused": False,
}
MANUAL: Final = {
    "grouping": "&m",
    "start": {"date": "2025-08-01"},
    "mode": "MANUAL",
    "schedule": [{"day": 2, "messages": 400}, {"day": 1, "messages": 300}],
}
DROP: Final = object()


@pytest.fixture
def warmup() -> FakeWarmup:
    return FakeWarmup()


@pytest.fixture
def client(warmup: FakeWarmup) -> falcon.testing.TestClient:
    return Surface(warmup=warmup).client()


def changed(grouping: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return a copy with one member set, or dropped."""
    copy: dict[str, Any] = deepcopy(grouping)
    *above, name = path.split(".")
    target = copy
    for step in above:
        target = target.setdefault(step, {})
    target[name] = value
    if value is DROP:
        del target[name]
    return copy


def post(client: falcon.testing.TestClient, *groupings: object) -> tuple[int, dict[str, str]]:
    answer = client.simulate_post(IP, body=json.dumps({"groupings": groupings}).encode())
    return answer.status_code, answer.json


@pytest.mark.parametrize(
    ("grouping", "name"),
    [
        (AUTO, "grouping"),
        (AUTO, "mode"),
        (AUTO, "start"),
        (AUTO, "start.date"),
        (AUTO, "start.volume"),
        (AUTO, "end"),
        (AUTO, "end.date"),
        (AUTO, "end.volume"),
        (MANUAL, "start.date"),
        (MANUAL, "schedule"),
    ],
)
def test_what_is_missing_is_named(
    client: falcon.testing.TestClient, warmup: FakeWarmup, grouping: dict[str, Any], name: str
) -> None:
    answer = post(client, AUTO | {"grouping": "&first"}, changed(grouping, name, DROP))
    assert answer == (400, {"error": f"Missing parameter: groupings[1].{name}"})
    assert warmup.events == []


@pytest.mark.parametrize(
    ("grouping", "name", "value"),
    [
        *((AUTO, "grouping", bad) for bad in
          ("", "a/b", "a b", "a\n", "\x7f", "a\x85", "\u2003", "pause", "resume", "x" * 256,
           None, 7)),
        *((AUTO, "mode", bad) for bad in ("auto", "", None, 1, "MANUALLY")),
        *((one, "start", bad) for one in (AUTO, MANUAL) for bad in (None, "2025-08-01", [])),
        *((one, "start.date", bad) for one in (AUTO, MANUAL) for bad in
          ("20250801", "2025-W31-5", "2025-8-1", "2025-02-29", "2025-08-01T00:00:00",
           " 2025-08-01", "2025-08-01\n", "0000-01-01", "", None, 20250801)),
        *((one, "start.volume", bad) for one in (AUTO, MANUAL) for bad in
          (0, -1, True, 1.5, 100.0, "100", None, 1_000_000_001)),
        *((AUTO, "end.date", bad) for bad in ("2025-07-31", "2028-04-27", "x", None)),
        *((AUTO, "end.volume", bad) for bad in (99, 0, False, 2e4, "20000", None)),
        (MANUAL, "end.volume", 0),
        (MANUAL, "end.date", "soon"),
        *((MANUAL, "schedule", bad) for bad in (
            [], {}, None,
            [{"day": 2, "messages": 1}],
            [{"day": 1, "messages": 1}, {"day": 1, "messages": 1}],
            [{"day": 1, "messages": 1}, {"day": 3, "messages": 1}],
            [{"day": day, "messages": 1} for day in range(1, 1_002)],
        )),
        (MANUAL, "start.date", "9999-12-31"),
        *((AUTO, "paused", bad) for bad in ("false", 0, None)),
        *((AUTO, "properties", bad) for bad in ([], "x", 1)),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(
    client: falcon.testing.TestClient,
    warmup: FakeWarmup,
    grouping: dict[str, Any],
    name: str,
    value: object,
) -> None:
    answer = post(client, changed(grouping, name, value))
    status, body = answer
    assert status == 400
    assert body["error"].partition(": the ")[0] == f"Invalid value: groupings[0].{name}"
    assert warmup.events == []


@pytest.mark.parametrize(
    ("day", "error"),
    [
        ({"day": 0, "messages": 1}, "Invalid value: groupings[0].schedule[0].day"),
        ({"day": True, "messages": 1}, "Invalid value: groupings[0].schedule[0].day"),
        ({"day": 1, "messages": 0}, "Invalid value: groupings[0].schedule[0].messages"),
        ({"day": 1, "messages": 1.0}, "Invalid value: groupings[0].schedule[0].messages"),
        ({"messages": 1}, "Missing parameter: groupings[0].schedule[0].day"),
        ({"day": 1}, "Missing parameter: groupings[0].schedule[0].messages"),
        (1, "Invalid value: groupings[0].schedule[0]"),
    ],
)
def test_a_bad_day_is_named(client: falcon.testing.TestClient, day: object, error: str) -> None:
    assert post(client, changed(MANUAL, "schedule", [day])) == (400, {"error": error})


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, "Missing parameter: groupings"),
        ({"groupings": []}, "Invalid value: groupings"),
        ({"groupings": {}}, "Invalid value: groupings"),
        ({"groupings": None}, "Invalid value: groupings"),
        ({"groupings": [1]}, "Invalid value: groupings[0]"),
        ({"groupings": [AUTO | {"grouping": f"&{n}"} for n in range(257)]},
         "Invalid value: groupings"),
        ({"groupings": [AUTO, AUTO]}, "Grouping already exists"),
        ([], "Invalid value: body"),
        ("text", "Invalid value: body"),
        (None, "Invalid value: body"),
    ],
)  # fmt: skip
def test_a_body_without_groupings(
    client: falcon.testing.TestClient, warmup: FakeWarmup, body: object, error: str
) -> None:
    answer = client.simulate_post(IP, body=json.dumps(body).encode())
    assert (answer.status_code, answer.json) == (400, {"error": error})
    assert warmup.events == []


NOT_JSON: Final = (
    b"", b"{", b"\xff", b'{"groupings":[NaN]}', b'{"groupings":Infinity}', b'{"a":1,"a":2}',
    b'{"groupings":"\xe4"}', json.dumps({"groupings": []}).encode("utf-16"), b"[" * 100,
    b'{"groupings":' + b"9" * 30 + b"}", b'{"groupings":"\\ud800"}',
)  # fmt: skip


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("body", NOT_JSON)
def test_what_is_no_json(client: falcon.testing.TestClient, method: str, body: bytes) -> None:
    answer = client.simulate_request(method, IP, body=body)
    assert (answer.status_code, answer.json) == (400, {"error": "Invalid JSON"})


def test_json_is_read_whatever_it_is_declared_as(client: falcon.testing.TestClient) -> None:
    for number, declared in enumerate(("application/x-www-form-urlencoded", "text/plain", "")):
        answer = client.simulate_post(
            f"/config/10.0.0.{number}",
            body=json.dumps({"groupings": [AUTO]}),
            headers={"Content-Type": declared},
        )
        assert answer.status_code == 200, declared


@pytest.mark.parametrize(
    "grouping",
    [
        "&g",
        "example.com",
        "x" * 255,
        "&größe",
        "paused",
        "%26g",
        "Pause",
    ],
)
def test_names_a_grouping_may_have(client: falcon.testing.TestClient, grouping: str) -> None:
    assert post(client, AUTO | {"grouping": grouping})[0] == 200
    assert client.simulate_get(IP).json["groupings"][0]["grouping"] == grouping


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ({"date": "2025-08-01", "volume": 1}, {"date": "2028-04-26", "volume": 1_000_000_000}),
        ({"date": "2025-08-01", "volume": 5}, {"date": "2025-08-01", "volume": 5}),
        ({"date": "1999-01-01", "volume": 5}, {"date": "1999-01-02", "volume": 5}),
        ({"date": "9999-12-30", "volume": 5}, {"date": "9999-12-31", "volume": 6}),
    ],
)
def test_a_ramp_may_be_as_long_as_this(
    client: falcon.testing.TestClient, start: dict[str, Any], end: dict[str, Any]
) -> None:
    assert post(client, AUTO | {"start": start, "end": end})[0] == 200
    told = client.simulate_get(f"{IP}/%26g").json
    assert (told["start"], told["end"]) == (start, end)
    assert client.simulate_get("/status/10.0.0.1/%26g").status_code == 200


def test_a_manual_schedule_is_told_by_day_and_wins_over_what_else_was_said(
    client: falcon.testing.TestClient,
) -> None:
    start = {"date": "2025-08-01", "volume": 7}
    end = {"date": "2030-01-01", "volume": 8}
    assert post(client, MANUAL | {"start": start, "end": end})[0] == 200
    assert client.simulate_get(f"{IP}/%26m").json == {
        "grouping": "&m",
        "mode": "MANUAL",
        "paused": False,
        "schedule": [{"day": 1, "messages": 300}, {"day": 2, "messages": 400}],
        "start": {"date": "2025-08-01"},
    }
    status = client.simulate_get("/status/10.0.0.1/%26m").json
    assert status["start"] == {"date": "2025-08-01", "volume": 300}
    assert status["end"] == {"date": "2025-08-02", "volume": 400}


def test_a_manual_schedule_may_go_down(client: falcon.testing.TestClient) -> None:
    days = [{"day": 1, "messages": 300}, {"day": 2, "messages": 1}, {"day": 3, "messages": 300}]
    assert post(client, MANUAL | {"schedule": days})[0] == 200


def test_names_nobody_asked_for_are_not_stored(client: falcon.testing.TestClient) -> None:
    assert post(client, AUTO | {"status": "BEHIND", "schedule": "?", "x": {"y": 1}})[0] == 200
    assert client.simulate_get(f"{IP}/%26g").json == AUTO


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, {}),
        (
            {"b": "x", "a": 1, "t": True, "f": 1.5},
            {"a": "1", "b": "x", "f": "1.5", "t": "true"},
        ),
    ],
)
def test_properties_are_kept_as_text(
    client: falcon.testing.TestClient, given: dict[str, object], told: dict[str, str]
) -> None:
    assert post(client, AUTO | {"properties": given})[0] == 200
    assert client.simulate_get(f"{IP}/%26g").json == AUTO | {"properties": told}
    status = client.simulate_get("/status/10.0.0.1/%26g")
    assert status.json["properties"] == told
    assert list(status.json["properties"]) == sorted(told)


def test_no_properties_are_not_told(client: falcon.testing.TestClient) -> None:
    assert post(client, AUTO | {"properties": None})[0] == 200
    assert client.simulate_get(f"{IP}/%26g").json == AUTO
    assert client.simulate_get("/status/10.0.0.1/%26g").json["properties"] is None


@pytest.mark.parametrize("value", [None, [], {}])
def test_a_property_is_a_scalar(client: falcon.testing.TestClient, value: object) -> None:
    status, answer = post(client, AUTO | {"properties": {"secret name": value}})
    assert (status, answer) == (400, {"error": "Invalid value: groupings[0].properties[...]"})


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "error"),
    [
        ("POST", "/config/10.0.0.300", b"{", 400, "Invalid IP address"),
        ("PUT", "/config/10.0.0.300", b"{", 400, "Invalid IP address"),
        ("POST", "/config/10.0.0.1", b"{", 400, "Invalid JSON"),
        ("POST", "/config/10.0.0.1", b"{}", 400, "IP already exists"),
        ("PUT", "/config/10.0.0.2", b"{", 400, "Invalid JSON"),
        ("PUT", "/config/10.0.0.2", b"{}", 404, "IP not found"),
        ("PUT", "/config/10.0.0.1", b"{}", 400, "Missing parameter: groupings"),
    ],
)
def test_the_order_of_the_checks(
    client: falcon.testing.TestClient, method: str, path: str, body: bytes, status: int, error: str
) -> None:
    assert post(client, AUTO)[0] == 200
    answer = client.simulate_request(method, path, body=body)
    assert (answer.status_code, answer.json) == (status, {"error": error})


def test_one_bad_grouping_leaves_all_as_it_was(
    client: falcon.testing.TestClient, warmup: FakeWarmup
) -> None:
    assert post(client, AUTO)[0] == 200
    body = json.dumps({"groupings": [MANUAL, changed(AUTO, "end.volume", 1)]})
    assert client.simulate_put(IP, body=body).status_code == 400
    assert client.simulate_get(IP).json == {"groupings": [AUTO]}
    assert len(warmup.events) == 1


def test_a_ramp_of_one_day_is_its_end(client: falcon.testing.TestClient) -> None:
    end = {"date": "2025-08-01", "volume": 200}
    assert post(client, AUTO | {"end": end})[0] == 200
    told = client.simulate_get(f"{IP}/%26g").json
    assert (told["start"], told["end"]) == (end, end)
