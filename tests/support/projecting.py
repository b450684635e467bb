"""A projector in this process.

with projecting(database_url):
    ...  # whatever is read is up to date soon
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

import gevent
from gevent.event import Event
from support.gateway import LOOK_S

from signalbox.eventstore.log import EventLog
from signalbox.projections.models import PROJECTIONS
from signalbox.projections.projector import Projector

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET_KEY: Final = "a secret key for tests, long enough"


@contextmanager
def projecting(database_url: str) -> Iterator[None]:
    """Keep the read models up to date."""
    ends = Event()
    with (
        closing(EventLog(database_url, SECRET_KEY)) as log,
        closing(Projector(log, PROJECTIONS)) as projector,
    ):
        projector.prepare()

        def project() -> None:
            while not ends.wait(LOOK_S):
                projector.advance()

        greenlet = gevent.spawn(project)
        try:
            yield
        finally:
            ends.set()
            greenlet.get()  # Killed in the middle of a query it would break the connection.
