"""Real processes whose settings trace and filter: what a collector and a caller see of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from support.collector import Collector
from support.gateway import eventually, handset
from support.mail_tenants import ENVIRONMENT, Tenant
from support.processes import Client, Installation
from support.smsc import NodeSmsc

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]

CALLER: Final = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"
EXTRA: Final = """
[monitoring]
otel = true
sampling = 1.0
collector = "{collector}"

[[filters]]
name = "casino"
message = "(?i)casino"
"""


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture
def gateway(database_url: str, collector: Collector) -> Iterator[Installation]:
    extra = EXTRA.format(collector=collector.address)
    with (
        NodeSmsc(DLR_DELAY_MS=10) as smsc,
        Installation(database_url, [smsc.port], extra=extra) as gateway,
    ):
        gateway.start_all()
        gateway.wait_until_bound()
        yield gateway


def test_one_send_is_one_trace_through_all_processes_and_a_filtered_one_ends_where_it_began(
    gateway: Installation, collector: Collector
) -> None:
    client = gateway.client()
    client.headers["traceparent"] = CALLER + "-01"
    status, answer = client.send(handset(), "hello")
    assert (status, answer["status"]) == (200, "submitted")
    names = ["accept", "receipt", "submit_sm", "POST /api/v1/sms/send"]
    eventually(lambda: all(collector.named(name) for name in names), timeout_s=10)
    (request,) = collector.named("POST /api/v1/sms/send")
    (accept,), (submit,), (receipt,) = map(collector.named, ("accept", "submit_sm", "receipt"))
    assert f"00-{request.trace_id}-{request.parent_id}" == CALLER
    assert accept.parent_id == request.span_id
    assert submit.parent_id == receipt.parent_id == accept.span_id
    assert {span.trace_id for span in collector.spans} == {request.trace_id}
    assert submit.attributes["message_id"] == answer["message_id"]

    client.headers["traceparent"] = CALLER + "-00"
    status, answer = client.send(handset(), "Come to the casino", transaction_id="t-1")
    assert status == 400
    assert answer == {
        "success": False,
        "error": "rejected by filter casino",
        "esme": 1,
        "transaction_id": "t-1",
        "status": "failed",
    }
    _, metrics = client.call("GET", "/metrics")
    assert 'signalbox_rejected_total{filter="casino"} 1.0' in metrics


def test_mail_accounts_have_their_counters_before_any_mail(database_url: str) -> None:
    with Installation(database_url, [], environment=ENVIRONMENT) as gateway:

        def is_shown(account: str) -> bool:
            labels = 'account_id="{0}",account_name="{0}",tenant_id="acme",tenant_name="acme"'
            _, metrics = Client(gateway.port).call("GET", "/metrics")
            return f"gmp_sent_total{{{labels.format(account)}}} 0.0" in metrics

        gateway.start("web")
        gateway.start("projector")
        gateway.wait_until_ready()
        tenant = Tenant(gateway.port, "acme", "http://127.0.0.1:9")
        tenant.add_account("before", 25)
        assert not is_shown("before")
        gateway.start("relay")
        eventually(lambda: is_shown("before"), timeout_s=20)
        tenant.add_account("later", 25)
        eventually(lambda: is_shown("later"), timeout_s=10)


def test_what_is_recorded_last_is_sent_before_a_process_ends(
    gateway: Installation, collector: Collector
) -> None:
    collector.spans.clear()
    client = gateway.client()
    _, answer = client.send(handset(), "hello")
    gateway.close()
    assert len(collector.named("POST /api/v1/sms/send")) == 1
    (submit,) = collector.named("submit_sm")
    assert submit.attributes["message_id"] == answer["message_id"]
