"""The warm-up's surface on the whole gateway: real processes, a real database, real sockets."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Final

import pytest
from gevent.pool import Pool as Group
from support.processes import Client, Installation, kill
from support.warmup_vectors import VECTORS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.postgres import Databases

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]

KEY: Final = {"X-Api-Key": "second"}
RACERS: Final = 8
RAMP: Final = {
    "start": {"date": "2025-08-01", "volume": 100},
    "end": {"date": "2025-08-30", "volume": 20000},
    "mode": "AUTO",
}


@pytest.fixture
def gateway(databases: Databases) -> Iterator[Installation]:
    url = databases.make()
    environment = {"WARMUP_API_KEYS": "first, second", "WEB_CONCURRENCY": "2"}
    with Installation(url, links=[], environment=environment) as gateway:
        gateway.start_all()
        yield gateway
    databases.drop(url)


def test_the_vectors_and_that_they_outlive_a_crash(gateway: Installation) -> None:
    client = Client(gateway.port)
    for call in VECTORS["http"]:
        status, answer = client.call(call["method"], call["path"], call["body"], KEY)
        assert status == call["expect_code"], (call["name"], answer)
        if call["expect"] == "error:string":
            assert list(answer) == ["error"]
        else:
            assert answer == call["expect"], call["name"]
    assert client.call("GET", "/config") == (401, {"error": "Unauthorized"})
    before = [client.call("GET", path, None, KEY) for path in ("/config", "/status")]
    client.close()
    kill(gateway.processes[0])
    gateway.start("web")
    gateway.wait_until_ready()
    assert [client.call("GET", path, None, KEY) for path in ("/config", "/status")] == before


def test_of_many_who_add_an_address_at_once_one_does(gateway: Installation) -> None:
    def add(number: int) -> tuple[int, bytes]:
        connection = HTTPConnection("127.0.0.1", gateway.port, timeout=15)
        body = json.dumps({"groupings": [RAMP | {"grouping": f"&g{number}"}]})
        connection.request("POST", "/config/10.0.0.7", body, KEY)
        answer = connection.getresponse()
        read = answer.status, answer.read()
        connection.close()
        return read

    answers = Group(RACERS).map(add, range(RACERS))
    refused = (400, b'{"error":"IP already exists"}')
    assert answers.count(refused) == RACERS - 1
    winner = answers.index((200, b'{"status":"success"}'))
    _, config = Client(gateway.port).call("GET", "/config/10.0.0.7", None, KEY)
    assert [one["grouping"] for one in config["groupings"]] == [f"&g{winner}"]
