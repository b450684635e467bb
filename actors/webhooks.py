"""Where owners want to be told what happens: set, shown and taken back in any process.

configure ──▶ WebhookConfigured, and the secret that signs callbacks, shown this once
disable, remove ──▶ WebhookDisabled, WebhookRemoved
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, get_args

from signalbox.actors.streams import Streams
from signalbox.actors.transports.outside import NotOutside, Unresolved
from signalbox.domain import webhook as domain
from signalbox.domain.errors import InvalidField
from signalbox.domain.names import names_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from signalbox.actors.transports.outside import Outside
    from signalbox.domain.names import Event
    from signalbox.domain.webhook import Webhook
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.mapper import Recorded

WEBHOOK_EVENTS: Final = names_of(*get_args(domain.Event))
SECRET_PREFIX: Final = "whsec_"  # noqa: S105  what comes before a secret is none
SECRET_CHARS: Final = 32  # of base62: 190 bits
BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
BY: Final = "callbacks"


@dataclass(frozen=True, slots=True)
class Configured:
    """A webhook as it is now; `secret` is empty when it has kept the one it had."""

    webhook: Webhook
    secret: str = ""


class Webhooks:
    """The webhooks of all owners. Its methods raise `Unavailable`."""

    def __init__(self, log: EventLog, journal: Journal, outside: Outside) -> None:
        self._box = log.secrets
        self._outside = outside
        self._streams: Streams[Webhook | None] = Streams(log, journal, None, _evolve)

    def configure(
        self,
        owner: str,
        url: str,
        kinds: Iterable[str] = domain.KINDS,
        *,
        new_secret: bool = False,
        by: str = "",
        request_id: str = "",
    ) -> Configured:
        """Set where an owner's callbacks go, which also enables them again; durable on return.

        Raises: `InvalidField` for a URL that can't be called (of "url") or unknown kinds ("kinds").
        """
        self._require_outside(url)
        wanted = frozenset(kinds)
        secret = SECRET_PREFIX + "".join(secrets.choice(BASE62) for _ in range(SECRET_CHARS))
        sealed = self._box.seal(secret)

        def decide(webhook: Webhook | None, _at_s: float) -> tuple[domain.Event, ...]:
            kept = sealed if webhook is None or new_secret else webhook.secret_sealed
            command = domain.ConfigureWebhook(url=url, secret_sealed=kept, kinds=wanted)
            return domain.decide(webhook, command)

        stream_id = domain.stream_of(owner)
        self._streams.change(stream_id, decide, tenant_id=owner, by=by, request_id=request_id)
        webhook = self._streams.newest(stream_id)
        if webhook is None:  # Removed in this very moment: so it was configured before that.
            webhook = domain.Webhook(url=url, secret_sealed=sealed, kinds=wanted)
        return Configured(webhook, secret if webhook.secret_sealed == sealed else "")

    def show(self, owner: str) -> Webhook | None:
        """Return an owner's webhook as the log has it, None when there is none."""
        return self._streams.newest(domain.stream_of(owner))

    def disable(self, owner: str, *, by: str = "", request_id: str = "") -> None:
        """Stop an owner's callbacks until they are configured again."""
        self._tell(owner, domain.DisableWebhook(domain.BY_OWNER), by=by, request_id=request_id)

    def remove(self, owner: str, *, by: str = "", request_id: str = "") -> None:
        """Forget an owner's webhook and its secret."""
        self._tell(owner, domain.RemoveWebhook(), by=by, request_id=request_id)

    def known(self, owner: str) -> Webhook | None:
        """Return an owner's webhook as far as this process was told by `follow`."""
        return self._streams.remembered(domain.stream_of(owner))

    def follow(self, recorded: Recorded) -> None:
        """Take what the log has of a webhook."""
        self._streams.follow(recorded)

    def secret(self, webhook: Webhook) -> bytes:
        """Return what an owner's callbacks are signed with."""
        return self._box.open(webhook.secret_sealed).encode()

    def taken(self, owner: str) -> None:
        """Note that the receiver took a callback."""
        webhook = self.known(owner)
        if webhook is not None and webhook.failures:
            self._tell(owner, domain.RecordTaken(), by=BY)

    def missed(self, owner: str, callback_id: str, failures_max: int) -> None:
        """Note that a callback was given up; too many in a row disable the webhook."""
        command = domain.RecordMissed(callback_id=callback_id, failures_max=failures_max)
        self._tell(owner, command, by=BY)

    def gone(self, owner: str) -> None:
        """Note that the receiver said that it is not there any more."""
        self._tell(owner, domain.DisableWebhook(domain.GONE), by=BY)

    def _tell(self, owner: str, command: domain.Command, *, by: str, request_id: str = "") -> None:
        self._streams.change(
            domain.stream_of(owner),
            partial(_decide, command),
            tenant_id=owner,
            by=by,
            request_id=request_id,
        )

    def _require_outside(self, url: str) -> None:
        """Refuse a URL that leads inside; a name that nobody knows now may be known later."""
        parts = domain.read_url(url)
        try:
            with suppress(Unresolved):
                self._outside.addresses(parts.host, parts.port)
        except NotOutside as error:
            raise InvalidField("url", str(error)) from error


def _decide(
    command: domain.Command, webhook: Webhook | None, _at_s: float
) -> tuple[domain.Event, ...]:
    return domain.decide(webhook, command)


def _evolve(webhook: Webhook | None, event: Event, _at_s: float) -> Webhook | None:
    assert isinstance(event, domain.Event), event
    return domain.evolve(webhook, event)
