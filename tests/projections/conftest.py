"""The live read models of a test's log, and who reads them."""

from collections.abc import Iterator

import pytest
from support.histories import T0_S
from support.mail_histories import Told
from support.phone_histories import Seen

from signalbox.eventstore.log import EventLog
from signalbox.projections.mail_readers import MailModels
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


@pytest.fixture
def seen(event_log: EventLog, projector: Projector, models: ReadModels) -> Seen:
    return Seen(event_log, projector, models)


@pytest.fixture
def told(event_log: EventLog, projector: Projector) -> Told:
    return Told(event_log, projector, MailModels(event_log, now_s=lambda: T0_S + 1_000.0))
