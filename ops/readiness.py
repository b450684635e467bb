"""What must be there before a load balancer sends requests here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eventsourcing.persistence import InterfaceError, OperationalError

from signalbox.domain import link
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.leases import partition_of
from signalbox.eventstore.postgres import Broken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from signalbox.eventstore.log import EventLog
    from signalbox.ops.settings import Settings
    from signalbox.projections.readers import ReadModels

AWAY: Final = (*Broken, OperationalError, InterfaceError)
_HELD: Final = """
    SELECT partition FROM signalbox.leases
    WHERE partition = ANY(%s) AND expires_at > clock_timestamp()
"""


def checks(
    settings: Settings,
    log: EventLog,
    read_models: ReadModels,
    link_ids: Callable[[], Iterable[int]],
) -> dict[str, Callable[[], str]]:
    """Return the checks of `/readyz`; each returns what is wrong with the links there are."""

    def store() -> str:
        log.head()
        return ""

    def leases() -> str:
        partitions = settings.leases.partitions
        wanted = {partition_of(link.stream_of(one), partitions) for one in link_ids()}
        with log.pool.connection() as connection:
            rows = connection.execute(_HELD, (list(wanted),)).fetchall()
        orphans = len(wanted) - len(rows)
        return f"nobody acts for {orphans} of {len(wanted)} partitions" if orphans else ""

    def projector() -> str:
        lag_s = read_models.lag_s()
        return f"{lag_s:.0f} s behind" if lag_s > settings.projector.lag_ready_s else ""

    return {
        "store": _bounded(store),
        "leases": _bounded(leases),
        "projector": _bounded(projector),
    }


def _bounded(check: Callable[[], str]) -> Callable[[], str]:
    """Return a check that tells when the store does not answer."""

    def ask() -> str:
        try:
            return check()
        except Unavailable as error:
            return error.reason
        except AWAY:
            return "store does not answer"

    return ask
