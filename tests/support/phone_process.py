"""What a web process has of phones, without HTTP and sockets: several of them share a database.

with PhoneProcess(database_url) as process:
    phone = process.connect("dev_1")
    (key,) = process.queue("hello")
    eventually_equal(lambda: phone.keys, [key])
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Self

import gevent

from signalbox.actors.phone_lines import (
    PHONE_EVENTS,
    LineEnd,
    LiveLine,
    PhoneLines,
    PushedSms,
    Timing,
)
from signalbox.actors.phone_messages import PHONE_MESSAGE_EVENTS, OutboundRequest, PhoneMessages
from signalbox.domain import phone, phone_message
from signalbox.domain.names import names_of
from signalbox.domain.phone import SimCard
from signalbox.domain.phone_message import Reported, ReportStatus
from signalbox.domain.phone_rules import PhoneRules
from signalbox.eventstore.follower import Follower
from signalbox.eventstore.journal import Journal
from signalbox.eventstore.log import EventLog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from psycopg.rows import TupleRow

    from signalbox.domain.phone import Lost
    from signalbox.domain.phone_message import Sim

SECRET_KEY: Final = "a secret key for tests, long enough"
OWNER: Final = "usr_0000000000000000000000000a"
RULES: Final[dict[str, Any]] = {
    "ttl_s": 3600.0, "pending_max": 5_000, "rate_per_s": 0.0, "window": 50, "repush_s": 0.3,
}  # fmt: skip
TIMING: Final[dict[str, Any]] = {"look_s": 0.2, "patience_s": 1.0, "close_s": 1.0}
ONE: Final = (SimCard(0, "+491700000001", "one"),)
TWO: Final = (SimCard(1, "+491700000002", "two"),)
_names = count(1)
_recipients = count(10_000_000)


@dataclass(eq=False)
class FakePhone:
    """A phone at the end of a line; `answers` is called with everything it gets."""

    pushed: list[PushedSms] = field(default_factory=list)
    ended: list[LineEnd] = field(default_factory=list)
    answers: Callable[[PushedSms], object] | None = None
    is_quiet: bool = False
    heard_s: float = field(default_factory=monotonic)
    _live: LiveLine | None = None

    def push(self, sms: PushedSms) -> None:
        self.pushed.append(sms)
        if self.answers is not None:
            gevent.spawn(self.answers, sms)

    def end(self, reason: LineEnd) -> None:
        self.ended.append(reason)

    @property
    def heard_ago_s(self) -> float:
        return monotonic() - self.heard_s

    @property
    def live(self) -> LiveLine:
        """Its line, once it is connected."""
        assert self._live is not None
        return self._live

    @live.setter
    def live(self, live: LiveLine) -> None:
        self._live = live

    @property
    def keys(self) -> list[str]:
        """What it got, by keys, in order."""
        return [sms.key for sms in self.pushed]

    def leave(self, reason: Lost = "closed") -> None:
        """Hang up."""
        self.live.disconnect(reason)


class PhoneProcess:
    """Lines, queues and messages of one owner; keyword arguments change its `RULES`.

    A `deaf` one hears of no commit but by looking now and then.
    """

    def __init__(
        self,
        url: str,
        *,
        timing: dict[str, Any] | None = None,
        last_phone: dict[str, str] | None = None,
        is_deaf: bool = False,
        **rules: Any,  # noqa: ANN401  whatever rules have
    ) -> None:
        self.rules = PhoneRules(**{**RULES, **rules})
        self.log = EventLog(url, SECRET_KEY)
        self.journal = Journal(self.log)
        self.messages = PhoneMessages(self.log, self.journal, lambda _: self.rules)
        self.name = f"process-{next(_names)}"
        self.last_phone = last_phone or {}
        self.lines = PhoneLines(
            self.log,
            self.journal,
            lambda _: self.rules,
            self.name,
            self._last_phone,
            timing=Timing(**{**TIMING, **(timing or {})}),
        )
        self._is_deaf = is_deaf
        self.follower = Follower(
            self.log, [*PHONE_EVENTS, *PHONE_MESSAGE_EVENTS], self._follow, self._work_waits
        )
        assert self.follower.listening.wait(5)
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._is_closed:
            self.close()

    def connect(
        self,
        phone_id: str = "dev_1",
        sims: Sequence[SimCard] | None = None,
        *,
        anonymous: bool = False,
        is_ready: bool = True,
        answers: Callable[[PushedSms], object] | None = None,
    ) -> FakePhone:
        """Connect a phone of `OWNER`."""
        fake = FakePhone(answers=answers)
        fake.live = self.lines.connect(OWNER, phone_id, fake, anonymous=anonymous)
        if is_ready:
            fake.live.ready()
        if sims is not None:
            fake.live.report_sims(sims)
        return fake

    def queue(self, *texts: str, sim: Sim | None = None, to: str = "") -> list[str]:
        """Queue texts of `OWNER`, each to somebody else unless `to` says who."""
        requests = [
            OutboundRequest(to=to or f"+49170{next(_recipients)}", text=text, sim=sim)
            for text in texts
        ]
        return self.messages.queue(OWNER, requests, by="test")

    def report(self, key: str, status: Reported = "sent") -> None:
        """Tell what became of a message."""
        at_s = self.journal.now().timestamp()
        self.messages.report(OWNER, key, ReportStatus(status=status, at_s=at_s), by="test")

    def sends(self, sms: PushedSms) -> None:
        """Be a phone that sends what it gets."""
        self.report(sms.key)

    def history(self, key: str) -> list[phone_message.Event]:
        """Return the events of a message."""
        recorded = self.log.read(phone_message.stream_of(OWNER, key))
        events = [one.event for one in recorded]
        assert all(isinstance(event, phone_message.Event) for event in events), events
        return events  # type: ignore[return-value]  # asserted the line above

    def names(self, key: str) -> list[str]:
        """Return the class names of a message's events."""
        return [type(event).__name__ for event in self.history(key)]

    def phone_history(self, phone_id: str = "dev_1") -> list[phone.Event]:
        """Return the events of a phone's lines, oldest first."""
        topics = names_of(phone.PhoneConnected, phone.SimsReported, phone.PhoneDisconnected)
        return [
            one.event
            for batch in self.log.everything(topics=list(topics))
            for one in batch
            if isinstance(one.event, phone.Event) and one.event.phone_id == phone_id
        ]

    def online(self) -> list[str]:
        """Return the phones that are online anywhere."""
        return [line.phone_id for line in self.lines.online(OWNER)]

    def crash(self) -> None:
        """Stop as a killed process does: nothing more is written, no line is ended."""
        self._is_closed = True
        lines = self.lines
        feeder = lines._queues._feeder  # noqa: SLF001  no farewell
        for helper in (lines._watch, lines._rows, feeder):  # noqa: SLF001  same
            helper._greenlet.kill()  # noqa: SLF001  same
        for ref in lines._queues._running.values():  # noqa: SLF001  same
            ref.stop()
        self.follower.close()
        self.journal.close(timeout_s=0)
        self.log.close()

    def close(self) -> None:
        """Stop politely."""
        self._is_closed = True
        self.lines.close()
        self.follower.close()
        self.journal.close(timeout_s=1)
        self.log.close()

    def _last_phone(self, owner: str, digests: Sequence[str]) -> dict[str, str]:
        assert owner == OWNER
        return {one: self.last_phone[one] for one in digests if one in self.last_phone}

    def _follow(self, rows: list[TupleRow]) -> None:
        for row in rows:
            recorded = self.log.decode_row(row, hidden="")
            self.lines.follow(recorded)
            if row[3] in PHONE_MESSAGE_EVENTS:
                self.messages.follow(recorded)

    def _work_waits(self, words: frozenset[str]) -> None:
        if not (self._is_deaf and words):
            self.lines.work_waits(words)
