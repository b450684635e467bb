"""A whole gateway without HTTP in this process: what web and relay do, on a real database."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import gevent

from signalbox.actors.desk import Patience
from signalbox.actors.link_session import LinkPlan, Submission
from signalbox.actors.links import LINK_EVENTS, Links
from signalbox.actors.sending import OUTCOME_EVENTS, Outcomes, Sending, SendRequest, Sent
from signalbox.actors.sessions import Sessions
from signalbox.actors.transports.smpp.session import Endpoint
from signalbox.domain import message as messages
from signalbox.domain.link import LinkSpec
from signalbox.eventstore.follower import Follower
from signalbox.eventstore.journal import Journal
from signalbox.eventstore.leases import LeaseKeeper

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg.rows import TupleRow

    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.mapper import Recorded

PARTITIONS = 8


class Gateway:
    """Links 1, 2, … to the given ports; keyword arguments change the first link."""

    def __init__(self, log: EventLog, *ports: int, send_wait_s: float = 5, **link: Any) -> None:  # noqa: ANN401
        self.log = log
        self.journal = Journal(log)
        submission = {k: link.pop(k) for k in list(link) if k in Submission.__dataclass_fields__}
        patience = {k: link.pop(k) for k in list(link) if k in Patience.__dataclass_fields__}
        specs, plans = {}, {}
        for number, port in enumerate(ports, start=1):
            spec, endpoint = _link(number, port, link)
            specs[number] = spec
            plans[number] = LinkPlan(
                endpoint,
                Submission(**{"reconnect_initial_s": 0.1, **submission}),
                Patience(**{"receipt_park_s": 5, **patience}),
            )
        self.links = Links(log, self.journal, specs)
        self.sessions = Sessions(log, self.journal, self.links, plans, PARTITIONS)
        self.links.watch(self.sessions.changed)
        self.outcomes = Outcomes(log)
        self.sending = Sending(
            log, self.journal, self.links, self.outcomes,
            send_wait_s=send_wait_s, parts_max=10, window_s=86_400,
        )  # fmt: skip
        topics = [*LINK_EVENTS, *OUTCOME_EVENTS]
        self.follower = Follower(log, topics, self._follow, lambda _: self.sessions.work_waits())
        assert self.follower.listening.wait(5)
        self.links.configure("test")
        self.keeper = LeaseKeeper(
            log, self.sessions.gained, self.sessions.lost,
            partitions=PARTITIONS, ttl_s=3, renew_s=0.5, safety_s=1,
        )  # fmt: skip
        self.sessions.keeper = self.keeper

    def _follow(self, rows: list[TupleRow]) -> None:
        for row in rows:
            if row[3] in LINK_EVENTS:
                self.links.follow(self.log.decode_row(row))
            else:
                self.outcomes.handle(row)

    def send(self, destination: str, text: str = "hello", **request: Any) -> Sent:  # noqa: ANN401
        """Send over link 1 as application 1."""
        fields = {"link_id": 1, "app_id": 1, "source": "Signalbox", **request}
        return self.sending.send(SendRequest(destination=destination, text=text, **fields))

    def history(self, message_id: str) -> list[Recorded]:
        """Return the events of a message."""
        return self.log.read(messages.stream_of(message_id))

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

    def events(self, *classes: type) -> list[Recorded]:
        """Return every event of some classes, oldest first."""
        return [one for batch in self.log.everything() for one in batch
                if isinstance(one.event, classes)]  # fmt: skip

    def close(self) -> None:
        """Stop everything, politely."""
        self.sessions.drain(5)
        self.keeper.close()
        self.follower.close()
        self.journal.close()


def eventually(check: Callable[[], object], timeout_s: float = 5.0) -> None:
    """Wait until `check` returns something true; fail with what it returned last."""
    deadline_s = time.monotonic() + timeout_s
    while not (last := check()):
        assert time.monotonic() < deadline_s, f"still {last!r} after {timeout_s} s"
        gevent.sleep(0.02)


def _link(number: int, port: int, changes: dict[str, Any]) -> tuple[LinkSpec, Endpoint]:
    values: dict[str, Any] = {
        "name": f"link {number}", "host": "127.0.0.1", "port": port, "system_id": f"test{number}",
        "password": "secret", "system_type": "", "bind": "transceiver", "tps": 0, "window": 50,
        "response_timeout_s": 1.0, "connect_timeout_s": 2.0, "bind_timeout_s": 2.0,
        "enquire_link_s": 30.0, "enquire_link_misses_max": 2, "inactivity_s": 300.0,
        "link_id": number, **changes,
    }  # fmt: skip
    spec = {k: v for k, v in values.items() if k in LinkSpec.__dataclass_fields__}
    endpoint = {k: v for k, v in values.items() if k in Endpoint.__dataclass_fields__}
    return LinkSpec(**spec), Endpoint(**endpoint)
