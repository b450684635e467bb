"""A collector of traces: takes OTLP over HTTP as protobuf and keeps every span.

with Collector() as collector, traced(collector.url):
    tracing.serve("a", "").end()
    eventually(lambda: collector.spans)
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from support.sink import Sink
from typing_extensions import override

from signalbox.eventstore import tracing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue

FAILED: Final = Status.StatusCode.STATUS_CODE_ERROR


@dataclass(frozen=True)
class Taken:
    """A span as the collector got it."""

    name: str
    service: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, str | int]
    seconds: float
    failed: bool
    error: str

    @property
    def traceparent(self) -> str:
        """What its children name as their parent."""
        return f"00-{self.trace_id}-{self.span_id}-01"


class Collector(Sink):
    """Keeps spans, and as `raw` the octets they came in."""

    path = "/v1/traces"
    accepted = 200

    def __init__(self) -> None:
        super().__init__()
        self.spans: list[Taken] = []
        self.raw = b""
        self.url = f"http://{self.address}{self.path}"

    @override
    def keep(self, query: str, authorization: str, body: bytes) -> None:
        self.raw += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = {a.key: _plain(a.value) for a in resource.resource.attributes}
            for scope in resource.scope_spans:
                name = str(service["service.name"])
                self.spans += [_taken(span, name) for span in scope.spans]

    def named(self, name: str) -> list[Taken]:
        """Return the spans of a name, oldest first."""
        return [span for span in self.spans if span.name == name]


@contextmanager
def traced(url: str, sampling: float = 1.0) -> Iterator[None]:
    """Trace this process; at the end everything recorded has been sent."""
    tracing.start(tracing.Tracing(sampling=sampling, collector=url, export_every_s=0.05))
    try:
        yield
    finally:
        tracing.stop()


def _taken(span: Span, service: str) -> Taken:
    return Taken(
        name=span.name,
        service=service,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        attributes={one.key: _plain(one.value) for one in span.attributes},
        seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
        failed=span.status.code == FAILED,
        error=span.status.message,
    )


def _plain(value: AnyValue) -> str | int:
    return value.int_value if value.HasField("int_value") else value.string_value
