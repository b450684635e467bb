"""The actor that pushes an owner's messages to the phones whose sockets this process holds.

    inbox ─ PhoneFeeder ─▶ Scanned ─▶ waiting ─ Choice ─▶ OutboundPushed ─ commit ─▶ Line.push
    log ─ follower ─▶ Followed: settled, or pushed by another process

One for each owner with a line here, and only as long. A push is stored before the phone gets it. If
it can't be stored, or somebody else wrote first, the message is read anew. What no line could take
is let go of: the inbox keeps it, and every change of lines looks through the inbox anew.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from signalbox.actors.phone_choice import Choice, Go
from signalbox.actors.phone_feeder import Reread, Scan, Scanned
from signalbox.actors.phone_line import PushedSms
from signalbox.actors.phone_pace import InFlight
from signalbox.actors.phone_queue_messages import (
    Followed,
    LinesChanged,
    News,
    Pump,
    Retry,
    Stored,
)
from signalbox.actors.runtime import Actor
from signalbox.domain import phone_message as domain
from signalbox.domain.personal import ERASED
from signalbox.domain.phone_routing import SIMS_WAIT_S
from signalbox.eventstore import metrics
from signalbox.eventstore.errors import Conflict, Unavailable
from signalbox.eventstore.journal import Append, Write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signalbox.actors.phone_feeder import Tracked
    from signalbox.actors.phone_line import HeldLine
    from signalbox.actors.phone_queue_messages import Parts
    from signalbox.domain.phone_rules import PhoneRules
    from signalbox.eventstore.mapper import Recorded

log = logging.getLogger(__name__)

BY: Final = "gateway"
RETRY_S: Final = 0.5
SETTLED_MAX: Final = 500  # more than one read brings
WAITING_MAX: Final = 400
WAITING_ENOUGH: Final = 50  # to have in hand while no line has room


class PhoneQueue(Actor):
    """See the module."""

    def __init__(self, owner: str, rules: PhoneRules, parts: Parts) -> None:
        super().__init__(domain.inbox_of(owner))
        self._owner = owner
        self._rules = rules
        self._parts = parts
        self._number = 0
        self._storing: dict[str, Tracked] = {}

    @override
    def restore(self) -> None:
        """Begin anew, with nothing in hand; the inbox has it all.

        What was being stored may be stored by now, so it is read before anything is done with it.
        """
        self._in_flight = InFlight()
        self._waiting: dict[str, Tracked] = {}
        self._settled: OrderedDict[str, None] = OrderedDict()
        self._doubtful: set[str] = set()
        self._parts.feeder.reread(self._storing)
        self._lines_changed()
        self._tell_self(Pump())

    @override
    def receive(self, message: object) -> None:
        match message:
            case News():
                self._more = self._news = True
            case LinesChanged():
                self._lines_changed()
            case Scanned() if message.number == self._number:
                self._take_scanned(message)
            case Reread():
                self._take_reread(message)
            case Stored():
                self._stored(message)
            case Followed(recorded):
                self._follow(recorded)
            case Retry():
                doubtful, self._doubtful = self._doubtful, set()
                self._parts.feeder.reread(doubtful)
        if self.actor_inbox.empty():
            self._pump()

    # what comes in

    def _look_through(self) -> None:
        """Look at the whole inbox once more."""
        self._after = 0
        self._more, self._news = True, False
        self._is_fetching = self._has_skipped = False
        self._number += 1  # Whatever is being fetched now would go on from another place.

    def _lines_changed(self) -> None:
        self._look_through()
        now_s = monotonic()
        for held in self._parts.registry.own(self._owner):
            wait_s = held.connected_s + SIMS_WAIT_S - now_s
            if held.is_ready and held.sims is None and wait_s > 0:
                self.tell_later(wait_s, LinesChanged())

    def _take_scanned(self, scanned: Scanned) -> None:
        self._is_fetching = False
        self._after = scanned.seq
        self._more = scanned.more or self._news
        for tracked in scanned.messages:
            in_hand = (self._waiting, self._storing, self._settled)
            if not any(tracked.stream_id in one for one in in_hand):
                self._take(tracked)

    def _take_reread(self, reread: Reread) -> None:
        before = {one: self._storing.pop(one, None) for one in reread.asked}
        for tracked in reread.found:
            known = before[tracked.stream_id]
            if known is None:
                continue  # Its push was stored after all, and the phone has it.
            tracked.last_phone_id = known.last_phone_id
            tracked.pushed_sims = known.pushed_sims
            self._take(tracked)
            held = self._line_of(tracked)
            if held is not None and tracked.message.is_open:
                self._hand_over(held, tracked)

    def _take(self, tracked: Tracked) -> None:
        """Line a message up, unless it is with a phone whose line is there."""
        message = tracked.message
        if not message.is_open or message.peer == ERASED:
            return
        key = message.phone_id, message.connection
        others = self._parts.registry.others(self._owner)
        is_with_phone = self._line_of(tracked) or any(one.key == key for one in others)
        if not message.attempts or not is_with_phone:
            self._waiting[tracked.stream_id] = tracked
            return
        ago_s = max(0.0, self._now_s() - message.pushed_at_s)
        if ago_s < self._parts.confirm_s:
            self._in_flight.put(tracked.stream_id, key, monotonic() - ago_s)

    def _line_of(self, tracked: Tracked) -> HeldLine | None:
        """Return the line of this process that a message was pushed over last, if it is there."""
        message = tracked.message
        return self._parts.registry.line(message.phone_id, message.connection)

    def _follow(self, recorded: Recorded) -> None:
        event, stream_id = recorded.event, recorded.stream_id
        match event:
            case domain.OutboundPushed(phone_id=phone_id, connection=connection):
                self._waiting.pop(stream_id, None)
                self._in_flight.put(stream_id, (phone_id, connection), monotonic())
            case domain.StatusReported() | domain.OutboundExpired() | domain.OutboundGivenUp():
                self._settle(stream_id)

    def _settle(self, stream_id: str) -> None:
        self._waiting.pop(stream_id, None)
        self._in_flight.drop(stream_id)
        self._settled[stream_id] = None  # It may be among what was read just before.
        if len(self._settled) > SETTLED_MAX:
            self._settled.popitem(last=False)

    # what goes out

    def _pump(self) -> None:
        """Push what may go now; ask for more; come back when time changes something."""
        now_s = monotonic()
        self._in_flight.drop_before(now_s - self._parts.confirm_s)
        choice = self._choice()
        in_s = inf
        for tracked in sorted(self._waiting.values(), key=lambda one: one.seq):
            if not choice.has_room:
                break
            placed = choice.place(tracked)
            if placed is None:
                del self._waiting[tracked.stream_id]
            elif isinstance(placed, Go):
                del self._waiting[tracked.stream_id]
                self._push(tracked, placed)
            else:
                in_s = min(in_s, placed.in_s)
        self._fetch(has_room=choice.has_room)
        self._come_back(in_s, now_s)

    def _choice(self) -> Choice:
        parts = self._parts
        return Choice(
            self._owner,
            self._rules,
            parts.registry,
            self._in_flight,
            parts.buckets,
            now_s=self._now_s(),
            patience_s=parts.patience_s,
        )

    def _push(self, tracked: Tracked, go: Go) -> None:
        """Decide on a push and store it; the phone gets it after that."""
        command = domain.PushOutbound(
            phone_id=go.held.phone_id,
            connection=go.held.connection,
            is_same_phone=go.is_same_phone,
            repush_s=self._rules.repush_s,
            attempts_max=self._rules.attempts_max,
        )
        now_s = self._now_s()
        events = domain.decide(tracked.message, command, now_s)
        if not events:
            return
        for event in events:
            tracked.message = domain.evolve(tracked.message, event, now_s)
        self._storing[tracked.stream_id] = tracked
        if tracked.message.is_open:
            self._in_flight.put(tracked.stream_id, go.held.key, monotonic())
        try:
            result = self._parts.journal.append(self._append(tracked, events))
        except Unavailable as error:
            self._doubt(tracked, error)
        else:
            result.rawlink(lambda done: self._tell_self(Stored(tracked, go.held, done)))

    def _append(self, tracked: Tracked, events: Sequence[domain.Event]) -> Append:
        write = Write(tracked.stream_id, tracked.version + 1, events, self._owner)
        return Append(
            writes=(write,),
            by=BY,
            traceparent=tracked.traceparent,
            done=() if tracked.message.is_open else (tracked.stream_id,),
            wait_s=self._parts.journal.wait_s_max,
        )

    def _stored(self, stored: Stored) -> None:
        tracked, error = stored.tracked, stored.result.exception
        if self._storing.get(tracked.stream_id) is not tracked:
            return  # It was restored meanwhile, and looks through the inbox.
        if isinstance(error, Conflict):
            self._in_flight.drop(tracked.stream_id)
            self._parts.feeder.reread([tracked.stream_id])
        elif error is not None:
            self._doubt(tracked, error)
        else:
            del self._storing[tracked.stream_id]
            if tracked.message.is_open and tracked.stream_id not in self._settled:
                self._hand_over(stored.held, tracked)

    def _doubt(self, tracked: Tracked, error: BaseException) -> None:
        """A push that could not be stored may be stored all the same: read the message again."""
        log.warning("push waits for the store", extra={"error": str(error)})
        self._in_flight.drop(tracked.stream_id)
        if not self._doubtful:
            self.tell_later(RETRY_S, Retry())
        self._doubtful.add(tracked.stream_id)

    def _hand_over(self, held: HeldLine, tracked: Tracked) -> None:
        """Give a message to the phone that it was stored for, once over each line."""
        if held.is_over or not held.hands_over(tracked.stream_id):
            return
        message = tracked.message
        metrics.PHONE_PUSHES.labels("first" if message.attempts == 1 else "again").inc()
        sms = PushedSms(
            key=domain.key_of(tracked.stream_id),
            number=message.number,
            to=message.peer,
            text=message.text,
            sim=message.sim,
            queued_at_s=message.accepted_at_s,
        )
        try:
            held.line.push(sms)
        except Exception:
            log.exception("line takes no push", extra={"phone": held.phone_id})
            self._parts.fail(held)

    def _fetch(self, *, has_room: bool) -> None:
        """Ask for more messages if there are any and a line may take them."""
        if self._has_skipped and not self._more and len(self._waiting) < WAITING_MAX // 4:
            self._look_through()
        is_enough = len(self._waiting) >= WAITING_ENOUGH and not has_room
        lines = self._parts.registry.own(self._owner)
        if self._is_fetching or not self._more or is_enough or not lines:
            return
        if len(self._waiting) >= WAITING_MAX:
            self._let_newest_go()
        self._is_fetching, self._news = True, False
        choice_is_free = len(lines) + len(self._parts.registry.others(self._owner)) > 1
        scan = Scan(
            self._number,
            self._after,
            wants_last_phones=choice_is_free and not self._rules.first_connected,
            wants_sims=any(held.anonymous for held in lines),
        )
        self._parts.feeder.scan(self._owner, scan)

    def _let_newest_go(self) -> None:
        """Make room behind messages that wait for a busy line, for the sake of idle ones."""
        oldest = sorted(self._waiting.values(), key=lambda one: one.seq)[: WAITING_MAX // 2]
        self._waiting = {one.stream_id: one for one in oldest}
        self._has_skipped = True

    def _come_back(self, in_s: float, now_s: float) -> None:
        oldest_s = self._in_flight.oldest_s
        if self._waiting and oldest_s is not None:
            in_s = min(in_s, oldest_s + self._parts.confirm_s - now_s)
        if in_s < inf:
            self.tell_later(max(in_s, 0.001), Pump())

    def _now_s(self) -> float:
        return self._parts.journal.now().timestamp()
