"""The big installation: a thousand links in fifty pools, three web processes, two relays.

Each test finds every link bound, and leaves every link bound.
"""

from __future__ import annotations

import time
from collections import Counter
from itertools import cycle, product
from typing import TYPE_CHECKING, Final

import gevent
import pytest
from support.exchange import Exchange, at_once
from support.gateway import eventually
from support.processes import Installation, kill
from support.smsc import NodeSmsc

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.postgres import Databases
    from support.processes import Client

pytestmark = [pytest.mark.processes, pytest.mark.timeout(150)]

LINKS: Final = range(1, 1_001)
MEMBERS: Final = 20
APPLICATIONS: Final = 100
TOGGLED: Final = range(1, 301)
LICENSED: Final = 600
TURNED_OFF: Final = range(1, 101)
RATE_PER_S: Final = 40
BURST: Final = 60
FLOOD: Final = 600
UNANSWERED: Final = "470000008101"  # the SMSC behaves by the last four digits
ALL_BOUND: Final = dict.fromkeys(LINKS, "LOADED")
CONFIG: Final = f"""
[leases]
ttl_s = 4.0
renew_s = 0.5
safety_s = 1.0
[limits]
requests_per_s = 0
app_requests_per_s = {RATE_PER_S}
app_requests_burst = {BURST}
[license]
connections_max = {len(LINKS)}
tps_max = 0
[security]
hash_queue_max = {APPLICATIONS}
"""


@pytest.fixture(scope="module")
def exchange(databases: Databases) -> Iterator[Exchange]:
    url = databases.make()
    with (
        NodeSmsc(DLR_DELAY_MS=5) as smsc,
        Installation(url, [smsc.port] * len(LINKS), extra=CONFIG + pools()) as gateway,
    ):
        yield Exchange(gateway, smsc)
    databases.drop(url)


@pytest.fixture(autouse=True)
def _all_bound(exchange: Exchange) -> None:
    exchange.wait_until_bound(len(LINKS))


def pools() -> str:
    """Return the configuration of the pools: neighbours stand in for each other."""
    names = [f'"link-{number}"' for number in LINKS]
    firsts = range(0, len(names), MEMBERS)
    return "".join(
        f'[[pools]]\nname = "pool-{first}"\nlinks = [{", ".join(names[first : first + MEMBERS])}]\n'
        for first in firsts
    )


def test_every_link_is_bound_once_and_every_process_says_so(exchange: Exchange) -> None:
    exchange.wait_until_agreed(ALL_BOUND)
    assert exchange.smsc.stats()["second_binds"] == 0
    # A thousand sessions look into their inboxes without wearing out the pool of connections.
    assert "couldn't get a connection" not in (exchange.gateway.home / "relay.log").read_text()


def test_all_applications_send_over_all_links_through_all_processes(exchange: Exchange) -> None:
    clients = exchange.applications(APPLICATIONS)
    sends = list(zip(cycle(clients), LINKS, strict=False))

    def send(one: tuple[Client, int]) -> tuple[int, str]:
        client, link_id = one
        status, answer = client.at(client.port).send(destination(link_id), "to all", esme=link_id)
        return status, answer["status"]

    assert Counter(at_once(send, sends)) == {(200, "submitted"): len(LINKS)}
    summary = exchange.smsc.summary()
    assert {summary[destination(link_id)] for link_id in LINKS} == {1}


def test_links_toggled_in_all_processes_at_once_are_toggled_once(exchange: Exchange) -> None:
    before = exchange.toggles()
    requests = list(product(TOGGLED, exchange.ports))
    exchange.toggle(requests, enabled=False)
    exchange.wait_until_agreed(ALL_BOUND | dict.fromkeys(TOGGLED, "DISABLED"))
    exchange.wait_until_bound(len(LINKS) - len(TOGGLED))
    exchange.toggle(requests, enabled=True)
    exchange.wait_until_agreed(ALL_BOUND)
    exchange.wait_until_bound(len(LINKS))
    toggles = exchange.toggles() - before
    assert toggles == dict.fromkeys([f"link-{link_id}" for link_id in TOGGLED], 2)
    assert exchange.smsc.stats()["second_binds"] == 0


def test_an_application_keeps_its_limit_over_all_processes(exchange: Exchange) -> None:
    flooding, other = exchange.gateway.client("flooding"), exchange.gateway.client("calm")
    begun_s = time.monotonic()
    ports = [port for port, _ in zip(cycle(exchange.ports), range(FLOOD), strict=False)]
    statuses = Counter(at_once(lambda port: flooding.at(port).info("none")[0], ports))
    took_s = time.monotonic() - begun_s
    assert other.info("none")[0] == 404
    assert statuses.keys() == {404, 429}
    assert BURST <= statuses[404] <= BURST + RATE_PER_S * took_s, (statuses, took_s)


def test_never_more_links_than_licensed_are_bound(exchange: Exchange) -> None:
    exchange.upload_license(LICENSED)
    exchange.wait_until_bound(LICENSED)
    exchange.smsc.forget_max()
    client = exchange.gateway.client("licensed")
    # One of those that are to go waits for an answer that never comes.
    waiting = gevent.spawn(client.send, UNANSWERED, "hello?", esme=TURNED_OFF[0])
    eventually(lambda: exchange.smsc.seen(UNANSWERED))
    exchange.toggle(zip(TURNED_OFF, cycle(exchange.ports), strict=False), enabled=False)
    exchange.wait_until_agreed(
        dict.fromkeys(LINKS, "UNLICENSED")
        | dict.fromkeys(LINKS[: LICENSED + len(TURNED_OFF)], "LOADED")
        | dict.fromkeys(TURNED_OFF, "DISABLED")
    )
    assert exchange.smsc.stats()["sessions_max"] == LICENSED
    assert waiting.get(timeout=10)[0] == 200
    exchange.upload_license(len(LINKS))
    exchange.toggle(zip(TURNED_OFF, cycle(exchange.ports), strict=False), enabled=True)
    exchange.wait_until_bound(len(LINKS))
    assert exchange.smsc.stats()["second_binds"] == 0


def test_a_killed_relay_s_links_go_over_to_the_other(exchange: Exchange) -> None:
    kill(exchange.relays.pop())
    eventually(lambda: exchange.bound() < len(LINKS))
    exchange.wait_until_bound(len(LINKS))
    assert exchange.smsc.stats()["second_binds"] == 0
    client = exchange.gateway.client("after")
    for link_id in LINKS[::50]:
        assert (
            client.send(f"48{link_id:08d}0001", "after", esme=link_id)[1]["status"] == "submitted"
        )


def destination(link_id: int) -> str:
    return f"49{link_id:08d}0001"
