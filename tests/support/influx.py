"""What an InfluxDB is to who writes to it: takes line protocol over HTTP, or refuses it.

with InfluxServer() as influx:
    influx.answer = 503
    ...
    influx.lines()
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from support.sink import Sink
from typing_extensions import override

if TYPE_CHECKING:
    from pathlib import Path


class InfluxServer(Sink):
    """Keeps batches of lines, and with which queries and tokens they came."""

    path = "/api/v2/write"
    accepted = 204

    def __init__(self, certificate: tuple[Path, Path] | None = None) -> None:
        super().__init__(certificate)
        self.queries: list[dict[str, list[str]]] = []
        self.tokens: set[str] = set()
        self.batches: list[list[str]] = []

    @override
    def keep(self, query: str, authorization: str, body: bytes) -> None:
        self.queries.append(parse_qs(query))
        self.tokens.add(authorization)
        self.batches.append(body.decode().split("\n"))

    def lines(self) -> list[str]:
        """Return everything that was written, oldest first."""
        return [line for batch in self.batches for line in batch]
