"""Fetches the messages that wait for phones: one reader for all owners of a process.

A row of the inbox stays until its message is sent, failed or given up. So the same query that feeds
a running queue also finds what a process left behind that died between a push and the phone's word.
Owners that have news share a query; owners without cost nothing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from itertools import groupby
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, LiteralString

import gevent
import psycopg
from eventsourcing.persistence import PersistenceError
from gevent.event import Event

from signalbox.actors.runtime import park
from signalbox.domain import phone, phone_message
from signalbox.domain.names import names_of
from signalbox.eventstore import metrics
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.postgres import Broken, borrowed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from signalbox.actors.phone_line import LineKey
    from signalbox.domain.phone import SimCard
    from signalbox.domain.phone_message import PhoneMessage
    from signalbox.eventstore.log import EventLog

    LastPhone = Callable[[str, Sequence[str]], Mapping[str, str]]
    """Takes an owner and digests of addresses; returns the phone that last spoke with each."""

    _Row = tuple[int, "Tracked | None"]

log = logging.getLogger(__name__)

RETRY_S: Final = 0.5
ROWS_MAX: Final = 500  # what one round decodes before others get their turn
OWNER_ROWS_MAX: Final = 100
OWNERS_MAX: Final = 100
_SIMS_REPORTED: Final = names_of(phone.SimsReported)
_SCAN: Final[LiteralString] = """
    SELECT i.seq, e.originator_id, e.originator_version, e.topic, e.state
    FROM unnest(%(inboxes)s::text[], %(after)s::bigint[]) AS w (actor_id, after)
    CROSS JOIN LATERAL (
        SELECT seq, stream_id FROM signalbox.inbox AS x
        WHERE x.actor_id = w.actor_id AND x.kind = 'push' AND x.seq > w.after
        ORDER BY seq LIMIT %(limit)s) AS i
    JOIN signalbox.stored_events AS e ON e.originator_id = i.stream_id
    ORDER BY i.seq, e.originator_version
"""
_REREAD: Final[LiteralString] = """
    SELECT i.seq, e.originator_id, e.originator_version, e.topic, e.state
    FROM signalbox.inbox AS i JOIN signalbox.stored_events AS e ON e.originator_id = i.stream_id
    WHERE i.stream_id = ANY(%s) ORDER BY i.seq, e.originator_version
"""
# The journal inserts under a lock, so rows become visible in the order of their numbers.
_NEWS: Final[LiteralString] = """
    SELECT actor_id, max(seq) AS seq FROM signalbox.inbox WHERE seq > %s GROUP BY actor_id
"""


@dataclass(slots=True, eq=False)
class Tracked:
    """A message in hand: its state up to a version, and what helps to choose its phone.

    `last_phone_id` last spoke with the recipient; `pushed_sims` are of the phone it was pushed to.
    """

    stream_id: str
    seq: int
    message: PhoneMessage
    version: int
    traceparent: str = ""
    last_phone_id: str = ""
    pushed_sims: tuple[SimCard, ...] = ()
    since_s: float = field(default_factory=monotonic)


@dataclass(frozen=True, slots=True)
class Scan:
    """A wish for an owner's next messages; `number` comes back with them."""

    number: int
    after: int
    wants_last_phones: bool
    wants_sims: bool


@dataclass(frozen=True, slots=True)
class Scanned:
    """Messages that wait, oldest first, up to `seq`; `more` when there may be others behind."""

    number: int
    messages: list[Tracked]
    seq: int
    more: bool


@dataclass(frozen=True, slots=True)
class Reread:
    """Messages as they are now; those that are not in `found` need nothing any more."""

    asked: frozenset[str]
    found: list[Tracked]


