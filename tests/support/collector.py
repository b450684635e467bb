"""A collector of traces: takes OTLP over HTTP as protobuf and keeps every span.

with Collector() as collector, traced(collector.url):
    tracing.serve("a", "").end()
    eventually(lambda: collector.spans)
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
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


class Collector:
    """Listens on a free port of the loopback; `answer` is the status of every answer."""

    def __init__(self) -> None:
        self.spans: list[Taken] = []
        self.raw = b""
        self.requests = 0
        self.answer = 200
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.take(self.path, body)
                self.send_response(collector.answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

            @override
            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.address}/v1/traces"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self, path: str, body: bytes) -> None:
        """Take one request; refused ones count, but their spans do not."""
        assert path == "/v1/traces", path
        self.requests += 1
        if self.answer != 200:
            return
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
