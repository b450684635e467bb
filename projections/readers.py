"""What the gateway reads from its read models.

A caller that must see its own writes waits, for a moment, until the projector has passed the last
position its process committed; after that it reads what there is. A stale read is not an error.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from time import monotonic, time
from typing import TYPE_CHECKING, Final

import gevent
from psycopg import errors
from psycopg.rows import tuple_row

from signalbox.domain.account import UserRegistered
from signalbox.domain.names import names_of
from signalbox.domain.personal import ERASED
from signalbox.domain.phone_message import InboundReceived
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.mapper import read_envelope
from signalbox.eventstore.postgres import Broken
from signalbox.projections import (
    accounts,
    activity,
    campaigns,
    dashboard,
    links,
    messages,
    phone_counts,
    phone_messages,
    phone_views,
    phones,
    warmup_views,
)
from signalbox.projections import warmup as warmups
from signalbox.projections.outcomes import MINUTE_S, MINUTES_KEPT
from signalbox.projections.projection import SCHEMA, use

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import date, tzinfo

    from signalbox.eventstore.log import EventLog
    from signalbox.projections.accounts import UserRow
    from signalbox.projections.activity import LinkMinute, Minute
    from signalbox.projections.campaigns import Campaigns
    from signalbox.projections.dashboard import Figures, Statistics
    from signalbox.projections.links import LinkRow
    from signalbox.projections.messages import MessageInfo
    from signalbox.projections.phone_counts import PhoneStats
    from signalbox.projections.phone_views import (
        MessageQuery,
        NumberQuery,
        PhoneFigures,
        PhoneMessageView,
    )
    from signalbox.projections.phones import PhoneRow, SimsView
    from signalbox.projections.projection import Cursor
    from signalbox.projections.warmup import IpRow
    from signalbox.projections.warmup_views import IpHistory, IpStatus

NEWEST_MAX: Final = 5_000  # events the read models are behind by and still looked through
_RECEIVED: Final = list(names_of(InboundReceived))
_NEWEST: Final = """
    SELECT notification_id, originator_id, originator_version, topic, state
    FROM signalbox.stored_events
    WHERE notification_id > %s AND topic = ANY(%s)
      AND notification_id > (SELECT max(notification_id) FROM signalbox.stored_events) - %s
    ORDER BY notification_id
