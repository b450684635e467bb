"""The actor that decides for an address that is warmed up, in any process.

    Decide ──▶ those before it ──▶ read what is new ──▶ decide ──▶ append ──▶ Decided ──▶ reply
                                          ▲                            │
                                          └─── another was first ──────┘

It decides in the order of its inbox, one command at a time, and its loop never waits for a commit.
Other processes have an actor for the same address: the expected version sees to it that nobody
decides by an old state. One that nobody asks anything stops; its stream is all that it is.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from signalbox.actors.runtime import Actor
from signalbox.actors.streams import pause_s
from signalbox.domain import sending_ip as domain
from signalbox.domain.errors import Refused
from signalbox.eventstore.errors import Conflict, Unavailable
from signalbox.eventstore.journal import Append, Write

if TYPE_CHECKING:
    from gevent.event import AsyncResult

    from signalbox.domain.sending_ip import SendingIp
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.mapper import Recorded

IDLE_S: Final = 60.0  # it stops when nobody has asked anything for so long


@dataclass(frozen=True, slots=True, eq=False)
class Decide:
    """Decide on a command; `reply` gets the stream's version then, or what went wrong.

    Who gives up waiting sets the reply; what was not decided on by then never is.
    """

    command: domain.Command
    by: str
    request_id: str
    reply: AsyncResult


@dataclass(frozen=True, slots=True, eq=False)
class Decided:
    """The journal is done with what was decided upon `ask`: stored up to `version`, or not."""

    ask: Decide
    version: int
    result: AsyncResult


@dataclass(frozen=True, slots=True)
class Followed:
    """The log has a new event of this address."""

    recorded: Recorded


@dataclass(frozen=True, slots=True)
class Rest:
    """It is time to stop, if there is nothing to do."""


class SendingIpActor(Actor):
    """Decides for one address; see `receive` for what it is told."""

    def __init__(self, ip: str, log: EventLog, journal: Journal) -> None:
        super().__init__(domain.stream_of(ip), log.pool)
        self._log = log
        self._journal = journal
        self._asks: deque[Decide] = deque()  # The first is the one that is being decided on.
        self._is_appending = False
        self._conflicts = 0

    @override
    def restore(self) -> None:
        self._ip: SendingIp | None = None
        self._version = 0
        self._catch_up()

    @override
    def on_start(self) -> None:
        super().on_start()
        self.tell_later(IDLE_S, Rest())

    @override
    def on_stop(self) -> None:
        super().on_stop()
        for ask in self._asks:
            ask.reply.set_exception(Unavailable("address is let go of"))

    @override
    def receive(self, message: object) -> None:
        match message:
            case Decide():
                self._queue(message)
            case Decided() if message.ask in self._asks:
                self._decided(message)
            case Followed(recorded):
                self._take(recorded)
            case Rest():
                self._rest()

    def _rest(self) -> None:
        if self._asks or not self.actor_inbox.empty():
            self.tell_later(IDLE_S, Rest())
        else:
            self.stop()

    def _queue(self, ask: Decide) -> None:
        """Decide if it is first; it comes again when those before it are done."""
        if ask not in self._asks:
            self._asks.append(ask)
        if self._asks[0] is ask and not self._is_appending:
            self._decide(ask)

    def _decide(self, ask: Decide) -> None:
        try:
            if not ask.reply.ready():
                self._catch_up()
                self._append(ask)
        except (Refused, Unavailable) as refusal:
            ask.reply.set_exception(refusal)
        if not self._is_appending:
            self._done(ask)

    def _append(self, ask: Decide) -> None:
        """Hand what follows to the journal; where nothing does, that is the answer."""
        events = domain.decide(self._ip, ask.command, self._journal.now().timestamp())
        if not events:
            ask.reply.set(self._version)
            return
        append = Append(
            writes=(Write(self.name, self._version + 1, events),),
            by=ask.by,
            request_id=ask.request_id,
            wait_s=self._journal.wait_s_max,
        )
        version = self._version + len(events)
        result = self._journal.append(append)
        self._is_appending = True
        result.rawlink(lambda done: self._tell_self(Decided(ask, version, done)))

    def _decided(self, decided: Decided) -> None:
        self._is_appending = False
        ask, error = decided.ask, decided.result.exception
        if isinstance(error, Conflict):
            self.tell_later(pause_s(self._conflicts), ask)
            self._conflicts += 1
            return
        if error is None:
            ask.reply.set(decided.version)
        else:
            ask.reply.set_exception(error)
        self._done(ask)

    def _done(self, ask: Decide) -> None:
        """Go on with the next: as a message, so that what fails is parked for what it is."""
        self._asks.remove(ask)
        self._conflicts = 0
        if self._asks:
            self._tell_self(self._asks[0])
        else:
            self.tell_later(IDLE_S, Rest())

    @override
    def _park(self, message: object, error: Exception) -> None:
        super()._park(message, error)
        ask = message.ask if isinstance(message, Decided) else message
        if isinstance(ask, Decide) and ask in self._asks:
            ask.reply.set_exception(Unavailable("address could not be decided on"))
            self._done(ask)

    def _catch_up(self) -> None:
        with self._log.turns:
            news = self._log.read(self.name, after=self._version)
        for recorded in news:
            self._take(recorded)

    def _take(self, recorded: Recorded) -> None:
        """Apply an event that is the next one; who decides reads those between first."""
        if recorded.version == self._version + 1:
            assert isinstance(recorded.event, domain.Event), recorded
            self._ip = domain.evolve(self._ip, recorded.event, recorded.at_s)
            self._version = recorded.version
