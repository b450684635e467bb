"""A whole gateway without HTTP in this process: what web and relay do, on a real database.

with Gateway(event_log, smsc.port, window=5) as gateway:
sent = gateway.send(handset("8002"))
eventually(lambda: gateway.statuses(sent.message_id) == ["delivered"])
"""

from __future__ import annotations

import time
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import gevent

from signalbox.actors.desk import Patience
from signalbox.actors.filters import Filters
from signalbox.actors.license_key import LicenseKey
from signalbox.actors.licenses import LICENSE_EVENTS, LicensedLinks, Licenses, licensed_pace
from signalbox.actors.link_messages import LinkPlan, Submission
from signalbox.actors.links import LINK_EVENTS, Links
from signalbox.actors.loads import LoadReports, Loads
from signalbox.actors.routing import Pools, Routes
from signalbox.actors.sending import OUTCOME_EVENTS, Outcomes, Sending, SendRequest, Sent
from signalbox.actors.sessions import Sessions
from signalbox.actors.transports.smpp.session import Endpoint
from signalbox.domain import message as messages
from signalbox.domain.license import Limits
from signalbox.domain.link import LinkSpec
from signalbox.domain.pool import Pool
from signalbox.eventstore.follower import Follower
from signalbox.eventstore.journal import Journal
from signalbox.eventstore.leases import LeaseKeeper
from signalbox.eventstore.mapper import utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from types import TracebackType

    from psycopg.rows import TupleRow

    from signalbox.actors.filters import Rule
    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.mapper import Recorded

LOOK_S: Final = 0.02
PATIENCE_S: Final = 30.0  # on a busy machine; what holds at once costs nothing of it
PARTITIONS: Final = 32
WINDOW_S: Final = 86_400
NO_LIMITS: Final = Limits(connections_max=0, tps_max=0)

_gateways = count(1)
_handsets = count(1)


class StartGateway(Protocol):
    """Starts a `Gateway` on the test's own log; the fixture `start_gateway`."""

    def __call__(self, *ports: int, **changes: Any) -> Gateway: ...  # noqa: ANN401


def handset(tail: str = "0000") -> str:
    """Return a number no other test sends to; its last four digits tell an SMSC what to do."""
    return f"4917{next(_handsets):05}{tail}"


