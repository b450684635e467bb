"""Who may act: one lease row per partition, with an epoch that fences late writers.

Entities hash to partitions, partitions to the live relays (rendezvous hashing: when a relay comes
or goes only its share moves). The database's clock alone decides when a lease ends; the holder
stops itself earlier, by its monotonic clock, counted from before it asked for the renewal. A holder
that was paused or cut off finds its deadline passed and its epoch replaced: it can neither act nor
append.
"""

from __future__ import annotations

import logging
import os
import socket
import uuid
from hashlib import blake2b
from time import monotonic
from typing import TYPE_CHECKING, Final
from zlib import crc32

import gevent

from signalbox.eventstore import metrics
from signalbox.eventstore.postgres import Broken
from signalbox.eventstore.recorder import Fence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import psycopg
    from psycopg.rows import TupleRow

    from signalbox.eventstore.log import EventLog

log = logging.getLogger(__name__)

ACQUIRE_S: Final = 0.5  # how often free and expired partitions are looked for
ACQUIRE_MAX: Final = 16  # at a time: what begins with them must not keep those held from renewal
RETRY_S: Final = 0.2
HANDOVER_LOOK_S: Final = 0.05  # most handovers have nothing to wait for
FORGET_S: Final = 3600.0  # how long a process that ended without a word stays listed


def partition_of(actor_id: str, partitions: int) -> int:
    """Return the partition an entity belongs to; the same in every process and for ever."""
    return crc32(actor_id.encode()) % partitions


def share_of(process_id: str, live: Iterable[str], partitions: int) -> set[int]:
    """Return the partitions `process_id` should hold among the live processes."""
    others = sorted(live)
    return {
        partition
        for partition in range(partitions)
        if max(others, key=lambda other: _weight(other, partition)) == process_id
    }


