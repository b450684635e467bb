"""Turning messages away that a content filter refuses: durably, before the caller is told.

A request whose message was accepted earlier, before the filter came, keeps that result: a filter
decides on what is new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import gevent

from signalbox.actors.ids import uuid7
from signalbox.domain import rejection as domain
from signalbox.domain.errors import RejectedByFilter
from signalbox.eventstore import metrics
from signalbox.eventstore.errors import Conflict, Unavailable
from signalbox.eventstore.journal import Append, Write

if TYPE_CHECKING:
    from signalbox.actors.filters import Filters
    from signalbox.actors.sending import SendRequest
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog


class Doorman:
    """Asks the filters about every new message of this process."""

    def __init__(self, log: EventLog, journal: Journal, filters: Filters) -> None:
        self._log = log
        self._journal = journal
        self._filters = filters

    def admit(self, request: SendRequest, stream_id: str) -> None:
        """Return if the message may become the stream.

        Raises:
            RejectedByFilter: a filter refuses it; that is in the log.
            Conflict: it would be refused, but the stream exists from an earlier request.
            Unavailable: the store did not take the verdict in time.
        """
        name = self._filters.refusing(request)
        if name is None:
            return
        if request.is_repeatable and self._log.read(stream_id):
            raise Conflict(stream_id, 1)
        self._record(name, request)
        metrics.REJECTED.labels(name).inc()
        raise RejectedByFilter(name)

    def _record(self, name: str, request: SendRequest) -> None:
        command = domain.RejectMessage(
            filter=name,
            app_id=request.app_id,
            link_id=request.link_id,
            source=request.source,
            destination=request.destination,
            transaction_id=request.transaction_id,
            campaign=request.campaign,
        )
        stream_id, tenant_id = domain.stream_of(str(uuid7())), f"app-{request.app_id}"
        append = Append(
            writes=(Write(stream_id, 1, domain.decide(command), tenant_id),),
            by=request.by,
            request_id=request.request_id,
            wait_s=self._journal.wait_s_max,
        )
        try:
            self._journal.append(append).get(timeout=self._journal.wait_s_max + 1)
        except gevent.Timeout:
            raise Unavailable("store does not answer") from None
