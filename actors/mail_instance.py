"""The installation of the mail proxy: its name, where bounces come back to, and how far it read.

update ──▶ InstanceUpdated     reload_bounce ──▶ BouncesReloaded ──▶ whoever looks for bounces
polled ──▶ BouncePolled, so that a restart reads no mailbox again
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, get_args

from signalbox.actors.mail_secrets import MailSecrets
from signalbox.actors.streams import Streams
from signalbox.domain import mail_instance as domain
from signalbox.domain.names import names_of
from signalbox.eventstore.journal import Append, Write

if TYPE_CHECKING:
    from collections.abc import Callable

    from signalbox.domain.mail_instance import BouncePolled, Instance, InstanceChanges
    from signalbox.domain.names import Event
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.mapper import Recorded
    from signalbox.eventstore.recorder import Fence

INSTANCE_EVENTS: Final = names_of(*get_args(domain.Event))
DAYS_MAX: Final = 400
"""How far back it is looked for where the mailbox was read to; bounces are told of once anyway."""


class MailInstance(MailSecrets):
    """What is configured of the installation. One per process; its methods raise `Unavailable`."""

    def __init__(self, event_log: EventLog, journal: Journal) -> None:
        super().__init__(event_log.secrets)
        self._log = event_log
        self._journal = journal
        self._streams: Streams[Instance] = Streams(event_log, journal, domain.Instance(), _evolve)
        self._watchers: list[Callable[[domain.Event], None]] = []

    def get(self) -> Instance:
        """Return the configuration as the log has it."""
        return self._streams.newest(domain.STREAM)

    def known(self) -> Instance:
        """Return the configuration as far as this process was told."""
        return self._streams.remembered(domain.STREAM)

    def update(self, changes: InstanceChanges, *, by: str, request_id: str = "") -> None:
        """Configure some of it anew; stored on return. Raises: `InvalidField`."""
        self._change(domain.UpdateInstance(changes), by, request_id)

    def reload_bounce(self, *, by: str, request_id: str = "") -> None:
        """Have whoever looks for bounces begin anew. Raises: `BounceHostMissing`."""
        self._change(domain.ReloadBounces(), by, request_id)

    def polled(self, poll: BouncePolled, *, fence: Fence | None = None) -> None:
        """Note how far the mailbox was read; stored on return.

        Raises: `Conflict` when another process notes at the same time, `FenceLost`.
        """
        stream_id = domain.day_stream_of(self._journal.now().date())
        version = self._log.last_version(stream_id) + 1
        write = Write(stream_id, version, (poll,))
        append = Append(writes=(write,), fence=fence, wait_s=self._journal.wait_s_max)
        self._journal.write(append)

    def last_poll(self) -> BouncePolled | None:
        """Return how far the mailbox was read; None if never, or too long ago."""
        today = self._journal.now().date()
        for days in range(-1, DAYS_MAX):  # The process that noted it may be ahead of this one.
            stream_id = domain.day_stream_of(today - timedelta(days=days))
            version = self._log.last_version(stream_id)
            for recorded in self._log.read(stream_id, version - 1) if version else ():
                assert isinstance(recorded.event, domain.BouncePolled), recorded
                return recorded.event
        return None

    def on_change(self, watch: Callable[[domain.Event], None]) -> None:
        """Have `watch` called, by `follow`, for every event; it must not block."""
        self._watchers.append(watch)

    def follow(self, recorded: Recorded) -> None:
        """Take what the log has of the installation."""
        self._streams.follow(recorded)
        assert isinstance(recorded.event, domain.Event), recorded
        for watch in self._watchers:
            watch(recorded.event)

    def _change(self, command: domain.Command, by: str, request_id: str) -> None:
        self._streams.change(
            domain.STREAM,
            lambda instance, at_s: domain.decide(instance, command, at_s),
            by=by,
            request_id=request_id,
        )


def _evolve(instance: Instance, event: Event, _at_s: float) -> Instance:
    assert isinstance(event, domain.Event), event
    return domain.evolve(instance, event)