class LeaseKeeper:
    """Holds this process's share of the partitions, and tells when one comes or goes.

    `gained` and `lost` must not block. `leaving` may, for a bounded time: it is called before a
    partition is handed to a relay that has just come, `lost` after it.
    """

    def __init__(  # noqa: PLR0913  the numbers of the protocol
        self,
        log_: EventLog,
        gained: Callable[[Fence], None],
        lost: Callable[[int], None],
        leaving: Callable[[int], None] = lambda _: None,
        *,
        partitions: int = 128,
        ttl_s: float = 10.0,
        renew_s: float = 3.0,
        safety_s: float = 2.0,
    ) -> None:
        self.process_id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._own = log_.own_connection("leases")
        self._gained, self._lost, self._leaving = gained, lost, leaving
        self._partitions, self._ttl_s, self._renew_s = partitions, ttl_s, renew_s
        self._safety_s = safety_s
        self._held: dict[int, Fence] = {}
        self._handovers: dict[int, gevent.Greenlet] = {}
        self._deadline_s = 0.0
        self._greenlets = [gevent.spawn(self._run), gevent.spawn(self._watch)]

    def may_act(self, partition: int) -> bool:
        """True while an effect for the partition may start in this very moment."""
        return partition in self._held and monotonic() < self._deadline_s

    def fence(self, partition: int) -> Fence | None:
        """Return what an append must carry, None when the partition is not ours."""
        return self._held.get(partition) if self.may_act(partition) else None

    @property
    def held(self) -> frozenset[int]:
        """The partitions held now."""
        return frozenset(self._held)

    def close(self) -> None:
        """Give everything back, so that others need not wait for it to expire."""
        gevent.killall(self._greenlets)
        self._own.discard()  # It may have been in the middle of a statement.
        self._drop(list(self._held))
        try:
            connection = self._own.get()
            self._release(connection, range(self._partitions))
            connection.execute("DELETE FROM signalbox.processes WHERE id = %s", (self.process_id,))
        except Broken as error:
            log.warning("leases were left to expire", extra={"error": str(error)})
        self._own.discard()

    def _run(self) -> None:
        renewed_s, is_away = -self._renew_s, False
        while True:
            try:
                connection = self._own.get()
                asked_s = monotonic()
                if asked_s - renewed_s >= self._renew_s:
                    self._renew(connection)
                    renewed_s = asked_s
                took_all_it_may = self._take_share(connection) == ACQUIRE_MAX
            except Broken as error:
                log.warning("leases can't be renewed", extra={"error": str(error)})
                is_away = True
                self._own.discard()
                gevent.sleep(RETRY_S)
            else:
                if is_away:
                    log.info("leases are renewed again")
                    is_away = False
                gevent.sleep(0 if took_all_it_may else ACQUIRE_S)

    def _watch(self) -> None:
        """Stop everything when the deadline passes without a renewal."""
        while True:
            gevent.sleep(self._safety_s / 4)
            if self._held and monotonic() >= self._deadline_s:
                log.error("leases ran out", extra={"partitions": len(self._held)})
                self._drop(list(self._held))

    def _renew(self, connection: psycopg.Connection[TupleRow]) -> None:
        asked_s = monotonic()
        connection.execute(
            "INSERT INTO signalbox.processes (id, kind, host, pid, expires_at)"
            " VALUES (%s, 'relay', %s, %s, clock_timestamp() + make_interval(secs => %s))"
            " ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at",
            (self.process_id, socket.gethostname(), os.getpid(), self._ttl_s),
        )
        connection.execute(
            "DELETE FROM signalbox.processes"
            " WHERE expires_at < clock_timestamp() - make_interval(secs => %s)",
            (FORGET_S,),
        )
        rows = connection.execute(
            "WITH mine AS MATERIALIZED (SELECT partition FROM signalbox.leases"
            "  WHERE owner = %s AND expires_at > clock_timestamp() ORDER BY partition FOR UPDATE)"
            " UPDATE signalbox.leases AS l"
            " SET expires_at = clock_timestamp() + make_interval(secs => %s)"
            " FROM mine WHERE l.partition = mine.partition RETURNING l.partition, l.epoch",
            (self.process_id, self._ttl_s),
        ).fetchall()
        renewed: dict[int, int] = dict(rows)
        self._drop([p for p, fence in self._held.items() if renewed.get(p) != fence.epoch])
        # What was dropped at the deadline may still be ours in the table: begin with a new epoch.
        self._release(connection, [p for p in renewed if p not in self._held])
        self._deadline_s = asked_s + self._ttl_s - self._safety_s

    def _take_share(self, connection: psycopg.Connection[TupleRow]) -> int:
        """Hand over what is others' by now, acquire what is ours; return how many those are."""
        live = [
            row[0]
            for row in connection.execute(
                "SELECT id FROM signalbox.processes"
                " WHERE kind = 'relay' AND expires_at > clock_timestamp()"
            )
        ]
        if self.process_id not in live:
            return 0
        share = share_of(self.process_id, live, self._partitions)
        self._hand_over(connection, self._held.keys() - share)
        wanted = [partition for partition in share if partition not in self._held]
        return self._acquire(connection, wanted) if wanted else 0

    def _hand_over(self, connection: psycopg.Connection[TupleRow], surplus: Iterable[int]) -> None:
        """Let effects come to rest, still under the lease, before somebody else gets it."""
        for partition in surplus:
            if partition not in self._handovers:
                self._handovers[partition] = gevent.spawn(self._leaving, partition)
        gevent.joinall(list(self._handovers.values()), timeout=HANDOVER_LOOK_S)
        at_rest = [partition for partition, end in self._handovers.items() if end.dead]
        if at_rest:
            self._drop(at_rest)
            self._release(connection, at_rest)

    def _acquire(self, connection: psycopg.Connection[TupleRow], wanted: list[int]) -> int:
        rows = connection.execute(
            "INSERT INTO signalbox.leases AS l (partition, owner, epoch, expires_at)"
            " SELECT p, %(me)s, 1, clock_timestamp() + make_interval(secs => %(ttl)s)"
            " FROM unnest(%(wanted)s::int[]) AS p"
            " LEFT JOIN signalbox.leases AS h ON h.partition = p"
            " WHERE h.partition IS NULL OR h.expires_at <= clock_timestamp()"
            " ORDER BY p LIMIT %(max)s"
            " ON CONFLICT (partition) DO UPDATE SET owner = excluded.owner,"
            "  epoch = l.epoch + 1, expires_at = excluded.expires_at"
            " WHERE l.expires_at <= clock_timestamp() RETURNING partition, epoch",
            {"me": self.process_id, "ttl": self._ttl_s, "wanted": wanted, "max": ACQUIRE_MAX},
        ).fetchall()
        for partition, epoch in rows:
            fence = Fence(partition, epoch)
            self._held[partition] = fence
            try:
                self._gained(fence)
            except Exception:
                log.exception("take-over failed", extra={"partition": partition})
                self._drop([partition])
                self._release(connection, [partition])  # To be tried again, here or elsewhere.
        metrics.LEASES.set(len(self._held))
        return len(rows)

    def _release(self, connection: psycopg.Connection[TupleRow], partitions: Iterable[int]) -> None:
        connection.execute(
            "WITH mine AS MATERIALIZED (SELECT partition FROM signalbox.leases"
            "  WHERE owner = %s AND partition = ANY(%s) ORDER BY partition FOR UPDATE)"
            " UPDATE signalbox.leases AS l SET expires_at = clock_timestamp()"
            " FROM mine WHERE l.partition = mine.partition",
            (self.process_id, list(partitions)),
        )

    def _drop(self, partitions: Iterable[int]) -> None:
        for partition in partitions:
            self._handovers.pop(partition, None)
            if self._held.pop(partition, None) is not None:
                self._lost(partition)
        metrics.LEASES.set(len(self._held))


def _weight(process_id: str, partition: int) -> bytes:
    return blake2b(f"{process_id}/{partition}".encode(), digest_size=8).digest()
