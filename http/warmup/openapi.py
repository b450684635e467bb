"""The description of this surface in OpenAPI 3.1."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from spectree import SecurityScheme, SecuritySchemeData, Tag
from spectree.models import InType, SecureType

from signalbox.http import openapi
from signalbox.http.context import encode
from signalbox.http.openapi import Answer, Operation, Operations
from signalbox.http.warmup import wire
from signalbox.http.warmup import wire_answers as answers

if TYPE_CHECKING:
    from collections.abc import Mapping

TITLE: Final = "Signalbox IP warm-up"
DESCRIPTION: Final = """\
Plans how much mail each recipient grouping gets from an address while it is warmed up, and tells
how that stands.

A grouping usually begins with `&`, written `%26` in a path. Bodies are read as JSON whatever they
are declared as; names that nobody asked for are ignored. Every answer has an `X-Request-ID`: the
caller's own (1 to 64 letters, digits and hyphens) or a new one.
"""

KEY: Final = SecurityScheme(
    "api_key", SecuritySchemeData(SecureType.API_KEY, "One of the keys", "X-Api-Key", InType.HEADER)
)
CONFIG: Final = Tag("Config", "What is planned.")
STATUS: Final = Tag("Status", "How it stands.")

PARAMETERS: Final[Mapping[str, Mapping[str, object]]] = {
    "ip": {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]},
    "grouping": {"type": "string", "minLength": 1, "maxLength": 255},
}
RETRY: Final = {"Retry-After": "Seconds to wait."}
FAILED: Final = Answer((answers.Failed,))
WAIT: Final = Answer((answers.Failed,), RETRY)

SUCCEEDED: Final = (answers.Succeeded,)


@dataclass(frozen=True, slots=True)
class Row:
    """One method of one path, and what it answers when all is well."""

    method: str
    path: str
    summary: str
    good: tuple[type, ...]
    body: type | None = None

    def statuses(self, *, with_keys: bool) -> set[int]:
        """Return the statuses of its refusals."""
        statuses = {429, 500, 503}
        if with_keys:
            statuses.add(401)
        if "{" in self.path:
            statuses |= {400} if self.method == "POST" else {400, 404}
        return statuses | {408, 413} if self.body else statuses


ROWS: Final = (
    Row("GET", "/config", "Tell the configuration of all addresses", (answers.AllConfig,)),
    Row("GET", "/config/{ip}", "Tell the configuration of an address", (answers.IpConfig,)),
    Row(
        "GET",
        "/config/{ip}/{grouping}",
        "Tell the configuration of a grouping",
        (answers.GroupingConfig,),
    ),
    Row("POST", "/config/{ip}", "Configure an address", SUCCEEDED, wire.Configuration),
    Row(
        "PUT", "/config/{ip}", "Replace all groupings of an address", SUCCEEDED, wire.Configuration
    ),
    Row("DELETE", "/config/{ip}", "Remove an address", SUCCEEDED),
    Row("DELETE", "/config/{ip}/{grouping}", "Remove a grouping", SUCCEEDED),
    Row("PUT", "/config/{ip}/pause", "Pause all groupings of an address", SUCCEEDED),
    Row("PUT", "/config/{ip}/resume", "Resume all groupings of an address", SUCCEEDED),
    Row("PUT", "/config/{ip}/{grouping}/pause", "Pause a grouping", SUCCEEDED),
    Row("PUT", "/config/{ip}/{grouping}/resume", "Resume a grouping", SUCCEEDED),
    Row("GET", "/status", "Tell how all addresses stand", (answers.AllStatus,)),
    Row("GET", "/status/{ip}", "Tell how an address stands", (answers.IpStatus,)),
    Row("GET", "/status/{ip}/{grouping}", "Tell how a grouping stands", (answers.GroupingStatus,)),
)


@cache
def document(*, with_keys: bool) -> bytes:
    """Return the document; `with_keys` says that a key is asked for."""
    described = openapi.document(
        _operations(with_keys=with_keys),
        schemes=(KEY,) if with_keys else (),
        title=TITLE,
        version=version("signalbox"),
        description=DESCRIPTION,
    )
    return encode(described)


def _operations(*, with_keys: bool) -> Operations:
    return {
        (row.method, row.path): Operation(
            summary=row.summary,
            tag=CONFIG if row.path.startswith("/config") else STATUS,
            security=[{KEY.name: []}] if with_keys else (),
            parameters=PARAMETERS,
            body=row.body,
            answers=_answers(row, with_keys=with_keys),
        )
        for row in ROWS
    }


def _answers(row: Row, *, with_keys: bool) -> dict[HTTPStatus, Answer]:
    refusals = {
        HTTPStatus(status): WAIT if status in {429, 503} else FAILED
        for status in sorted(row.statuses(with_keys=with_keys))
    }
    return {HTTPStatus.OK: Answer(row.good), **refusals}
