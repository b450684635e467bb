"""What there is under `/config` and `/status`.

The order of the checks is: the key, the path, the address, the body as JSON, whether what the path
names is there, and only then what the body says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from signalbox.domain.errors import IpExists, UnknownGrouping, UnknownIp
from signalbox.http.context import encode
from signalbox.http.warmup import wire
from signalbox.http.warmup import wire_answers as answers
from signalbox.http.warmup.refusals import phrased
from signalbox.http.warmup.segments import grouping_in, ip_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    import falcon
    import msgspec

    from signalbox.domain.warmup_status import WarmupStatus
    from signalbox.http.body import BodyReader
    from signalbox.http.context import Request
    from signalbox.http.warmup import ports
    from signalbox.http.warmup.auth import KeyGate

# Responders take an address and a grouping from the path as it came (`segments`), not from falcon.


class _Config:
    """What every path under `/config` has."""

    def __init__(self, gate: KeyGate, warmup: ports.Warmup, reads: ports.WarmupReads) -> None:
        self._gate = gate
        self._warmup = warmup
        self._reads = reads

    def _config(self, ip: str) -> ports.IpConfig:
        """Return an address's configuration. Raises: `UnknownIp`."""
        row = self._reads.config(ip)
        if row is None:
            raise UnknownIp
        return row


class AllConfig(_Config):
    """`/config`."""

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Answer with the configuration of all addresses."""
        self._gate(req)
        rows = self._reads.configs()
        _answer(resp, answers.AllConfig({row.ip: answers.ip_config(row) for row in rows}))


class IpConfig(_Config):
    """`/config/{ip}`."""

    def __init__(
        self,
        gate: KeyGate,
        warmup: ports.Warmup,
        reads: ports.WarmupReads,
        body: BodyReader,
    ) -> None:
        super().__init__(gate, warmup, reads)
        self._body = body

    def on_get(self, req: Request, resp: falcon.Response, **_in_path: str) -> None:
        """Answer with an address's configuration."""
        self._gate(req)
        with phrased():
            _answer(resp, answers.ip_config(self._config(ip_in(req))))

    def on_post(self, req: Request, resp: falcon.Response, **_in_path: str) -> None:
        """Configure an address that is not yet."""
        by, ip = self._gate(req), ip_in(req)
        value = wire.value_of(self._body.octets(req))
        with phrased():
            if self._warmup.knows(ip):
                raise IpExists
            schedules = wire.configuration(value).schedules()
            self._warmup.add(ip, schedules, by=by, request_id=req.context.request_id)
        _succeed(resp)

    def on_put(self, req: Request, resp: falcon.Response, **_in_path: str) -> None:
        """Replace an address's configuration; without `paused` a ramp is paused if it was."""
        by, ip = self._gate(req), ip_in(req)
        value = wire.value_of(self._body.octets(req))
        with phrased():
            if not self._warmup.knows(ip):
                raise UnknownIp
            configuration = wire.configuration(value)
            self._warmup.replace(
                ip,
                configuration.schedules(),
                configuration.without_flag(),
                by=by,
                request_id=req.context.request_id,
            )
        _succeed(resp)

    def on_delete(self, req: Request, resp: falcon.Response, **_in_path: str) -> None:
        """Remove an address's configuration."""
        by, ip = self._gate(req), ip_in(req)
        with phrased():
            self._warmup.remove(ip, by=by, request_id=req.context.request_id)
        _succeed(resp)


class GroupingConfig(_Config):
    """`/config/{ip}/{grouping}`."""

    def on_get(self, req: Request, resp: falcon.Response, **_in_path: str) -> None:
        """Answer with a grouping's configuration."""
        self._gate(req)
        with phrased():
            row, grouping = self._config(ip_in(req)), grouping_in(req)
            for schedule in row.schedules:
                if schedule.grouping == grouping:
                    return _answer(resp, answers.grouping_config(schedule))
            raise UnknownGrouping(grouping)

    def on_delete(self, req: Request, resp: falcon.Response, **_in_path: str) -> None:
        """Remove a grouping's configuration."""
        by, ip = self._gate(req), ip_in(req)
        with phrased():
            grouping = grouping_in(req)
            self._warmup.remove_grouping(ip, grouping, by=by, request_id=req.context.request_id)
        _succeed(resp)


class Switch:
    """`/config/{ip}/pause` and `resume`, and the same `of_grouping`; a body is not looked at."""

    def __init__(
        self, gate: KeyGate, warmup: ports.Warmup, *, pauses: bool, of_grouping: bool
    ) -> None:
        self._gate = gate
        self._switch = warmup.pause if pauses else warmup.resume
        self._of_grouping = of_grouping

    def on_put(self, req: Request, resp: falcon.Response, **_in_path: str) -> None:
        """Hold it, or let it go on; fine if it was so."""
        by, ip = self._gate(req), ip_in(req)
        with phrased():
            grouping = grouping_in(req) if self._of_grouping else None
            self._switch(ip, grouping, by=by, request_id=req.context.request_id)
        _succeed(resp)


class _Status:
    """What every path under `/status` has; `words` are said instead of the usual ones."""

    def __init__(
        self,
        gate: KeyGate,
        reads: ports.WarmupReads,
        words: Mapping[WarmupStatus, str],
    ) -> None:
        self._gate = gate
        self._reads = reads
        self._words = words

    def _status(self, ip: str) -> ports.IpStatus:
        """Return how an address stands. Raises: `UnknownIp`."""
        row = self._reads.status(ip)
        if row is None:
            raise UnknownIp
        return row

    def _groupings(self, row: ports.IpStatus, *, named: bool) -> list[answers.GroupingStatus]:
        return [answers.grouping_status(one, self._words, named=named) for one in row.groupings]


class AllStatus(_Status):
    """`/status`.

    The reference's example leaves the names of the groupings out, which `strict_shapes` does, too.
    """

    def __init__(
        self,
        gate: KeyGate,
        reads: ports.WarmupReads,
        words: Mapping[WarmupStatus, str],
        *,
        strict_shapes: bool,
    ) -> None:
        super().__init__(gate, reads, words)
        self._named = not strict_shapes

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Answer with how all addresses stand."""
        self._gate(req)
        ips = {
            row.ip: answers.GroupingsStatus(self._groupings(row, named=self._named))
            for row in self._reads.statuses()
        }
        _answer(resp, answers.AllStatus(ips))


class IpStatus(_Status):
    """`/status/{ip}`."""

    def on_get(self, req: Request, resp: falcon.Response, **_in_path: str) -> None:
        """Answer with how an address stands."""
        self._gate(req)
        with phrased():
            row = self._status(ip_in(req))
        _answer(resp, answers.IpStatus(self._groupings(row, named=True), row.offset_s))


class GroupingStatus(_Status):
    """`/status/{ip}/{grouping}`."""

    def on_get(self, req: Request, resp: falcon.Response, **_in_path: str) -> None:
        """Answer with how a grouping stands."""
        self._gate(req)
        with phrased():
            row, grouping = self._status(ip_in(req)), grouping_in(req)
            for one in row.groupings:
                if one.schedule.grouping == grouping:
                    return _answer(resp, answers.grouping_status(one, self._words, named=False))
            raise UnknownGrouping(grouping)


def _answer(resp: falcon.Response, body: msgspec.Struct) -> None:
    resp.data = encode(body)


def _succeed(resp: falcon.Response) -> None:
    _answer(resp, answers.Succeeded())
