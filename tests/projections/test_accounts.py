"""Who there is, as operators see it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Final

import pytest
from support.histories import record, rows_of

from signalbox.domain.account import (
    AdminGranted,
    AdminRevoked,
    AppRegistered,
    PasswordRehashed,
    UserRegistered,
    UserRemoved,
)
from signalbox.domain.names import Event
from signalbox.eventstore.journal import Append, Journal, Write
from signalbox.eventstore.log import EventLog
from signalbox.projections.accounts import UserRow
from signalbox.projections.building import build, rebuild
from signalbox.projections.models import PROJECTIONS
from signalbox.projections.projector import Projector
from signalbox.projections.readers import ReadModels

APP: Final = AppRegistered(name="shop", secret_sealed="sealed", secret_fingerprint="print")
GRANTED: Final = AdminGranted(user_id=1)
REVOKED: Final = AdminRevoked(user_id=1)
REMOVED: Final = UserRemoved(user_id=1)
ADA: Final = UserRow(1, "user-a", False, 7, "shop", "print", "ada@example.com")  # noqa: FBT003


def registered(user_id: int = 1, *, email: str = "ada@example.com", app_id: int = 7) -> Event:
    return UserRegistered(user_id=user_id, email=email, password_hash="hash", app_id=app_id)


def test_a_user_is_shown_with_its_application_and_address(
    event_log: EventLog, projector: Projector, models: ReadModels
) -> None:
    record(event_log, "user-a", registered())
    record(event_log, "app-7", APP)
    build(projector)
    assert models.users() == [ADA]
    assert models.user_stream(1) == "user-a"


def test_no_address_and_no_secret_is_in_the_read_models(
    event_log: EventLog, projector: Projector
) -> None:
    record(event_log, "user-a", registered())
    record(event_log, "app-7", APP)
    build(projector)
    rows = rows_of(event_log)
    assert (rows["users"], rows["apps"]) == ([("(1,user-a,7,f)",)], [("(7,shop,print)",)])


def test_users_are_shown_by_number(
    event_log: EventLog, projector: Projector, models: ReadModels
) -> None:
    record(event_log, "user-z", registered(10, email="z@example.com", app_id=0))
    record(event_log, "user-y", registered(2, email="y@example.com", app_id=0))
    build(projector)
    assert models.users() == [
        UserRow(2, "user-y", False, 0, "", "", "y@example.com"),  # noqa: FBT003
        UserRow(10, "user-z", False, 0, "", "", "z@example.com"),  # noqa: FBT003
    ]


@pytest.mark.parametrize(
    ("history", "is_admin"),
    [
        ((), False),
        ((GRANTED,), True),
        ((GRANTED, PasswordRehashed(user_id=1, password_hash="better")), True),
        ((GRANTED, REVOKED), False),
        ((GRANTED, REVOKED, GRANTED), True),
    ],
)
def test_the_newest_word_on_an_administrator_counts(
    event_log: EventLog,
    projector: Projector,
    models: ReadModels,
    history: tuple[Event, ...],
    *,
    is_admin: bool,
) -> None:
    record(event_log, "user-a", registered(), *history)
    build(projector)
    (user,) = models.users()
    assert user.is_admin is is_admin


def test_a_removed_user_is_gone_and_whoever_follows_has_its_own_number_and_address(
    event_log: EventLog, projector: Projector, models: ReadModels
) -> None:
    record(event_log, "user-a", registered(), GRANTED, REMOVED)
    build(projector)
    assert (models.users(), models.user_stream(1)) == ([], None)
    record(event_log, "user-a", registered(2, email="ADA@example.com"), first_version=4)
    build(projector)
    assert models.users() == [
        UserRow(2, "user-a", False, 7, "", "", "ADA@example.com")  # noqa: FBT003
    ]
    assert (models.user_stream(1), models.user_stream(2)) == (None, "user-a")


def test_an_erased_tenants_users_have_no_address(
    event_log: EventLog, projector: Projector, models: ReadModels
) -> None:
    record(event_log, "user-a", registered(app_id=0))
    build(projector)
    event_log.tenant_keys.destroy("app-3")
    (user,) = models.users()
    assert (user.user_id, user.email) == (1, "")


def test_all_of_it_can_be_built_anew(
    event_log: EventLog, projector: Projector, models: ReadModels
) -> None:
    record(event_log, "user-a", registered(), GRANTED, REMOVED, registered(2))
    record(event_log, "app-7", APP)
    build(projector)
    before = models.users()
    assert before
    rebuild(event_log, PROJECTIONS)
    assert models.users() == before


@pytest.fixture
def borrowings(event_log: EventLog, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Return one entry for each time somebody takes a connection to ask something."""
    taken: list[int] = []
    take = event_log.pool.connection

    def counted(*args: Any, **kwargs: Any) -> AbstractContextManager[Any]:  # noqa: ANN401
        taken.append(1)
        return take(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(event_log.pool, "connection", counted)
        yield taken


def test_many_users_of_many_tenants_are_few_queries(
    event_log: EventLog,
    journal: Journal,
    projector: Projector,
    models: ReadModels,
    borrowings: list[int],
) -> None:
    emails = {number: f"user-{number}@example.com" for number in range(1, 201)}
    writes = [
        Write(f"user-{number}", 1, (registered(number, email=email),), f"app-{number}")
        for number, email in emails.items()
    ]
    journal.write(Append(writes=writes))
    build(projector)
    event_log.tenant_keys.forget()
    borrowings.clear()
    assert {user.user_id: user.email for user in models.users()} == emails
    assert len(borrowings) == 2
