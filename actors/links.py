"""All links of this process: their actors, and what they last published."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

import gevent
from gevent.event import AsyncResult
from gevent.lock import BoundedSemaphore
from gevent.pool import Pool as Group

from signalbox.actors.link import Accept, Decide, Followed, LinkActor
from signalbox.actors.runtime import listens
from signalbox.domain import link as domain
from signalbox.domain.errors import UnknownLink
from signalbox.domain.names import names_of
from signalbox.eventstore.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pykka

    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.mapper import Recorded

DECIDE_TRIES: Final = 20
DECIDE_RETRY_S: Final = 0.05
CONFIGURED_AT_ONCE: Final = 20
CONFIGURE_S_MAX: Final = 30.0
LINK_EVENTS: Final = names_of(domain.LinkConfigured, domain.LinkToggled, domain.LinkRemoved)


class Links:
    """Finds a link's actor, starting it on first use, and answers for its published state."""

    def __init__(
        self, log: EventLog, journal: Journal, specs: Mapping[int, domain.LinkSpec]
    ) -> None:
        self._log = log
        self._journal = journal
        self._starting = BoundedSemaphore()
        self._specs = dict(specs)
        self._actors: dict[int, pykka.ActorRef[LinkActor]] = {}
        self._states: dict[int, domain.Link] = {}
        self._watchers: list[Callable[[domain.Link], None]] = []
        self.room: Callable[[int], None] = lambda _: None  # raises when one more can't be on

    @property
    def ids(self) -> tuple[int, ...]:
        """The configured links."""
        return tuple(self._specs)

    @property
    def configured(self) -> list[domain.Link]:
        """The links this process knows to be configured, by whomever, by number."""
        return [link for _, link in sorted(self._states.items()) if link.spec is not None]

    def configure(self, by: str) -> None:
        """Tell the log what the configuration says of each link, where that is news.

        Many links and processes at once may keep a busy store longer than a request waits for it.

        Raises: `Unavailable`.
        """
        deadline_s = monotonic() + CONFIGURE_S_MAX

        def decide(link_id: int) -> None:
            command = domain.ConfigureLink(self._specs[link_id])
            while True:
                try:
                    self._decide(link_id, command, by=by, request_id="")
                except Unavailable:
                    if monotonic() > deadline_s:
                        raise
                    gevent.sleep(DECIDE_RETRY_S)
                else:
                    return

        # One after the other, each would wait for a transaction of its own.
        for _ in Group(CONFIGURED_AT_ONCE).imap_unordered(decide, self._specs):
            pass

    def reconfigure(self, specs: Mapping[int, domain.LinkSpec], by: str) -> None:
        """Take another configuration: what it has no more is removed. Raises: `Unavailable`."""
        self._specs = dict(specs)
        self.remove_others((link.link_id for link in self.configured), by)
        self.configure(by)

    def remove_others(self, link_ids: Iterable[int], by: str) -> list[int]:
        """Remove those links that the configuration does not have, and return them.

        Raises: `Unavailable`.
        """
        others = [link_id for link_id in link_ids if link_id not in self._specs]
        for link_id in others:
            self._decide(link_id, domain.RemoveLink(), by=by, request_id="")
        return others

    def link(self, link_id: int) -> domain.Link:
        """Return the link as this process knows it. Raises: `UnknownLink`."""
        state = self._states.get(link_id)
        if state is None or state.spec is None:
            raise UnknownLink(link_id)
        return state

    def toggle(
        self,
        link_id: int,
        enabled: bool,  # noqa: FBT001  as the callers have it
        reason: str,
        *,
        by: str,
        request_id: str = "",
    ) -> domain.Link:
        """Switch a link; durable on return.

        Raises: `UnknownLink`, `LicenseExceeded`, `Unavailable`.
        """
        self.link(link_id)
        command = domain.ToggleLink(enabled, reason)
        return self._decide(link_id, command, by=by, request_id=request_id)

    def accept(self, link_id: int, accept: Accept) -> None:
        """Hand a message to the link's actor. Raises: `UnknownLink`, `Unavailable`."""
        self.link(link_id)
        self._actor(link_id).tell(accept)

    def follow(self, recorded: Recorded) -> None:
        """Pass on what the log has of a link, be it one that only another process configured."""
        link_id = int(recorded.stream_id.removeprefix("link-"))
        self._actor(link_id).tell(Followed(recorded))

    def _actor(self, link_id: int) -> pykka.ActorRef[LinkActor]:
        ref = self._actors.get(link_id)
        return ref if ref is not None and listens(ref) else self._start(link_id)

    def _start(self, link_id: int) -> pykka.ActorRef[LinkActor]:
        with self._starting:  # To start an actor lets others run: of two one would be lost.
            ref = self._actors.get(link_id)
            if ref is None or not listens(ref):
                ref = self._actors[link_id] = LinkActor.start(
                    link_id, self._log, self._journal, self._publish, lambda: self.room(link_id)
                )
        return ref

    def watch(self, watcher: Callable[[domain.Link], None]) -> None:
        """Have `watcher` called with every new state of a link."""
        self._watchers.append(watcher)

    def _publish(self, link: domain.Link) -> None:
        if self._states.get(link.link_id) == link:
            return
        self._states[link.link_id] = link
        for watcher in self._watchers:
            watcher(link)

    def _decide(
        self, link_id: int, command: domain.Command, *, by: str, request_id: str
    ) -> domain.Link:
        """Ask until the actor has caught up with whoever decided first."""
        for _ in range(DECIDE_TRIES):
            reply = AsyncResult()
            self._actor(link_id).tell(Decide(command, by, request_id, reply))
            try:
                link: domain.Link = reply.get(timeout=self._journal.wait_s_max + 1)
            except Conflict:
                gevent.sleep(DECIDE_RETRY_S)
            except gevent.Timeout:
                break
            else:
                return link
        raise Unavailable("link is busy")
