"""How much the accounts of a tenant have sent lately, for those that have limits.

What is counted is stored in the append that stores the attempts, so it is as exact for whoever has
the lease next. Reading it blocks and happens beside the dispatcher; until then the account waits.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import gevent

from signalbox.actors.mail_feeder import RETRY_S, TROUBLE
from signalbox.domain import mail_usage as domain
from signalbox.domain.mail_account import DAY_S
from signalbox.domain.mail_usage import Usage, UsageTaken
from signalbox.domain.names import names_of
from signalbox.eventstore.journal import Write

if TYPE_CHECKING:
    from collections.abc import Callable

    from signalbox.eventstore.log import EventLog

log = logging.getLogger(__name__)

_EVENTS: Final = names_of(UsageTaken)


@dataclass(frozen=True, slots=True)
class UsageRead:
    """What an account has taken, by the log; `version` is that of its stream of that day."""

    account_id: str
    usage: Usage
    day: str
    version: int


class Usages:
    """See the module."""

    def __init__(
        self,
        event_log: EventLog,
        tenant_id: str,
        now: Callable[[], datetime],
        tell: Callable[[object], None],
    ) -> None:
        self._log = event_log
        self._tenant_id = tenant_id
        self._now = now
        self._tell = tell
        self._read: dict[str, UsageRead] = {}
        self._reading: dict[str, gevent.Greenlet] = {}

    def get(self, account_id: str) -> Usage | None:
        """Return what an account has taken; None while that is being read: `tell` gets it."""
        read = self._read.get(account_id)
        if read is None and account_id not in self._reading:
            self._reading[account_id] = gevent.spawn(self._run, account_id)
        return read.usage if read else None

    def take(self, read: UsageRead) -> None:
        """Keep what was read."""
        self._reading.pop(read.account_id, None)
        self._read[read.account_id] = read

    def forget(self, account_id: str) -> None:
        """Have it read anew: the log has it otherwise."""
        self._read.pop(account_id, None)

    def write(self, account_id: str, count: int) -> Write:
        """Return what stores that so many more were taken, and rely on it being stored."""
        day = _day(self._now())
        read = self._read[account_id]
        version = read.version + 1 if read.day == day else 1
        self._read[account_id] = UsageRead(account_id, read.usage, day, version)
        read.usage.forget_before(self._now().timestamp() - DAY_S)
        return Write(self._stream(account_id, day), version, (UsageTaken(count),))

    def close(self) -> None:
        """Stop reading."""
        gevent.killall(list(self._reading.values()), block=False)

    def _run(self, account_id: str) -> None:
        while True:
            try:
                read = self._fetch(account_id)
            except TROUBLE as error:
                log.warning("usage can't be read", extra={"error": str(error)})
                gevent.sleep(RETRY_S)
            else:
                self._tell(read)
                return

    def _fetch(self, account_id: str) -> UsageRead:
        now = self._now()
        today, before = _day(now), _day(now - timedelta(days=1))
        streams = [self._stream(account_id, day) for day in (before, today)]
        with self._log.turns:
            recorded = self._log.read_many(streams, _EVENTS)
        usage = Usage()
        for one in recorded:
            assert isinstance(one.event, UsageTaken), one
            usage.take(one.event.count, one.at_s)
        usage.forget_before(now.timestamp() - DAY_S)
        version = max((one.version for one in recorded if one.stream_id == streams[1]), default=0)
        return UsageRead(account_id, usage, today, version)

    def _stream(self, account_id: str, day: str) -> str:
        key = self._log.secrets.digest("mail usage", self._tenant_id, account_id)
        return domain.stream_of(key, day)


def _day(at: datetime) -> str:
    return at.astimezone(UTC).date().isoformat()
