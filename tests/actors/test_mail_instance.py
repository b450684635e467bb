"""The installation of the mail proxy on a real log: what one process changes, the others hear."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from support.history import rows

from signalbox.actors.mail_instance import DAYS_MAX, MailInstance
from signalbox.actors.transports.imap import Place
from signalbox.domain.errors import BounceHostMissing
from signalbox.domain.mail_instance import BouncePolled, BouncesReloaded, Instance, InstanceChanges
from signalbox.domain.names import Event  # noqa: TC001  a type of a list that is made here
from signalbox.eventstore.errors import FenceLost
from signalbox.eventstore.journal import Journal
from signalbox.eventstore.recorder import Fence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from signalbox.eventstore.log import EventLog

NOON = datetime(2026, 12, 5, 12, tzinfo=UTC)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def dated(event_log: EventLog, clock: Clock) -> Iterator[Journal]:
    journal = Journal(event_log, now=clock)
    yield journal
    journal.close()


@pytest.fixture
def instance(event_log: EventLog, dated: Journal) -> MailInstance:
    return MailInstance(event_log, dated)


def test_before_anybody_configures_it_there_are_defaults(instance: MailInstance) -> None:
    assert instance.get() == instance.known() == Instance()


def test_what_is_configured_stays(
    instance: MailInstance, event_log: EventLog, dated: Journal, database_url: str
) -> None:
    sealed = instance.seal("imap-secret")
    instance.update(InstanceChanges(name="mx-1"), by="admin", request_id="req-1")
    instance.update(InstanceChanges(bounce_imap_password_sealed=sealed), by="admin")
    instance.update(InstanceChanges(), by="admin")
    there = MailInstance(event_log, dated).get()
    assert (there.name, there.bounce_imap_folder) == ("mx-1", "INBOX")
    assert there.created_at_s == NOON.timestamp()
    assert instance.open_secret(there.bounce_imap_password_sealed) == "imap-secret"
    told = event_log.read("mail_instance")
    assert [(one.by, one.request_id) for one in told] == [("admin", "req-1"), ("admin", "")]
    stored = rows(database_url, "SELECT convert_from(state, 'UTF8') FROM signalbox.stored_events")
    assert not any("imap-secret" in state for (state,) in stored)


def test_bounces_are_not_looked_for_nowhere(instance: MailInstance) -> None:
    instance.update(InstanceChanges(bounce_enabled=True), by="admin")
    with pytest.raises(BounceHostMissing):
        instance.reload_bounce(by="admin")


def test_whoever_looks_for_bounces_hears_of_it(
    instance: MailInstance, event_log: EventLog, dated: Journal
) -> None:
    other = MailInstance(event_log, dated)
    assert other.known() == Instance()
    heard: list[Event] = []
    other.on_change(heard.append)
    instance.update(InstanceChanges(bounce_imap_host="imap.example.com"), by="admin")
    instance.reload_bounce(by="admin")
    for recorded in event_log.read("mail_instance"):
        other.follow(recorded)
    assert heard[1:] == [BouncesReloaded()]
    assert other.known().bounce_imap_host == "imap.example.com"


def test_a_restart_goes_on_where_the_mailbox_was_read_to(
    instance: MailInstance, event_log: EventLog, dated: Journal, clock: Clock
) -> None:
    assert instance.last_poll() is None
    instance.polled(BouncePolled(7, 1))
    instance.polled(BouncePolled(7, 5))
    assert MailInstance(event_log, dated).last_poll() == BouncePolled(7, 5)
    clock.now += timedelta(days=3)
    assert instance.last_poll() == BouncePolled(7, 5)
    instance.polled(BouncePolled(8, 2))
    assert instance.last_poll() == BouncePolled(8, 2)
    assert len(event_log.read("mail_instance-2026-12-05")) == 2
    assert len(event_log.read("mail_instance-2026-12-08")) == 1


def test_a_clock_that_is_behind_finds_it_too(instance: MailInstance, clock: Clock) -> None:
    instance.polled(BouncePolled(7, 5))
    clock.now -= timedelta(days=1)
    assert instance.last_poll() == BouncePolled(7, 5)


def test_it_is_not_looked_for_for_ever(instance: MailInstance, clock: Clock) -> None:
    instance.polled(BouncePolled(7, 5))
    clock.now += timedelta(days=DAYS_MAX)
    assert instance.last_poll() is None


def test_a_mailbox_is_told_from_others_by_where_it_is(instance: MailInstance) -> None:
    place = Place(host="imap.example.com", port=993, user="b@example.com", password="p")
    others: list[dict[str, Any]] = [
        {"host": "example.com"}, {"port": 143}, {"user": "c@example.com"}, {"folder": "Bounces"}
    ]  # fmt: skip
    assert len({instance.mailbox(replace(place, **one)) for one in [{}, *others]}) == 5
    same = replace(place, host="IMAP.example.com", password="q", tls=False)
    assert instance.mailbox(same) == instance.mailbox(place)


def test_who_lost_the_lease_notes_nothing(instance: MailInstance) -> None:
    with pytest.raises(FenceLost):
        instance.polled(BouncePolled(7, 5), fence=Fence(1, 1))
    assert instance.last_poll() is None
