"""The live read models of a test's log, and who reads them."""

from collections.abc import Iterator

import pytest
from support.histories import T0_S

from signalbox.eventstore.log import EventLog
from signalbox.projections.models import PROJECTIONS
from signalbox.projections.projector import Projector
from signalbox.projections.readers import ReadModels


@pytest.fixture
def projector(event_log: EventLog) -> Iterator[Projector]:
    projector = Projector(event_log, PROJECTIONS, batch_events_max=5)
    projector.prepare()
    yield projector
    projector.close()


@pytest.fixture
def models(event_log: EventLog) -> ReadModels:
    return ReadModels(event_log, now_s=lambda: T0_S + 1.5)
