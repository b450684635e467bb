"""Tenants in the read models: who there is, whose server was called when, and who is gone."""

from typing import Any

import pytest
from support.histories import T0_S, dead_letters, rows_of
from support.mail_histories import ACME, SENT, URL, Told, created, queued

from signalbox.domain.mail_account import MailAccount
from signalbox.domain.tenant import MailAccountSet, TenantDeleted, TenantUpdated
from signalbox.domain.tenant_config import TenantConfig
from signalbox.eventstore.log import EventLog
from signalbox.projections.mail_views import SyncStatus

ACCOUNT = MailAccountSet(MailAccount(account_id="smtp1", host="mail.example.com", port=25))


def status_of(**fields: Any) -> SyncStatus:  # noqa: ANN401  whatever it has
    whole = {"name": "", "active": True, "client_base_url": "", "last_sync_s": 0.0, **fields}
    return SyncStatus(tenant_id=ACME, **whole)


def test_tenants_are_those_that_were_created_and_not_deleted(told: Told) -> None:
    told.tenant(*created(), of="b")
    told.tenant(*created(active=False), of="a")
    told.tenant(ACCOUNT, of="only-an-account")
    told.mail("p", queued(tenant_id="only-a-mail"), of="only-a-mail")
    told.tenant(*created(), of="gone")
    told.deleted(of="gone")
    assert told.models.mail_tenants(active_only=False) == ["a", "b"]
    assert told.models.mail_tenants(active_only=True) == ["b"]


def test_a_tenant_is_as_it_was_configured_last(told: Told) -> None:
    told.tenant(*created())
    told.tenant(TenantUpdated(TenantConfig(name="New", active=False)))
    assert told.models.mail_syncs() == [status_of(name="New", active=False)]


@pytest.mark.parametrize(
    ("last_sync_s", "is_due", "rests"),
    [(0.0, True, False), (-300.0, True, False), (-299.0, False, False), (1.0, False, True)],
)
def test_a_server_is_called_when_its_time_has_come(
    last_sync_s: float, *, is_due: bool, rests: bool
) -> None:
    at_s = last_sync_s and T0_S + last_sync_s
    status = status_of(last_sync_s=at_s, client_base_url=URL)
    assert (status.is_due(T0_S, 300.0), status.rests(T0_S)) == (is_due, rests)


def test_the_last_call_was_when_the_server_answered_or_what_it_asked_for(told: Told) -> None:
    told.tenant(*created())
    told.acknowledged(0, 0, at=7)
    assert [one.last_sync_s for one in told.models.mail_syncs()] == [T0_S + 7]
    told.postponed(T0_S + 900.0)
    assert [one.last_sync_s for one in told.models.mail_syncs()] == [T0_S + 900]
    told.acknowledged(0, 0, at=86_400)  # In the next day's stream.
    assert [one.last_sync_s for one in told.models.mail_syncs()] == [T0_S + 86_400]


def test_of_a_deleted_tenant_only_its_id_and_its_deletion_are_left(
    told: Told, event_log: EventLog
) -> None:
    told.tenant(*created(name="Secret Ltd"))
    told.tenant(ACCOUNT)
    told.acknowledged(told.mail("p", queued(), SENT, request_id="r"))
    told.deleted()
    assert (told.mails(), told.reports(), told.totals()) == ([], [], {})
    assert told.names() == "deleteTenant"
    stored = rows_of(event_log)
    assert "Secret" not in repr(stored)
    left = {table: len(rows) for table, rows in stored.items() if ACME in repr(rows)}
    assert left == {"mail_tenants": 1, "command_log": 1}


def test_another_tenant_loses_nothing_by_it(told: Told) -> None:
    told.tenant(*created(), of="beta")
    told.mail("x", queued(tenant_id="beta", client_id="m-1"), SENT, of="beta")
    told.mail("p", queued(), SENT)
    told.tenant(*created())
    told.deleted()
    assert (told.pks(), told.pks("beta"), told.totals("beta")) == ("", "x", {"sent": 1})
    assert told.reports(of="beta") == [("m-1", "sent")]


def test_what_comes_late_of_a_deleted_tenant_is_nobody_s(told: Told, event_log: EventLog) -> None:
    told.tenant(*created())
    told.mail("before", queued(client_id="1"))
    told.deleted()
    told.mail("before", SENT)
    told.mail("late", queued(client_id="2"), SENT)
    told.acknowledged(told.position)
    assert (told.mails(), told.reports(), told.totals()) == ([], [], {})
    assert told.models.mail_tenants(active_only=False) == []
    assert told.names() == "deleteTenant"
    assert dead_letters(event_log) == []


def test_a_tenant_that_is_created_again_begins_with_nothing(told: Told) -> None:
    told.tenant(*created())
    told.mail("old", queued(), SENT)
    told.deleted()
    told.tenant(*created(2, name="Again"))
    told.mail("late", queued())
    told.mail("new", queued(), generation=2)
    assert told.pks() == "new"
    assert [one.name for one in told.models.mail_syncs()] == ["Again"]
    assert told.names() == "deleteTenant addTenant addMessages"


def test_a_tenant_may_go_and_come_within_one_batch(told: Told) -> None:
    told.mail("a", queued(client_id="1"))
    told.tenant(TenantDeleted(1), *created(2), TenantDeleted(2))
    told.mail("b", queued(client_id="2"), SENT, generation=3)
    assert (told.pks(), told.totals()) == ("b", {"sent": 1})
