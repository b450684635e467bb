"""The web process: gunicorn's master, and workers that serve the HTTP surfaces.

Everything is made in the worker, after the fork: no connection and no greenlet may be shared.
"""

from __future__ import annotations

import logging
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import gevent
import msgspec
from gunicorn import glogging
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from prometheus_client import multiprocess
from typing_extensions import override

from signalbox.actors.accounts import AccountLimits, Accounts
from signalbox.actors.directory import ACCOUNT_EVENTS
from signalbox.actors.filters import Filters
from signalbox.actors.licenses import LICENSE_EVENTS, LicensedLinks
from signalbox.actors.links import LINK_EVENTS, Links
from signalbox.actors.loads import Loads
from signalbox.actors.routing import Pools, Routes
from signalbox.actors.runtime import Actor
from signalbox.actors.sending import OUTCOME_EVENTS, Outcomes, Sending
from signalbox.actors.users import Users
from signalbox.eventstore import tracing
from signalbox.eventstore.follower import Follower
from signalbox.eventstore.mapper import utc_now
from signalbox.eventstore.quota import Quota
from signalbox.http.app import create_app
from signalbox.http.body import BodyReader
from signalbox.http.limits import AllRequests, EachApplication
from signalbox.http.peer import Peers
from signalbox.http.sms_proxy.routes import SmsProxy
from signalbox.http.worker import Limits, Worker
from signalbox.ops import links as configured
from signalbox.ops import readiness
from signalbox.ops.configuration import server_config
from signalbox.ops.licensing import licenses_of
from signalbox.ops.reads import OwnReads
from signalbox.ops.reload import BY, Reload, read_again
from signalbox.ops.store import open_journal, open_log
from signalbox.ops.system import SystemSampler
from signalbox.ops.traces import start_tracing
from signalbox.projections.readers import ReadModels

if TYPE_CHECKING:
    import falcon
    from psycopg.rows import TupleRow

    from signalbox.actors.licenses import Licenses
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog
    from signalbox.ops.settings import Settings

log = logging.getLogger(__name__)

