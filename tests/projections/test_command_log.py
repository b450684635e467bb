"""The log of commands: one row a call, nothing secret in it."""

from typing import Any, Final

import pytest
from support.histories import T0_S, rows_of
from support.mail_histories import ACME, DELETED, FAILED, SENT, Told, created, queued, rejected

from signalbox.domain.mail import MailDeleted, MailReplaced
from signalbox.domain.mail_account import MailAccount, Sealed
from signalbox.domain.mail_instance import STREAM, BouncesReloaded, Instance, InstanceUpdated
from signalbox.domain.names import Event
from signalbox.domain.tenant import (
    DispatchActivated,
    DispatchSuspended,
    MailAccountRemoved,
    MailAccountSet,
    TenantDeleted,
    TenantKeyIssued,
    TenantKeyRevoked,
    TenantUpdated,
)
from signalbox.domain.tenant_config import ClientAuth, LargeFiles, TenantConfig
from signalbox.eventstore.log import EventLog
from signalbox.projections.command_log import CommandQuery, CommandRow

SECRET: Final = Sealed("c2VjcmV0")
ACCOUNT: Final = MailAccount(
    account_id="smtp1",
    host="mail.example.com",
    port=465,
    user="u",
    password_sealed=SECRET,
    imap_password_sealed=SECRET,
    dkim_private_key_sealed=SECRET,
    created_at_s=1.0,
)
CONFIG: Final = TenantConfig(
    name="ACME",
    client_auth=ClientAuth(method="basic", user="u", secret_sealed=SECRET),
    client_base_url="https://user:hunter2@app.example.com/x",
    large_files=LargeFiles(storage_url="s3://key:hunter2@bucket/path@home"),
    retention_days=0,
)


def test_one_call_is_one_row_however_many_mails_it_is_about(told: Told) -> None:
    first = told.mail("p0", queued(client_id="0", batch_code="b"), by="acme", request_id="r", at=1)
    for number in range(1, 12):
        told.mail(f"p{number}", queued(client_id=str(number)), by="acme", request_id="r", at=2)
    (row,) = told.commands()
    messages = row.payload["messages"]
    assert row == CommandRow(
        id=first,
        at_s=T0_S + 1.0,
        command="addMessages",
        tenant_id=ACME,
        by="acme",
        request_id="r",
        accepted=True,
        payload={"messages": messages},
    )
    assert isinstance(messages, list)
    assert [one["client_id"] for one in messages] == [str(number) for number in range(12)]
    assert messages[0] == {
        "tenant_id": ACME,
        "client_id": "0",
        "account_id": "smtp1",
        "priority": 2,
        "batch_code": "b",
    }


def test_calls_between_each_other_stay_apart(told: Told) -> None:
    for number, request_id in enumerate(["r", "s", "r", "s"]):
        told.mail(f"p{number}", queued(client_id=str(number)), request_id=request_id)
    told.mail("x", queued(tenant_id="beta"), of="beta", request_id="r")
    told.mail("p0", DELETED, request_id="r")
    rows = [(row.command, row.tenant_id, row.request_id) for row in told.commands()]
    assert rows == [
        ("addMessages", ACME, "r"),
        ("addMessages", ACME, "s"),
        ("addMessages", "beta", "r"),
        ("deleteMessages", ACME, "r"),
    ]


def test_an_id_that_is_used_again_later_is_another_call(told: Told) -> None:
    told.mail("a", queued(client_id="1"), request_id="r", at=0)
    told.mail("b", queued(client_id="2"), request_id="r", at=60)
    told.mail("c", queued(client_id="3"), request_id="r", at=61)
    told.mail("d", queued(client_id="4"), request_id="r", at=121)
    counts = [len(row.payload["messages"]) for row in told.commands()]  # type: ignore[arg-type]
    assert counts == [2, 2]


def test_without_an_id_each_mail_is_a_call_of_its_own(told: Told) -> None:
    told.mail("a", queued(client_id="1"))
    told.mail("b", queued(client_id="2"))
    assert told.names() == "addMessages addMessages"


def test_a_call_is_accepted_when_anything_of_it_could_be_queued(told: Told) -> None:
    told.mail("a", rejected(client_id="1"), request_id="r")
    told.mail("b", rejected(client_id="2", reason="missing from"), request_id="s")
    told.mail("c", queued(client_id="3", deferred_until_s=9.0), request_id="s")
    refused, mixed = told.commands()
    assert (refused.accepted, mixed.accepted) == (False, True)
    messages = mixed.payload["messages"]
    assert isinstance(messages, list)
    assert [one.get("reason") for one in messages] == ["missing from", None]
    assert messages[1]["deferred_until_s"] == 9.0


def test_handing_a_mail_over_again_is_a_command_and_what_becomes_of_it_is_none(told: Told) -> None:
    event = queued()
    again = MailReplaced(**{name: getattr(event, name) for name in event.__slots__})
    told.mail("p", event, request_id="r")
    told.mail("p", again, request_id="s")
    told.mail("p", FAILED)
    assert told.names() == "addMessages addMessages"


