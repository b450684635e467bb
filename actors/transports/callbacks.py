"""One HTTP request to a receiver of callbacks: signed, bounded on all sides, never redirected.

    X-Signalbox-Event-Id: 5b0c3f0a-…          the same whenever it is sent again
    X-Signalbox-Timestamp: 1795255210         Unix seconds, of this attempt
    X-Signalbox-Signature: v1=<hex>           HMAC-SHA256(secret, timestamp + "." + body)

A connection is opened for each, to addresses that were judged just before (`outside_http.py`).
"""

from __future__ import annotations

import hmac
import ssl
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from typing import TYPE_CHECKING, Final

import gevent
import msgspec
from urllib3.exceptions import HTTPError

from signalbox.actors.transports.outside import NoThread, NotOutside, Unresolved
from signalbox.actors.transports.outside_http import (
    BAD_CERTIFICATE,
    NO_ANSWER,
    TIMEOUT,
    Connector,
    Unconnected,
)
from signalbox.domain.webhook import read_url
from signalbox.eventstore.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from urllib3.response import BaseHTTPResponse

    from signalbox.actors.callback_topics import Told
    from signalbox.actors.transports.outside import Outside
    from signalbox.domain.webhook import Url

DISCARDED_OCTETS_MAX: Final = 65_536
DISCARD_S: Final = 1.0
READ_S: Final = 10.0
USER_AGENT: Final = "Signalbox-Callbacks/1"


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
        self._connector = Connector(outside, timeout_s=connect_timeout_s, tls=tls)
        self._timeout_s = timeout_s
        self._answer_octets_max = answer_octets_max

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post, and return what came back; it never raises for what the other side does.

        Raises: `Unavailable` when it did not come to that, because look-ups of others hang.
        """
        try:
            with gevent.Timeout(self._timeout_s):
                return self._exchange(read_url(url), body, headers)
        except (gevent.Timeout, TimeoutError):
            return Answer(0, TIMEOUT)
        except NoThread as error:
            raise Unavailable(str(error)) from error
        except (NotOutside, Unresolved, Unconnected) as error:
            return Answer(0, str(error))
        except ssl.SSLError:
            return Answer(0, BAD_CERTIFICATE)
        except (HTTPError, HTTPException, OSError):
            return Answer(0, NO_ANSWER)

    def _exchange(self, url: Url, body: bytes, headers: Mapping[str, str]) -> Answer:
        with self._connector.connected(url) as connection:
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
