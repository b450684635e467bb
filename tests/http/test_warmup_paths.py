"""Who gets in, and what a path names: through the server itself, for it decides what a path is."""

import http.client
import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from support.warmup import FakeWarmup, Surface
from support.warmup_vectors import VECTORS

from signalbox.http.warmup.auth import ANYBODY, WITH_KEY
from signalbox.http.worker import Handler, Limits, Server

KEY: Final = "a key with ümlaut"
WIRE_KEY: Final = {"X-Api-Key": KEY.encode().decode("latin-1")}
UNAUTHORIZED: Final = (401, {"error": "Unauthorized"})
GROUPING: Final = {
    "start": {"date": "2025-08-01", "volume": 100},
    "end": {"date": "2025-08-30", "volume": 20000},
    "mode": "AUTO",
}
BODY: Final = json.dumps({"groupings": [GROUPING | {"grouping": "&g"}]})

Ask = Callable[..., tuple[int, Any]]


@pytest.fixture
def surface() -> Surface:
    return Surface()


@pytest.fixture
def warmup(surface: Surface) -> FakeWarmup:
    return surface.warmup


@pytest.fixture
def ask(surface: Surface) -> Iterator[Ask]:
    address = ("127.0.0.1", 0)
    server = Server(address, surface.app(), log=None, handler_class=Handler, limits=Limits())
    server.start()

    def ask(method: str, path: str, body: str = "", **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(*server.address, timeout=5)
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body.encode(), fields)
            answer = connection.getresponse()
            octets = answer.read()
        finally:
            connection.close()
        assert octets
        return answer.status, json.loads(octets)

    yield ask
    server.stop(timeout=1)


@pytest.mark.parametrize("vector", VECTORS["paths"], ids=lambda vector: vector["raw"])
def test_the_paths_of_the_vectors(ask: Ask, warmup: FakeWarmup, vector: dict[str, Any]) -> None:
    raw, ip, grouping = vector["raw"], vector["ip"], vector["grouping"]
    if ip is None:
        assert ask("GET", raw) == (400, {"error": "Invalid IP address"})
        return
    # A grouping with a slash can't be configured: a neighbour makes the address known.
    known = "&neighbour" if "/" in grouping else grouping
    body = json.dumps({"groupings": [GROUPING | {"grouping": known}]})
    assert ask("POST", raw.rpartition("/")[0], body) == (200, {"status": "success"})
    assert list(warmup.states) == [ip]
    status, answer = ask("GET", raw)
    if known == grouping:
        assert (status, answer["grouping"]) == (200, grouping)
    else:
        assert (status, answer) == (404, {"error": "Grouping not found"})


def test_an_encoded_slash_hides_nothing_else_of_the_path(ask: Ask) -> None:
    assert ask("POST", "/config/10.0.0.1", BODY)[0] == 200
    for raw in ("/config/10%2E0%2E0%2E1/a%2Fb", "/status/10%2E0%2E0%2E1/a%2Fb"):
        assert ask("GET", raw) == (404, {"error": "Grouping not found"})
    assert ask("PUT", "/config/10%2E0%2E0%2E1/a%2Fb/pause") == (
        404,
        {"error": "Grouping not found"},
    )
    assert ask("GET", "/config/10.0.0.1%2F%26g") == (400, {"error": "Invalid IP address"})


@pytest.mark.parametrize(
    "raw",
    [
        "010.0.0.1", "10.0.0", "10.0.0.1.1", "10.0.0.256", "%2031", "10.0.0.1%20", "10.0.0.1%00",
        "10.0.0.1%0A", "host.example", "fe80::1%25eth0", "fe80::1%eth0", "[::1]", "::g", "%FF",
        "10.0.0.1/32", "0x0a.0.0.1", "%EF%BC%91.0.0.1", "10%252E0.0.1", "+",
    ],
)  # fmt: skip
@pytest.mark.parametrize(("method", "suffix"), [
    ("GET", ""), ("POST", ""), ("PUT", ""), ("DELETE", ""), ("PUT", "/pause"), ("DELETE", "/%26g"),
])  # fmt: skip
def test_what_is_no_address(ask: Ask, method: str, raw: str, suffix: str) -> None:
    if "/" in raw:
        raw = raw.replace("/", "%2F")
    answer = ask(method, f"/config/{raw}{suffix}", BODY)
    assert answer == (400, {"error": "Invalid IP address"})
    if (method, suffix) == ("GET", ""):
        assert ask("GET", f"/status/{raw}") == (400, {"error": "Invalid IP address"})


