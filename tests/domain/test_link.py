"""What operators and the configuration can do to a link."""

from collections.abc import Sequence
from functools import reduce
from typing import Final

import pytest

from signalbox.domain.errors import LinkIsDisabled, UnknownLink
from signalbox.domain.link import (
    Command,
    ConfigureLink,
    Event,
    Link,
    LinkConfigured,
    LinkRemoved,
    LinkSpec,
    LinkToggled,
    RemoveLink,
    ToggleLink,
    decide,
    evolve,
    stream_of,
)

SPEC: Final = LinkSpec(name="a", host="smsc.example", port=2775, system_id="us")
FASTER: Final = LinkSpec(name="a", host="smsc.example", port=2775, system_id="us", tps=200)
OFF: Final = LinkSpec(name="a", host="smsc.example", port=2775, system_id="us", enabled=False)
CONFIGURED: Final = LinkConfigured(SPEC)


def replay(history: Sequence[Event]) -> Link:
    return reduce(evolve, history, Link(1))


def when(command: Command, given: Sequence[Event] = ()) -> tuple[Event, ...]:
    return decide(replay(given), command)


def test_a_link_is_configured_for_the_first_time() -> None:
    assert when(ConfigureLink(SPEC)) == (CONFIGURED,)
    assert replay((CONFIGURED,)) == Link(1, SPEC, enabled=True)


def test_the_same_configuration_again_changes_nothing() -> None:
    assert when(ConfigureLink(SPEC), given=(CONFIGURED,)) == ()


def test_a_changed_configuration_is_told() -> None:
    assert when(ConfigureLink(FASTER), given=(CONFIGURED,)) == (LinkConfigured(FASTER),)


def test_a_link_configured_off_begins_off() -> None:
    assert replay((LinkConfigured(OFF),)) == Link(1, OFF, enabled=False)


def test_what_an_operator_switched_off_stays_off_when_the_configuration_changes() -> None:
    history = (CONFIGURED, LinkToggled(enabled=False), LinkConfigured(FASTER))
    assert replay(history) == Link(1, FASTER, enabled=False)


def test_an_operator_switches_a_link_off_and_on() -> None:
    off, on = LinkToggled(False, "maintenance"), LinkToggled(True, "done")  # noqa: FBT003
    assert when(ToggleLink(False, "maintenance"), given=(CONFIGURED,)) == (off,)  # noqa: FBT003
    assert when(ToggleLink(True, "done"), given=(CONFIGURED, off)) == (on,)  # noqa: FBT003
    assert replay((CONFIGURED, off, on)).enabled


def test_switching_to_what_it_is_already_changes_nothing() -> None:
    assert when(ToggleLink(enabled=True), given=(CONFIGURED,)) == ()


def test_only_a_link_that_is_on_takes_messages() -> None:
    replay((CONFIGURED,)).require_enabled()
    with pytest.raises(LinkIsDisabled, match="link disabled"):
        replay((CONFIGURED, LinkToggled(enabled=False))).require_enabled()


@pytest.mark.parametrize("history", [(), (CONFIGURED, LinkRemoved())])
def test_a_link_that_is_not_configured_is_unknown(history: Sequence[Event]) -> None:
    with pytest.raises(UnknownLink, match="unknown esme"):
        replay(history).require_enabled()
    with pytest.raises(UnknownLink):
        when(ToggleLink(enabled=True), given=history)


def test_a_link_is_taken_away_once() -> None:
    assert when(RemoveLink(), given=(CONFIGURED,)) == (LinkRemoved(),)
    assert when(RemoveLink(), given=(CONFIGURED, LinkRemoved())) == ()
    assert when(RemoveLink()) == ()
    assert replay((CONFIGURED, LinkRemoved())) == Link(1)


@pytest.mark.parametrize("spec", [SPEC, OFF])
def test_a_link_that_comes_back_begins_as_its_configuration_says(spec: LinkSpec) -> None:
    history = (CONFIGURED, LinkToggled(enabled=False), LinkRemoved())
    assert when(ConfigureLink(spec), given=history) == (LinkConfigured(spec),)
    assert replay((*history, LinkConfigured(spec))) == Link(1, spec, enabled=spec.enabled)


def test_links_of_one_account_at_one_smsc_share_its_receipts() -> None:
    assert SPEC.account == FASTER.account == "smsc.example:2775/us"


def test_the_stream_of_a_link_is_named_after_its_number() -> None:
    assert stream_of(12) == "link-12"
