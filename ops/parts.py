"""What the surfaces of a web process stand on, made once in each worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import msgspec

from signalbox.actors.accounts import AccountLimits, Accounts
from signalbox.actors.directory import ACCOUNT_EVENTS
from signalbox.actors.filters import Filters
from signalbox.actors.licenses import LICENSE_EVENTS, LicensedLinks, Licenses
from signalbox.actors.links import LINK_EVENTS, Links
from signalbox.actors.loads import Loads
from signalbox.actors.routing import Pools, Routes
from signalbox.actors.sending import OUTCOME_EVENTS, Outcomes
from signalbox.actors.sending_ips import SENDING_IP_EVENTS
from signalbox.eventstore.follower import Follower
from signalbox.eventstore.mapper import utc_now
from signalbox.ops import links as configured
from signalbox.ops.licensing import licenses_of
from signalbox.ops.mail import Mail
from signalbox.ops.phones import Phones
from signalbox.ops.reads import OwnReads
from signalbox.ops.reload import BY
from signalbox.ops.store import open_journal, open_log
from signalbox.ops.warmup import Warmups
from signalbox.projections.readers import ReadModels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import ExitStack

    from psycopg.rows import TupleRow

    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog
    from signalbox.ops.settings import Settings

Told = tuple[tuple[str, ...], "Callable[[TupleRow], None]"]
"""Names of events, and who is told of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Log, journal and what decides or reads by them."""

    log: EventLog
    journal: Journal
    accounts: Accounts
    phones: Phones
    mail: Mail
    links: Links
    pools: Pools
    routes: Routes
    filters: Filters
    licenses: Licenses
    outcomes: Outcomes
    warmups: Warmups
    read_models: ReadModels
    seen: Callable[[], int]  # the position that `reads` have caught up with
    reads: OwnReads

    @classmethod
    def open(cls, settings: Settings, closing: ExitStack) -> Self:
        """Make them; what must be closed is left on the stack."""
        log = open_log(settings)
        closing.callback(log.close)
        journal = open_journal(settings, log)
        closing.callback(journal.close)
        limits = msgspec.convert(settings.security, AccountLimits, from_attributes=True)
        accounts = Accounts(log, journal, limits, utc_now)
        closing.callback(accounts.close)
        links = Links(log, journal, configured.specs(settings))
        pools = Pools(configured.pools(settings))
        loads = Loads(log.pool, pools.link_ids)
        closing.callback(loads.close)
        licenses = licenses_of(settings, log, journal)
        LicensedLinks(links, licenses)  # From now on they keep to it.
        outcomes = Outcomes(log)
        warmups = Warmups(settings, log, journal)
        read_models = ReadModels(log)
        phones = Phones(settings, log, journal, read_models, accounts.passwords)
        mail = Mail(settings, log, journal)
        follower = follow(
            log,
            (
                (OUTCOME_EVENTS, outcomes.handle),
                (LINK_EVENTS, lambda row: links.follow(log.decode_row(row))),
                (LICENSE_EVENTS, lambda row: licenses.follow(log.decode_row(row))),
                (ACCOUNT_EVENTS, lambda row: accounts.forget(row[1])),
                *phones.told,
                *mail.told,
                (SENDING_IP_EVENTS, lambda row: warmups.ips.follow(log.decode_row(row))),
            ),
            phones.lines.work_waits,
        )
        closing.callback(follower.close)
        closing.callback(phones.close)  # Before the follower: what ends is still stored.
        licenses.restore()
        links.configure(by=BY)

        def seen() -> int:
            return max(journal.last_position, follower.position)

        return cls(
            log=log,
            journal=journal,
            accounts=accounts,
            phones=phones,
            mail=mail,
            links=links,
            pools=pools,
            routes=Routes(links, pools, loads),
            filters=Filters(configured.filter_rules(settings)),
            licenses=licenses,
            outcomes=outcomes,
            warmups=warmups,
            read_models=read_models,
            seen=seen,
            reads=OwnReads(
                read_models,
                seen,
                settings.projector.read_wait_s,
                lambda: licenses.limits.connections_max,
            ),
        )


def follow(
    log: EventLog, told: Iterable[Told], signal: Callable[[frozenset[str]], None]
) -> Follower:
    """Tell everybody in this process what is news to them."""
    by_topic = {topic: tell for topics, tell in told for topic in topics}

    def handle(rows: list[TupleRow]) -> None:
        for row in rows:
            by_topic[row[3]](row)

    return Follower(log, tuple(by_topic), handle, signal)