@pytest.mark.parametrize(
    ("raw", "ip"),
    [
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("2001%3adb8%3A%3a1", "2001:db8::1"),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.1"),
        ("0:0:0:0:0:ffff:a00:1", "::ffff:10.0.0.1"),
        ("%31%30.0.0.1", "10.0.0.1"),
    ],
)
def test_an_address_has_one_name(ask: Ask, warmup: FakeWarmup, raw: str, ip: str) -> None:
    assert ask("POST", f"/config/{raw}", BODY)[0] == 200
    assert list(warmup.states) == [ip]
    assert list(ask("GET", "/config")[1]["ips"]) == [ip]
    assert list(ask("GET", "/status")[1]["ips"]) == [ip]


@pytest.mark.parametrize(
    ("grouping", "raw"),
    [
        ("a+b", "a+b"),
        ("a+b", "a%2Bb"),
        ("&größe", "&gr%C3%B6%C3%9Fe"),
        ("a;b=c,d", "a;b=c,d"),
        ("a?b", "a%3Fb"),
        ("&g", "&g?pause=1"),
        ("&g", "&g/"),
    ],
)
def test_a_grouping_is_decoded_once(ask: Ask, grouping: str, raw: str) -> None:
    body = json.dumps({"groupings": [GROUPING | {"grouping": grouping}]})
    assert ask("POST", "/config/10.0.0.1", body)[0] == 200
    assert ask("GET", f"/config/10.0.0.1/{raw}")[1]["grouping"] == grouping
    assert ask("GET", f"/status/10.0.0.1/{raw}")[0] == 200


def test_a_path_of_two_slashes_is_the_same(ask: Ask) -> None:
    assert ask("POST", "//config/10.0.0.1", BODY)[0] == 200
    assert ask("PUT", "///config/10.0.0.1/%26g/pause")[0] == 200


class TestWithKeys:
    """Keys are configured."""

    @pytest.fixture
    def surface(self) -> Surface:
        return Surface(api_keys=("other", KEY))

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/config"), ("GET", "/config/"), ("GET", "/status"), ("GET", "//status"),
            ("GET", "/%63onfig"), ("GET", "/config?x=/warmup"), ("POST", "/config/10.0.0.1"),
            ("PUT", "/config/10.0.0.1"), ("DELETE", "/config/10.0.0.1"),
            ("GET", "/config/10.0.0.1/%26g"), ("DELETE", "/config/10.0.0.1/%26g"),
            ("PUT", "/config/10.0.0.1/pause"), ("PUT", "/config/10.0.0.1/resume"),
            ("PUT", "/config/10.0.0.1/%26g/pause"), ("PUT", "/config/10.0.0.1/%26g/resume"),
            ("GET", "/status/10.0.0.1"), ("GET", "/status/10.0.0.1/%26g"),
            ("GET", "/config/bad"), ("GET", "/status/10.0.0.1/a%2Fb"),
            ("GET", "/config/10.0.0.1/a/b/c/d"), ("DELETE", "/status"), ("OPTIONS", "/config"),
            ("BREW", "/config"),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize(
        "given", ["", "wrong", KEY[:-1], f"{KEY}x".encode().decode("latin-1"), "other,other"]
    )
    def test_a_stranger_learns_nothing(
        self, ask: Ask, warmup: FakeWarmup, method: str, path: str, given: str
    ) -> None:
        headers = {"X-Api-Key": given} if given else {}
        assert ask(method, path, BODY, **headers) == UNAUTHORIZED
        assert warmup.events == []

    @pytest.mark.parametrize("headers", [WIRE_KEY, {"x-api-key": "other"}])
    def test_each_key_opens(self, ask: Ask, warmup: FakeWarmup, headers: dict[str, str]) -> None:
        assert ask("POST", "/config/10.0.0.1", BODY, **headers) == (200, {"status": "success"})
        assert ask("GET", "/status", **headers)[0] == 200
        assert ask("GET", "/status/nothing/here/at/all", **headers)[0] == 404
        assert ask("DELETE", "/status", **headers)[0] == 405
        assert warmup.asked_by == [WITH_KEY]

    def test_other_paths_need_no_key(self, ask: Ask) -> None:
        assert ask("GET", "/healthy")[0] == 200
        assert ask("GET", "/configuration") == (404, {"success": False, "error": "not found"})


def test_without_keys_everybody_may_call(ask: Ask, warmup: FakeWarmup) -> None:
    assert ask("POST", "/config/10.0.0.1", BODY, **{"X-Api-Key": "whatever"})[0] == 200
    assert ask("GET", "/config")[0] == 200
    assert warmup.asked_by == [ANYBODY]
