"""Traces: whose child a span is, which are sampled, and what a collector can't do to us."""

import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from time import monotonic

import gevent
import pytest
from prometheus_client import REGISTRY
from support.collector import Collector, traced
from support.gateway import eventually

from signalbox.domain.link import LinkToggled
from signalbox.eventstore import otel, tracing
from signalbox.eventstore.journal import Append, Journal, Write
from signalbox.eventstore.log import EventLog

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"
UNRECORDED = tracing.UNRECORDED


@pytest.fixture(autouse=True)
def _trace_no_longer_than_a_test() -> Iterator[None]:
    yield
    tracing.stop()


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


def dropped(reason: str) -> float:
    return REGISTRY.get_sample_value("signalbox_spans_dropped_total", {"reason": reason}) or 0.0


# what is recorded


def test_while_nobody_traces_there_are_no_spans() -> None:
    assert not tracing.is_on()
    assert tracing.serve("request", CALLER + "-01") is UNRECORDED
    assert tracing.span("accept", CALLER + "-01") is UNRECORDED
    with UNRECORDED as span:
        span.note(link=1)
        assert span.traceparent == ""


def test_untraced_processes_do_not_load_what_traces() -> None:
    code = (
        "import signalbox.ops.patched, signalbox.ops.web, signalbox.ops.relay, sys\n"
        "from pathlib import Path\n"
        "from signalbox.ops.settings import Settings\n"
        "from signalbox.ops.traces import start_tracing\n"
        "start_tracing(Settings(home=Path('/')))\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('opentelemetry', 'google')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_spans_of_one_request_are_one_trace(collector: Collector) -> None:
    with traced(collector.url), tracing.serve("request", "") as request:
        with tracing.span("inner", request.traceparent, "client", link=3) as inner:
            gevent.sleep(0.05)
        tracing.span("innermost", inner.traceparent).end("it broke")
    outer, middle, last = (collector.named(n)[0] for n in ("request", "inner", "innermost"))
    assert len({span.trace_id for span in collector.spans}) == 1
    assert (outer.parent_id, middle.parent_id, last.parent_id) == (
        "",
        outer.span_id,
        middle.span_id,
    )
    assert (outer.kind, middle.kind, last.kind) == ("server", "client", "internal")
    assert {span.service for span in collector.spans} == {"signalbox"}
    assert middle.attributes == {"link": 3}
    assert 0.05 <= middle.seconds < 5
    assert (last.failed, last.error, outer.failed) == (True, "it broke", False)


def test_a_block_that_raises_is_a_failed_span(collector: Collector) -> None:
    with traced(collector.url), pytest.raises(KeyError), tracing.serve("request", ""):
        raise KeyError("a secret")
    (span,) = collector.spans
    assert (span.failed, span.error) == (True, "KeyError")
    assert b"a secret" not in collector.raw


def test_a_request_goes_on_in_its_callers_trace(collector: Collector) -> None:
    with traced(collector.url):
        tracing.serve("request", CALLER + "-01").end()
    (span,) = collector.spans
    assert f"00-{span.trace_id}-{span.parent_id}" == CALLER


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        CALLER,
        f"00-{'0' * 32}-{'1' * 16}-01",
        f"ff{CALLER[2:]}-01",
        "x" * 10_000,
    ],
)
def test_a_header_that_names_no_trace_begins_a_new_one(collector: Collector, header: str) -> None:
    with traced(collector.url):
        tracing.serve("request", header).end()
    (span,) = collector.spans
    assert span.parent_id == ""
    assert span.trace_id not in CALLER


def test_a_caller_may_ask_not_to_be_traced(collector: Collector) -> None:
    with traced(collector.url):
        assert tracing.serve("request", CALLER + "-00") is UNRECORDED
    assert collector.requests == 0


