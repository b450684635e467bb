"""Gateways for the tests of the actors: started with a call, closed when the test ends."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from support.gateway import Gateway, StartGateway

from signalbox.eventstore.log import EventLog


@pytest.fixture
def start_gateway(event_log: EventLog) -> Iterator[StartGateway]:
    with ExitStack() as running:

        def start(*ports: int, **changes: Any) -> Gateway:  # noqa: ANN401
            return running.enter_context(Gateway(event_log, *ports, **changes))

        yield start
