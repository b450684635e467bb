"""What was done by whom: for the admin to look at, and to take away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from signalbox.http.context import encode
from signalbox.http.mail_proxy import wire_answers as answers
from signalbox.http.mail_proxy.query import ExportQuery, LogQuery
from signalbox.http.mail_proxy.requests import query_of
from signalbox.http.mail_proxy.resource import Resource, answer
from signalbox.projections.command_log import CommandQuery

if TYPE_CHECKING:
    import falcon

    from signalbox.http.context import Request
    from signalbox.http.mail_proxy import ports
    from signalbox.http.mail_proxy.auth import Gate

EXPORT_MAX: Final = 100_000
JSON_LINES: Final = "application/x-ndjson"


class CommandLog(Resource):
    """`GET /command-log`."""

    def __init__(self, gate: Gate, reads: ports.MailReads) -> None:
        super().__init__(gate)
        self._reads = reads

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Answer with commands, oldest first."""
        self._gate.admin(req)
        asked = query_of(req, LogQuery)
        limit = EXPORT_MAX if asked.limit < 0 else min(asked.limit, EXPORT_MAX)
        query = CommandQuery(
            tenant_id=asked.tenant_id or "",
            since_s=asked.since_ts,
            until_s=asked.until_ts,
            name_part=asked.endpoint_filter or "",
            limit=limit,
        )
        answer(resp, answers.commands(self._reads.command_log(query)))


class Export(Resource):
    """`GET /command-log/export`."""

    def __init__(self, gate: Gate, reads: ports.MailReads) -> None:
        super().__init__(gate)
        self._reads = reads

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Answer with commands, oldest first, one in each line or all in one object."""
        self._gate.admin(req)
        asked = query_of(req, ExportQuery)
        query = CommandQuery(
            tenant_id=asked.tenant_id or "",
            since_s=asked.since_ts,
            until_s=asked.until_ts,
            limit=EXPORT_MAX,
        )
        rows = answers.exported(self._reads.command_log(query))
        if asked.format == "json":
            return answer(resp, answers.Exported(commands=rows))
        resp.set_header("Cache-Control", "no-store")
        resp.content_type = JSON_LINES
        resp.data = b"".join(encode(row) + b"\n" for row in rows)
        return None
