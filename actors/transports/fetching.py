"""Files fetched over HTTP from hosts that somebody else named: bounded on all sides, and guarded.

Every redirect is judged like the first address (`outside_http.py`). Nobody but the host that was
named is told who we are.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

import gevent
from urllib3.exceptions import HTTPError

from signalbox.actors.transports.outside import NotOutside, Unresolved
from signalbox.actors.transports.outside_http import (
    BAD_CERTIFICATE,
    NO_ANSWER,
    TIMEOUT,
    Connector,
    Unconnected,
)
from signalbox.domain.errors import InvalidField
from signalbox.domain.webhook import Url, read_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from urllib3.response import BaseHTTPResponse

    from signalbox.actors.transports.outside import Outside

REDIRECTS_MAX: Final = 3
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
LATER: Final = frozenset({408, 425, 429})  # besides all 5xx
CHUNK_OCTETS: Final = 65_536
USER_AGENT: Final = "Signalbox-Mail/1"


@dataclass(eq=False)
class Unfetched(Exception):  # noqa: N818  named after what came of it
    """There is no file; `temporary` if there may be one later."""

    reason: str
    temporary: bool = False

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked for. Only without a body a redirect is followed."""

    url: str
    authorization: str = ""
    json: bytes = b""


class Fetcher:
    """Fetches files of at most `octets_max`; `timeout_s` bounds all of a request."""

    def __init__(
        self,
        outside: Outside,
        *,
        octets_max: int,
        connect_timeout_s: float = 10.0,
        timeout_s: float = 30.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._connector = Connector(outside, timeout_s=connect_timeout_s, tls=tls)
        self._octets_max = octets_max
        self._timeout_s = timeout_s

    def fetch(self, request: Request) -> bytes:
        """Return what is there. Raises: `Unfetched`."""
        try:
            with gevent.Timeout(self._timeout_s, TimeoutError):
                return self._followed(request)
        except TimeoutError as error:
            raise Unfetched(TIMEOUT, temporary=True) from error
        except (NotOutside, InvalidField) as error:
            raise Unfetched(str(error)) from error
        except (Unresolved, Unconnected) as error:
            raise Unfetched(str(error), temporary=True) from error
        except ssl.SSLError as error:
            raise Unfetched(BAD_CERTIFICATE) from error
        except (HTTPError, HTTPException, OSError) as error:
            raise Unfetched(NO_ANSWER, temporary=True) from error

    def _followed(self, request: Request) -> bytes:
        url, named = request.url, read_url(request.url)
        for _ in range(REDIRECTS_MAX + 1):
            here = read_url(url)
            if named.scheme == "https" and here.scheme != "https":
                raise Unfetched("redirected to an address without TLS")
            is_at_home = (here.scheme, here.host, here.port) == (
                named.scheme,
                named.host,
                named.port,
            )
            found = self._exchange(here, request, request.authorization if is_at_home else "")
            if isinstance(found, bytes):
                return found
            url = urljoin(url, found.location)
        raise Unfetched("too many redirects")

    def _exchange(self, url: Url, request: Request, authorization: str) -> bytes | _Elsewhere:
        with self._connector.connected(url) as connection:
            connection.request(
                "POST" if request.json else "GET",
                url.target,
                body=request.json or None,
                headers=_headers(url, authorization, is_json=bool(request.json)),
                preload_content=False,
                decode_content=True,
            )
            answer = connection.getresponse()
            location = answer.headers.get("Location", "")
            if answer.status in REDIRECTS and location and not request.json:
                return _Elsewhere(location)
            _require_found(answer.status)
            return self._read(answer)

    def _read(self, answer: BaseHTTPResponse) -> bytes:
        content = bytearray()
        for chunk in answer.stream(CHUNK_OCTETS, decode_content=True):
            content += chunk
            if len(content) > self._octets_max:
                raise Unfetched(f"larger than {self._octets_max} octets")
        return bytes(content)


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    location: str


def _headers(url: Url, authorization: str, *, is_json: bool) -> Mapping[str, str]:
    headers = {
        "Host": url.authority,
        "User-Agent": USER_AGENT,
        "Accept": "*/*",
        "Accept-Encoding": "identity",
    }
    if authorization:
        headers["Authorization"] = authorization
    return headers | {"Content-Type": "application/json"} if is_json else headers


def _require_found(status: int) -> None:
    if status in range(200, 300):
        return
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    later = status in LATER or status in range(500, 600)
    raise Unfetched(f"{status}, message={phrase!r}", temporary=later)
