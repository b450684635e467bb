"""How `signalbox mail` shows answers to people: a line, or tables."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from signalbox.ops import tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.table import Table

TENANTS: Final = ("id", "name", "active", "client_base_url", "report_format", "created_at")
ACCOUNTS: Final = (
    "id", "host", "port", "user", "use_tls", "limit_per_minute", "limit_per_hour", "limit_per_day",
    "limit_behavior", "is_pec_account",
)  # fmt: skip
SYNCS: Final = ("id", "active", "client_base_url", "last_sync_ts", "next_sync_due", "in_dnd")
MAILS: Final = (
    "id", "account_id", "priority", "batch_code", "status", "at", "tries", "to", "subject", "error",
)  # fmt: skip
EVENTS: Final = ("id", "event_type", "event_ts", "description", "reported_ts")
COMMANDS: Final = ("command_ts", "endpoint", "tenant_id", "response_status", "payload")

HEADS: Final = {"command_ts": "at", "endpoint": "command", "event_type": "event", "event_ts": "at"}


@dataclass(frozen=True, slots=True)
class Told:
    """An answer, and what people see of it; `alone` is for stdout without anything around it.

    `warnings` are for people even where a program reads the answer.
    """

    answer: object
    line: str = ""
    alone: str = ""
    titled: tuple[tuple[str, Table], ...] = ()
    warnings: tuple[str, ...] = ()


def listed(
    answer: object, title: str, columns: tuple[str, ...], rows: Iterable[Mapping[str, Any]]
) -> Told:
    """Show rows, of each the columns."""
    return Told(answer, titled=((title, _rows(columns, rows)),))


def one(answer: Mapping[str, Any], title: str) -> Told:
    """Show all there is to one thing."""
    shown = tables.table("field", "value")
    for name, value in answer.items():
        shown.add_row(tables.cell(name), tables.cell(_told(name, value)))
    return Told(answer, titled=((title, shown),))


def mails(answer: Mapping[str, Any], title: str) -> Told:
    """Show mails, and what became of them if that is there."""
    found = answer["messages"]
    shown = (title, _rows(MAILS, map(_mail, found)))
    if not any("history" in mail for mail in found):
        return Told(answer, titled=(shown,))
    events = [event | {"id": mail["id"]} for mail in found for event in mail.get("history", ())]
    return Told(answer, titled=(shown, ("What became of them", _rows(EVENTS, events))))


def _rows(columns: tuple[str, ...], rows: Iterable[Mapping[str, Any]]) -> Table:
    heads = (HEADS.get(name) or name.removesuffix("_ts").replace("_", " ") for name in columns)
    shown = tables.table(*heads)
    for row in rows:
        shown.add_row(*(tables.cell(_told(name, row.get(name))) for name in columns))
    return shown


def _mail(mail: Mapping[str, Any]) -> dict[str, Any]:
    content = mail["message"]
    to = content["to"]
    status, at = _status(mail)
    return {
        **mail,
        "status": status,
        "at": at,
        "tries": content.get("retry_count"),
        "to": to if isinstance(to, str) else ", ".join(to),
        "subject": content["subject"],
    }


def _status(mail: Mapping[str, Any]) -> tuple[str, str]:
    for name, key in (("error", "error_ts"), ("sent", "sent_ts"), ("deferred", "deferred_ts")):
        if key in mail:
            return name, _time(mail[key])
    return "pending", ""


def _told(name: str, value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int() | float() if name.endswith("_ts"):
            return _time(value)
        case dict() | list():
            return json.dumps(value, ensure_ascii=False)
    return str(value)


def _time(at_s: float) -> str:
    return tables.clock(datetime.fromtimestamp(int(at_s), UTC)).replace(".000Z", "Z")
