"""Which links may connect when the licence has fewer places than there are links."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import gevent
import pytest
from support.gateway import eventually_equal

from signalbox.actors.licenses import LicensedLinks
from signalbox.domain.license import Limits
from signalbox.domain.link import Link

if TYPE_CHECKING:
    from collections.abc import Callable

    from signalbox.actors.licenses import Licenses
    from signalbox.actors.links import Links

LEAVE_S = 0.1


class Sources:
    """What tells of switches and of licences."""

    def __init__(self) -> None:
        self.limits = Limits(connections_max=2, tps_max=0)
        self._watchers: list[Callable[[Link], None]] = []

    def watch(self, watcher: Callable[[Link], None]) -> None:
        self._watchers.append(watcher)

    def switch(self, link_id: int, *, on: bool) -> None:
        self._watchers[0](Link(link_id, enabled=on))


@pytest.fixture
def sources() -> Sources:
    return Sources()


@pytest.fixture
def licensed(sources: Sources) -> LicensedLinks:
    licensed = LicensedLinks(cast("Links", sources), cast("Licenses", sources), LEAVE_S)
    for link_id in (3, 2, 1):
        sources.switch(link_id, on=True)
    assert connecting(licensed) == [1, 2]
    return licensed


def connecting(licensed: LicensedLinks) -> list[int]:
    return [link_id for link_id in range(1, 5) if link_id in licensed]


def test_a_place_is_free_only_when_the_link_that_had_it_has_gone(
    licensed: LicensedLinks, sources: Sources
) -> None:
    sources.switch(1, on=False)
    assert connecting(licensed) == [2]
    eventually_equal(lambda: connecting(licensed), [2, 3], timeout_s=2)


def test_a_link_that_comes_back_meanwhile_has_its_place_again(
    licensed: LicensedLinks, sources: Sources
) -> None:
    sources.switch(1, on=False)
    sources.switch(1, on=True)
    assert connecting(licensed) == [1, 2]
    gevent.sleep(2 * LEAVE_S)
    assert connecting(licensed) == [1, 2]


def test_switching_where_there_is_room_makes_nobody_wait(
    licensed: LicensedLinks, sources: Sources
) -> None:
    sources.limits = Limits(connections_max=3, tps_max=0)
    sources.switch(3, on=False)
    sources.switch(3, on=True)
    assert connecting(licensed) == [1, 2, 3]
    sources.limits = Limits(connections_max=0, tps_max=0)
    sources.switch(2, on=False)
    sources.switch(4, on=True)
    assert connecting(licensed) == [1, 3, 4]
