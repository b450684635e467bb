"""Sends what happened in each minute to an InfluxDB, from the process that keeps the read models.

    every interval: the read model's minutes that are over ──▶ those not confirmed yet ──▶ write

There is no buffer: the read model keeps its minutes for more than an hour, and a point that is
written again overwrites itself. So whatever was not confirmed is sent with the next interval, and
so is a minute that has changed after it was sent; another process that takes over sends all.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from time import time
from typing import TYPE_CHECKING, Final

import gevent
from gevent.event import Event
from influxdb_client import InfluxDBClient, WritePrecision
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException
from urllib3.exceptions import HTTPError

from signalbox.eventstore import metrics
from signalbox.eventstore.errors import Unavailable
from signalbox.projections.activity import LinkMinute, Minute

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from signalbox.ops.sections import StatisticExporter
    from signalbox.projections.readers import ReadModels

log = logging.getLogger(__name__)

LATE_S: Final = 300  # a minute that is over may still change for so long
POINTS_MAX: Final = 1_000  # in one request, and made at a stretch
TROUBLE: Final = (ApiException, HTTPError, OSError, Unavailable)


class InfluxSink:
    """The bucket everything is written to."""

    def __init__(self, target: StatisticExporter) -> None:
        self._bucket = target.bucket
        self._client = InfluxDBClient(
            url=target.url,
            token=target.token or None,
            org=target.org,
            timeout=int(target.timeout_s * 1000),
            ssl_ca_cert=target.tls_ca_file or None,
        )
        self._api = self._client.write_api(write_options=SYNCHRONOUS)

    def write(self, minutes: Sequence[Minute | LinkMinute]) -> None:
        """Write a point for each. Raises: `ApiException` when refused, `HTTPError`, `OSError`."""
        points = [_point(minute) for minute in minutes]
        self._api.write(self._bucket, record=points, write_precision=WritePrecision.S)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class Exporter:
    """Exports in the background every `interval_s`, as long as `is_current` says the minutes are.

    Trouble is logged when it begins and when it ends.
    """

    def __init__(
        self,
        read_models: ReadModels,
        write: Callable[[Sequence[Minute | LinkMinute]], None],
        is_current: Callable[[], bool],
        interval_s: float,
    ) -> None:
        self._read_models = read_models
        self._write = write
        self._is_current = is_current
        self._interval_s = interval_s
        self._confirmed: set[Minute | LinkMinute] = set()
        self._complete_until_s = 0
        self._failing = False
        self._stopping = Event()
        self._greenlet = gevent.spawn(self._run)

    def close(self) -> None:
        """Stop, also in the middle of a write; whoever is next sends what was not confirmed."""
        self._stopping.set()
        self._greenlet.kill()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            if self._is_current():
                self._try()

    def _try(self) -> None:
        try:
            self._export()
        except TROUBLE as error:
            metrics.EXPORT_FAILURES.inc()
            if not self._failing:
                log.warning("statistics are not exported", extra={"reason": _reason(error)})
            self._failing = True
        else:
            metrics.EXPORTED.set(time())
            if self._failing:
                log.info("statistics are exported again")
            self._failing = False

    def _export(self) -> None:
        minutes, links = self._read_models.finished_minutes(self._complete_until_s - LATE_S)
        found: list[Minute | LinkMinute] = [*minutes, *links]
        fresh = [one for one in found if one not in self._confirmed]
        for start in range(0, len(fresh), POINTS_MAX):
            chunk = fresh[start : start + POINTS_MAX]
            self._write(chunk)
            self._confirmed.update(chunk)
        self._confirmed.intersection_update(found)
        self._complete_until_s = minutes[-1].start_s


def _point(minute: Minute | LinkMinute) -> dict[str, object]:
    fields: dict[str, object] = asdict(minute)
    start_s = fields.pop("start_s")
    if isinstance(minute, LinkMinute):
        tags = {"link": fields.pop("link_id")}
        return {"measurement": "signalbox_links", "tags": tags, "fields": fields, "time": start_s}
    return {"measurement": "signalbox", "fields": fields, "time": start_s}


def _reason(error: Exception) -> str:
    """Return why, without what the server sent along."""
    return f"{error.status} {error.reason}" if isinstance(error, ApiException) else str(error)
