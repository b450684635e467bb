"""Spans recorded with OpenTelemetry and sent in batches over OTLP/HTTP, in the background.

The queue is bounded, and a collector that is away costs spans, never time: what does not fit or
can't be sent is counted and dropped, and said once until it works again.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Final

import gevent
from gevent.event import Event
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from typing_extensions import override

from signalbox.eventstore import metrics
from signalbox.eventstore.tracing import UNRECORDED, Kind, Span, Tracing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan

log = logging.getLogger(__name__)

QUEUE_SPANS_MAX: Final = 8_192
BATCH_SPANS_MAX: Final = 512
EXPORT_TIMEOUT_S: Final = 5.0  # the exporter's own retries included
CLOSE_S: Final = 2.0

_KINDS: Final[dict[Kind, trace.SpanKind]] = {
    "server": trace.SpanKind.SERVER,
    "internal": trace.SpanKind.INTERNAL,
    "client": trace.SpanKind.CLIENT,
    "consumer": trace.SpanKind.CONSUMER,
}
_propagator: Final = TraceContextTextMapPropagator()


class Otel:
    """Records and sends the spans of this process."""

    def __init__(self, tracing: Tracing) -> None:
        # The exporter's loggers speak for every try; `Batches` says what an operator needs.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        ratio = TraceIdRatioBased(tracing.sampling)
        exporter = OTLPSpanExporter(tracing.collector, timeout=EXPORT_TIMEOUT_S)
        self._batches = Batches(exporter, tracing.export_every_s)
        provider = TracerProvider(
            # A caller may ask not to be traced, but not to be traced beyond our share.
            sampler=ParentBased(ratio, remote_parent_sampled=ratio),
            # Not Resource.create: its thread pool waits in an unpatched queue (ops.patched), and
            # a greenlet that does stops the whole process.
            resource=Resource({"service.name": "signalbox"}),
            shutdown_on_exit=False,
        )
        provider.add_span_processor(self._batches)
        self._tracer = provider.get_tracer("signalbox")

    def begin(self, name: str, parent: str, kind: Kind, *, is_remote: bool) -> Span:
        """Begin a span; a parent that is `is_remote` or none is subject to sampling."""
        context = _context(parent, is_remote=is_remote)
        begun = self._tracer.start_span(name, context, _KINDS[kind])
        return OtelSpan(begun) if begun.is_recording() else UNRECORDED

    def close(self) -> None:
        """Send what waits, for two seconds at most."""
        self._batches.shutdown()


class OtelSpan(Span):
    """A span that is recorded."""

    __slots__ = ("_span",)

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    @override
    def traceparent(self) -> str:
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-01"

    @override
    def note(self, **attributes: str | int) -> None:
        self._span.set_attributes(attributes)

    @override
    def end(self, error: str = "") -> None:
        if error:
            self._span.set_status(trace.StatusCode.ERROR, error)
        self._span.end()


class Batches(SpanProcessor):
    """Ended spans on their way to the collector."""

    def __init__(self, exporter: OTLPSpanExporter, every_s: float) -> None:
        self._exporter = exporter
        self._every_s = every_s
        self._waiting: deque[ReadableSpan] = deque()
        self._wake = Event()
        self._closing = False
        self._arrives = True
        self._sender = gevent.spawn(self._run)

    @override
    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span, or drop it when too many wait."""
        if self._closing or len(self._waiting) >= QUEUE_SPANS_MAX:
            metrics.SPANS_DROPPED.labels("queue").inc()
            return
        self._waiting.append(span)
        if len(self._waiting) >= BATCH_SPANS_MAX:
            self._wake.set()

    @override
    def shutdown(self) -> None:
        """Send what waits; what can't be sent in time is dropped."""
        self._closing = True
        self._wake.set()
        self._sender.join(CLOSE_S)
        self._sender.kill(block=False)
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # it has no annotations

    def _run(self) -> None:
        closing = False
        while not closing:
            self._wake.wait(self._every_s)
            self._wake.clear()
            closing = self._closing
            while self._waiting:
                spans = [self._waiting.popleft() for _ in range(self._next_size())]
                self._send(spans)

    def _next_size(self) -> int:
        return min(len(self._waiting), BATCH_SPANS_MAX)

    def _send(self, spans: Sequence[ReadableSpan]) -> None:
        try:
            arrived = self._exporter.export(spans) is SpanExportResult.SUCCESS
        except Exception:  # Nothing about tracing may end this greenlet.
            log.exception("spans can't be sent")
            arrived = False
        if not arrived:
            metrics.SPANS_DROPPED.labels("collector").inc(len(spans))
        if arrived != self._arrives:
            self._arrives = arrived
            log.warning("collector takes traces again" if arrived else "collector takes no traces")


def _context(traceparent: str, *, is_remote: bool) -> Context:
    """Return what a span hangs on; nothing readable is no parent."""
    parsed = _propagator.extract({"traceparent": traceparent})
    found = trace.get_current_span(parsed).get_span_context()
    if is_remote or not found.is_valid:
        return parsed
    ours = trace.SpanContext(
        found.trace_id, found.span_id, is_remote=False, trace_flags=found.trace_flags
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(ours))
