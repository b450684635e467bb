"""What a dispatcher has in hand: mails in the lanes of their accounts, and how far it has read.

Each account has a lane of its own: one whose server is slow keeps no other waiting. A lane gives
the most urgent mail first, then the oldest. Only so many are in hand of each kind of row; the inbox
has the others.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from signalbox.actors.mail_feeder import Want
from signalbox.actors.mail_streams import HELD, LATER, waiting_kind
from signalbox.domain.mail import PRIORITIES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from signalbox.actors.mail_feeder import Page, Tracked

OCTETS_MAX: Final = 64 * 2**20  # in hand of one tenant
PAGE_OCTETS_MAX: Final = 16 * 2**20
KIND_MIN: Final = 20
KIND_MAX: Final = 400

Place = tuple[int, float, int, str]
"""Priority, when it was queued, row, stream: a mail's place in its lane."""


@dataclass(slots=True)
class Lane:
    """The mails of one account; `busy` of them are being sent or asked for."""

    account_id: str
    ready: list[Place] = field(default_factory=list)
    busy: int = 0
    busy_max: int = 0
    """How many of them the account wants at most, 0: as many as may be."""
    turn: int = 0
    waits: bool = False
    """True while it is not known how much the account has sent."""


class Hand:
    """See the module."""

    def __init__(self, mails_max: int) -> None:
        self._mails_max = mails_max
        self._mails: dict[str, Tracked] = {}
        self.lanes: dict[str, Lane] = {}
        self._ready: dict[str, Lane] = {}
        self._in_hand: Counter[str] = Counter()
        self._octets = 0
        self._after: dict[str, int] = {}
        self._more: set[str] = set()
        self._newest = 0
        self._turns = 0
        self.next_due_s = 0.0
        """When a mail is due that the inbox has, Unix seconds."""
        self._discover = True

    def __len__(self) -> int:
        return len(self._mails)

    def get(self, stream_id: str) -> Tracked | None:
        """Return a mail in hand."""
        return self._mails.get(stream_id)

    def lane(self, account_id: str) -> Lane:
        """Return the lane of an account."""
        lane = self.lanes.get(account_id)
        if lane is None:
            lane = self.lanes[account_id] = Lane(account_id)
            self.know([account_id])
        return lane

    def know(self, account_ids: Iterable[str]) -> None:
        """Look for mails of these accounts from now on."""
        for account_id in account_ids:
            for kind in (*(waiting_kind(p, account_id) for p in PRIORITIES), LATER + account_id):
                if kind not in self._after:
                    self._after[kind] = 0
                    self._more.add(kind)

    def news(self, seq: int | None) -> None:
        """Know that the inbox has rows up to this one; None: nobody knows which."""
        if seq is None or seq > self._newest:
            self._more.update(kind for kind in self._after if not kind.startswith(LATER))
            self.next_due_s = 0.0

    def rediscover(self) -> None:
        """Look for kinds of rows that nothing is known of yet."""
        self._discover = True

    def due_at(self, due_s: float) -> None:
        """Know that a row is due then."""
        self.next_due_s = min(self.next_due_s, due_s)

    def want(self, now_s: float, busy: Collection[str]) -> Want | None:
        """Return what to fetch now; None when nothing is missing. `busy` are not wanted."""
        if now_s >= self.next_due_s:
            self._more.update(kind for kind in self._after if kind.startswith(LATER))
            self.next_due_s = float("inf")
        limit = max(KIND_MIN, min(KIND_MAX, self._mails_max // max(1, len(self.lanes))))
        kinds = [kind for kind in self._more if self._in_hand[kind] <= limit // 2]
        is_full = self._octets >= OCTETS_MAX or not (kinds or self._discover)
        if is_full:
            return None
        fresh = {kind: (self._after[kind], _rank(kind)) for kind in kinds if kind[:4] == "mail"}
        due = [kind for kind in kinds if kind.startswith(LATER)]
        self._more.difference_update(kinds)
        discover, self._discover = self._discover, False
        return Want(
            after=fresh,
            due=due,
            but=[*self._later(), *busy] if due else [],
            later=[kind for kind in self._after if kind.startswith(LATER)],
            now_s=now_s,
            limit=limit,
            octets_max=min(PAGE_OCTETS_MAX, OCTETS_MAX - self._octets),
            discover=discover,
        )

    def take(self, page: Page) -> None:
        """Note how far a page goes; its mails are put one by one."""
        for kind, (after, _) in page.want.after.items():
            if self._after[kind] >= after:  # Else it is to be read again from further back.
                self._after[kind] = max(self._after[kind], page.last.get(kind, 0))
        self._more |= page.more
        fresh = {kind for kind in self._after if not kind.startswith(LATER)}
        if fresh <= page.want.after.keys() | self._more:
            self._newest = max(self._newest, page.newest or 0)
        if page.next_due_s is not None:
            self.due_at(page.next_due_s)
        for kind in page.kinds or ():
            _, _, account_id = kind.partition("/")
            if not kind.startswith(HELD):
                self.know([account_id])

    def put(self, tracked: Tracked) -> None:
        """Take a mail in hand and line it up; what was in hand of it before is out of date."""
        self.drop(tracked.stream_id)
        self._mails[tracked.stream_id] = tracked
        self._in_hand[tracked.kind] += 1
        self._octets += tracked.octets
        mail = tracked.mail
        place = (mail.priority, mail.queued_at_s, tracked.seq, tracked.stream_id)
        lane = self._ready[mail.account_id] = self.lane(mail.account_id)
        heapq.heappush(lane.ready, place)

    def drop(self, stream_id: str) -> None:
        """Let go of a mail."""
        tracked = self._mails.pop(stream_id, None)
        if tracked is not None:
            self._in_hand[tracked.kind] -= 1
            self._octets -= tracked.octets

    def again(self, tracked: Iterable[Tracked]) -> None:
        """Let go of mails that are out of date, and have the inbox looked at behind them anew."""
        for one in tracked:
            if self._mails.get(one.stream_id) is one:
                self.drop(one.stream_id)
            if one.kind in self._after:
                self._after[one.kind] = min(self._after[one.kind], one.seq - 1)
                self._more.add(one.kind)

    def next_mail(self, busy_max: int) -> Tracked | None:
        """Remove and return the mail that is to leave next: the most urgent, lane after lane."""
        while True:
            lane = self._next_lane(busy_max)
            if lane is None:
                return None
            *_, seq, stream_id = heapq.heappop(lane.ready)
            if not lane.ready:
                del self._ready[lane.account_id]
            tracked = self._mails.get(stream_id)
            if tracked is not None and tracked.seq == seq:
                self._turns += 1
                lane.turn = self._turns
                self.drop(stream_id)
                return tracked

    def _next_lane(self, busy_max: int) -> Lane | None:
        open_lanes = (
            lane
            for lane in self._ready.values()
            if lane.busy < (lane.busy_max or busy_max) and not lane.waits
        )
        return min(open_lanes, key=lambda lane: (lane.ready[0][0], lane.turn), default=None)

    def _later(self) -> list[str]:
        return [one.stream_id for one in self._mails.values() if one.kind.startswith(LATER)]


def _rank(kind: str) -> int:
    """Return the place of a kind in a page; what was put off before comes in second."""
    priority = int(kind[4])
    return 0 if priority == 0 else priority + 1
