"""Tenants on a real log: whoever is asked knows them, and once deleted they can't be read again."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import gevent
import psycopg
import pytest
from support.gateway import eventually
from support.history import append, rows, text_from_handset

from signalbox.actors import tenants as module
from signalbox.actors.tenants import TENANT_EVENTS, Tenants
from signalbox.domain.errors import (
    CannotActivateBatch,
    InvalidField,
    TenantErased,
    UnknownMailAccount,
    UnknownTenant,
)
from signalbox.domain.inbound import MoReceived
from signalbox.domain.mail_account import MailAccount
from signalbox.domain.personal import ERASED
from signalbox.domain.tenant import (
    DispatchSuspended,
    TenantCreated,
    TenantDeleted,
    TenantKeyIssued,
    TenantUpdated,
)
from signalbox.domain.tenant_config import ClientAuth, LargeFiles, TenantChanges, TenantConfig
from signalbox.eventstore.follower import Follower
from signalbox.eventstore.journal import Append, Journal, Write
from signalbox.eventstore.log import EventLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg.rows import TupleRow

    from signalbox.domain.names import Event

SECRET_KEY: Final = "a secret key for tests, long enough"
ACME: Final = TenantConfig(name="ACME", client_base_url="https://app.example.com")
ACCOUNT: Final = MailAccount(account_id="smtp1", host="mail.example.com", port=25)
PENDING: Final = "SELECT stream_id FROM signalbox.inbox WHERE actor_id = 'tenant_deletions'"
KILLED: Final = 9
DIES_BEFORE_IT_DESTROYS: Final = """
import os, sys
import signalbox.ops.patched
from signalbox.actors.tenants import Tenants
from signalbox.eventstore.journal import Journal
from signalbox.eventstore.log import EventLog
log = EventLog(sys.argv[1], sys.argv[2])
log.tenant_keys.destroy = lambda _: os._exit(9)
Tenants(log, Journal(log)).delete("acme", by="admin")
"""


@pytest.fixture
def tenants(event_log: EventLog, journal: Journal) -> Tenants:
    return Tenants(event_log, journal)


@pytest.fixture
def start(database_url: str) -> Iterator[Callable[[], Tenants]]:
    """Start what each process has of its own: a log, a journal, a follower, what it remembers."""
    opened: list[tuple[EventLog, Journal, Follower]] = []

    def start() -> Tenants:
        log = EventLog(database_url, SECRET_KEY)
        tenants = Tenants(log, Journal(log))

        def told(news: list[TupleRow]) -> None:
            for row in news:
                tenants.follow(log.decode_row(row))

        follower = Follower(log, TENANT_EVENTS, told)
        opened.append((log, tenants._journal, follower))  # noqa: SLF001
        assert follower.listening.wait(5)
        return tenants

    yield start
    for log, journal, follower in opened:
        follower.close()
        journal.close()
        log.close()


def events(log: EventLog, tenant_id: str = "acme") -> list[Event]:
    return [one.event for one in log.read(f"tenant-{tenant_id}")]


def write_text(log: EventLog, journal: Journal, tenants: Tenants, stream: str) -> None:
    """Store something personal of the tenant."""
    data_key = tenants.newest("acme").data_key
    journal.write(Append(writes=(Write(stream, 1, (text_from_handset("hello"),), data_key),)))
    assert text_of(log, stream) == "hello"


def text_of(log: EventLog, stream: str) -> str:
    (recorded,) = log.read(stream)
    assert isinstance(recorded.event, MoReceived)
    return recorded.event.text


def test_a_new_tenant_has_a_key_that_is_shown_once(tenants: Tenants, event_log: EventLog) -> None:
    key = tenants.put("acme", ACME, by="admin", request_id="req-1")
    assert len(key) == 43
    assert tenants.owner_of_key(key) == "acme"
    assert tenants.put("acme", ACME, by="admin") == ""
    assert tenants.owner_of_key(key) == "acme"
    told = event_log.read("tenant-acme")
    assert [type(one.event) for one in told] == [TenantCreated, TenantKeyIssued, TenantUpdated]
    assert [(one.tenant_id, one.by) for one in told] == [("tenant-acme/1", "admin")] * 3
    assert told[0].request_id == told[1].request_id == "req-1"
    assert key not in repr(told)


def test_putting_overwrites_and_updating_does_not(tenants: Tenants) -> None:
    tenants.put("acme", ACME, by="admin")
    tenants.update("acme", TenantChanges(name="ACME 2"), by="acme")
    found = tenants.find("acme")
    assert found is not None
    assert (found.name, found.client_base_url) == ("ACME 2", "https://app.example.com")
    tenants.put("acme", TenantConfig(active=False), by="admin")
    found = tenants.find("acme")
    assert found is not None
    assert (found.tenant_id, found.name, found.client_base_url) == ("acme", "", "")
    assert not found.active


def test_an_empty_update_of_a_tenant_is_fine(tenants: Tenants, event_log: EventLog) -> None:
    tenants.put("acme", ACME, by="admin")
    tenants.update("acme", TenantChanges(), by="acme")
    assert len(events(event_log)) == 2


@pytest.mark.parametrize("tenant_id", ["", "bad id/é", "*", "x" * 512])
def test_nearly_any_text_names_a_tenant(tenants: Tenants, tenant_id: str) -> None:
    key = tenants.put(tenant_id, ACME, by="admin")
    found = tenants.find(tenant_id)
    assert found is not None
    assert found.tenant_id == tenant_id
    assert tenants.owner_of_key(key) == tenant_id


@pytest.mark.parametrize("tenant_id", ["a\0b", "\ud800", "x" * 513])
def test_what_can_name_none_is_refused_and_nobody(tenants: Tenants, tenant_id: str) -> None:
    with pytest.raises(InvalidField):
        tenants.put(tenant_id, ACME, by="admin")
    with pytest.raises(InvalidField):
        tenants.put_account(tenant_id, ACCOUNT, by="admin")
    assert tenants.find(tenant_id) is None
    assert tenants.account(tenant_id, "smtp1") is None


def test_nothing_is_done_to_a_tenant_that_is_not_there(tenants: Tenants) -> None:
    for attempt in (tenants.delete, tenants.issue_key, tenants.revoke_key, tenants.suspend):
        with pytest.raises(UnknownTenant):
            attempt("ghost", by="admin")
    with pytest.raises(UnknownTenant):
        tenants.update("ghost", TenantChanges(name="x"), by="admin")
    assert tenants.find("ghost") is None


def test_of_two_processes_that_create_at_once_one_gives_a_key(
    start: Callable[[], Tenants], event_log: EventLog
) -> None:
    processes = [start() for _ in range(3)]
    tries = [gevent.spawn(one.put, "acme", ACME, by="admin") for one in processes]
    gevent.joinall(tries, raise_error=True)
    (key,) = (one.value for one in tries if one.value)
    assert [one.owner_of_key(key) for one in processes] == ["acme"] * 3
    assert sum(isinstance(event, TenantCreated) for event in events(event_log)) == 1


def test_a_new_key_is_known_everywhere_before_anybody_is_told(
    start: Callable[[], Tenants], tenants: Tenants
) -> None:
    """`tenants` follows nothing: it has only what it reads."""
    first = tenants.put("acme", ACME, by="admin")
    assert tenants.owner_of_key(first) == "acme"
    second = start().issue_key("acme", by="admin")
    assert tenants.owner_of_key(second) == "acme"
    assert tenants.owner_of_key(first) is None


def test_the_key_before_is_dead_in_all_processes(start: Callable[[], Tenants]) -> None:
    here, there = start(), start()
    first = here.put("acme", ACME, by="admin")
    assert there.owner_of_key(first) == "acme"
    second = here.issue_key("acme", by="admin")
    assert here.owner_of_key(first) is None
    eventually(lambda: there.owner_of_key(first) is None)
    assert there.owner_of_key(second) == "acme"
    here.revoke_key("acme", by="admin")
    here.revoke_key("acme", by="admin")
    assert here.owner_of_key(second) is None
    eventually(lambda: there.owner_of_key(second) is None)


@pytest.mark.parametrize("token", ["", "x" * 43, "x" * 42 + "é", "x" * 10_000, "\ud800" * 43, "\0"])
def test_any_other_text_is_nobodys_key(tenants: Tenants, token: str) -> None:
    tenants.put("acme", ACME, by="admin")
    assert tenants.owner_of_key(token) is None


def test_what_is_no_key_is_not_looked_up(
    tenants: Tenants, event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "read", pytest.fail)
    assert tenants.owner_of_key("admin-token") is None


def test_accounts_may_come_before_their_tenant(tenants: Tenants) -> None:
    tenants.put_account("acme", ACCOUNT, by="admin")
    assert tenants.find("acme") is None
    assert list(tenants.newest("acme").accounts) == ["smtp1"]
    tenants.put("acme", ACME, by="admin")
    account = tenants.account("acme", "smtp1")
    assert account is not None
    assert (account.host, account.created_at_s > 0) == ("mail.example.com", True)


def test_equal_accounts_of_two_tenants_are_two(tenants: Tenants) -> None:
    for tenant_id in ("acme", "beta"):
        tenants.put(tenant_id, ACME, by="admin")
        tenants.put_account(tenant_id, ACCOUNT, by="admin")
    tenants.remove_account("beta", "smtp1", by="admin")
    assert tenants.account("acme", "smtp1") is not None
    with pytest.raises(UnknownMailAccount):
        tenants.remove_account("beta", "smtp1", by="admin")
    tenants.delete("beta", by="admin")
    assert tenants.account("acme", "smtp1") is not None


def test_another_process_finds_what_is_new_at_once(start: Callable[[], Tenants]) -> None:
    here, there = start(), start()
    assert there.find("acme") is None
    assert there.account("acme", "smtp1") is None
    here.put("acme", ACME, by="admin")
    here.put_account("acme", ACCOUNT, by="admin")
    assert there.find("acme") is not None
    assert there.account("acme", "smtp1") is not None


def test_a_suspension_reaches_all_processes(start: Callable[[], Tenants]) -> None:
    here, there = start(), start()
    seen: list[tuple[str, Event]] = []
    there.on_change(lambda tenant_id, event: seen.append((tenant_id, event)))
    here.put("acme", ACME, by="admin")
    assert not there.known("acme").is_suspended("b1")
    assert here.suspend("acme", "b1", by="acme") == {"b1"}
    eventually(lambda: there.known("acme").is_suspended("b1"))
    eventually(lambda: ("acme", DispatchSuspended("b1")) in seen)
    assert here.suspend("acme", by="acme") == {"*"}
    with pytest.raises(CannotActivateBatch):
        there.activate("acme", "b1", by="acme")
    assert there.activate("acme", by="acme") == frozenset()
    eventually(lambda: not here.known("acme").is_suspended("b1"))


def test_secrets_are_sealed_and_opened(tenants: Tenants, database_url: str) -> None:
    auth = ClientAuth(method="bearer", secret_sealed=tenants.seal("tok-acme"))
    tenants.put("acme", TenantConfig(client_auth=auth), by="admin")
    found = tenants.find("acme")
    assert found is not None
    assert tenants.open_secret(found.client_auth.secret_sealed) == "tok-acme"
    assert tenants.open_secret(tenants.seal("")) == ""
    stored = rows(database_url, "SELECT convert_from(state, 'UTF8') FROM signalbox.stored_events")
    assert stored
    assert not any("tok-acme" in state for (state,) in stored)


def test_what_a_deleted_tenant_had_reads_erased(
    tenants: Tenants, event_log: EventLog, journal: Journal, database_url: str
) -> None:
    key = tenants.put("acme", ACME, by="admin")
    tenants.put_account("acme", ACCOUNT, by="admin")
    write_text(event_log, journal, tenants, "mo-1")
    tenants.delete("acme", by="admin", request_id="req-2")
    assert text_of(event_log, "mo-1") == "[erased]"
    assert tenants.find("acme") is None
    assert tenants.owner_of_key(key) is None
    assert tenants.account("acme", "smtp1") is None
    eventually(lambda: rows(database_url, PENDING) == [])
    with pytest.raises(UnknownTenant):
        tenants.delete("acme", by="admin")


def test_the_log_keeps_to_itself_what_a_tenant_configured(
    tenants: Tenants, event_log: EventLog, database_url: str
) -> None:
    secret = tenants.seal("hush")
    config = TenantConfig(
        name="Acme Ltd",
        client_base_url="https://intern.acme.example",
        client_auth=ClientAuth(method="basic", user="robot", secret_sealed=secret),
        large_files=LargeFiles(storage_url="s3://key:hidden@bucket"),
    )
    account = replace(ACCOUNT, host="mx.acme.example", user="ann.of.acme", password_sealed=secret)
    tenants.put("acme", config, by="admin")
    tenants.put_account("acme", account, by="admin")
    tenants.update("acme", TenantChanges(name="Acme & Sons"), by="admin")
    words = ("Acme", "intern", "robot", "hidden", "mx.acme", "ann.of", secret)
    states = rows(database_url, "SELECT convert_from(state, 'UTF8') FROM signalbox.stored_events")
    assert not [word for word in words if any(word in state for (state,) in states)]
    assert tenants.newest("acme").accounts["smtp1"].host == "mx.acme.example"
    tenants.delete("acme", by="admin")
    told = repr(events(event_log))
    assert not [word for word in words if word in told]
    assert told.count(ERASED) > len(words)


def test_other_processes_forget_what_they_could_read(
    start: Callable[[], Tenants], event_log: EventLog, journal: Journal, tenants: Tenants
) -> None:
    tenants.put("acme", ACME, by="admin")
    there = start()
    write_text(event_log, journal, tenants, "mo-1")
    other_log = there._log  # noqa: SLF001  what the other process reads
    assert text_of(other_log, "mo-1") == "hello"
    tenants.delete("acme", by="admin")
    eventually(lambda: text_of(other_log, "mo-1") == "[erased]")


def test_a_tenant_that_comes_again_sees_nothing_of_the_one_before(
    tenants: Tenants, event_log: EventLog, journal: Journal
) -> None:
    first = tenants.put("acme", ACME, by="admin")
    old_key = tenants.newest("acme").data_key
    tenants.put_account("acme", ACCOUNT, by="admin")
    tenants.suspend("acme", by="admin")
    write_text(event_log, journal, tenants, "mo-1")
    tenants.delete("acme", by="admin")
    second = tenants.put("acme", TenantConfig(), by="admin")
    again = tenants.find("acme")
    assert again is not None
    assert (again.generation, again.accounts, again.suspended) == (2, {}, frozenset())
    assert tenants.owner_of_key(first) is None
    assert tenants.owner_of_key(second) == "acme"
    write_text(event_log, journal, tenants, "mo-2")
    assert text_of(event_log, "mo-1") == "[erased]"
    with pytest.raises(TenantErased):
        journal.append(Append(writes=(Write("mo-3", 1, (text_from_handset("late"),), old_key),)))


def test_what_a_killed_process_left_of_a_deletion_is_finished(
    tenants: Tenants, event_log: EventLog, journal: Journal, database_url: str
) -> None:
    tenants.put("acme", ACME, by="admin")
    write_text(event_log, journal, tenants, "mo-1")
    command = [sys.executable, "-c", DIES_BEFORE_IT_DESTROYS, database_url, SECRET_KEY]
    assert subprocess.run(command, check=False, timeout=60).returncode == KILLED
    assert isinstance(events(event_log)[-1], TenantDeleted)
    assert rows(database_url, PENDING) == [("tenant-acme/1",)]
    assert text_of(event_log, "mo-1") == "hello"
    assert tenants.finish_deletions() == 1
    assert text_of(event_log, "mo-1") == "[erased]"
    eventually(lambda: rows(database_url, PENDING) == [])
    assert tenants.finish_deletions() == 0


def test_a_key_that_cant_be_destroyed_now_is_destroyed_later(
    tenants: Tenants, event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_data_key: str) -> None:
        raise psycopg.OperationalError("away")

    key = tenants.put("acme", ACME, by="admin")
    with monkeypatch.context() as broken:
        broken.setattr(event_log.tenant_keys, "destroy", away)
        tenants.delete("acme", by="admin")
        assert tenants.finish_deletions() == 0
    assert tenants.owner_of_key(key) is None
    assert tenants.finish_deletions() == 1


def test_what_is_destroyed_but_not_noted_is_destroyed_again(
    event_log: EventLog, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    closing = Journal(event_log)
    tenants = Tenants(event_log, closing)
    tenants.put("acme", ACME, by="admin")
    monkeypatch.setattr(event_log.tenant_keys, "destroy", lambda _: closing.close())
    tenants.delete("acme", by="admin")
    monkeypatch.undo()
    assert Tenants(event_log, journal).finish_deletions() == 1


def test_a_deletion_that_is_finished_late_spares_the_tenant_that_came_after(
    tenants: Tenants,
    event_log: EventLog,
    journal: Journal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(_data_key: str) -> None:
        raise psycopg.OperationalError("away")

    tenants.put("acme", ACME, by="admin")
    with monkeypatch.context() as broken:
        broken.setattr(event_log.tenant_keys, "destroy", away)
        tenants.delete("acme", by="admin")
    tenants.put("acme", ACME, by="admin")
    write_text(event_log, journal, tenants, "mo-2")
    assert tenants.finish_deletions() == 1
    assert text_of(event_log, "mo-2") == "hello"


def test_one_who_asks_often_asks_the_log_once(
    tenants: Tenants, event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tenants.put("acme", ACME, by="admin")
    tenants.put_account("acme", ACCOUNT, by="admin")
    assert tenants.owner_of_key(key) == "acme"
    assert tenants.account("acme", "smtp1") is not None
    monkeypatch.setattr(event_log, "read", pytest.fail)
    assert tenants.owner_of_key(key) == "acme"
    assert tenants.find("acme") is not None
    assert tenants.known("acme").accounts
    assert tenants.account("acme", "smtp1") is not None


def test_keys_are_remembered_only_so_many(
    start: Callable[[], Tenants], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMEMBERED_MAX", 1)
    tenants = start()
    keys = [tenants.put(name, ACME, by="admin") for name in ("acme", "beta")]
    for _ in range(2):
        assert [tenants.owner_of_key(key) for key in keys] == ["acme", "beta"]


def test_nobody_decides_by_an_old_state(journal: Journal, tenants: Tenants) -> None:
    tenants.put("acme", ACME, by="admin")
    assert tenants.known("acme").exists
    journal.write(append("tenant-acme", 3, (TenantDeleted(1),)))
    with pytest.raises(UnknownTenant):
        tenants.update("acme", TenantChanges(name="late"), by="admin")
