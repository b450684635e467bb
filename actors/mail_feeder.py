"""Fetches the mails of a tenant from its inbox: reading blocks, so it happens beside the actor.

A row stays until its mail is sent, has failed or was put off. So the query that feeds a running
dispatcher also recovers a crashed one's mails. Rows that wait for their time, or for their batch,
are not looked at before that, however many there are.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import gevent
from eventsourcing.persistence import PersistenceError

from signalbox.actors.mail_queries import HELD, KINDS, PAGE, STATE
from signalbox.actors.mail_streams import fold
from signalbox.actors.runtime import park
from signalbox.domain import mail as domain
from signalbox.domain.personal import ERASED
from signalbox.eventstore import metrics
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.postgres import Broken, borrowed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from signalbox.domain.mail import Mail
    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.mapper import Recorded

log = logging.getLogger(__name__)

RETRY_S: Final = 0.5
TROUBLE: Final = (*Broken, PersistenceError, Unavailable)
"""What passes when the store is there again."""


@dataclass(slots=True, eq=False)
class Tracked:
    """A mail in hand: its row, its state and version, what is in it, whose key seals that."""

    seq: int
    kind: str
    stream_id: str
    version: int
    mail: Mail
    content: str
    data_key: str
    octets: int
    counted_at_s: float = 0.0
    """When a limit counted it, 0 while none does."""

    def evolve(self, events: Iterable[domain.Event], at_s: float) -> None:
        """Apply events that are about to be appended, in this order, as the next versions."""
        for event in events:
            self.mail = domain.evolve(self.mail, event, at_s)
            self.version += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """Which rows are wanted: of these kinds behind a row, with a rank; what is due, but some.

    `later` are the kinds whose next time is of interest. A page ends with the mail that makes it
    larger than `octets_max`.
    """

    after: Mapping[str, tuple[int, int]]
    due: Sequence[str]
    but: Sequence[str]
    later: Sequence[str]
    now_s: float
    limit: int
    octets_max: int
    discover: bool


@dataclass(frozen=True, slots=True)
class Page:
    """What was found. `last` is how far each kind was read; those in `more` go on.

    `spent` are rows of mails that wait for nothing any more. `newest` is the newest row of all,
    None when there is none; `kinds` are those there are, if that was asked.
    """

    want: Want
    mails: list[Tracked]
    last: Mapping[str, int]
    more: frozenset[str]
    spent: list[int]
    next_due_s: float | None
    newest: int | None
    kinds: frozenset[str] | None


class MailFeeder:
    """Answers every `want` with one `Page`, and one at a time."""

    def __init__(self, event_log: EventLog, actor_id: str, tell: Callable[[object], None]) -> None:
        self._log = event_log
        self._actor_id = actor_id
        self._tell = tell
        self._greenlet: gevent.Greenlet | None = None

    @property
    def is_busy(self) -> bool:
        """True while a page is being fetched."""
        return self._greenlet is not None

    def want(self, want: Want) -> None:
        """Ask for a page."""
        assert self._greenlet is None
        self._greenlet = gevent.spawn(self._run, want)

    def close(self) -> None:
        """Stop fetching."""
        if self._greenlet is not None:
            self._greenlet.kill(block=False)

    def held(
        self, kinds: Sequence[str], after: int, limit: int, octets_max: int
    ) -> tuple[list[Tracked], int]:
        """Return mails that wait by rows of some kinds, and the last row read, 0 if there is none.

        What can't be read is left out. It blocks. Raises: one of `TROUBLE`.
        """
        wanted = {
            "actor": self._actor_id,
            "kinds": kinds,
            "after": after,
            "limit": limit,
            "octets": octets_max,
        }
        with self._log.turns, borrowed(self._log.pool) as connection:
            rows = connection.execute(HELD, wanted, binary=True).fetchall()
        found = (self._tracked(list(group)) for _, group in _by_row(rows))
        return [one for one in found if one is not None], rows[-1]["seq"] if rows else 0

    def _run(self, want: Want) -> None:
        while True:
            try:
                page = self._fetch(want)
            except TROUBLE as error:
                log.warning("mails can't be read", extra={"error": str(error)})
                gevent.sleep(RETRY_S)
            else:
                self._greenlet = None
                self._tell(page)
                return

    def _fetch(self, want: Want) -> Page:
        asked = {
            "actor": self._actor_id,
            "kinds": list(want.after),
            "afters": [after for after, _ in want.after.values()],
            "ranks": [rank for _, rank in want.after.values()],
            "due": list(want.due),
            "but": list(want.but),
            "later": list(want.later),
            "now": want.now_s,
            "limit": want.limit,
            "octets": want.octets_max,
        }
        with self._log.turns, self._log.pool.connection() as connection:
            state = connection.execute(STATE, asked).fetchone()
            rows = connection.execute(PAGE, asked, binary=True).fetchall()
            kinds = connection.execute(KINDS, asked).fetchall() if want.discover else None
        assert state is not None
        return self._page(want, rows, state, kinds)

    def _page(
        self,
        want: Want,
        rows: Sequence[dict[str, Any]],
        state: dict[str, Any],
        kinds: Sequence[dict[str, Any]] | None,
    ) -> Page:
        groups = [list(group) for _, group in _by_row(rows)]
        found = [self._tracked(group) for group in groups]
        firsts = [group[0] for group in groups]
        read = _count(one["kind"] for one in firsts)
        full = {one["kind"] for one in firsts if one["found"] >= want.limit}
        cut = {one["kind"] for one in firsts if read[one["kind"]] < one["found"]}
        if sum(int(one["octets"]) for one in firsts) >= want.octets_max:
            cut |= {*want.after, *want.due} - read.keys()  # No row of these had room.
        spent = {
            first["seq"] for first, one in zip(firsts, found, strict=True) if _is_spent(first, one)
        }
        return Page(
            want,
            [one for one in found if one is not None and one.seq not in spent],
            {one["kind"]: one["seq"] for one in firsts},
            frozenset(full | cut),
            list(spent),
            state["due_s"],
            state["newest"],
            None if kinds is None else frozenset(row["kind"] for row in kinds),
        )

    def _tracked(self, rows: Sequence[dict[str, Any]]) -> Tracked | None:
        """Return a mail; None, parked, when it can't be read: others must not wait for it."""
        stream_id = rows[0]["stream_id"]
        if rows[0]["topic"] is None:
            return None
        try:
            return self._read(stream_id, rows)
        except TROUBLE:
            raise
        except Exception as error:
            log.exception("mail can't be read", extra={"stream": stream_id})
            metrics.DEAD_LETTERS.labels("MailFeeder").inc()
            park(self._log.pool, self._actor_id, stream_id, error)
            return None

    def _read(self, stream_id: str, rows: Sequence[dict[str, Any]]) -> Tracked:
        read = self._log.codec.read
        recorded = [read(stream_id, row["version"], row["topic"], row["state"]) for row in rows]
        known = fold(recorded)
        assert known.mail is not None, stream_id
        first = rows[0]
        return Tracked(
            first["seq"],
            first["kind"],
            stream_id,
            known.version,
            known.mail,
            _content(recorded),
            known.data_key,
            int(first["octets"]),
        )


def _by_row(rows: Iterable[dict[str, Any]]) -> Iterable[tuple[int, Iterable[dict[str, Any]]]]:
    return groupby(rows, lambda row: row["seq"])


def _content(recorded: Iterable[Recorded]) -> str:
    """Return what counts: the content of the last time that it was queued."""
    content = ""
    for one in recorded:
        if isinstance(one.event, domain.MailQueued | domain.MailReplaced):
            content = one.event.content
    return content


def _is_spent(first: dict[str, Any], tracked: Tracked | None) -> bool:
    """True when a row has nothing to wait for: its mail is settled, erased or not there."""
    if tracked is None:
        return first["topic"] is None
    return not tracked.mail.is_open or tracked.content == ERASED


def _count(kinds: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for kind in kinds:
        counts[kind] = counts.get(kind, 0) + 1
    return counts