@pytest.mark.parametrize("header", ["", CALLER + "-01"])
def test_a_sampling_of_zero_records_nothing_whatever_the_caller_wants(
    collector: Collector, header: str
) -> None:
    with traced(collector.url, sampling=0):
        request = tracing.serve("request", header)
        assert request is UNRECORDED
        assert tracing.span("inner", request.traceparent) is UNRECORDED
    assert collector.requests == 0


def test_sampling_takes_about_its_share(collector: Collector) -> None:
    with traced(collector.url, sampling=0.25):
        for _ in range(2_000):
            tracing.serve("request", "").end()
    assert 350 <= len(collector.spans) <= 650  # 500; 7 standard deviations


def test_a_trace_begun_elsewhere_is_recorded_to_its_end_whatever_is_sampled_here(
    collector: Collector,
) -> None:
    with traced(collector.url, sampling=0):
        tracing.span("receipt", CALLER + "-01").end()
    assert len(collector.spans) == 1


def test_the_log_keeps_a_trace_and_no_trace_takes_no_room(
    event_log: EventLog, journal: Journal
) -> None:
    for stream_id, traceparent in (("link-1", CALLER + "-01"), ("link-2", "")):
        writes = [Write(stream_id, 1, [LinkToggled(enabled=True, reason="")])]
        journal.write(Append(writes=writes, traceparent=traceparent))
    assert event_log.read("link-1")[0].traceparent == CALLER + "-01"
    assert event_log.read("link-2")[0].traceparent == ""
    with event_log.pool.connection() as connection:
        rows = connection.execute(
            "SELECT originator_id FROM signalbox.stored_events"
            " WHERE convert_from(state, 'UTF8') LIKE '%%traceparent%%'"
        ).fetchall()
    assert [row["originator_id"] for row in rows] == ["link-1"]


# a collector in trouble


def test_spans_leave_by_themselves_soon_after_their_end(collector: Collector) -> None:
    with traced(collector.url):
        tracing.serve("request", "").end()
        eventually(lambda: collector.spans)


@pytest.mark.parametrize("trouble", ["closed", "hangs", "refuses"])
def test_a_collector_in_trouble_costs_spans_and_no_time(
    collector: Collector, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    before = dropped("collector")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if trouble == "hangs":
            silent.listen()
        port = silent.getsockname()[1]
        collector.answer = 400
        url = collector.url if trouble == "refuses" else f"http://127.0.0.1:{port}/v1/traces"
        tracing.start(tracing.Tracing(sampling=1, collector=url))
        begun_s = monotonic()
        for _ in range(otel.BATCH_SPANS_MAX):
            tracing.serve("request", "").end()
        assert monotonic() - begun_s < 3
        if trouble != "hangs":
            eventually(lambda: dropped("collector") == before + otel.BATCH_SPANS_MAX, timeout_s=15)
        begun_s = monotonic()
        tracing.stop()
        assert monotonic() - begun_s < otel.CLOSE_S + 1
    told = [record for record in caplog.records if not record.name.startswith("urllib3")]
    assert [record.getMessage() for record in told] == (
        [] if trouble == "hangs" else ["collector takes no traces"]
    )


def test_more_spans_than_the_queue_holds_are_dropped() -> None:
    before = dropped("queue")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with traced(f"http://127.0.0.1:{silent.getsockname()[1]}/v1/traces"):
            for _ in range(otel.BATCH_SPANS_MAX):
                tracing.serve("request", "").end()
            gevent.sleep(0.2)  # this batch is on its way now, and nobody answers
            for _ in range(otel.QUEUE_SPANS_MAX + 10):
                tracing.serve("request", "").end()
            assert dropped("queue") == before + 10


def test_when_the_collector_is_back_that_is_said_and_spans_arrive(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.answer = 400
    with traced(collector.url):
        tracing.serve("lost", "").end()
        eventually(lambda: collector.requests)
        collector.answer = 200
        tracing.serve("kept", "").end()
        eventually(lambda: collector.named("kept"))
        eventually(lambda: "collector takes traces again" in caplog.messages)
