"""Bodies about what goes on in the gateway. Names and shapes are the API reference's.

A rate is a percentage: errors, which are messages that failed or were refused by a filter, of the
messages that were asked for in the same time, 0.0 when there were none.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from signalbox.http.sms_proxy.wire import Data, Succeeded, data
from signalbox.projections.dashboard import CURRENT_S
from signalbox.projections.outcomes import MINUTE_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from signalbox.http.sms_proxy.ports import PoolRow, SystemLoad
    from signalbox.projections.activity import Minute
    from signalbox.projections.campaigns import Campaign, Campaigns
    from signalbox.projections.dashboard import Statistics
    from signalbox.projections.links import LinkRow

SHORT_NAME_CHARACTERS: Final = 20


class RequestMinute(msgspec.Struct, frozen=True):
    """A minute (HH:MM, UTC) and the messages asked for in each of its seconds, on average."""

    time: str
    rps: float


class Requests(msgspec.Struct, frozen=True):
    """The mean of the last ten seconds, and the last hour."""

    current: int
    data: list[RequestMinute]


class ErrorMinute(msgspec.Struct, frozen=True):
    """A minute (HH:MM, UTC), its errors and their rate."""

    time: str
    errors: int
    rate: float


class Errors(msgspec.Struct, frozen=True):
    """The rate of the last hour, and its minutes."""

    rate: float
    data: list[ErrorMinute]


class TopCampaign(msgspec.Struct, frozen=True):
    """A campaign by its place."""

    index: int
    name: str
    short_name: str
    messages: int


class System(msgspec.Struct, frozen=True):
    """How busy the machine is, in percent."""

    cpu: float
    ram: float
    disk: float


class Stats(msgspec.Struct, frozen=True, rename={"top_campaign_stats": "topCampaignStats"}):
    """The last hour, the busiest campaigns, and the machine."""

    rps: Requests
    errors: Errors
    top_campaign_stats: list[TopCampaign]
    system: System


class LoadBalancer(msgspec.Struct, frozen=True):
    """A pool; `total_tps` is what its links that are switched on may submit per second."""

    id: int
    name: str
    links: list[str]
    total_tps: int


class CampaignRow(msgspec.Struct, frozen=True):
    """What became of a campaign's messages; `messages_partial` and `app_id` are ours."""

    campaign_uuid: str
    messages_sent: int
    messages_failed: int
    messages_total: int
    sme: int
    messages_partial: int
    app_id: int


class CampaignQuery(msgspec.Struct, frozen=True):
    """Which page is asked for; below 1 means the default, and 100 is the longest page."""

    page: int = 1
    limit: int = 50


class Pagination(msgspec.Struct, frozen=True, rename={"total_pages": "totalPages"}):
    """Which page this is, of how many."""

    page: int
    limit: int
    total: int
    total_pages: int


class CampaignPage(msgspec.Struct, frozen=True):
    """Some of the campaigns."""

    success: Succeeded
    data: list[CampaignRow]
    pagination: Pagination


def stats(found: Statistics, load: SystemLoad) -> Data[Stats]:
    """Return the statistics."""
    return data(
        Stats(
            rps=_requests(found),
            errors=_errors(found.minutes),
            top_campaign_stats=[_top(index, one) for index, one in enumerate(found.top, start=1)],
            system=System(load.cpu, load.ram, load.disk),
        )
    )


def load_balancers(pools: Iterable[PoolRow], rows: Sequence[LinkRow]) -> Data[list[LoadBalancer]]:
    """Return the pools by their place in the configuration."""
    tps = {row.name: int(row.limit_tps) if row.enabled else 0 for row in rows}
    balancers = [
        LoadBalancer(index, pool.name, list(pool.links), sum(tps.get(n, 0) for n in pool.links))
        for index, pool in enumerate(pools)
    ]
    return data(balancers)


def campaigns(found: Campaigns, page: int, limit: int) -> CampaignPage:
    """Return one page of campaigns."""
    return CampaignPage(
        success=True,
        data=[_campaign(row) for row in found.rows],
        pagination=Pagination(page, limit, found.total, -(-found.total // limit)),
    )


def _requests(found: Statistics) -> Requests:
    minutes = [
        RequestMinute(_clock(one), round(one.requests / _lasted_s(one, found.now_s), 2))
        for one in found.minutes
    ]
    return Requests(round(found.current_requests / CURRENT_S), minutes)


def _errors(minutes: Sequence[Minute]) -> Errors:
    errors, requests = sum(m.errors for m in minutes), sum(m.requests for m in minutes)
    each = [ErrorMinute(_clock(m), m.errors, _rate(m.errors, m.requests)) for m in minutes]
    return Errors(_rate(errors, requests), each)


def _rate(errors: int, requests: int) -> float:
    return round(100 * errors / requests, 2) if requests else 0.0


def _lasted_s(minute: Minute, now_s: float) -> float:
    """Return how long a minute has lasted; one second at least, so that its begin is no peak."""
    return min(max(now_s - minute.start_s, 1.0), MINUTE_S)


def _clock(minute: Minute) -> str:
    return f"{datetime.fromtimestamp(minute.start_s, UTC):%H:%M}"


def _top(index: int, one: Campaign) -> TopCampaign:
    return TopCampaign(index, one.name, one.name[:SHORT_NAME_CHARACTERS], one.total)


def _campaign(row: Campaign) -> CampaignRow:
    return CampaignRow(
        campaign_uuid=row.name,
        messages_sent=row.sent,
        messages_failed=row.failed,
        messages_total=row.total,
        sme=row.link_id,
        messages_partial=row.partial,
        app_id=row.app_id,
    )
