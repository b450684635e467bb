"""The big installation: many links to one SMSC, several web processes and relays, applications.

Each link has an account of its own at the SMSC, which so knows whether any of them was bound twice.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import contextmanager
from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING, Final, TypeVar

import psycopg
from gevent.pool import Pool
from support.gateway import eventually_equal
from support.processes import ADMIN_KEY, Client, Installation, free_port

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterable, Iterator

    from support.smsc import NodeSmsc

CONNECTIONS: Final = 30
SETTLE_S: Final = 40.0
LOOK_S: Final = 0.25
ADMIN: Final = {"X-Admin-Key": ADMIN_KEY}
LICENSE_HEAD: Final = (
    '--b\r\nContent-Disposition: form-data; name="license"; filename="license.json"\r\n\r\n'
)
LICENSE_PATH: Final = "/api/v1/admin/settings/license"
LINKS_PATH: Final = "/api/v1/admin/dashboard/smpp-links"

_T = TypeVar("_T")
_R = TypeVar("_R")


class Exchange:
    """The gateway's processes, the SMSC behind them, the ports of the web processes.

    `relays` are those that run.
    """

    def __init__(
        self, gateway: Installation, smsc: NodeSmsc, *, webs: int = 3, relays: int = 2
    ) -> None:
        self.gateway = gateway
        self.smsc = smsc
        self.ports = (gateway.port, *(free_port() for _ in range(webs - 1)))
        for port in self.ports:
            gateway.start("web", port=port)
        self.relays: list[subprocess.Popen[bytes]] = [gateway.start("relay") for _ in range(relays)]
        gateway.start("projector")
        for port in self.ports:
            gateway.wait_until_ready(port=port)
        self._idle: dict[int, list[Client]] = {port: [] for port in self.ports}

    def bound(self) -> int:
        """Return how many sessions the SMSC has."""
        return self.smsc.stats()["sessions"]

    def wait_until_bound(self, links: int) -> None:
        """Wait until the SMSC has so many sessions."""
        eventually_equal(self.bound, links, SETTLE_S, LOOK_S)

    def statuses(self, port: int) -> dict[int, str]:
        """Return each link's status, as one web process tells it."""
        with self.at(port) as client:
            _, answer = client.call("GET", LINKS_PATH, headers=ADMIN)
        return {link["id"]: link["status"] for link in answer["data"]}

    def wait_until_agreed(self, statuses: dict[int, str]) -> None:
        """Wait until every web process tells these."""
        for port in self.ports:
            eventually_equal(partial(self.statuses, port), statuses, SETTLE_S, LOOK_S)

    def toggle(self, requests: Iterable[tuple[int, int]], *, enabled: bool) -> None:
        """Switch links, each through the web process whose port comes with it, all at once."""

        def put(request: tuple[int, int]) -> None:
            link_id, port = request
            path = f"/api/v1/admin/smpp/{link_id}/toggle"
            with self.at(port) as client:
                status, answer = client.call("PUT", path, {"enabled": enabled}, ADMIN)
            assert status == 200, (request, answer)

        at_once(put, requests)

    def toggles(self) -> Counter[str]:
        """Count the switches in the log, by stream."""
        counts = (
            "SELECT stream, count(*) FROM signalbox.log WHERE topic = 'link.toggled.1'"
            " GROUP BY stream"
        )
        with psycopg.connect(self.gateway.environment["DATABASE_URL"]) as connection:
            return Counter(dict(connection.execute(counts).fetchall()))

    def upload_license(self, connections_max: int) -> None:
        """Put an unsigned licence for so many links into force, in every web process."""
        terms = {"company": "Big Ltd", "valid_until": "2099-12-31", "max_tps": 10_000}
        licence = json.dumps({**terms, "max_connections": connections_max})
        body = f"{LICENSE_HEAD}{licence}\r\n--b--\r\n".encode()
        headers = {**ADMIN, "Content-Type": "multipart/form-data; boundary=b"}
        with self.at(self.ports[0]) as client:
            status, answer = client.call("POST", f"{LICENSE_PATH}/upload", body, headers)
        assert status == 200, answer
        for port in self.ports:
            eventually_equal(partial(self._licensed, port), connections_max, SETTLE_S, LOOK_S)

    def _licensed(self, port: int) -> int:
        with self.at(port) as client:
            _, answer = client.call("GET", LICENSE_PATH, headers=ADMIN)
        return int(answer["data"]["max_connections"])

    def applications(self, number: int) -> list[Client]:
        """Register so many applications; return a client of each, by turns on each web process."""
        clients = at_once(self.gateway.client, [f"app{n}" for n in range(number)])
        return [one.at(port) for one, port in zip(clients, cycle(self.ports), strict=False)]

    @contextmanager
    def at(self, port: int) -> Iterator[Client]:
        """Lend a connection to one of the web processes that is kept alive."""
        client = self._idle[port].pop() if self._idle[port] else Client(port)
        yield client
        self._idle[port].append(client)


def at_once(act: Callable[[_T], _R], arguments: Iterable[_T]) -> list[_R]:
    """Call `act` with many arguments at the same time; return the results in their order."""
    return list(Pool(CONNECTIONS).imap(act, arguments))
