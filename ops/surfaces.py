"""The HTTP surfaces of a web process, above its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from signalbox.actors.phone_tokens import is_ours
from signalbox.actors.runtime import Actor
from signalbox.actors.sending import Sending
from signalbox.actors.users import Users
from signalbox.eventstore import tracing
from signalbox.eventstore.quota import Quota
from signalbox.http.app import create_app
from signalbox.http.body import BodyReader
from signalbox.http.limits import AllRequests, Each, EachApplication
from signalbox.http.listeners import Listeners
from signalbox.http.peer import Peers
from signalbox.http.shared import PassingMail, SharedSend, SharedStatus
from signalbox.http.sms_proxy.routes import SmsProxy
from signalbox.ops import links as configured
from signalbox.ops import readiness
from signalbox.ops.configuration import server_config
from signalbox.ops.parts import Parts
from signalbox.ops.reads import PhoneReads
from signalbox.ops.reload import BY, Reload
from signalbox.ops.system import SystemSampler
from signalbox.ops.traces import start_tracing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import ExitStack

    import falcon

    from signalbox.eventstore.log import EventLog
    from signalbox.http.app import Guard
    from signalbox.http.signalhouse.routes import Signalhouse
    from signalbox.http.trucopilot.routes import Trucopilot
    from signalbox.ops.entries import Pool
    from signalbox.ops.settings import Settings

SEND: Final = "/api/v1/sms/send"
STATUS: Final = "/status"


def compose(settings: Settings, closing: ExitStack) -> Listeners:
    """Return the application; what must be closed with it is left on the stack."""
    Actor.inbox_messages_max = settings.actors.inbox_messages_max
    Actor.restarts_max = settings.actors.restarts_max
    reload = Reload(settings, tells_waiting=False)  # That is for the master to say, once.
    start_tracing(settings)
    closing.callback(tracing.stop)
    parts = Parts.open(settings, closing)
    shown_pools = list(settings.pools)
    all_requests, each_application = _limits(settings, parts.log, closing)
    sms_proxy = _sms_proxy(parts, reload, shown_pools, each_application, closing)

    def apply(fresh: Settings) -> None:
        parts.links.reconfigure(configured.specs(fresh), by=BY)
        parts.pools.configure(configured.pools(fresh))
        parts.filters.configure(configured.filter_rules(fresh))
        parts.warmups.configure(fresh)
        shown_pools[:] = fresh.pools

    reload.start(apply)
    closing.callback(reload.close)
    links = parts.links
    checks = readiness.checks(settings, parts.log, parts.read_models, lambda: links.ids)
    body = BodyReader(settings.server.body_bytes_max)
    warmup, warmup_admin = parts.warmups.surfaces(parts.read_models, parts.seen, body)

    def app(
        routes: dict[str, object], *, guards: Iterable[Guard] = (), shapes: Iterable[Guard] = ()
    ) -> falcon.App[Any, Any]:
        return create_app(routes, checks, all_requests, guards, shapes)

    signalhouse, trucopilot = _phones(settings, parts, body, closing)
    mail_proxy = parts.mail.surface(parts.seen)
    of_links, of_accounts, of_ips = sms_proxy.routes(), signalhouse.routes(), warmup.routes()
    everything = {
        **of_links,
        **of_accounts,
        SEND: SharedSend(of_links[SEND], of_accounts[SEND], is_ours),
        **of_ips,
        **warmup_admin.routes(),
        **trucopilot.routes(),
        **mail_proxy.routes(),
        STATUS: SharedStatus(of_ips[STATUS], mail_proxy.status()),
    }
    own = {
        "sms_proxy": lambda: app(sms_proxy.routes()),
        "warmup": lambda: app(warmup.routes(), guards=[warmup.guard(alone=True)]),
        "signalhouse": lambda: app(signalhouse.routes(), shapes=[signalhouse.guard(alone=True)]),
        "trucopilot": lambda: app(
            trucopilot.routes(alone=True), shapes=[trucopilot.guard(alone=True)]
        ),
        "mail_proxy": lambda: app(
            mail_proxy.routes(alone=True), shapes=[mail_proxy.guard(alone=True)]
        ),
    }
    return Listeners(
        app(
            everything,
            guards=[PassingMail(warmup.guard())],
            shapes=[signalhouse.guard(), trucopilot.guard(), mail_proxy.guard()],
        ),
        {port: own[name]() for name, port in settings.listeners.ports.items()},
    )


def _sms_proxy(
    parts: Parts,
    reload: Reload,
    pools: list[Pool],
    limiter: EachApplication,
    closing: ExitStack,
) -> SmsProxy:
    settings, accounts = reload.settings, parts.accounts
    system = SystemSampler(settings.home)
    closing.callback(system.close)
    return SmsProxy(
        accounts=accounts,
        users=Users(accounts.directory, accounts.passwords, parts.reads.user_stream),
        sending=_sending(settings, parts),
        links=parts.links,
        licenses=parts.licenses,
        reads=parts.reads,
        system=system.load,
        server_config=lambda: server_config(reload.settings),
        pools=pools,
        body=BodyReader(settings.server.body_bytes_max),
        peers=Peers(settings.server.trusted_proxies),
        admin_api_key=settings.admin_api_key,
        stats_auth=settings.security.stats_auth,
        user_api_auth=settings.security.user_api_auth,
        jwt_admin_mutations=settings.security.jwt_admin_mutations,
        limiter=limiter,
        allowed_ips={one.id: one.allowed_ips for one in settings.applications},
    )


def _sending(settings: Settings, parts: Parts) -> Sending:
    return Sending(
        parts.log,
        parts.journal,
        parts.links,
        parts.routes.carrier,
        parts.outcomes,
        send_wait_s=settings.sms.send_wait_s,
        parts_max=settings.sms.parts_max,
        window_s=settings.sms.transaction_window_s,
        filters=parts.filters,
        require_license=parts.licenses.require_sending,
    )


def _phones(
    settings: Settings, parts: Parts, body: BodyReader, closing: ExitStack
) -> tuple[Signalhouse, Trucopilot]:
    given = settings.signalhouse
    each_account: Each[str] = Each(
        lambda account: Quota(parts.log.pool, account, given.sends_per_s, given.sends_burst),
        "account",
    )
    closing.callback(each_account.close)
    reads = PhoneReads(parts.read_models, parts.seen, settings.projector.read_wait_s)
    return (
        parts.phones.signalhouse(reads, body, each_account),
        parts.phones.trucopilot(reads, body),
    )


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
