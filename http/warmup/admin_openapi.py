"""The description, in OpenAPI 3.1, of what operators are told about warm-ups."""

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
from signalbox.http.openapi import Answer, Operation
from signalbox.http.sms_proxy.wire import Data
from signalbox.http.sms_proxy.wire_errors import Denied, Failed
from signalbox.http.warmup import wire, wire_admin
from signalbox.http.warmup.openapi import PARAMETERS, RETRY

if TYPE_CHECKING:
    from signalbox.http.openapi import Operations

TITLE: Final = "Signalbox IP warm-up, for operators"
DESCRIPTION: Final = """\
Tells what may go today from addresses that are warmed up, how it went, and which ramps are steeper
than senders are advised to go. Days are those of the gateway's time zone.
"""

KEY: Final = SecurityScheme(
    "admin_key",
    SecuritySchemeData(
        SecureType.API_KEY, "The value of ADMIN_API_KEY", "X-Admin-Key", InType.HEADER
    ),
)
TAG: Final = Tag("Admin panel", "For whoever has the admin key.")
PREFIX: Final = "/api/v1/admin/warmup"


@dataclass(frozen=True, slots=True)
class Row:
    """One method of one path, its answer when all is well, and its own refusals."""

    method: str
    path: str
    summary: str
    good: type
    refusals: tuple[int, ...] = ()
    body: type | None = None
    query: type | None = None


ROWS: Final = (
    Row(
        "GET",
        "/today",
        "Tell what may go today, and why nothing may",
        Data[list[wire_admin.IpToday]],
    ),
    Row(
        "GET",
        "/{ip}/history",
        "Tell what the days of an address brought",
        Data[wire_admin.IpHistory],
        (400, 404),
        query=wire_admin.HistoryQuery,
    ),
    Row(
        "POST",
        "/preview",
        "Tell what a grouping's configuration would mean; nothing is stored",
        Data[wire_admin.Preview],
        (400, 408, 413),
        body=wire.AutoGrouping | wire.ManualGrouping,  # type: ignore[arg-type]  # one of two
    ),
    Row(
        "GET",
        "/warnings",
        "Tell which ramps are steeper than advised",
        Data[list[wire_admin.SteepRamp]],
    ),
)


@cache
def document() -> bytes:
    """Return the document."""
    described = openapi.document(
        _operations(),
        schemes=(KEY,),
        title=TITLE,
        version=version("signalbox"),
        description=DESCRIPTION,
    )
    return encode(described)


def _operations() -> Operations:
    return {
        (row.method, PREFIX + row.path): Operation(
            summary=row.summary,
            tag=TAG,
            security=[{KEY.name: []}],
            parameters=PARAMETERS,
            body=row.body,
            query=row.query,
            answers=_answers(row),
        )
        for row in ROWS
    }


def _answers(row: Row) -> dict[HTTPStatus, Answer]:
    kinds: dict[int, tuple[type, ...]] = {
        200: (row.good,),
        401: (Denied,),
        429: (Denied,),
        500: (Failed,),
        503: (Denied, Failed),
        **dict.fromkeys(row.refusals, (Failed,)),
    }
    return {
        HTTPStatus(status): Answer(kinds[status], RETRY if status in {429, 503} else {})
        for status in sorted(kinds)
    }
