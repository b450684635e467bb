"""The gateway below the warm-up's HTTP surface: the domain's decisions, kept in memory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import falcon.testing
from support.described import DescribedClient

from signalbox.domain import sending_ip as domain
from signalbox.domain.ramp import Schedule
from signalbox.domain.warming import Warming
from signalbox.domain.warmup_status import WarmupStatus, facts_of, local_day, status_of
from signalbox.eventstore.errors import Unavailable
from signalbox.http.app import create_app
from signalbox.http.body import BodyReader
from signalbox.http.limits import AllRequests
from signalbox.http.warmup.openapi import document
from signalbox.http.warmup.routes import WarmupSurface

BODY_OCTETS_MAX: Final = 1_048_576
NOW: Final = datetime(2025, 8, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Config:
    """A row of the configuration."""

    ip: str
    schedules: tuple[Schedule, ...]


@dataclass(frozen=True)
class Standing:
    """How a ramp stands."""

    schedule: Schedule
    current_day: int
    status: WarmupStatus


@dataclass(frozen=True)
class Status:
    """How an address stands."""

    ip: str
    offset_s: int
    groupings: tuple[Standing, ...]


class FakeWarmup:
    """Both ports at once, so that what is read is what was written; `away` when the store is."""

    def __init__(self) -> None:
        self.states: dict[str, domain.SendingIp] = {}
        self.events: list[domain.Event] = []
        self.asked_by: list[str] = []
        self.now = NOW
        self.zone = ZoneInfo("UTC")
        self.away = False
        self.seen: Callable[[], None] = lambda: None

    def knows(self, ip: str) -> bool:
        known = ip in self.states
        self.seen()
        return known

    def add(self, ip: str, schedules: tuple[Schedule, ...], *, by: str, request_id: str) -> None:
        self._decide(ip, domain.AddIp(schedules), by, request_id)

    def replace(
        self,
        ip: str,
        schedules: tuple[Schedule, ...],
        flags_kept: frozenset[str],
        *,
        by: str,
        request_id: str,
    ) -> None:
        self._decide(ip, domain.ReplaceIp(schedules, flags_kept), by, request_id)

    def remove(self, ip: str, *, by: str, request_id: str) -> None:
        self._decide(ip, domain.RemoveIp(), by, request_id)

    def remove_grouping(self, ip: str, grouping: str, *, by: str, request_id: str) -> None:
        self._decide(ip, domain.RemoveGrouping(grouping), by, request_id)

    def pause(self, ip: str, grouping: str | None, *, by: str, request_id: str) -> None:
        self._decide(ip, domain.Pause(grouping), by, request_id)

    def resume(self, ip: str, grouping: str | None, *, by: str, request_id: str) -> None:
        self._decide(ip, domain.Resume(grouping), by, request_id)

    def configs(self) -> Sequence[Config]:
        self._require()
        return [Config(ip, self.states[ip].schedules) for ip in self._ips()]

    def config(self, ip: str) -> Config | None:
        return next((one for one in self.configs() if one.ip == ip), None)

    def statuses(self) -> Sequence[Status]:
        self._require()
        offset_s = local_day(self.now, self.zone).offset_s
        return [
            Status(ip, offset_s, tuple(map(self._standing, self.states[ip].schedules)))
            for ip in self._ips()
        ]

    def status(self, ip: str) -> Status | None:
        return next((one for one in self.statuses() if one.ip == ip), None)

    def _standing(self, schedule: Schedule) -> Standing:
        today = self.now.astimezone(self.zone).date()
        history = Warming.begun(schedule, self.now.timestamp()).history
        facts = facts_of(history, {}, self.now, self.zone)
        return Standing(schedule, schedule.current_day(today), status_of(schedule, facts, today))

    def _decide(self, ip: str, command: domain.Command, by: str, request_id: str) -> None:
        assert request_id
        self._require()
        self.asked_by.append(by)
        now_s = self.now.timestamp()
        state = self.states.get(ip)
        for event in domain.decide(state, command, now_s):
            self.events.append(event)
            state = domain.evolve(state, event, now_s)
        self.states.pop(ip, None)
        if state is not None:
            self.states[ip] = state

    def _ips(self) -> list[str]:
        return sorted(self.states, key=domain.ip_order)

    def _require(self) -> None:
        if self.away:
            raise Unavailable("host 10.0.0.1 is down", retry_after_s=3)


@dataclass
class Surface:
    """The surface, and what is below it."""

    api_keys: Sequence[str] = ()
    strict_doc_shapes: bool = False
    status_words: Mapping[WarmupStatus, str] = field(default_factory=dict)
    limit: AllRequests | None = None
    body_octets_max: int = BODY_OCTETS_MAX
    warmup: FakeWarmup = field(default_factory=FakeWarmup)

    def app(self) -> "falcon.App[Any, Any]":
        """Return the WSGI application."""
        surface = WarmupSurface(
            warmup=self.warmup,
            reads=self.warmup,
            body=BodyReader(self.body_octets_max),
            api_keys=self.api_keys,
            strict_doc_shapes=self.strict_doc_shapes,
            status_words=self.status_words,
        )
        return create_app(surface.routes(), {}, self.limit, [surface.guard()])

    def client(self) -> falcon.testing.TestClient:
        """Return a client of it; every answer must be the described one."""
        return DescribedClient(self.app(), document(with_keys=bool(self.api_keys)))
