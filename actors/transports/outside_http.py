"""HTTP connections to hosts that somebody else named: to addresses that were just judged.

Proxies that the environment names are not used: they would connect to anything.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from signalbox.actors.transports.trust import trusting

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from signalbox.actors.transports.outside import Outside
    from signalbox.domain.webhook import Url

TIMEOUT: Final = "no answer in time"
NO_CONNECTION: Final = "no connection"
BAD_CERTIFICATE: Final = "certificate not accepted"
NO_ANSWER: Final = "no proper answer"


@dataclass(eq=False)
class Unconnected(Exception):  # noqa: N818  named after what was found
    """No address of the host took a connection."""

    reason: str

    def __str__(self) -> str:
        return self.reason


class Connector:
    """Connects within `timeout_s` to an address; `tls` None: the system's certificates count."""

    def __init__(
        self, outside: Outside, *, timeout_s: float, tls: ssl.SSLContext | None = None
    ) -> None:
        self._outside = outside
        self._timeout_s = timeout_s
        self._tls = tls or trusting()

    @contextmanager
    def connected(self, url: Url) -> Iterator[HTTPConnection]:
        """Connect to the host, at one of its addresses; then the time is the caller's to count.

        Raises: `NotOutside`, `Unresolved`, `Unconnected`, `ssl.SSLError`.
        """
        reason = NO_CONNECTION
        for address in self._outside.addresses(url.host, url.port):
            with closing(self._connection(url, address)) as connection:
                try:
                    connection.connect()
                except NewConnectionError:  # A subclass of the other one, of all things.
                    reason = NO_CONNECTION
                except ConnectTimeoutError:
                    reason = TIMEOUT
                else:
                    connection.timeout = None
                    if connection.sock is not None:
                        connection.sock.settimeout(None)
                    yield connection
                    return
        raise Unconnected(reason)

    def _connection(self, url: Url, address: str) -> HTTPConnection:
        timeout_s = self._timeout_s
        if url.scheme == "http":
            return HTTPConnection(address, url.port, timeout=timeout_s)
        return HTTPSConnection(
            address, url.port, timeout=timeout_s, ssl_context=self._tls, server_hostname=url.host
        )
