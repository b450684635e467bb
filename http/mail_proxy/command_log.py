"""What was done by whom: for the admin to look at, and to take away.

A command may be as large as what it was given, so no more than a page of them is in memory: the
answer is written while the next is read. If that fails the answer ends early, which HTTP tells.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Final

from signalbox.http.context import encode
from signalbox.http.mail_proxy import wire_answers as answers
from signalbox.http.mail_proxy.query import ExportQuery, LogQuery
from signalbox.http.mail_proxy.requests import query_of
from signalbox.http.mail_proxy.resource import Resource
from signalbox.projections.command_log import CommandQuery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import falcon
    import msgspec

    from signalbox.http.context import Request
    from signalbox.http.mail_proxy import ports
    from signalbox.http.mail_proxy.auth import Gate
    from signalbox.projections.command_log import CommandRow

COMMANDS_MAX: Final = 100_000
PAGE: Final = 200
JSON_LINES: Final = "application/x-ndjson"


class _Commands(Resource):
    """What both have: commands, page by page."""

    def __init__(self, gate: Gate, reads: ports.MailReads) -> None:
        super().__init__(gate)
        self._reads = reads

    def _pages(self, query: CommandQuery, limit: int) -> Iterable[Sequence[CommandRow]]:
        """Return pages of `limit` commands at most; the first is read at once."""
        pages = self._read(query, limit)
        return chain([next(pages, ())], pages)

    def _read(self, query: CommandQuery, limit: int) -> Iterator[Sequence[CommandRow]]:
        while limit > 0:
            size = min(PAGE, limit)
            page = self._reads.command_log(replace(query, limit=size))
            yield page
            if len(page) < size:
                return
            limit -= size
            query = replace(query, after_id=page[-1].id)


class CommandLog(_Commands):
    """`GET /command-log`."""

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Answer with commands, oldest first."""
        self._gate.admin(req)
        asked = query_of(req, LogQuery)
        query = CommandQuery(
            tenant_id=asked.tenant_id or "",
            since_s=asked.since_ts,
            until_s=asked.until_ts,
            name_part=asked.endpoint_filter or "",
        )
        limit = COMMANDS_MAX if asked.limit < 0 else min(asked.limit, COMMANDS_MAX)
        if asked.newest and limit:
            query = replace(query, after_id=self._reads.older_command(replace(query, limit=limit)))
        pages = self._pages(query, limit)
        resp.set_header("Cache-Control", "no-store")
        resp.stream = _object(pages, answers.command, lambda total: b',"total":%d}' % total)


class Export(_Commands):
    """`GET /command-log/export`."""

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Answer with commands, oldest first, one in each line or all in one object."""
        self._gate.admin(req)
        asked = query_of(req, ExportQuery)
        query = CommandQuery(
            tenant_id=asked.tenant_id or "", since_s=asked.since_ts, until_s=asked.until_ts
        )
        pages = self._pages(query, COMMANDS_MAX)
        resp.set_header("Cache-Control", "no-store")
        if asked.format == "json":
            resp.stream = _object(pages, answers.exported, lambda _: b"}")
            return
        resp.content_type = JSON_LINES
        resp.stream = (_lines(page) for page in pages)


def _lines(page: Sequence[CommandRow]) -> bytes:
    return b"".join(encode(answers.exported(row)) + b"\n" for row in page)


def _object(
    pages: Iterable[Sequence[CommandRow]],
    write: Callable[[CommandRow], msgspec.Struct],
    end: Callable[[int], bytes],
) -> Iterator[bytes]:
    """Write an object with all commands, and behind them what `end` makes of their number."""
    total = 0
    yield b'{"ok":true,"commands":['
    for page in pages:
        separator = b"," if total and page else b""
        yield separator + b",".join(encode(write(row)) for row in page)
        total += len(page)
    yield b"]" + end(total)
