"""From the configuration's `[[links]]` to a link as domain, actors and transport know it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from signalbox.actors.desk import Patience
from signalbox.actors.filters import Rule
from signalbox.actors.link_messages import LinkPlan, Submission
from signalbox.actors.transports.smpp.session import Endpoint
from signalbox.domain.link import LinkSpec
from signalbox.domain.pool import Pool

if TYPE_CHECKING:
    from signalbox.ops.entries import Link
    from signalbox.ops.sections import Sms
    from signalbox.ops.settings import Settings


def specs(settings: Settings) -> dict[int, LinkSpec]:
    """Return the configured links as the log knows them, by number."""
    return {link.id: _spec(link) for link in settings.links}


def plans(settings: Settings) -> dict[int, LinkPlan]:
    """Return what a relay needs to run each link, secrets included."""
    return {
        link.id: LinkPlan(_endpoint(link), _submission(link, settings.sms), _patience(settings.sms))
        for link in settings.links
    }


def pools(settings: Settings) -> list[Pool]:
    """Return the configured pools, their members by number."""
    ids = {link.name: link.id for link in settings.links}
    return [
        Pool(
            name=pool.name,
            link_ids=tuple(ids[name] for name in pool.links),
            queue_wait_s_max=pool.queue_wait_s_max,
            failover_after_s=pool.failover_after_s,
            balance=pool.balance,
        )
        for pool in settings.pools
    ]


def filter_rules(settings: Settings) -> list[Rule]:
    """Return the configured content filters, in their order."""
    return [msgspec.convert(one, Rule, from_attributes=True) for one in settings.filters]


def _spec(link: Link) -> LinkSpec:
    return LinkSpec(
        name=link.name,
        host=link.host,
        port=link.port,
        system_id=link.system_id,
        system_type=link.system_type,
        bind=link.bind,
        tps=link.tps,
        window=link.window,
        response_timeout_s=link.response_timeout_s,
        dlr_msgid=link.dlr_msgid,
        long_mode=link.long_mode,
        default_alphabet=link.default_alphabet,
        in_doubt=link.in_doubt,
        enabled=link.enabled,
    )


def _endpoint(link: Link) -> Endpoint:
    return Endpoint(
        link_id=link.id,
        host=link.host,
        port=link.port,
        system_id=link.system_id,
        password=link.password,
        system_type=link.system_type,
        bind=link.bind,
        connect_timeout_s=link.connect_timeout_s,
        bind_timeout_s=link.bind_timeout_s,
        response_timeout_s=link.response_timeout_s,
        enquire_link_s=link.enquire_link_s,
        enquire_link_misses_max=link.enquire_link_misses_max,
        inactivity_s=link.inactivity_s,
        tls=link.tls,
        tls_verify=link.tls_verify,
        tls_ca_file=link.tls_ca_file,
    )


def _submission(link: Link, sms: Sms) -> Submission:
    return Submission(
        registered_delivery=link.registered_delivery,
        validity_period=link.validity_period,
        service_type=link.service_type,
        dlr_by_text=link.dlr_by_text,
        retry_age_s_max=sms.retry_age_s_max,
        reconnect_initial_s=link.reconnect_initial_s,
        reconnect_max_s=link.reconnect_max_s,
    )


def _patience(sms: Sms) -> Patience:
    return Patience(receipt_park_s=sms.receipt_park_s, mo_reassembly_s=sms.mo_reassembly_s)