class Gateway:
    """Links 1, 2, … to the given ports; keyword arguments change every link.

    With `pool`, the fields of a `Pool`, all of them stand in for each other. `built_in` is what
    holds without a licence.

    Each gateway has accounts of its own at the SMSCs, unless `system_id` says which.
    """

    def __init__(
        self,
        log: EventLog,
        *ports: int,
        send_wait_s: float = 5,
        lease_s: float = 3,
        pool: dict[str, Any] | None = None,
        built_in: Limits = NO_LIMITS,
        now: Callable[[], datetime] = utc_now,
        **link: Any,  # noqa: ANN401
    ) -> None:
        self.log = log
        self.journal = Journal(log)
        self._values = _values(ports, link)
        specs, plans = _links(self._values)
        self.links = Links(log, self.journal, specs)
        pools = Pools([Pool(name="all", link_ids=tuple(specs), **pool)] if pool is not None else [])
        self.loads = Loads(log.pool, pools.link_ids)
        self.routes = Routes(self.links, pools, self.loads)
        key = LicenseKey("")
        self.licenses = Licenses(log, self.journal, key, built_in, required=False, now=now)
        self.licensed = LicensedLinks(self.links, self.licenses)
        self.pace = licensed_pace(log, self.licenses)
        self.sessions = Sessions(
            log, self.journal, self.links, plans, PARTITIONS, self.routes,
            licensed=self.licensed, pace=self.pace,
        )  # fmt: skip
        self.reports = LoadReports(log.pool, self.sessions.vitals)
        self.links.watch(self.sessions.changed)
        self.outcomes = Outcomes(log)
        self.sending = self.sending_anew(send_wait_s=send_wait_s)
        topics = [*LINK_EVENTS, *LICENSE_EVENTS, *OUTCOME_EVENTS]
        self.follower = Follower(log, topics, self._follow, self.sessions.work_waits)
        assert self.follower.listening.wait(5)
        self.licenses.restore()
        self.links.configure("test")
        self.keeper = LeaseKeeper(
            log, self.sessions.gained, self.sessions.lost, self.sessions.leaving,
            partitions=PARTITIONS, ttl_s=lease_s, renew_s=lease_s / 6, safety_s=lease_s / 3,
        )  # fmt: skip
        self.sessions.keeper = self.keeper
        # Killed in the middle of connecting it would keep the server, and its DROP, waiting.
        eventually(lambda: self.keeper._own._connection)  # noqa: SLF001
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _follow(self, rows: list[TupleRow]) -> None:
        for row in rows:
            if row[3] in LINK_EVENTS:
                self.links.follow(self.log.decode_row(row))
            elif row[3] in LICENSE_EVENTS:
                self.licenses.follow(self.log.decode_row(row))
            else:
                self.outcomes.handle(row)

    def sending_anew(
        self, *, send_wait_s: float = 5, window_s: float = WINDOW_S, rules: Sequence[Rule] = ()
    ) -> Sending:
        """Return another way in, as a second web process has it."""
        return Sending(
            self.log, self.journal, self.links, self.routes.carrier, self.outcomes,
            send_wait_s=send_wait_s, parts_max=10, window_s=window_s, filters=Filters(rules),
            require_license=self.licenses.require_sending,
        )  # fmt: skip

    def reconfigure(self, links: dict[int, dict[str, Any]]) -> None:
        """Read another configuration: these links with these changes, and no others."""
        example = next(iter(self._values.values()))
        self._values = {
            link_id: {**(self._values.get(link_id) or _other(link_id, example)), **changes}
            for link_id, changes in links.items()
        }
        specs, plans = _links(self._values)
        self.links.reconfigure(specs, "test")
        self.sessions.reconfigure(plans)

    def send(self, destination: str, text: str = "hello", **changes: Any) -> Sent:  # noqa: ANN401
        """Send over link 1 as application 1."""
        return self.sending.send(request(destination, text, **changes))

    def send_all(self, destinations: list[str], text: str = "hello") -> list[str]:
        """Send to all of them at once; return the message ids in the same order."""
        sends = [gevent.spawn(self.send, destination, text) for destination in destinations]
        gevent.joinall(sends, raise_error=True)
        return [send.value.message_id for send in sends]

    def history(self, message_id: str) -> list[Recorded]:
        """Return the events of a message."""
        return self.log.read(messages.stream_of(message_id))

    def told(self, message_id: str) -> list[messages.Event]:
        """Return what is told of a message after its acceptance, envelopes taken off."""
        events = [recorded.event for recorded in self.history(message_id)[1:]]
        assert all(isinstance(event, messages.Event) for event in events), events
        return events  # type: ignore[return-value]  # asserted the line above

    def names(self, message_id: str) -> list[str]:
        """Return the class names of a message's events."""
        return [type(recorded.event).__name__ for recorded in self.history(message_id)]

    def message(self, message_id: str) -> messages.Message:
        """Return a message's state."""
        message: messages.Message | None = None
        for recorded in self.history(message_id):
            assert isinstance(recorded.event, messages.Event)
            message = messages.evolve(message, recorded.event, recorded.at_s)
        assert message is not None
        return message

    def statuses(self, message_id: str) -> list[str]:
        """Return the state of each part."""
        return [part.status for part in self.message(message_id).parts]

    def events(self, *classes: type) -> list[Any]:
        """Return every event of some classes, oldest first."""
        return [one.event for batch in self.log.everything() for one in batch
                if isinstance(one.event, classes)]  # fmt: skip

    def close(self) -> None:
        """Stop everything, politely; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self.reports.close()
        self.loads.close()
        self.sessions.drain(5)
        self.keeper.close()
        self.follower.close()
        self.pace.close()
        self.journal.close()

    def crash(self) -> None:
        """Stop as a killed process does: nothing more is written, no unbind, leases stay taken."""
        self._closed = True
        self.reports.close()
        self.loads.close()
        gevent.killall(self.keeper._greenlets)  # noqa: SLF001  no release
        for ref in self.sessions._running.values():  # noqa: SLF001  no drain
            ref.stop()
        self.follower.close()
        self.pace.close()
        self.journal.close(timeout_s=0)


def request(destination: str, text: str = "hello", **changes: Any) -> SendRequest:  # noqa: ANN401
    """Return what application 1 asks of link 1."""
    fields = {"link_id": 1, "app_id": 1, "source": "Signalbox", **changes}
    return SendRequest(destination=destination, text=text, **fields)


def eventually(
    check: Callable[[], object], timeout_s: float = PATIENCE_S, every_s: float = LOOK_S
) -> None:
    """Wait until `check` returns something true; fail with what it returned last."""
    deadline_s = time.monotonic() + timeout_s
    while not (last := check()):
        assert time.monotonic() < deadline_s, f"still {last!r} after {timeout_s} s"
        gevent.sleep(every_s)


def eventually_equal(
    read: Callable[[], object],
    expected: object,
    timeout_s: float = PATIENCE_S,
    every_s: float = LOOK_S,
) -> None:
    """Wait until `read` returns what is expected; fail showing what it returned last."""
    deadline_s = time.monotonic() + timeout_s
    while (last := read()) != expected and time.monotonic() < deadline_s:
        gevent.sleep(every_s)
    assert last == expected, f"{last!r}, not {expected!r}, after {timeout_s} s"


def _values(ports: tuple[int, ...], changes: dict[str, Any]) -> dict[int, dict[str, Any]]:
    gateway = next(_gateways)
    return {
        link_id: {**_DEFAULTS, "link_id": link_id, "port": port, "name": f"link {link_id}",
                  "system_id": f"t{gateway}-{link_id}", **changes}
        for link_id, port in enumerate(ports, start=1)
    }  # fmt: skip


def _other(link_id: int, example: dict[str, Any]) -> dict[str, Any]:
    own = {"link_id": link_id, "name": f"link {link_id}"}
    return {**example, **own, "system_id": f"{example['system_id']}-{link_id}"}


def _links(values_of: dict[int, dict[str, Any]]) -> tuple[dict[int, LinkSpec], dict[int, LinkPlan]]:
    specs, plans = {}, {}
    for link_id, values in values_of.items():
        specs[link_id] = _pick(LinkSpec, values)
        plans[link_id] = LinkPlan(
            _pick(Endpoint, values), _pick(Submission, values), _pick(Patience, values)
        )
    return specs, plans


def _pick(cls: type[Any], values: dict[str, Any]) -> Any:  # noqa: ANN401
    return cls(**{k: v for k, v in values.items() if k in cls.__dataclass_fields__})


_DEFAULTS: Final = {
    "host": "127.0.0.1", "password": "secret", "system_type": "", "bind": "transceiver",
    "tps": 0, "window": 50, "response_timeout_s": 1.0, "connect_timeout_s": 2.0,
    "bind_timeout_s": 2.0, "enquire_link_s": 30.0, "enquire_link_misses_max": 2,
    "inactivity_s": 300.0, "reconnect_initial_s": 0.1, "receipt_park_s": 5.0,
}  # fmt: skip