WORKER_TIMEOUT_S: Final = 60  # a worker whose loop is stuck for so long is killed
LOOK_S: Final = 0.2  # how often the master looks for signals and for workers that ended


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT."""
    try:
        Gateway(settings).run()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def compose(settings: Settings, closing: ExitStack) -> falcon.App[Any, Any]:
    """Return the application; what must be closed with it is left on the stack."""
    Actor.inbox_messages_max = settings.actors.inbox_messages_max
    Actor.restarts_max = settings.actors.restarts_max
    reload = Reload(settings, tells_waiting=False)  # That is for the master to say, once.
    start_tracing(settings)
    closing.callback(tracing.stop)
    event_log = open_log(settings)
    closing.callback(event_log.close)
    journal = open_journal(settings, event_log)
    closing.callback(journal.close)
    limits = msgspec.convert(settings.security, AccountLimits, from_attributes=True)
    accounts = Accounts(event_log, journal, limits, utc_now)
    closing.callback(accounts.close)
    links = Links(event_log, journal, configured.specs(settings))
    pools = Pools(configured.pools(settings))
    shown_pools = list(settings.pools)
    filters = Filters(configured.filter_rules(settings))
    loads = Loads(event_log.pool, pools.link_ids)
    closing.callback(loads.close)
    routes = Routes(links, pools, loads)
    licenses = licenses_of(settings, event_log, journal)
    LicensedLinks(links, licenses)  # From now on they keep to it.
    outcomes = Outcomes(event_log)
    follower = _follow(event_log, accounts, links, licenses, outcomes)
    closing.callback(follower.close)
    licenses.restore()
    links.configure(by=BY)
    read_models = ReadModels(event_log)

    def seen() -> int:
        return max(journal.last_position, follower.position)

    def connections_max() -> int:
        return licenses.limits.connections_max

    reads = OwnReads(read_models, seen, settings.projector.read_wait_s, connections_max)
    system = SystemSampler(settings.home)
    closing.callback(system.close)
    all_requests, each_application = _limits(settings, event_log, closing)
    sms_proxy = SmsProxy(
        accounts=accounts,
        users=Users(accounts.directory, accounts.passwords, reads.user_stream),
        sending=_sending(
            settings,
            event_log,
            journal,
            links,
            routes,
            outcomes,
            licenses=licenses,
            filters=filters,
        ),
        links=links,
        licenses=licenses,
        reads=reads,
        system=system.load,
        server_config=lambda: server_config(reload.settings),
        pools=shown_pools,
        body=BodyReader(settings.server.body_bytes_max),
        peers=Peers(settings.server.trusted_proxies),
        admin_api_key=settings.admin_api_key,
        stats_auth=settings.security.stats_auth,
        user_api_auth=settings.security.user_api_auth,
        jwt_admin_mutations=settings.security.jwt_admin_mutations,
        limiter=each_application,
        allowed_ips={one.id: one.allowed_ips for one in settings.applications},
    )

    def apply(fresh: Settings) -> None:
        links.reconfigure(configured.specs(fresh), by=BY)
        pools.configure(configured.pools(fresh))
        filters.configure(configured.filter_rules(fresh))
        shown_pools[:] = fresh.pools

    reload.start(apply)
    closing.callback(reload.close)
    checks = readiness.checks(settings, event_log, read_models, lambda: links.ids)
    return create_app(sms_proxy.routes(), checks, all_requests)


def _limits(
    settings: Settings, event_log: EventLog, closing: ExitStack
) -> tuple[AllRequests, EachApplication]:
    limits, pool = settings.limits, event_log.pool
    everybody = Quota(pool, "requests", limits.requests_per_s, limits.requests_burst)
    closing.callback(everybody.close)
    rate, burst = limits.app_requests_per_s, limits.app_requests_burst
    each_application = EachApplication(lambda key: Quota(pool, key, rate, burst))
    closing.callback(each_application.close)
    return AllRequests(everybody, limits.exempt_paths), each_application


def _sending(  # noqa: PLR0913  what it is made of
    settings: Settings,
    event_log: EventLog,
    journal: Journal,
    links: Links,
    routes: Routes,
    outcomes: Outcomes,
    *,
    licenses: Licenses,
    filters: Filters,
) -> Sending:
    return Sending(
        event_log,
        journal,
        links,
        routes.carrier,
        outcomes,
        send_wait_s=settings.sms.send_wait_s,
        parts_max=settings.sms.parts_max,
        window_s=settings.sms.transaction_window_s,
        filters=filters,
        require_license=licenses.require_sending,
    )


def _follow(
    event_log: EventLog, accounts: Accounts, links: Links, licenses: Licenses, outcomes: Outcomes
) -> Follower:
    """Tell everybody in this process what is news to them."""

    def handle(rows: list[TupleRow]) -> None:
        for row in rows:
            _, stream_id, _, topic, _ = row
            if topic in OUTCOME_EVENTS:
                outcomes.handle(row)
            elif topic in LINK_EVENTS:
                links.follow(event_log.decode_row(row))
            elif topic in LICENSE_EVENTS:
                licenses.follow(event_log.decode_row(row))
            else:
                accounts.forget(stream_id)

    topics = (*OUTCOME_EVENTS, *LINK_EVENTS, *LICENSE_EVENTS, *ACCOUNT_EVENTS)
    return Follower(event_log, topics, handle)


class Gateway(BaseApplication):  # type: ignore[misc]
    """Gunicorn, configured by our settings alone."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._closing = ExitStack()
        server = settings.server
        self.limits = Limits(
            server.header_timeout_s,
            server.header_line_octets_max,
            server.connections_per_ip_max,
            server.trusted_proxies,
        )
        super().__init__()

    @override
    def load_config(self) -> None:
        server = self._settings.server
        chosen: dict[str, object] = {
            "bind": server.endpoint,
            "workers": server.web_concurrency,
            "worker_class": Worker,
            "worker_connections": server.connections_max,
            "backlog": server.backlog,
            "timeout": WORKER_TIMEOUT_S,
            "graceful_timeout": server.graceful_timeout_s,
            "control_socket_disable": True,
            "logger_class": Logs,
            "child_exit": _forget_gauges,
            "worker_exit": self._close,
        }
        for name, value in chosen.items():
            self.cfg.set(name, value)

    @override
    def run(self) -> None:
        Master(self).run()

    def read_again(self) -> bool:
        """Read the file for the workers to come; False when it is wrong."""
        fresh = read_again(self._settings)
        self._settings = fresh or self._settings
        return fresh is not None

    @override
    def load(self) -> falcon.App[Any, Any]:
        app = compose(self._settings, self._closing)
        log.info("web worker is up", extra={"url": self._settings.server.url})
        return app

    def _close(self, _arbiter: object, _worker: object) -> None:
        self._closing.close()


class Master(Arbiter):  # type: ignore[misc]
    """Gunicorn's master in a process whose blocking calls are gevent's."""

    @override
    def wait_for_signals(self, timeout: float = 1.0) -> list[int]:
        # Only gevent's loop notices that a worker ended; waiting on the queue would stand still.
        gevent.sleep(LOOK_S)
        signals: list[int] = super().wait_for_signals(timeout=LOOK_S / 10)
        return signals

    @override
    def reload(self) -> None:
        """Have the workers read the configuration again, once it is known to be right.

        They stay, and with them every request and connection.
        """
        if self.app.read_again():
            self.kill_workers(signal.SIGHUP)


class Logs(glogging.Logger):  # type: ignore[misc]
    """Gunicorn's own messages, through our handlers; it must not log requests: they hold keys."""

    @override
    def setup(self, cfg: object) -> None:
        self.error_log.propagate = True
        self.access_log.disabled = True


def _forget_gauges(_arbiter: object, worker: Worker) -> None:
    """Drop what a worker that is gone said of the present."""
    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