"""
LOOK_S: Final = 0.01  # how often the projector's position is looked at, however many wait for it


class ReadModels:
    """The read models of one log. Every method raises `Unavailable` when they can't be read."""

    def __init__(
        self, log_: EventLog, schema: str = SCHEMA, now_s: Callable[[], float] = time
    ) -> None:
        self._log = log_
        self._schema = schema
        self._now_s = now_s
        self._passed = 0
        self._look_again_s = 0.0

    def wait_for(self, position: int, timeout_s: float = 1.0) -> bool:
        """Wait until the read models show the event at `position`; False if that takes too long."""
        deadline_s = monotonic() + timeout_s
        while self._passed < position:
            now_s = monotonic()
            if now_s > deadline_s:
                return False
            if now_s < self._look_again_s:
                gevent.sleep(self._look_again_s - now_s)
            else:
                self._look_again_s = now_s + LOOK_S
                self._passed = max(self._passed, self._position())
        return True

    def message(self, message_id: str, *, app_id: int, link_id: int) -> MessageInfo | None:
        """Return a message of this application on this link; None when there is no such message."""
        with self._reading() as cursor:
            return messages.find(cursor, message_id, app_id=app_id, link_id=link_id)

    def links(self) -> list[LinkRow]:
        """Return the configured links as they are now, by id."""
        with self._reading() as cursor:
            return links.find_all(cursor, self._now_s())

    def figures(self) -> Figures:
        """Return the dashboard's figures."""
        with self._reading() as cursor:
            return dashboard.find(cursor, self._now_s())

    def statistics(self) -> Statistics:
        """Return the last hour."""
        with self._reading() as cursor:
            return dashboard.find_statistics(cursor, self._now_s())

    def campaigns(self, offset: int, limit: int) -> Campaigns:
        """Return campaigns, those that changed last first. Raises: `TooFarBackError`."""
        with self._reading() as cursor:
            return campaigns.find_page(cursor, offset, limit)

    def finished_minutes(
        self, since_s: int = 0
    ) -> tuple[tuple[Minute, ...], tuple[LinkMinute, ...]]:
        """Return the minutes that are kept and over, oldest first, as a whole and by link.

        None that began before `since_s` (Unix seconds), but the last one in any case.
        """
        last = int(self._now_s() // MINUTE_S) - 1
        count = max(1, min(MINUTES_KEPT - 1, last + 1 - since_s // MINUTE_S))
        with self._reading() as cursor:
            return (
                activity.find_minutes(cursor, last, count),
                activity.find_link_minutes(cursor, last, count),
            )

    def users(self) -> list[UserRow]:
        """Return the users by number, each with its address unless its tenant was erased."""
        with self._reading() as cursor:
            rows = accounts.find_all(cursor)
        # Personal content is in no read model: the addresses come from the log itself.
        streams = [row.stream_id for row in rows]
        emails = {
            recorded.event.user_id: recorded.event.email
            for recorded in self._log.read_many(streams, names_of(UserRegistered))
            if isinstance(recorded.event, UserRegistered) and recorded.event.email != ERASED
        }
        return [replace(row, email=emails.get(row.user_id, "")) for row in rows]

    def user_stream(self, user_id: int) -> str | None:
        """Return the stream a user is decided on in; None when there is no such user."""
        with self._reading() as cursor:
            return accounts.find_stream(cursor, user_id)

    def warmups(self, ip: str | None = None) -> list[IpRow]:
        """Return the addresses that are warmed up, or the one (canonical), by `ip_order`."""
        with self._reading() as cursor:
            return warmups.find_ips(cursor, ip)

    def warmup_status(self, zone: tzinfo, ip: str | None = None) -> list[IpStatus]:
        """Return how they stand now."""
        with self._reading() as cursor:
            return warmup_views.find_status(cursor, self._now_s(), zone, ip)

    def warmup_history(self, zone: tzinfo, ip: str, since: date, until: date) -> IpHistory | None:
        """Return an address's days so far between two local dates; None when it has none."""
        with self._reading() as cursor:
            return warmup_views.find_history(cursor, self._now_s(), zone, ip, since, until)

    def phone_messages(
        self, owner: str, query: MessageQuery
    ) -> tuple[list[PhoneMessageView], bool]:
        """Return a page of an owner's messages, and whether there is more behind it."""
        with self._reading() as cursor:
            page, has_more = phone_views.find_page(cursor, owner, query)
        return phone_views.with_content(self._log, owner, page), has_more

    def numbered_messages(self, owner: str, query: NumberQuery) -> list[PhoneMessageView]:
        """Return a page of an owner's numbered messages."""
        with self._reading() as cursor:
            page = phone_views.find_numbered(cursor, owner, query)
        return phone_views.with_content(self._log, owner, page)

    def phone_stats(self, owner: str) -> PhoneStats:
        """Return what an owner's phones carried until now."""
        with self._reading() as cursor:
            return phone_counts.find_stats(cursor, owner, self._now_s())

    def phone_figures(self) -> PhoneFigures:
        """Return the phones and messages of all owners together."""
        with self._reading() as cursor:
            return phone_views.find_figures(cursor)

    def phones(self, owner: str) -> list[PhoneRow]:
        """Return an owner's phones, those seen last first."""
        with self._reading() as cursor:
            return phones.find_phones(cursor, owner)

    def phone_sims(self, owner: str) -> SimsView:
        """Return the SIMs of an owner's phones."""
        with self._reading() as cursor:
            return phones.find_sims(cursor, owner)

    def last_phone(self, owner: str, peer_digests: Iterable[str]) -> dict[str, str]:
        """Return which phone last spoke with each number that any did, by the numbers' digests.

        Texts that came a moment ago are looked for in the log: a reply may be as fast.
        """
        wanted = list(peer_digests)
        with self._reading() as cursor:
            # First how far they are, so that nothing gets between the two.
            position = _position_in(cursor)
            phones = phone_messages.find_phones(cursor, owner, wanted)
            rows = cursor.execute(_NEWEST, (position, _RECEIVED, NEWEST_MAX)).fetchall()
        for row in rows:
            event = self._log.decode_row(row, hidden="").event
            assert isinstance(event, InboundReceived), row
            if event.owner == owner and event.peer_digest in wanted and event.phone_id:
                phones[event.peer_digest] = event.phone_id
        return phones

    def due(self, now_s: float, limit: int) -> list[str]:
        """Return the streams of open messages to phones whose time is over, the oldest first."""
        with self._reading() as cursor:
            return phone_messages.find_due(cursor, now_s, limit)

    def lag_s(self) -> float:
        """Return the age of the oldest event that is not projected yet, 0.0 when there is none."""
        with self._reading() as cursor:
            row = cursor.execute(
                "SELECT state FROM signalbox.stored_events"
                " WHERE notification_id > (SELECT position FROM tracking)"
                " ORDER BY notification_id LIMIT 1"
            ).fetchone()
        return max(0.0, self._now_s() - read_envelope(row[0]).at.timestamp()) if row else 0.0

    def _position(self) -> int:
        with self._reading() as cursor:
            return _position_in(cursor)

    @contextmanager
    def _reading(self) -> Iterator[Cursor]:
        try:
            with (
                self._log.pool.connection() as connection,
                connection.transaction(),
                connection.cursor(row_factory=tuple_row) as cursor,
            ):
                use(cursor, self._schema)
                yield cursor
        except Broken as error:
            raise Unavailable("store does not answer") from error
        except errors.UndefinedTable as error:
            raise Unavailable("read models are not built yet") from error


def _position_in(cursor: Cursor) -> int:
    row = cursor.execute("SELECT position FROM tracking").fetchone()
    return row[0] if row else 0
