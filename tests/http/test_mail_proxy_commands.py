"""Commands in the log, in the words they were given in."""

from typing import Any

import pytest

from signalbox.http.mail_proxy.wire_commands import payload_of
from signalbox.projections.command_log import CommandRow


def shown(command: Any, payload: dict[str, object]) -> dict[str, object]:  # noqa: ANN401
    row = CommandRow(
        id=1,
        at_s=1.5,
        command=command,
        tenant_id="acme",
        by="admin",
        request_id="r",
        accepted=True,
        payload=payload,
    )
    return payload_of(row)


@pytest.mark.parametrize(
    "command", ["addTenant", "updateTenant", "deleteTenant", "createApiKey", "revokeApiKey"]
)
def test_commands_to_a_tenant_call_it_id(command: str) -> None:
    given = {"tenant_id": "acme", "large_files": {"enabled": True}, "rate_limits": {"hourly": 1}}
    assert shown(command, given) == {
        "id": "acme",
        "large_file_config": {"enabled": True},
        "rate_limits": {"hourly": 1},
    }


def test_an_account_is_called_id_where_it_is_set() -> None:
    given: dict[str, object] = {"tenant_id": "acme", "account_id": "a", "ttl_s": 300}
    assert shown("addAccount", {**given, "is_pec": True}) == {
        "tenant_id": "acme",
        "id": "a",
        "ttl": 300,
        "is_pec_account": True,
    }
    assert shown("deleteAccount", given)["account_id"] == "a"


def test_mails_are_called_as_their_client_called_them() -> None:
    mail = {"tenant_id": "acme", "client_id": "m-1", "account_id": "a", "deferred_until_s": 9.0}
    assert shown("addMessages", {"messages": [mail]}) == {
        "messages": [{"tenant_id": "acme", "id": "m-1", "account_id": "a", "deferred_ts": 9}]
    }
    ids: dict[str, object] = {"tenant_id": "acme", "ids": ["m-1", "m-2"]}
    assert shown("deleteMessages", ids) == ids


def test_the_installation_is_as_it_was_configured() -> None:
    given: dict[str, object] = {"name": "x", "bounce_poll_interval_s": 60}
    assert shown("updateInstance", given) == {"name": "x", "bounce_poll_interval": 60}
