"""Tenants: put, changed, suspended and deleted; whoever comes after has nothing of them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import pytest

from signalbox.domain import tenant as tenants
from signalbox.domain.errors import (
    CannotActivateBatch,
    InvalidField,
    TenantHasTooMuch,
    UnknownMailAccount,
    UnknownTenant,
)
from signalbox.domain.mail_account import MailAccount, Sealed
from signalbox.domain.tenant import (
    ActivateDispatch,
    Command,
    DeleteTenant,
    DispatchActivated,
    DispatchSuspended,
    Event,
    IssueTenantKey,
    MailAccountRemoved,
    MailAccountSet,
    PutTenant,
    RemoveMailAccount,
    RevokeTenantKey,
    SetMailAccount,
    SuspendDispatch,
    Tenant,
    TenantCreated,
    TenantDeleted,
    TenantKeyIssued,
    TenantKeyRevoked,
    TenantUpdated,
    UpdateTenant,
    data_key_of,
    decide,
    evolve,
    id_of,
    key_stream_of,
    stream_of,
)
from signalbox.domain.tenant_config import ClientAuth, LargeFiles, TenantChanges, TenantConfig

CONFIG: Final = TenantConfig(
    name="ACME",
    client_auth=ClientAuth(method="bearer", secret_sealed=Sealed("c2VhbGVk")),
    client_base_url="https://app.example.com",
    rate_limits={"hourly": 1_000},
)
CREATED: Final = TenantCreated(1, CONFIG)
ISSUED: Final = TenantKeyIssued("aa")
EXISTS: Final = (CREATED, ISSUED)
ACCOUNT: Final = MailAccount(account_id="smtp1", host="mail.example.com", port=25)
NOW_S: Final = 100.0


def after(*events: Event) -> Tenant:
    tenant = Tenant(tenant_id="acme")
    for at_s, event in enumerate(events, start=1):
        tenant = evolve(tenant, event, float(at_s))
    return tenant


def when(command: Command, given: Sequence[Event] = EXISTS) -> tuple[Event, ...]:
    return decide(after(*given), command, NOW_S)


def set_at(at_s: float, **fields: Any) -> MailAccountSet:  # noqa: ANN401  of MailAccount
    times = {"created_at_s": at_s, "updated_at_s": at_s}
    return MailAccountSet(replace(ACCOUNT, **{**times, **fields}))


def test_a_new_tenant_gets_a_key() -> None:
    assert when(PutTenant(CONFIG, "aa"), ()) == EXISTS
    tenant = after(*EXISTS)
    assert (tenant.exists, tenant.generation, tenant.key_sha256) == (True, 1, "aa")
    assert (tenant.name, tenant.rate_limits) == ("ACME", {"hourly": 1_000})
    assert (tenant.created_at_s, tenant.updated_at_s) == (1.0, 2.0)


def test_putting_it_again_overwrites_everything_and_keeps_the_key() -> None:
    other = TenantConfig(name="ACME 2")
    assert when(PutTenant(other, "bb")) == (TenantUpdated(other),)
    tenant = after(*EXISTS, TenantUpdated(other))
    assert (tenant.name, tenant.client_base_url, tenant.rate_limits) == ("ACME 2", "", None)
    assert tenant.client_auth == ClientAuth()
    assert tenant.key_sha256 == "aa"
    assert (tenant.created_at_s, tenant.updated_at_s) == (1.0, 3.0)


def test_what_is_not_given_stays() -> None:
    command = UpdateTenant(TenantChanges(name="ACME 3", rate_limits={"daily": 5}, active=False))
    updated = replace(CONFIG, name="ACME 3", rate_limits={"daily": 5}, active=False)
    assert when(command) == (TenantUpdated(updated),)


def test_an_empty_text_takes_away_what_was_configured() -> None:
    (event,) = when(UpdateTenant(TenantChanges(client_base_url="")))
    assert event == TenantUpdated(replace(CONFIG, client_base_url=""))


@pytest.mark.parametrize("changes", [TenantChanges(), TenantChanges(name="ACME")])
def test_changing_nothing_is_fine_and_changes_nothing(changes: TenantChanges) -> None:
    assert when(UpdateTenant(changes)) == ()


@pytest.mark.parametrize("given", [(), (*EXISTS, TenantDeleted(1)), (set_at(1.0),)])
@pytest.mark.parametrize(
    "command",
    [
        UpdateTenant(TenantChanges()),
        DeleteTenant(),
        IssueTenantKey("bb"),
        RevokeTenantKey(),
        SuspendDispatch(),
        ActivateDispatch(),
    ],
)
def test_nothing_is_done_to_a_tenant_that_does_not_exist(
    command: Command, given: tuple[Event, ...]
) -> None:
    with pytest.raises(UnknownTenant) as refused:
        when(command, given)
    assert str(refused.value) == "Tenant 'acme' not found"


@pytest.mark.parametrize(
    "config",
    [
        TenantConfig(name="\0"),
        TenantConfig(client_auth=ClientAuth(user="\ud800")),
        TenantConfig(large_files=LargeFiles(max_size_mb=float("inf"))),
        TenantConfig(large_files=LargeFiles(storage_url="\0")),
        TenantConfig(rate_limits={"x": "y" * 70_000}),
        TenantConfig(report_format="xml"),
        TenantConfig(in_doubt="maybe"),  # type: ignore[arg-type]  as a caller might
        TenantConfig(retention_days=-1),
    ],
)
def test_what_nobody_could_do_is_refused(config: TenantConfig) -> None:
    with pytest.raises(InvalidField):
        when(PutTenant(config, "aa"), ())
    with pytest.raises(InvalidField):
        when(PutTenant(config, "aa"))


def test_a_change_is_looked_at_like_the_whole() -> None:
    with pytest.raises(InvalidField):
        when(UpdateTenant(TenantChanges(report_format="xml")))


def test_another_key_replaces_the_one_before() -> None:
    assert when(IssueTenantKey("bb")) == (TenantKeyIssued("bb"),)
    assert after(*EXISTS, TenantKeyIssued("bb")).key_sha256 == "bb"


def test_a_key_is_revoked_once() -> None:
    assert when(RevokeTenantKey()) == (TenantKeyRevoked(),)
    assert after(*EXISTS, TenantKeyRevoked()).key_sha256 == ""
    assert when(RevokeTenantKey(), (*EXISTS, TenantKeyRevoked())) == ()


def test_who_was_deleted_and_comes_again_has_nothing_of_before() -> None:
    before = (*EXISTS, set_at(3.0), DispatchSuspended())
    assert when(DeleteTenant(), before) == (TenantDeleted(1),)
    gone = after(*before, TenantDeleted(1))
    assert gone == Tenant(tenant_id="acme", generation=2)
    again = decide(gone, PutTenant(TenantConfig(), "bb"), NOW_S)
    assert again == (TenantCreated(2, TenantConfig()), TenantKeyIssued("bb"))
    assert after(*before, TenantDeleted(1), *again).suspended == frozenset()


def test_no_two_generations_and_no_two_tenants_share_a_data_key() -> None:
    keys = [
        after(*EXISTS).data_key,
        after(*EXISTS, TenantDeleted(1)).data_key,
        data_key_of("acme/1", 1),
        data_key_of("", 1),
    ]
    assert keys == ["tenant-acme/1", "tenant-acme/2", "tenant-acme/1/1", "tenant-/1"]


def test_accounts_may_come_before_their_tenant_and_stay_when_it_comes() -> None:
    assert when(SetMailAccount(ACCOUNT), ()) == (set_at(NOW_S),)
    tenant = after(set_at(1.0), *EXISTS)
    assert list(tenant.accounts) == ["smtp1"]
    assert (tenant.generation, tenant.data_key) == (1, after(set_at(1.0)).data_key)


def test_an_account_that_is_set_again_keeps_its_birthday() -> None:
    wanted = replace(ACCOUNT, host="other.example.com", created_at_s=55.0)
    (event,) = when(SetMailAccount(wanted), (set_at(3.0),))
    assert event == set_at(3.0, host="other.example.com", updated_at_s=NOW_S)
    (event,) = when(SetMailAccount(wanted), (set_at(3.0), MailAccountRemoved("smtp1")))
    assert event == set_at(NOW_S, host="other.example.com")


def test_an_account_is_removed_once_and_no_other_with_it() -> None:
    given = (set_at(1.0), set_at(2.0, account_id="smtp2"))
    assert when(RemoveMailAccount("smtp1"), given) == (MailAccountRemoved("smtp1"),)
    left = after(*given, MailAccountRemoved("smtp1"))
    assert list(left.accounts) == ["smtp2"]
    with pytest.raises(UnknownMailAccount):
        decide(left, RemoveMailAccount("smtp1"), NOW_S)


def test_a_tenant_has_only_so_many_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenants, "ACCOUNTS_MAX", 1)
    with pytest.raises(TenantHasTooMuch) as refused:
        when(SetMailAccount(replace(ACCOUNT, account_id="smtp2")), (set_at(1.0),))
    assert str(refused.value) == "a tenant has 1 mail accounts at most"
    assert when(SetMailAccount(ACCOUNT), (set_at(1.0),))


@pytest.mark.parametrize("everything", ["", "*"])
def test_everything_is_suspended_and_sent_again(everything: str) -> None:
    given = (*EXISTS, DispatchSuspended("b1"))
    assert when(SuspendDispatch(everything), given) == (DispatchSuspended(),)
    suspended = after(*given, DispatchSuspended())
    assert suspended.suspended == {"*"}
    assert (suspended.is_suspended(), suspended.is_suspended("b2")) == (True, True)
    assert decide(suspended, SuspendDispatch(everything), NOW_S) == ()
    assert decide(suspended, ActivateDispatch(everything), NOW_S) == (DispatchActivated(),)
    assert after(*given, DispatchSuspended(), DispatchActivated()).suspended == frozenset()


def test_batches_are_suspended_one_by_one() -> None:
    suspended = after(*EXISTS, DispatchSuspended("b1"), DispatchSuspended("b2"))
    assert suspended.suspended == {"b1", "b2"}
    assert (suspended.is_suspended("b1"), suspended.is_suspended("b3")) == (True, False)
    assert not suspended.is_suspended()
    assert decide(suspended, SuspendDispatch("b1"), NOW_S) == ()
    assert decide(suspended, ActivateDispatch("b1"), NOW_S) == (DispatchActivated("b1"),)
    assert evolve(suspended, DispatchActivated("b1"), NOW_S).suspended == {"b2"}


def test_a_batch_is_suspended_with_everything_already() -> None:
    assert when(SuspendDispatch("b1"), (*EXISTS, DispatchSuspended())) == ()


def test_no_batch_alone_comes_out_of_a_full_suspension() -> None:
    with pytest.raises(CannotActivateBatch):
        when(ActivateDispatch("b1"), (*EXISTS, DispatchSuspended()))


@pytest.mark.parametrize("command", [ActivateDispatch("never"), ActivateDispatch()])
def test_what_is_not_suspended_is_activated_without_effect(command: Command) -> None:
    assert when(command) == ()


def test_only_so_many_batches_are_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenants, "SUSPENDED_MAX", 1)
    given = (*EXISTS, DispatchSuspended("b1"))
    with pytest.raises(TenantHasTooMuch):
        when(SuspendDispatch("b2"), given)
    assert when(SuspendDispatch(), given) == (DispatchSuspended(),)


def test_a_batch_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidField):
        when(SuspendDispatch("\0"))


def test_a_suspension_is_a_change_of_the_tenant() -> None:
    assert after(*EXISTS, DispatchSuspended()).updated_at_s == 3.0


@pytest.mark.parametrize("tenant_id", ["acme", "", "bad id/é", "tenant-x"])
def test_a_stream_tells_its_tenant(tenant_id: str) -> None:
    assert id_of(stream_of(tenant_id)) == tenant_id


def test_no_key_shares_a_stream_with_a_tenant() -> None:
    assert not key_stream_of("aa").startswith(stream_of(""))


def test_neither_sealed_secrets_nor_hashes_are_shown() -> None:
    shown = repr(after(*EXISTS))
    assert "c2VhbGVk" not in shown
    assert "key_sha256" not in shown
