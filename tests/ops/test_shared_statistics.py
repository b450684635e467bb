"""Statistics are read once for everybody who asks within a moment."""

from time import monotonic

import gevent
import pytest

from signalbox.eventstore.errors import Unavailable
from signalbox.ops.reads import Shared
from signalbox.projections.dashboard import Statistics


class Models:
    """Read models that are slow, and away when told so."""

    def __init__(self) -> None:
        self.reads = 0
        self.away = False

    def statistics(self) -> Statistics:
        self.reads += 1
        gevent.sleep(0.05)
        if self.away:
            raise Unavailable("store does not answer", retry_after_s=7)
        return Statistics(now_s=self.reads, minutes=())


@pytest.fixture
def models() -> Models:
    return Models()


def test_many_who_ask_at_once_are_one_read(models: Models) -> None:
    shared = Shared(models, keep_s=60)  # type: ignore[arg-type]
    asking = [gevent.spawn(shared.read) for _ in range(100)]
    assert {greenlet.get().now_s for greenlet in asking} == {1}
    assert models.reads == 1


def test_old_statistics_are_read_anew(models: Models) -> None:
    shared = Shared(models, keep_s=0.01)  # type: ignore[arg-type]
    assert shared.read().now_s == 1
    gevent.sleep(0.02)
    assert shared.read().now_s == 2


def test_a_store_that_is_away_is_not_asked_by_each_one_in_turn(models: Models) -> None:
    shared = Shared(models, keep_s=0.5)  # type: ignore[arg-type]
    models.away = True
    started_s = monotonic()
    asking = [gevent.spawn(shared.read) for _ in range(100)]
    gevent.joinall(asking)
    assert monotonic() - started_s < 3  # One after the other they would take five seconds.
    assert models.reads == 1
    assert {(str(one.exception), one.exception.retry_after_s) for one in asking} == {
        ("store does not answer", 7)
    }
    models.away = False
    gevent.sleep(0.5)
    assert shared.read().now_s == 2
