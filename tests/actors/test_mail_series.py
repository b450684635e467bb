"""Counters of mail accounts are there, at zero, before anything is counted."""

from collections.abc import Callable

import pytest
from prometheus_client import REGISTRY
from support.dispatch import Relay, new
from support.gateway import eventually, eventually_equal

from signalbox.actors import mail_series
from signalbox.actors.mail_series import MailSeries
from signalbox.actors.tenants import Tenants
from signalbox.domain.mail_account import MailAccount
from signalbox.domain.tenant_config import TenantConfig
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.journal import Journal
from signalbox.eventstore.log import EventLog

LABELS = ("tenant_id", "tenant_name", "account_id", "account_name")
NAMES = ("gmp_sent_total", "gmp_errors_total", "gmp_deferred_total", "gmp_rate_limited_total")
ZEROS = [0.0] * 4


def shown(tenant_id: str, account_id: str, name: str = "") -> list[float | None]:
    labels = dict(zip(LABELS, (tenant_id, name or tenant_id, account_id, account_id), strict=True))
    return [REGISTRY.get_sample_value(one, labels) for one in NAMES]


def known_before(event_log: EventLog, tenant_id: str, *account_ids: str) -> None:
    """Have a tenant with accounts, of which some other process was told."""
    journal = Journal(event_log)
    tenants = Tenants(event_log, journal)
    tenants.put(tenant_id, TenantConfig(name="Ltd."), by="test")
    for account_id in account_ids:
        account = MailAccount(account_id=account_id, host="smtp.test", port=25)
        tenants.put_account(tenant_id, account, by="test")
    journal.close()


def failing(answer: Callable[..., object], times: list[int]) -> Callable[..., object]:
    def fail_first(*given: object) -> object:
        times.append(1)
        if len(times) == 1:
            raise Unavailable("store away")
        return answer(*given)

    return fail_first


def test_accounts_that_are_there_when_a_relay_starts_are_shown(event_log: EventLog) -> None:
    known_before(event_log, "series-1", "a", "b")
    with Relay(event_log, tenant_ids=lambda: ["series-1"]) as relay:
        eventually(
            lambda: shown("series-1", "a", "Ltd.") == shown("series-1", "b", "Ltd.") == ZEROS
        )
        assert not relay.dispatch.running


def test_an_account_that_comes_later_is_shown_before_any_mail_of_its(event_log: EventLog) -> None:
    with Relay(event_log) as relay:
        relay.tenants.put("series-2", TenantConfig(name="Ltd."), by="test")
        relay.account("late", tenant="series-2")
        eventually_equal(lambda: shown("series-2", "late", "Ltd."), ZEROS)
        relay.tenants.put("series-2", TenantConfig(name="Inc."), by="test")
        eventually_equal(lambda: shown("series-2", "late", "Inc."), ZEROS)
        assert not relay.dispatch.running
        relay.add(new("m-1", account_id="late"), tenant="series-2")
        eventually_equal(lambda: shown("series-2", "late", "Inc."), [1.0, 0.0, 0.0, 0.0])


@pytest.mark.parametrize("away", ["read models", "log"])
def test_accounts_are_shown_once_the_store_is_there_again(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch, away: str
) -> None:
    monkeypatch.setattr(mail_series, "RETRY_S", 0.01)
    tenant_id = f"series-3-{away}"
    known_before(event_log, tenant_id, "a")
    journal = Journal(event_log)
    tenants = Tenants(event_log, journal)
    tries: list[int] = []
    ids: Callable[..., object] = lambda: [tenant_id]  # noqa: E731
    if away == "log":
        monkeypatch.setattr(tenants, "known", failing(tenants.known, tries))
    else:
        ids = failing(ids, tries)
    series = MailSeries(tenants, ids)  # type: ignore[arg-type]  it is what it wraps
    assert shown(tenant_id, "a", "Ltd.") == [None] * 4
    series.begin()
    eventually_equal(lambda: shown(tenant_id, "a", "Ltd."), ZEROS)
    assert len(tries) == 2
    series.close()
    journal.close()