def test_deleting_and_cleaning_up_name_the_mails(told: Told) -> None:
    for pk in ("a", "b", "c", "d"):
        told.mail(pk, queued(client_id=pk), SENT)
    told.mail("a", DELETED, request_id="r")
    told.mail("b", DELETED, request_id="r")
    told.mail("c", MailDeleted("cleanup"), request_id="s")
    told.mail("d", MailDeleted("cleanup"))  # The gateway does that by itself.
    deleted, cleaned = told.commands()[4:]
    assert (deleted.command, cleaned.command) == ("deleteMessages", "cleanupMessages")
    assert deleted.payload == {"tenant_id": ACME, "ids": ["a", "b"]}
    assert cleaned.payload == {"tenant_id": ACME, "ids": ["c"]}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"limit": 2}, "suspend addMessages"),
        ({"limit": 1, "name_part": "add"}, "addMessages"),
        ({"limit": 2, "name_part": "add"}, "addMessages addMessages"),
        ({"limit": 3}, "addMessages suspend addMessages"),
        ({"limit": 9}, "addMessages suspend addMessages"),
    ],
)
def test_the_newest_commands_are_behind_the_next_older_one(
    told: Told, query: dict[str, Any], names: str
) -> None:
    told.mail("p", queued(client_id="p"), request_id="r")
    told.tenant(DispatchSuspended("b"), request_id="s")
    told.mail("q", queued(client_id="q"), request_id="t")
    after_id = told.models.older_command(CommandQuery(**query))
    assert told.names(after_id=after_id, **query) == names


@pytest.mark.parametrize(
    ("event", "command", "payload"),
    [
        (
            MailAccountSet(ACCOUNT),
            "addAccount",
            {
                "account_id": "smtp1",
                "host": "mail.example.com",
                "port": 465,
                "user": "u",
                "ttl_s": 300,
                "limit_behavior": "defer",
                "is_pec": False,
                "imap_port": 993,
                "imap_ssl": True,
            },
        ),
        (MailAccountRemoved("smtp1"), "deleteAccount", {"account_id": "smtp1"}),
        (DispatchSuspended("b"), "suspend", {"batch_code": "b"}),
        (DispatchSuspended(), "suspend", {}),
        (DispatchActivated("b"), "activate", {"batch_code": "b"}),
        (
            TenantUpdated(CONFIG),
            "updateTenant",
            {
                "name": "ACME",
                "client_auth": {"method": "basic", "user": "u"},
                "client_base_url": "https://app.example.com/x",
                "large_files": {
                    "enabled": False,
                    "max_size_mb": 10.0,
                    "action": "warn",
                    "storage_url": "s3://bucket/path@home",
                    "file_ttl_days": 30,
                },
                "retention_days": 0,
                "in_doubt": "resend",
                "active": True,
            },
        ),
        (TenantKeyIssued("0" * 64), "createApiKey", {}),
        (TenantKeyRevoked(), "revokeApiKey", {}),
        (TenantDeleted(1), "deleteTenant", {}),
    ],
)
def test_a_command_to_a_tenant_is_shown_without_its_secrets(
    told: Told, event_log: EventLog, event: Event, command: str, payload: dict[str, object]
) -> None:
    told.tenant(event, by="admin")
    (row,) = told.commands()
    assert (row.command, row.tenant_id, row.by) == (command, ACME, "admin")
    assert row.payload == {"tenant_id": ACME, **payload}
    assert "hunter2" not in repr(rows_of(event_log)["command_log"])


def test_the_key_a_tenant_is_created_with_is_no_command_of_its_own(told: Told) -> None:
    told.tenant(*created())
    told.tenant(TenantKeyIssued("1" * 64))
    assert told.names() == "addTenant createApiKey"


def test_the_installation_s_configuration_is_nobody_s(told: Told) -> None:
    instance = Instance(bounce_imap_host="h", bounce_imap_password_sealed=SECRET)
    told.other(STREAM, InstanceUpdated(instance), BouncesReloaded(), by="admin")
    (row,) = told.commands()
    assert (row.command, row.tenant_id, row.by) == ("updateInstance", "", "admin")
    assert row.payload["bounce_imap_host"] == "h"
    assert not [name for name in row.payload if "password" in name]


def test_the_log_is_searched_by_tenant_time_and_name_from_the_oldest_on(told: Told) -> None:
    told.tenant(*created(), at=0)
    told.tenant(DispatchSuspended(), at=10)
    told.mail("p", queued(), at=20)
    told.tenant(DispatchSuspended(), of="beta", at=30)
    assert told.names() == "addTenant suspend addMessages suspend"
    assert told.names(tenant_id="beta") == "suspend"
    assert told.names(since_s=T0_S + 10, until_s=T0_S + 20) == "suspend addMessages"
    assert told.names(since_s=T0_S + 11) == "addMessages suspend"
    assert told.names(until_s=T0_S + 9) == "addTenant"
    assert told.names(name_part="add") == "addTenant addMessages"
    assert told.names(name_part="%") == ""
    assert told.names(limit=2) == "addTenant suspend"
    assert told.names(limit=None) == told.names()
    first, second, *_ = told.commands()
    assert told.names(after_id=second.id, limit=1) == "addMessages"
    assert told.names(after_id=first.id) == "suspend addMessages suspend"
