"""The mail proxy's HTTP API as a terminal calls it, on our server or any other one of it."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPException, IncompleteRead
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode, urlsplit

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from http.client import HTTPResponse
    from typing import BinaryIO

PREFIX: Final = "/mailproxy/v1"  # at the root other surfaces have names of it, too
CALL_TIMEOUT_S: Final = 60.0
SHOWN_CHARS_MAX: Final = 300
FAULTS_SHOWN: Final = 3
INVALID_TOKEN: Final = "Invalid or missing API token"  # noqa: S105  what the API says
TOKEN_HINT: Final = (
    "(the gateway takes its token from MAIL_API_TOKEN or [mail] api_token at its start)"  # noqa: S105
)
LARGE_OCTETS: Final = 1_000_000  # who hangs up on less has other reasons

Answer = dict[str, Any]


class MailRefused(Exception):  # noqa: N818  what happened
    """The gateway is not there (`status` 0) or did not do it; `str()` is one line."""

    def __init__(self, line: str, status: int = 0) -> None:
        super().__init__(line)
        self.status = status


class MailClient:
    """Calls the mail proxy of the gateway at `url` with a token, or without if that is empty.

    A `url` with a path, even if that is `/`, is the API's own: so other servers of it have it.
    """

    def __init__(self, url: str, token: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise MailRefused(f"--url: expected http:// or https://, got {url!r}")
        if not (token.isascii() and token.isprintable()):
            raise MailRefused("the token has characters in it that no token has")
        below = "" if urlsplit(url).path else PREFIX
        self._url = url.rstrip("/") + below
        self._headers = {"Content-Type": "application/json"}
        if token:
            self._headers["X-API-Token"] = token
        self._opener = urllib.request.build_opener(_Stay)

    def get(self, *path: str, **query: object) -> Answer:
        """Ask; names whose value is None are not asked for. Raises: `MailRefused`."""
        return _read(self.text("GET", path, query))

    def post(self, *path: str, body: Mapping[str, object] | None = None, **query: object) -> Answer:
        """Have something done. Raises: `MailRefused`."""
        return _read(self.text("POST", path, query, {} if body is None else body))

    def put(self, *path: str, body: Mapping[str, object]) -> Answer:
        """Change something. Raises: `MailRefused`."""
        return _read(self.text("PUT", path, {}, body))

    def delete(self, *path: str, **query: object) -> Answer:
        """Remove something. Raises: `MailRefused`."""
        return _read(self.text("DELETE", path, query))

    def copy(self, out: BinaryIO, *path: str, **query: object) -> None:
        """Write an answer to `out` while it comes. Raises: `MailRefused`."""
        with self._answer("GET", path, query) as response:
            shutil.copyfileobj(response, out)
            if response.length:  # That reader does not mind an end before the end.
                raise IncompleteRead(b"", response.length)

    def text(
        self,
        method: str,
        path: tuple[str, ...],
        query: Mapping[str, object],
        body: Mapping[str, object] | None = None,
    ) -> str:
        """Return the body of a good answer as it came. Raises: `MailRefused`."""
        with self._answer(method, path, query, body) as response:
            return response.read().decode(errors="replace")

    @contextmanager
    def _answer(
        self,
        method: str,
        path: tuple[str, ...],
        query: Mapping[str, object],
        body: Mapping[str, object] | None = None,
    ) -> Iterator[HTTPResponse]:
        octets = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310  it begins with http
            self._address(path, query),
            data=octets,
            headers=self._headers,
            method=method,
        )
        try:
            with self._opener.open(request, timeout=CALL_TIMEOUT_S) as response:
                yield response
        except urllib.error.HTTPError as error:
            raise MailRefused(_refusal(error.code, error.read()), error.code) from None
        except urllib.error.URLError as error:
            raise MailRefused(f"{self._url}: {_lost(error.reason, octets)}") from None
        except BrokenPipeError:
            raise  # Whoever reads what is copied has seen enough.
        except (OSError, ValueError, HTTPException) as error:
            raise MailRefused(f"{self._url}: {_lost(error, octets)}") from None

    def _address(self, path: tuple[str, ...], query: Mapping[str, object]) -> str:
        asked = {name: _word(value) for name, value in query.items() if value is not None}
        return "/".join((self._url, *(quote(part, safe="") for part in path))) + (
            f"?{urlencode(asked)}" if asked else ""
        )


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows nobody: the token is for the server it was meant for."""

    @override
    def redirect_request(self, *_: object) -> None:
        return None


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _lost(error: object, octets: bytes | None) -> str:
    """Say why there was no answer; who is sent too much may hang up before it is read."""
    is_cut = isinstance(error, BrokenPipeError | ConnectionResetError)
    if is_cut and octets is not None and len(octets) >= LARGE_OCTETS:
        megabytes = len(octets) / 1e6
        return f"{error}: perhaps {megabytes:.1f} MB are more than [mail] body_bytes_max there"
    return str(error)


def _read(text: str) -> Answer:
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise MailRefused(f"is that a mail proxy? It answered {text[:SHOWN_CHARS_MAX]!r}")
    return answer


def _refusal(status: int, content: bytes) -> str:
    try:
        detail = json.loads(content)["detail"]
    except (ValueError, KeyError, TypeError):
        detail = content.decode(errors="replace")[:SHOWN_CHARS_MAX]
    known = {one.value: one.phrase for one in HTTPStatus}
    said = " ".join(_phrase(detail).split()) or known.get(status, "no reason given")
    hint = f" {TOKEN_HINT}" if status == HTTPStatus.UNAUTHORIZED and said == INVALID_TOKEN else ""
    return f"refused with {status}: {said}{hint}"


def _phrase(detail: object) -> str:
    """Return what went wrong in a line; `detail` as any of the answers has it."""
    match detail:
        case str():
            return detail
        case {"rejected": [*rejected], **others}:
            told = [f"{one.get('id')}: {one.get('reason')}" for one in rejected[:FAULTS_SHOWN]]
            return str(others.get("error") or "; ".join(told))
        case [*faults]:
            return "; ".join(_fault(fault) for fault in faults[:FAULTS_SHOWN])
    return json.dumps(detail)[:SHOWN_CHARS_MAX]


def _fault(fault: object) -> str:
    match fault:
        case {"loc": [*loc], "msg": str(message)}:
            return f"{'.'.join(map(str, loc[1:] or loc))}: {message}"
    return json.dumps(fault)[:SHOWN_CHARS_MAX]
