"""What a link session is made of, and what it is told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gevent.event import AsyncResult, Event

    from signalbox.actors.desk import Patience
    from signalbox.actors.transports.smpp.session import Delivery, Endpoint
    from signalbox.actors.work import Slot
    from signalbox.domain.link import Link
    from signalbox.eventstore.quota import Quota
    from signalbox.eventstore.recorder import Fence


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """How this link's submits are made, beside what `LinkSpec` says."""

    registered_delivery: int = 1
    validity_period: str = ""
    service_type: str = ""
    dlr_by_text: bool = False
    retry_age_s_max: float = 1200
    reconnect_initial_s: float = 1
    reconnect_max_s: float = 60


@dataclass(frozen=True, slots=True)
class LinkPlan:
    """What a relay needs beside the link's events to act for it."""

    endpoint: Endpoint
    submission: Submission
    patience: Patience

    def connected(self, link: Link) -> Link:
        """Return the link with the account this plan connects to.

        The log has another one already when some process read a newer configuration than this.
        """
        assert link.spec is not None, link
        at = self.endpoint
        spec = replace(link.spec, host=at.host, port=at.port, system_id=at.system_id)
        return replace(link, spec=spec)


@dataclass(frozen=True, slots=True)
class Tenure:
    """The lease a session acts under, and the licence; `holds` is asked before every effect.

    Only while `licensed` is true it connects; parts leave at the `pace` all links share.
    """

    owner: str
    fence: Fence
    holds: Callable[[], bool]
    licensed: Callable[[], bool] = lambda: True
    pace: Quota | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Connect:
    """The wait before the next connection is over."""


@dataclass(frozen=True, slots=True)
class Pump:
    """A token, a retry or new work is due."""


@dataclass(frozen=True, slots=True)
class WorkWaits:
    """Somebody put messages into the inbox of some link."""


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """The log has a new state of this link."""

    link: Link


@dataclass(frozen=True, slots=True)
class Stop:
    """Drain, unbind, and set `done`."""

    done: Event


@dataclass(frozen=True, slots=True)
class Attempted:
    """The attempts are stored; their PDUs may leave."""

    slots: Sequence[Slot]
    result: AsyncResult


@dataclass(frozen=True, slots=True)
class Stored:
    """An append is through: the deliveries it stands for can be answered."""

    stream_ids: Sequence[str]
    deliveries: Sequence[Delivery]
    result: AsyncResult
