"""A message's way through the gateway is one trace, from its acceptance to its receipts."""

from collections.abc import Iterator

import pytest
from support.collector import Collector, Taken, traced
from support.gateway import Gateway, StartGateway, eventually, eventually_equal, handset
from support.smsc import NodeSmsc

from signalbox.domain.message import MessageSubmitted
from signalbox.eventstore import tracing

RECEIPT = 4  # esm_class


@pytest.fixture(scope="module")
def smsc() -> Iterator[NodeSmsc]:
    with NodeSmsc(DLR_DELAY_MS=10) as smsc:
        yield smsc


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector, traced(collector.url):
        yield collector


def send(gateway: Gateway, destination: str, text: str = "hello") -> str:
    with tracing.serve("request", "") as request:
        return gateway.send(destination, text, traceparent=request.traceparent).message_id


def children(collector: Collector, name: str, parent: Taken) -> list[Taken]:
    return [span for span in collector.named(name)
            if (span.trace_id, span.parent_id) == (parent.trace_id, parent.span_id)]  # fmt: skip


def test_every_part_and_receipt_is_a_child_of_the_acceptance(
    smsc: NodeSmsc, start_gateway: StartGateway, collector: Collector
) -> None:
    gateway = start_gateway(smsc.port)
    message_id = send(gateway, handset(), "x" * 200)
    eventually(lambda: len(collector.named("receipt")) == 2)
    (request,) = collector.named("request")
    (accept,) = children(collector, "accept", request)
    submits, receipts = (children(collector, n, accept) for n in ("submit_sm", "receipt"))
    assert len(collector.spans) == 6
    assert (accept.kind, accept.attributes) == ("internal", {"link": 1})
    for spans, kind, more in (
        (submits, "client", {"command_status": 0}),
        (receipts, "consumer", {"status": "delivered"}),
    ):
        common = {"link": 1, "message_id": message_id, **more}
        assert sorted(spans, key=lambda span: span.attributes["part"]) == spans
        assert [span.attributes for span in spans] == [{"part": n, **common} for n in (1, 2)]
        assert {span.kind for span in spans} == {kind}
        assert not any(span.failed for span in spans)
    first = gateway.history(message_id)[0]
    assert first.traceparent == accept.traceparent


def test_no_address_and_no_text_reaches_the_collector(
    smsc: NodeSmsc, start_gateway: StartGateway, collector: Collector
) -> None:
    gateway, destination = start_gateway(smsc.port), handset()
    send(gateway, destination, "a secret")
    eventually(lambda: collector.named("receipt"))
    for word in (b"a secret", destination.encode(), b"Signalbox"):
        assert word not in collector.raw


def test_a_refused_submit_is_a_failed_span(
    smsc: NodeSmsc, start_gateway: StartGateway, collector: Collector
) -> None:
    send(start_gateway(smsc.port), handset("9011"))
    eventually(lambda: collector.named("submit_sm"))
    (submit,) = collector.named("submit_sm")
    assert submit.attributes["command_status"] == 11
    assert (submit.failed, submit.error) == (True, "ESME_RINVDSTADR (0x0000000B)")


def test_a_submit_without_an_answer_is_a_failed_span(
    smsc: NodeSmsc, start_gateway: StartGateway, collector: Collector
) -> None:
    gateway = start_gateway(smsc.port, response_timeout_s=0.3, in_doubt="fail")
    send(gateway, handset("8101"))
    eventually(lambda: collector.named("submit_sm"))
    (submit,) = collector.named("submit_sm")
    assert (submit.failed, submit.error) == (True, "no answer in time")
    assert "command_status" not in submit.attributes


def test_a_refused_message_has_no_span_but_its_request(
    smsc: NodeSmsc, start_gateway: StartGateway, collector: Collector
) -> None:
    gateway = start_gateway(smsc.port)
    send(gateway, handset())
    with pytest.raises(Exception, match="unknown esme"), tracing.serve("other", "") as request:
        gateway.send(handset(), link_id=9, traceparent=request.traceparent)
    eventually(lambda: collector.named("other"))
    assert [s for s in collector.spans if s.trace_id == collector.named("other")[0].trace_id] == (
        collector.named("other")
    )


def test_a_receipt_after_a_restart_still_belongs_to_the_trace(
    smsc: NodeSmsc, start_gateway: StartGateway, collector: Collector
) -> None:
    before, destination = start_gateway(smsc.port, system_id="traced"), handset("8105")
    message_id = send(before, destination)
    (smsc_id,) = [e.smsc_id for e in before.told(message_id) if isinstance(e, MessageSubmitted)]
    before.close()
    after = start_gateway(smsc.port, system_id="traced")
    eventually(lambda: smsc.stats()["sessions"] == 1)
    text = f"id:{smsc_id} sub:001 dlvrd:001 stat:DELIVRD err:000 text:"
    smsc.mo_octets(destination, "Signalbox", text.encode(), esm_class=RECEIPT)
    eventually_equal(lambda: after.statuses(message_id), ["delivered"])
    eventually(lambda: collector.named("receipt"))
    (accept,) = collector.named("accept")
    (receipt,) = children(collector, "receipt", accept)
    assert receipt.attributes["status"] == "delivered"


def test_without_a_trace_nothing_is_recorded_on_the_way(
    smsc: NodeSmsc, start_gateway: StartGateway, collector: Collector
) -> None:
    gateway = start_gateway(smsc.port)
    untraced = gateway.send(handset()).message_id
    send(gateway, handset())
    eventually(lambda: collector.named("receipt"))
    eventually_equal(lambda: gateway.statuses(untraced), ["delivered"])
    assert untraced.encode() not in collector.raw
    assert gateway.history(untraced)[0].traceparent == ""
