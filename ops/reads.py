"""The read models as the web process must see them: with all that it has committed or seen."""

from __future__ import annotations

from dataclasses import replace
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Final

from signalbox.domain.license import licensed
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.mapper import utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from datetime import date, datetime, tzinfo

    from signalbox.projections.accounts import UserRow
    from signalbox.projections.campaigns import Campaigns
    from signalbox.projections.dashboard import Figures, Statistics
    from signalbox.projections.links import LinkRow
    from signalbox.projections.messages import MessageInfo
    from signalbox.projections.phone_counts import PhoneStats
    from signalbox.projections.phone_views import MessageQuery, NumberQuery, PhoneMessageView
    from signalbox.projections.phones import PhoneRow, SimsView
    from signalbox.projections.readers import ReadModels
    from signalbox.projections.warmup import IpRow
    from signalbox.projections.warmup_views import IpHistory, IpStatus

SHARED_S: Final = 1.0


class Shared:
    """Statistics that everybody who asks within `keep_s` shares, as well as that there are none."""

    def __init__(self, read_models: ReadModels, keep_s: float) -> None:
        self._read_models = read_models
        self._keep_s = keep_s
        self._lock = Lock()
        self._found: Statistics | Unavailable = Unavailable("never read")
        self._keep_until_s = 0.0

    def read(self) -> Statistics:
        """Return them, read anew when they are too old. Raises: `Unavailable`."""
        with self._lock:
            if monotonic() >= self._keep_until_s:
                self._found = self._read_now()
                self._keep_until_s = monotonic() + self._keep_s
            found = self._found
        if isinstance(found, Unavailable):
            raise Unavailable(found.reason, found.retry_after_s)
        return found

    def _read_now(self) -> Statistics | Unavailable:
        try:
            return self._read_models.statistics()
        except Unavailable as unavailable:
            return unavailable


class OwnReads:
    """Waits up to `wait_s` for the projector to pass `position`, then reads what there is.

    Of the links that are on, `connections_max` may connect.
    """

    def __init__(
        self,
        read_models: ReadModels,
        position: Callable[[], int],
        wait_s: float,
        connections_max: Callable[[], int],
    ) -> None:
        self._read_models = read_models
        self._connections_max = connections_max
        self._position = position
        self._wait_s = wait_s
        self._statistics = Shared(read_models, SHARED_S)

    def message(self, message_id: str, *, app_id: int, link_id: int) -> MessageInfo | None:
        """Return a message of this application on this link. Raises: `Unavailable`."""
        return self._caught_up().message(message_id, app_id=app_id, link_id=link_id)

    def links(self) -> list[LinkRow]:
        """Return the configured links. Raises: `Unavailable`."""
        rows = self._caught_up().links()
        enabled = (row.id for row in rows if row.enabled)
        allowed = licensed(enabled, self._connections_max())
        return [_as_licensed(row, allowed) for row in rows]

    def figures(self) -> Figures:
        """Return the dashboard's figures. Raises: `Unavailable`."""
        return self._caught_up().figures()

    def statistics(self) -> Statistics:
        """Return the last hour as it was a moment ago. Raises: `Unavailable`."""
        return self._statistics.read()

    def campaigns(self, offset: int, limit: int) -> Campaigns:
        """Return campaigns. Raises: `Unavailable`, `TooFarBackError`."""
        return self._caught_up().campaigns(offset, limit)

    def users(self) -> list[UserRow]:
        """Return the users, with their addresses. Raises: `Unavailable`."""
        return self._caught_up().users()

    def user_stream(self, user_id: int) -> str | None:
        """Return the stream a user is decided on in. Raises: `Unavailable`."""
        return self._caught_up().user_stream(user_id)

    def _caught_up(self) -> ReadModels:
        self._read_models.wait_for(self._position(), self._wait_s)
        return self._read_models


class WarmupReads:
    """As `OwnReads`, of what is warmed up; addresses are canonical.

    Dates are those of `zone`. What reads raises `Unavailable`.
    """

    def __init__(
        self,
        read_models: ReadModels,
        position: Callable[[], int],
        wait_s: float,
        zone: tzinfo,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._read_models = read_models
        self._position = position
        self._wait_s = wait_s
        self._zone = zone
        self._now = now

    def configs(self) -> list[IpRow]:
        """Return the addresses with their ramps."""
        return self._caught_up().warmups()

    def config(self, ip: str) -> IpRow | None:
        """Return one address with its ramps."""
        return next(iter(self._caught_up().warmups(ip)), None)

    def statuses(self) -> list[IpStatus]:
        """Return how the addresses stand now."""
        return self._caught_up().warmup_status(self._zone)

    def status(self, ip: str) -> IpStatus | None:
        """Return how one address stands now."""
        return next(iter(self._caught_up().warmup_status(self._zone, ip)), None)

    def today(self) -> date:
        """Return the local date."""
        return self._now().astimezone(self._zone).date()

    def history(self, ip: str, since: date, until: date) -> IpHistory | None:
        """Return the days of an address so far; None when nothing is known of it."""
        return self._caught_up().warmup_history(self._zone, ip, since, until)

    def _caught_up(self) -> ReadModels:
        self._read_models.wait_for(self._position(), self._wait_s)
        return self._read_models


class PhoneReads:
    """As `OwnReads`, of phones and their messages. What reads raises `Unavailable`."""

    def __init__(self, read_models: ReadModels, position: Callable[[], int], wait_s: float) -> None:
        self._read_models = read_models
        self._position = position
        self._wait_s = wait_s

    def messages(self, owner: str, query: MessageQuery) -> tuple[list[PhoneMessageView], bool]:
        """Return a page of an owner's messages, and whether there is more behind it."""
        return self._caught_up().phone_messages(owner, query)

    def numbered(self, owner: str, query: NumberQuery) -> list[PhoneMessageView]:
        """Return a page of an owner's numbered messages."""
        return self._caught_up().numbered_messages(owner, query)

    def stats(self, owner: str) -> PhoneStats:
        """Return what an owner's phones carried until now."""
        return self._caught_up().phone_stats(owner)

    def phones(self, owner: str) -> list[PhoneRow]:
        """Return an owner's phones, those seen last first."""
        return self._caught_up().phones(owner)

    def sims(self, owner: str) -> SimsView:
        """Return the SIMs of an owner's phones."""
        return self._caught_up().phone_sims(owner)

    def _caught_up(self) -> ReadModels:
        self._read_models.wait_for(self._position(), self._wait_s)
        return self._read_models


def _as_licensed(row: LinkRow, allowed: Container[int]) -> LinkRow:
    """Show that a link is on, but may not connect."""
    if not row.enabled or row.id in allowed:
        return row
    return replace(row, status="UNLICENSED", reason="not licensed")
