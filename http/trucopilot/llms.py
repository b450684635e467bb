"""`/llms.txt`: the surface for readers of plain text, from the table the document is made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from signalbox.http.context import encode
from signalbox.http.trucopilot import operations as table
from signalbox.http.trucopilot.openapi import DESCRIPTION, TITLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import falcon

    from signalbox.http.context import Request
    from signalbox.http.trucopilot.operations import Row

TEXT: Final = "text/plain; charset=utf-8"

_STATUSES: Final = """\
Status of a text that is sent (poll GET /messages/ORG?direction=out, or ?ids=5,6):
  queued  = taken on, no phone has it yet; it goes as soon as one can send it
  sending = handed to a phone, which has not confirmed it
  sent    = confirmed by the phone; "sent_at" tells when
  failed  = the phone reported a failure, or no phone confirmed it in time; "error" tells why
"""
_ERRORS: Final = """\
Errors: {"ok":false,"error":"…","code":"…","detail":"…"} with 400 (makes no sense), 401 (no or a
wrong secret), 404, 409, 413, 422 (a value can't be taken), 429 and 503 (come again after
Retry-After).
"""
_CURL: Final = """\
# store a text (claims the organisation on the first call)
curl -X POST {url}/webhook -H 'Content-Type: application/json' \\
  -d '{{"org_id":"myorg","secret_key":"my-secret-key-123","messages":[{{"address":"+15551112222",\
"body":"hi","date":1700000000000}}]}}'
# read texts
curl -H 'X-Secret-Key: my-secret-key-123' {url}/messages/myorg
# send a text
curl -X POST {url}/send/myorg -H 'Content-Type: application/json' \\
  -d '{{"secret_key":"my-secret-key-123","to":"+15553334444","body":"sent from API"}}'
"""


class Llms:
    """`GET /llms.txt`; without a `public_url` it speaks of the host the request was sent to."""

    def __init__(self, public_url: str) -> None:
        self._public_url = public_url

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Answer with the text."""
        resp.content_type = TEXT
        resp.text = text_for(self._public_url or f"{req.scheme}://{req.netloc}")


def text_for(url: str) -> str:
    """Return the text for the gateway at `url`."""
    return "\n".join(_lines(url.rstrip("/")))


def _lines(url: str) -> Iterator[str]:
    yield f"# {TITLE}\n\nBase URL: {url}\n\n{DESCRIPTION}"
    yield "## REST endpoints\n"
    for row in table.ROWS:
        if row is not table.CONNECT:
            yield from _operation(row)
    yield f"{_STATUSES}\n{_ERRORS}"
    yield from _websocket(url)
    yield f"## Interactive / machine-readable\n- Swagger UI: {url}/docs"
    yield f"- OpenAPI JSON: {url}/openapi.json\n- This file: {url}/llms.txt\n"
    yield f"## curl quickstart\n{_CURL.format(url=url)}"


def _operation(row: Row) -> Iterator[str]:
    method, path = row.route
    yield f"### {row.summary}\n{method} {_spelled(path)}"
    if row.query is not None:
        names = (field.encode_name for field in msgspec.structs.fields(row.query))
        yield f"query: {', '.join(names)}"
    yield from (f"body: {_json(one)}" for one in row.sent)
    if row.told is not None:
        yield f"-> {_json(row.told)}"
    yield f"{row.description}\n" if row.description else ""


def _websocket(url: str) -> Iterator[str]:
    ws_url = f"ws{url.removeprefix('http')}/websocket"
    yield "## WebSocket (the phone's control channel)"
    yield f"Connect: {ws_url}?org_id={table.ORG}&secret_key={table.SECRET}"
    yield f"(or connect, then send {_json(table.AUTH)} as the first message)"
    yield table.CONNECT.description
    yield "Phone -> server:"
    yield from _frames(table.FROM_PHONE)
    yield "Server -> phone:"
    yield from _frames(table.TO_PHONE)
    yield ""


def _frames(examples: Iterable[msgspec.Struct]) -> Iterator[str]:
    yield from (f"  {_json(one)}" for one in examples)


def _spelled(path: str) -> str:
    return path.replace("{org_id}", table.ORG).replace("{secret_key}", table.SECRET)


def _json(example: msgspec.Struct) -> str:
    """Return an example without what it leaves open."""
    members = msgspec.to_builtins(example)
    is_told = example.__struct_config__.frozen
    return encode(members if is_told else _given(members)).decode()


def _given(value: object) -> object:
    match value:
        case dict():
            return {name: _given(one) for name, one in value.items() if one is not None}
        case list():
            return [_given(one) for one in value]
        case _:
            return value
