"""One HTTP request to a receiver of callbacks: signed, bounded on all sides, never redirected.

    X-Signalbox-Event-Id: 5b0c3f0a-…          the same whenever it is sent again
    X-Signalbox-Timestamp: 1795255210         Unix seconds, of this attempt
    X-Signalbox-Signature: v1=<hex>           HMAC-SHA256(secret, timestamp + "." + body)

A connection is opened for each, to addresses that were judged just before (`outside.py`).
Proxies that the environment names are not used: they would connect to anything.
"""

from __future__ import annotations

import hmac
import ssl
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPException
from typing import TYPE_CHECKING, Final

import gevent
import msgspec
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from signalbox.actors.transports.outside import NotOutside, Unresolved
from signalbox.actors.transports.trust import trusting
from signalbox.domain.webhook import Url, read_url

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from urllib3.response import BaseHTTPResponse

    from signalbox.actors.callback_topics import Told
    from signalbox.actors.transports.outside import Outside

DISCARDED_OCTETS_MAX: Final = 65_536
DISCARD_S: Final = 1.0
READ_S: Final = 10.0
USER_AGENT: Final = "Signalbox-Callbacks/1"

TIMEOUT: Final = "no answer in time"
NO_CONNECTION: Final = "no connection"
BAD_CERTIFICATE: Final = "certificate not accepted"
NO_ANSWER: Final = "no proper answer"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: an HTTP status; or 0, and the reason why there is none.

    `body` and `retry_after` (the header) are there for whoever wants them.
    """

    status: int
    reason: str = ""
    body: bytes = b""
    retry_after: str = ""


class Envelope(msgspec.Struct):
    """The body of a callback; `id` is the same whenever it is sent again."""

    id: str
    type: str
    created_at: str
    data: Mapping[str, object]


def body_of(callback_id: str, told: Told, at: datetime) -> bytes:
    """Return what is posted of something that happened at `at` (UTC)."""
    created_at = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return msgspec.json.encode(Envelope(callback_id, told.type, created_at, told.data))


def signed(callback_id: str, body: bytes, secret: bytes, at_s: int) -> dict[str, str]:
    """Return the headers by which a receiver knows who posts, and that it is no repetition."""
    signature = hmac.digest(secret, b"%d.%b" % (at_s, body), "sha256").hex()
    return {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "X-Signalbox-Event-Id": callback_id,
        "X-Signalbox-Timestamp": str(at_s),
        "X-Signalbox-Signature": f"v1={signature}",
    }


class Poster:
    """Posts callbacks. `timeout_s` bounds all of a request, whatever the other side does.

    What is answered is read if it has at most `answer_octets_max`; else it is none. `tls` says what
    is trusted; None: the system's certificates.
    """

    def __init__(
        self,
        outside: Outside,
        *,
        connect_timeout_s: float = 5.0,
        timeout_s: float = 10.0,
        tls: ssl.SSLContext | None = None,
        answer_octets_max: int = 0,
    ) -> None:
        self._outside = outside
        self._connect_timeout_s = connect_timeout_s
        self._timeout_s = timeout_s
        self._answer_octets_max = answer_octets_max
        self._tls = tls or trusting()

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post, and return what came back; it never raises for what the other side does."""
        try:
            with gevent.Timeout(self._timeout_s):
                return self._post(read_url(url), body, headers)
        except (gevent.Timeout, TimeoutError):
            return Answer(0, TIMEOUT)
        except (NotOutside, Unresolved) as error:
            return Answer(0, str(error))
        except ssl.SSLError:
            return Answer(0, BAD_CERTIFICATE)
        except (HTTPError, HTTPException, OSError):
            return Answer(0, NO_ANSWER)

    def _post(self, url: Url, body: bytes, headers: Mapping[str, str]) -> Answer:
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
                    return self._exchange(connection, url, body, headers)
        return Answer(0, reason)

    def _connection(self, url: Url, address: str) -> HTTPConnection:
        timeout_s = self._connect_timeout_s
        if url.scheme == "http":
            return HTTPConnection(address, url.port, timeout=timeout_s)
        return HTTPSConnection(
            address,
            url.port,
            timeout=timeout_s,
            ssl_context=self._tls,
            server_hostname=url.host,
        )

    def _exchange(
        self, connection: HTTPConnection, url: Url, body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        connection.timeout = None  # The time of the whole request is counted around it.
        if connection.sock is not None:
            connection.sock.settimeout(None)
        connection.request(
            "POST",
            url.target,
            body=body,
            headers={"Host": url.authority, **headers},
            preload_content=False,
            decode_content=False,
        )
        answer = connection.getresponse()
        if not self._answer_octets_max:
            _discard(answer)
            return Answer(answer.status)
        retry_after = answer.headers.get("Retry-After", "")
        return Answer(answer.status, "", self._read(answer), retry_after)

    def _read(self, answer: BaseHTTPResponse) -> bytes:
        """Return what is said; the status counts even if that can't be read in time."""
        try:
            with gevent.Timeout(READ_S):
                body = answer.read(self._answer_octets_max + 1)
        except (gevent.Timeout, HTTPError, HTTPException, OSError):
            return b""
        return body if len(body) <= self._answer_octets_max else b""


def _discard(answer: BaseHTTPResponse) -> None:
    """Read a short answer to its end, so that nobody is cut off; what it says interests nobody."""
    with suppress(gevent.Timeout, HTTPError, HTTPException, OSError), gevent.Timeout(DISCARD_S):
        answer.read(DISCARDED_OCTETS_MAX)
