"""The licence of this process: read from the log, uploaded, and what follows from it.

It is one stream that hardly ever grows, so no actor keeps it: every process holds its state and the
follower brings what others committed (`follow`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import reduce
from time import monotonic
from typing import TYPE_CHECKING, Final

import gevent

from signalbox.domain import license as domain
from signalbox.domain.errors import LicenseExpired, LicenseRequired
from signalbox.domain.names import names_of
from signalbox.eventstore.errors import Conflict, Unavailable
from signalbox.eventstore.journal import Append, Write
from signalbox.eventstore.quota import Quota

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime

    from signalbox.actors.license_key import LicenseKey
    from signalbox.actors.links import Links
    from signalbox.domain.link import Link
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.mapper import Recorded

log = logging.getLogger(__name__)

LICENSE_EVENTS: Final = names_of(domain.LicenseUploaded)
UPLOAD_TRIES: Final = 10
BURST_S: Final = 0.2  # what may leave at once after a quiet time, in seconds of the full rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The licence as it is today; without one the company is empty and the limits are built in.

    `valid_until` is the last day, ISO 8601, or empty.
    """

    company: str
    valid_until: str
    max_connections: int
    max_tps: int
    status: domain.Status


class Licenses:
    """Knows the licence in force, once it was told to `restore`.

    `built_in` holds as long as there never was one.
    """

    def __init__(
        self,
        log_: EventLog,
        journal: Journal,
        key: LicenseKey,
        built_in: domain.Limits,
        *,
        required: bool,
        now: Callable[[], datetime],
    ) -> None:
        self._log = log_
        self._journal = journal
        self._key = key
        self._built_in = built_in
        self._required = required
        self._now = now
        self._watchers: list[Callable[[], None]] = []
        self._license, self._version = domain.License(), 0

    @property
    def limits(self) -> domain.Limits:
        """What holds now."""
        return self._license.limits(self._built_in)

    @property
    def terms(self) -> Terms:
        """What operators see."""
        uploaded, limits = self._license.uploaded, self.limits
        return Terms(
            company=uploaded.company if uploaded else "",
            valid_until=uploaded.valid_until if uploaded else "",
            max_connections=limits.connections_max,
            max_tps=limits.tps_max,
            status=self._license.status(self._today()),
        )

    def require_sending(self) -> None:
        """Raise `LicenseExpired`, or `LicenseRequired` when there is none and one is demanded."""
        match self._license.status(self._today()):
            case "expired":
                raise LicenseExpired
            case "missing" if self._required:
                raise LicenseRequired

    def upload(self, octets: bytes, *, by: str, request_id: str) -> Terms:
        """Put a licence file into force; durable on return.

        Raises:
            BadLicense, LicensePast, LicenseOlder: the one before stays.
            Unavailable: the store did not take it in time.
        """
        command = self._key.read(octets)
        for _ in range(UPLOAD_TRIES):
            try:
                self._decide(command, by=by, request_id=request_id)
            except Conflict:
                self.restore()
            else:
                return self.terms
        raise Unavailable("license is busy")

    def follow(self, recorded: Recorded) -> None:
        """Take what the log has of the licence. Raises: `Unavailable`."""
        if recorded.version == self._version + 1:
            assert isinstance(recorded.event, domain.Event), recorded
            self._take(domain.evolve(self._license, recorded.event), recorded.version)
        elif recorded.version > self._version:
            self.restore()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Have `watcher` called with every new licence."""
        self._watchers.append(watcher)

    def restore(self) -> None:
        """Read the stream. Raises: `Unavailable`."""
        license_, version = domain.License(), 0
        for recorded in self._log.read(domain.STREAM):
            assert isinstance(recorded.event, domain.Event), recorded
            license_, version = domain.evolve(license_, recorded.event), recorded.version
        self._take(license_, version)

    def _decide(self, command: domain.Command, *, by: str, request_id: str) -> None:
        events = domain.decide(self._license, command, self._today())
        version = self._version + len(events)
        license_ = reduce(domain.evolve, events, self._license)
        if not events:
            return
        append = Append(
            writes=(Write(domain.STREAM, version, events),),
            by=by,
            request_id=request_id,
            wait_s=self._journal.wait_s_max,
        )
        try:
            self._journal.append(append).get(timeout=self._journal.wait_s_max + 1)
        except gevent.Timeout:
            raise Unavailable("store does not answer") from None
        log.info("license uploaded", extra={"valid_until": command.valid_until.isoformat()})
        self._take(license_, version)

    def _take(self, license_: domain.License, version: int) -> None:
        if version <= self._version:
            return
        self._license, self._version = license_, version
        for watcher in self._watchers:
            watcher()

    def _today(self) -> date:
        return self._now().date()


class LicensedLinks:
    """Which of the links that are on may connect; new with every licence and every switch.

    A link that must go may stay bound for `leave_s`: only then its place is free, else the SMSC saw
    more links than licensed. Nobody is bound before the first question for a link.
    """

    def __init__(self, links: Links, licenses: Licenses, leave_s: float = 0.0) -> None:
        self._licenses = licenses
        self._leave_s = leave_s
        self._begun = False
        self._enabled: set[int] = set()
        self._licensed: frozenset[int] = frozenset()
        self._leaving_until_s: dict[int, float] = {}
        self._later: gevent.Greenlet | None = None
        links.watch(self._switched)
        links.room = self.require_room
        licenses.watch(self._count)

    def __contains__(self, link_id: object) -> bool:
        """Tell whether the link may connect, if it is on."""
        self._begun = True
        return link_id in self._licensed

    def require_room(self, link_id: int) -> None:
        """Raise `LicenseExceeded` when one more than allowed would be on with this link."""
        connections_max = self._licenses.limits.connections_max
        domain.require_room(self._enabled, link_id, connections_max)

    def _switched(self, link: Link) -> None:
        if link.enabled:
            self._enabled.add(link.link_id)
        else:
            self._enabled.discard(link.link_id)
        self._count()

    def _count(self) -> None:
        now_s = monotonic()
        connections_max = self._licenses.limits.connections_max
        entitled = domain.licensed(self._enabled, connections_max)
        self._note_leaving(entitled, now_s)
        staying = self._licensed & entitled
        taken = len(staying) + len(self._leaving_until_s)
        coming = domain.licensed(entitled - staying, connections_max, taken)
        self._licensed = staying | coming
        if self._licensed != entitled:
            self._count_again_in(min(self._leaving_until_s.values()) - now_s)

    def _note_leaving(self, entitled: frozenset[int], now_s: float) -> None:
        until_s = self._leaving_until_s
        if self._begun:
            until_s |= dict.fromkeys(self._licensed - entitled, now_s + self._leave_s)
        over = [one for one, at_s in until_s.items() if at_s <= now_s or one in entitled]
        for link_id in over:
            del until_s[link_id]

    def _count_again_in(self, delay_s: float) -> None:
        if self._later is not None:
            self._later.kill(block=False)
        self._later = gevent.spawn_later(delay_s, self._count_late)

    def _count_late(self) -> None:
        self._later = None
        self._count()


def licensed_pace(log_: EventLog, licenses: Licenses) -> Quota:
    """Return the bucket of parts that all links of all relays share; it follows the licence."""
    pace = Quota(log_.pool, "license", 0, 1)

    def follow() -> None:
        tps_max = licenses.limits.tps_max
        pace.set_rate(tps_max, tps_max * BURST_S)

    follow()
    licenses.watch(follow)
    return pace
