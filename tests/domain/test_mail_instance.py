"""The installation of the mail proxy: configured in parts, asked to look for bounces anew."""

from datetime import date
from typing import Any, Final

import pytest

from signalbox.domain.errors import BounceHostMissing, InvalidField
from signalbox.domain.mail_account import Sealed
from signalbox.domain.mail_instance import (
    BouncesReloaded,
    Instance,
    InstanceChanges,
    InstanceUpdated,
    ReloadBounces,
    UpdateInstance,
    day_stream_of,
    decide,
    evolve,
)

NEW: Final = Instance()
NAMED: Final = Instance(name="mx-1", created_at_s=5.0, updated_at_s=5.0)


def update(instance: Instance, at_s: float, **changes: Any) -> Instance:  # noqa: ANN401
    for event in decide(instance, UpdateInstance(InstanceChanges(**changes)), at_s):
        instance = evolve(instance, event)
    return instance


def test_what_is_not_given_stays_as_it_is() -> None:
    named = UpdateInstance(InstanceChanges(name="mx-1"))
    assert decide(NEW, named, 5.0) == (InstanceUpdated(NAMED),)
    there = update(NAMED, 7.0, bounce_imap_host="imap.example.com", bounce_enabled=True)
    assert (there.name, there.bounce_imap_host, there.bounce_enabled) == (
        "mx-1",
        "imap.example.com",
        True,
    )
    assert (there.created_at_s, there.updated_at_s) == (5.0, 7.0)


@pytest.mark.parametrize("changes", [{}, {"name": "mx-1"}])
def test_changing_nothing_changes_nothing(changes: dict[str, Any]) -> None:
    assert decide(NAMED, UpdateInstance(InstanceChanges(**changes)), 9.0) == ()


@pytest.mark.parametrize(
    "changes",
    [{"name": "\0"}, {"bounce_imap_port": 2**31}, {"bounce_poll_interval_s": 0}],
)
def test_what_nobody_could_do_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidField):
        update(NAMED, 9.0, **changes)


@pytest.mark.parametrize(
    "instance",
    [NEW, Instance(bounce_enabled=True, bounce_imap_host="imap.example.com")],
)
def test_bounces_are_looked_for_anew(instance: Instance) -> None:
    assert decide(instance, ReloadBounces(), 9.0) == (BouncesReloaded(),)
    assert evolve(instance, BouncesReloaded()) == instance


def test_bounces_are_not_looked_for_nowhere() -> None:
    with pytest.raises(BounceHostMissing):
        decide(Instance(bounce_enabled=True), ReloadBounces(), 9.0)


def test_the_password_is_not_shown() -> None:
    assert "c2VhbGVk" not in repr(Instance(bounce_imap_password_sealed=Sealed("c2VhbGVk")))
    changes = InstanceChanges(bounce_imap_password_sealed=Sealed("c2VhbGVk"))
    assert "c2VhbGVk" not in repr(changes)


def test_each_day_has_a_stream() -> None:
    assert day_stream_of(date(2026, 12, 5)) == "mail_instance-2026-12-05"