class PhoneFeeder:
    """Answers every `scan` and `reread` with `tell(owner, …)`, which may raise `Unavailable`."""

    def __init__(
        self,
        log_: EventLog,
        tell: Callable[[str, object], None],
        news: Callable[[str], None],
        last_phone: LastPhone,
    ) -> None:
        self._log = log_
        self._tell = tell
        self._news = news
        self._last_phone = last_phone
        self._scans: dict[str, Scan] = {}
        self._rereads: set[str] = set()
        self._is_to_look = False
        self._seen_seq = 0
        self._wake = Event()
        self._greenlet = gevent.spawn(self._run)

    def scan(self, owner: str, scan: Scan) -> None:
        """Ask for an owner's next messages; the last wish counts."""
        self._scans[owner] = scan
        self._wake.set()

    def reread(self, stream_ids: Iterable[str]) -> None:
        """Ask for messages anew whose state turned out to be stale."""
        self._rereads.update(stream_ids)
        self._wake.set()

    def look(self) -> None:
        """Find out who has news, in case that nobody said so."""
        self._is_to_look = True
        self._wake.set()

    def close(self) -> None:
        """Stop fetching."""
        self._greenlet.kill()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            try:
                self._look_for_news()
                self._answer_scans()
                self._answer_rereads()
            except (*Broken, PersistenceError, Unavailable) as error:
                log.warning("messages for phones can't be read", extra={"error": str(error)})
            except Exception:
                log.exception("messages for phones can't be read")
            else:
                continue
            gevent.sleep(RETRY_S)
            self.look()

    def _look_for_news(self) -> None:
        if not self._is_to_look:
            return
        with self._log.turns, borrowed(self._log.pool) as connection:
            self._is_to_look = False
            rows = connection.execute(_NEWS, (self._seen_seq,)).fetchall()
        self._seen_seq = max((row["seq"] for row in rows), default=self._seen_seq)
        for row in rows:
            self._news(row["actor_id"])

    def _answer_scans(self) -> None:
        scans = {owner: self._scans.pop(owner) for owner in list(self._scans)[:OWNERS_MAX]}
        if not scans:
            return
        if self._scans:
            self._wake.set()
        rows_max = min(ROWS_MAX // len(scans), OWNER_ROWS_MAX)
        try:
            for owner, found in self._scan(scans, rows_max).items():
                messages = [tracked for _, tracked in found if tracked is not None]
                self._help(owner, scans[owner], messages)
                seq = found[-1][0] if found else scans[owner].after
                more = len(found) == rows_max
                self._tell(owner, Scanned(scans[owner].number, messages, seq, more))
                del scans[owner]
        except BaseException:
            self._scans = scans | self._scans
            raise

    def _scan(self, scans: Mapping[str, Scan], rows_max: int) -> dict[str, list[_Row]]:
        wanted = {
            "inboxes": [phone_message.inbox_of(owner) for owner in scans],
            "after": [scan.after for scan in scans.values()],
            "limit": rows_max,
        }
        found: dict[str, list[_Row]] = {owner: [] for owner in scans}
        for owner, seq, tracked in self._fetch(_SCAN, wanted):
            found[owner].append((seq, tracked))
        return found

    def _answer_rereads(self) -> None:
        asked, self._rereads = self._rereads, set()
        if not asked:
            return
        try:
            found: dict[str, list[Tracked]] = {phone_message.owner_of(one): [] for one in asked}
            for owner, _, tracked in self._fetch(_REREAD, (list(asked),)):
                if tracked is not None:
                    found[owner].append(tracked)
            for owner, messages in found.items():
                own = frozenset(one for one in asked if phone_message.owner_of(one) == owner)
                self._tell(owner, Reread(own, messages))
        except BaseException:
            self._rereads |= asked
            raise

    def _fetch(
        self,
        query: LiteralString,
        values: Any,  # noqa: ANN401  psycopg's
    ) -> Iterator[tuple[str, int, Tracked | None]]:
        """Yield owner, place in the inbox and message, None where it can't be read."""
        with self._log.turns, borrowed(self._log.pool) as connection:
            rows = connection.execute(query, values, binary=True).fetchall()
            owners = {phone_message.owner_of(row["originator_id"]) for row in rows}
            self._log.tenant_keys.fetch(connection, owners)
        for stream_id, group in groupby(rows, lambda row: row["originator_id"]):
            of_message = list(group)
            seq = of_message[0]["seq"]
            owner = phone_message.owner_of(stream_id)
            yield owner, seq, self._tracked(seq, stream_id, of_message)

    def _tracked(self, seq: int, stream_id: str, rows: list[dict[str, Any]]) -> Tracked | None:
        """Return a message; None, parked, when its stream can't be read: others must not wait."""
        read = self._log.codec.read
        try:
            message, version, traceparent = None, 0, ""
            for row in rows:
                version = row["originator_version"]
                recorded = read(stream_id, version, row["topic"], bytes(row["state"]))
                assert isinstance(recorded.event, phone_message.Event), recorded
                message = phone_message.evolve(message, recorded.event, recorded.at_s)
                traceparent = traceparent or recorded.traceparent
            assert message is not None, stream_id
            return Tracked(stream_id, seq, message, version, traceparent)
        except (*Broken, PersistenceError, Unavailable):
            raise
        except Exception as error:
            log.exception("message can't be read", extra={"stream": stream_id})
            metrics.DEAD_LETTERS.labels("PhoneFeeder").inc()
            park(self._log.pool, "phones", stream_id, error)
            return None

    def _help(self, owner: str, scan: Scan, messages: Sequence[Tracked]) -> None:
        """Find out what helps to choose a phone, where there is a choice."""
        queued = [one for one in messages if not one.message.attempts]
        pushed = [one for one in messages if one.message.attempts]
        if scan.wants_last_phones and queued:
            known = self._last_phones(owner, [one.message.peer_digest for one in queued])
            for one in queued:
                one.last_phone_id = known.get(one.message.peer_digest, "")
        if scan.wants_sims and pushed:
            sims = self._sims_of({(one.message.phone_id, one.message.connection) for one in pushed})
            for one in pushed:
                one.pushed_sims = sims.get((one.message.phone_id, one.message.connection), ())

    def _last_phones(self, owner: str, digests: Sequence[str]) -> Mapping[str, str]:
        try:
            return self._last_phone(owner, digests)
        except (Unavailable, psycopg.Error) as error:  # Any phone will do.
            log.info("nobody knows the last phones", extra={"error": str(error)})
            return {}

    def _sims_of(self, lines: Iterable[LineKey]) -> dict[LineKey, tuple[SimCard, ...]]:
        streams = {phone.stream_of(phone_id, connection / 1000) for phone_id, connection in lines}
        with self._log.turns:
            told = self._log.read_many(list(streams), _SIMS_REPORTED)
        return {
            (one.event.phone_id, one.event.connection): one.event.sims
            for one in told
            if isinstance(one.event, phone.SimsReported)
        }
