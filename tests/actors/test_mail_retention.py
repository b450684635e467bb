"""Mails that were kept long enough are forgotten, however many they are and whoever looks."""

from collections.abc import Iterator, Sequence

import pytest
from support.gateway import eventually

from signalbox.actors.mail_retention import MailRetention
from signalbox.eventstore.errors import Unavailable


class Kept:
    """Mails that may go; `lags` shows those that went already."""

    def __init__(self, *mails: tuple[str, str]) -> None:
        self.mails = list(mails)
        self.calls: list[tuple[str, list[str]]] = []
        self.lags = False
        self.looks = 0
        self.failures: list[Exception] = []

    def expired(self, limit: int) -> list[tuple[str, str]]:
        self.looks += 1
        if self.failures:
            raise self.failures.pop()
        gone = {pk for _, pks in self.calls for pk in pks}
        return [one for one in self.mails if self.lags or one[1] not in gone][:limit]

    def forget(self, tenant_id: str, pks: Sequence[str]) -> int:
        gone = {pk for _, before in self.calls for pk in before}
        self.calls.append((tenant_id, list(pks)))
        return len(set(pks) - gone)


@pytest.fixture
def started() -> Iterator[list[MailRetention]]:
    running: list[MailRetention] = []
    yield running
    for retention in running:
        retention.close()


def test_mails_of_a_tenant_are_forgotten_together(started: list[MailRetention]) -> None:
    kept = Kept(("acme", "a"), ("beta", "b"), ("acme", "c"))
    started += [MailRetention(kept.expired, kept.forget, look_s=60)]
    eventually(lambda: kept.calls == [("acme", ["a", "c"]), ("beta", ["b"])])


def test_more_than_are_asked_for_at_a_time_are_forgotten_at_once() -> None:
    kept = Kept(*(("acme", str(number)) for number in range(25)))
    retention = MailRetention(kept.expired, kept.forget, look_s=60, mails_max=10)
    retention.close()
    assert retention.look() == 25
    assert [len(pks) for _, pks in kept.calls] == [10, 10, 5]


def test_a_view_that_lags_ends_the_look() -> None:
    kept = Kept(("acme", "a"), ("acme", "b"))
    kept.lags = True
    retention = MailRetention(kept.expired, kept.forget, look_s=60, mails_max=2)
    retention.close()
    assert retention.look() == 2
    assert len(kept.calls) == 2


def test_it_looks_again_whatever_went_wrong(started: list[MailRetention]) -> None:
    kept = Kept(("acme", "a"))
    kept.failures = [ValueError("broken"), Unavailable("store is away")]
    started += [MailRetention(kept.expired, kept.forget, look_s=0.01)]
    eventually(lambda: kept.calls == [("acme", ["a"])])
    eventually(lambda: kept.looks > 4)
