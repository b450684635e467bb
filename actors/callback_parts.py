"""What the senders of callbacks share: their parts, and the requests made with them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from signalbox.actors.transports.callbacks import Answer, body_of, signed
from signalbox.domain import callback as callbacks
from signalbox.eventstore import metrics
from signalbox.eventstore.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gevent.lock import Semaphore

    from signalbox.actors.callback_inbox import Waiting
    from signalbox.actors.callback_topics import Topic
    from signalbox.actors.webhooks import Webhooks
    from signalbox.domain import names
    from signalbox.domain.webhook import Webhook
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog

log = logging.getLogger(__name__)

PATIENCE: Final = callbacks.Patience()
_OUTCOMES: Final[Mapping[type[callbacks.Event], str]] = {
    callbacks.CallbackDelivered: "delivered",
    callbacks.CallbackFailed: "failed",
    callbacks.CallbackAbandoned: "abandoned",
}


@dataclass(frozen=True, slots=True)
class Request:
    """What is posted."""

    url: str
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """What all senders of a process go by; `slots` are the requests it may have open at once.

    `in_flight_max` is for one owner; after `failures_max` callbacks that were given up in a row a
    webhook is disabled.
    """

    log: EventLog
    journal: Journal
    webhooks: Webhooks
    topics: Mapping[type[names.Event], Topic]
    post: Callable[[str, bytes, Mapping[str, str]], Answer]
    slots: Semaphore
    patience: callbacks.Patience = PATIENCE
    in_flight_max: int = 4
    failures_max: int = 20

    def now_s(self) -> float:
        """Return the time by the journal's clock, Unix seconds."""
        return self.journal.now().timestamp()

    def request(self, waiting: Waiting, webhook: Webhook) -> Request:
        """Make what is told from the log as it is, and sign it. Raises: one of `TROUBLE`."""
        callback = waiting.callback
        with self.log.turns:
            until = self.log.read(callback.about)[: callback.cause_version]
            cause = until[callback.cause_version - 1]
            topic = self.topics[type(cause.event)]
            beside = [one for name in topic.beside(cause) for one in self.log.read(name)]
        before = [one for one in beside if one.position < cause.position]
        told = topic.tell([*before, *until], cause.version)
        body = body_of(waiting.callback_id, told, cause.at)
        secret = self.webhooks.secret(webhook)
        headers = signed(waiting.callback_id, body, secret, int(self.now_s()))
        return Request(webhook.url, body, headers)

    def tell(self, waiting: Waiting, event: callbacks.Event) -> None:
        """Count what became of a callback, and let the webhook know whether anybody listens."""
        metrics.CALLBACKS.labels(_OUTCOMES[type(event)]).inc()
        try:
            self._tell_webhook(waiting, event)
        except Unavailable as error:  # One more or less in a row: the next one is counted.
            log.warning("webhook can't be told", extra={"error": error.reason})

    def _tell_webhook(self, waiting: Waiting, event: callbacks.Event) -> None:
        owner = waiting.callback.owner
        match event:
            case callbacks.CallbackDelivered():
                self.webhooks.taken(owner)
            case callbacks.CallbackAbandoned(reason=callbacks.RECEIVER_GONE):
                self.webhooks.gone(owner)
            case callbacks.CallbackAbandoned(
                reason=callbacks.TOO_OLD | callbacks.REFUSED_TOO_OFTEN
            ):
                self.webhooks.missed(owner, waiting.callback_id, self.failures_max)
