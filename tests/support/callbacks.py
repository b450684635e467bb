"""The part of a relay that calls webhooks back, in this process, on a real database.

The events are those of links and handsets, which have nothing to do with webhooks: callbacks don't
care what they tell.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import gevent

from signalbox.actors.callback_topics import Told, Topic
from signalbox.actors.webhooks import WEBHOOK_EVENTS
from signalbox.domain import callback as domain
from signalbox.domain.inbound import MoReceived
from signalbox.domain.link import LinkToggled
from signalbox.eventstore.follower import Follower
from signalbox.eventstore.journal import Append, Journal, Write
from signalbox.eventstore.leases import LeaseKeeper
from signalbox.ops.callback_section import Callbacks as Section
from signalbox.ops.callbacks import Callbacks, webhooks_of
from signalbox.ops.sections import Leases
from signalbox.ops.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg.rows import TupleRow

    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.mapper import Recorded

PARTITIONS: Final = 32
OWNER: Final = "usr_1"


def tell_text(stream: Sequence[Recorded], version: int) -> Told:
    event = stream[version - 1].event
    assert isinstance(event, MoReceived)
    return Told("message.received", {"from": event.source, "text": event.text})


def tell_switch(stream: Sequence[Recorded], version: int) -> Told:
    event = stream[-1].event
    assert isinstance(event, LinkToggled)
    return Told("phone.switched", {"on": event.enabled, "version": version})


TOPICS: Final = {
    MoReceived: Topic("inbound", tell_text),
    LinkToggled: Topic("presence", tell_switch),
}


def settings(lease_s: float = 3.0, **section: Any) -> Settings:  # noqa: ANN401
    """Return settings that allow the loopback."""
    return Settings(
        home=Path("/nonexistent"),
        leases=Leases(
            partitions=PARTITIONS, ttl_s=lease_s, renew_s=lease_s / 6, safety_s=lease_s / 3
        ),
        callbacks=Section(**{"allowed_networks": ("127.0.0.0/8",), "timeout_s": 5.0, **section}),
    )


class Relay:
    """A relay that only calls back; `webhooks` is what owners configure theirs with."""

    def __init__(self, log: EventLog, **changes: Any) -> None:  # noqa: ANN401
        chosen = settings(**changes)
        self.log = log
        self.journal = Journal(log)
        self.webhooks = webhooks_of(chosen, log, self.journal)
        self.callbacks = Callbacks(chosen, log, self.journal, TOPICS)
        self.follower = Follower(log, WEBHOOK_EVENTS, self._follow, self.callbacks.work_waits)
        assert self.follower.listening.wait(5)
        leases = chosen.leases
        self.keeper = LeaseKeeper(
            log, self.callbacks.gained, self.callbacks.lost, self.callbacks.leaving,
            partitions=leases.partitions, ttl_s=leases.ttl_s, renew_s=leases.renew_s,
            safety_s=leases.safety_s,
        )  # fmt: skip
        self.callbacks.use(self.keeper)
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _follow(self, rows: list[TupleRow]) -> None:
        for row in rows:
            self.callbacks.follow(self.log.decode_row(row))

    def close(self) -> None:
        """Stop politely; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self.callbacks.drain()
            self.keeper.close()
            self.follower.close()
            self.journal.close()

    def crash(self) -> None:
        """Stop as a killed process does: nothing more is written, leases stay taken."""
        self._closed = True
        gevent.killall(self.keeper._greenlets)  # noqa: SLF001  no release
        self.journal.close(timeout_s=0)
        self.follower.close()
        for partition in range(PARTITIONS):
            self.callbacks.lost(partition)


def texts(journal: Journal, *numbers: int, owner: str = OWNER) -> None:
    """Let handsets of an owner send a text each, with these numbers in it."""
    for number in numbers:
        event = MoReceived(
            link_id=1, source="4917100", destination="4915112", text=f"text {number}", parts=1
        )
        journal.write(Append(writes=[Write(f"mo-{owner}-{number}", 1, [event], owner)]))


def switch(journal: Journal, version: int = 1, owner: str = OWNER) -> None:
    """Let something of an owner's be switched."""
    write = Write(f"link-{owner}", version, [LinkToggled(enabled=True)], owner)
    journal.write(Append(writes=[write]))


def told(log: EventLog, owner: str = OWNER) -> list[list[str]]:
    """Return what became of each callback of an owner: the names of its events, oldest first."""
    streams: dict[str, list[str]] = {}
    for batch in log.everything():
        for recorded in batch:
            if isinstance(recorded.event, domain.Event) and recorded.tenant_id == owner:
                names = streams.setdefault(recorded.stream_id, [])
                names.append(type(recorded.event).__name__.removeprefix("Callback"))
    return list(streams.values())


def events_of(log: EventLog, *classes: type) -> list[Any]:
    """Return every event of some classes, oldest first."""
    return [one.event for batch in log.everything() for one in batch
            if isinstance(one.event, classes)]  # fmt: skip
