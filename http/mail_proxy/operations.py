"""How an operation of this surface is described: one row of a table.

The table is in `rows`.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from spectree import SecurityScheme, SecuritySchemeData, Tag
from spectree.models import InType, SecureType

from signalbox.http.mail_proxy import wire_answers as answers
from signalbox.http.mail_proxy import wire_mails as mails
from signalbox.http.mail_proxy.auth import HEADER
from signalbox.http.openapi import Answer, Operation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from signalbox.http.openapi import Operations, Security

KEY: Final = SecurityScheme(
    "api_token",
    SecuritySchemeData(
        SecureType.API_KEY, "The admin's token or a tenant's key", HEADER, InType.HEADER
    ),
)
MONITORING: Final = Tag("Health", "For probes.")
TENANTS: Final = Tag("Tenants", "Whose mails they are.")
ACCOUNTS: Final = Tag("Accounts", "What mails leave by.")
MAILS: Final = Tag("Messages", "Mails, and what became of them.")
ADMIN: Final = Tag("Instance", "For the admin.")

PARAMETERS: Final[Mapping[str, Mapping[str, object]]] = {
    "tenant_id": {"type": "string", "minLength": 1},
    "account_id": {"type": "string", "minLength": 1},
}
RETRY: Final = {"Retry-After": "Seconds to wait."}
BY_KEY: Final[Security] = ({KEY.name: []},)

ALWAYS: Final = frozenset({429, 500, 503})
ANY: Final = ALWAYS | {401}
ADMINS: Final = ANY | {403}
BODY: Final = frozenset({400, 408, 413, 422})
QUERY: Final = frozenset({400, 422})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One method of one path, its answer when all is well, and the statuses of its refusals."""

    route: tuple[str, str]
    tag: Tag
    summary: str
    description: str = ""
    security: Security = BY_KEY
    good: type
    lines: str = ""
    refusals: frozenset[int] = ANY
    body: type | None = None
    query: type | None = None


def operations(rows: Iterable[Row]) -> Operations:
    """Return a table as operations."""
    return {
        row.route: Operation(
            summary=row.summary,
            description=row.description,
            tag=row.tag,
            security=row.security,
            parameters=PARAMETERS,
            body=row.body,
            query=row.query,
            answers=_answers(row),
        )
        for row in rows
    }


def _answers(row: Row) -> dict[HTTPStatus, Answer]:
    refusals = {status: _refusal(row, status) for status in sorted(row.refusals)}
    good = {200: Answer((row.good,), lines=row.lines)}
    return {HTTPStatus(status): one for status, one in (good | refusals).items()}


def _refusal(row: Row, status: int) -> Answer:
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        return Answer((answers.Invalid,))
    if status == HTTPStatus.BAD_REQUEST and row.good is mails.AddedMails:
        return Answer((mails.NoneAdded, answers.Failed))
    return Answer((answers.Failed,), RETRY if status in {429, 503} else {})
