"""What was given with a command, in this surface's words, for the log of commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from signalbox.projections.command_log import CommandRow

NAMES: Final = {
    "client_id": "id",
    "deferred_until_s": "deferred_ts",
    "ttl_s": "ttl",
    "is_pec": "is_pec_account",
    "large_files": "large_file_config",
    "bounce_poll_interval_s": "bounce_poll_interval",
}
OF_A_TENANT: Final = frozenset(
    {"addTenant", "updateTenant", "deleteTenant", "createApiKey", "revokeApiKey"}
)
"""Commands that call the tenant `id`."""

OF_AN_ACCOUNT: Final = "addAccount"
"""The command that calls the account `id`."""


def payload_of(row: CommandRow) -> dict[str, object]:
    """Write what a command was given."""
    names = dict(NAMES)
    if row.command in OF_A_TENANT:
        names["tenant_id"] = "id"
    if row.command == OF_AN_ACCOUNT:
        names["account_id"] = "id"
    return _renamed(row.payload, names)


def _renamed(fields: Mapping[str, object], names: Mapping[str, str]) -> dict[str, object]:
    return {names.get(name, name): _value(name, one, names) for name, one in fields.items()}


def _value(name: str, value: object, names: Mapping[str, str]) -> object:
    if isinstance(value, dict):
        return _renamed(value, names)
    if isinstance(value, list):
        return [_value(name, one, names) for one in value]
    return int(value) if name == "deferred_until_s" and isinstance(value, float) else value
