"""Traces of messages on their way, for a collector; free while nobody asked for them.

    HTTP request ─ server ─▶ accept ─ envelope's `traceparent` ─▶ relay ─ submit_sm, receipt

A trace crosses processes as a W3C `traceparent`, and only a sampled one has any: "" is a trace that
nobody records. What records is `otel`, which is not even imported before `start`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType

Kind = Literal["server", "internal", "client", "consumer"]


class Span:
    """A stretch of time in a trace; this one is not recorded.

    As a context it ends with its block, failed if that raised.
    """

    __slots__ = ()

    @property
    def traceparent(self) -> str:
        """What makes other spans its children; "" when it is not recorded."""
        return ""

    def note(self, **attributes: str | int) -> None:
        """Add attributes; never an address or a text."""

    def end(self, error: str = "") -> None:
        """Record it up to now; with `error` it failed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end("" if kind is None else kind.__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing:
    """How to trace: the share of requests (0 to 1), and the URL that takes OTLP over HTTP."""

    sampling: float
    collector: str
    export_every_s: float = 1.0


class Recorder(Protocol):
    """Records spans."""

    def begin(self, name: str, parent: str, kind: Kind, *, is_remote: bool) -> Span:
        """Begin a span, sampled or not."""

    def close(self) -> None:
        """Send what waits, within bounds."""


UNRECORDED: Final = Span()
_recorder: Recorder | None = None


def start(tracing: Tracing) -> None:
    """Trace from now on; call it in the process that works, after its fork."""
    global _recorder  # noqa: PLW0603  one for the process, like the metrics
    from signalbox.eventstore.otel import Otel  # noqa: PLC0415  it costs memory and time

    stop()
    _recorder = Otel(tracing)


def stop() -> None:
    """Trace no more; what is recorded is sent, or given up after two seconds."""
    global _recorder
    recorder, _recorder = _recorder, None
    if recorder is not None:
        recorder.close()


def is_on() -> bool:
    """Tell whether anything is traced."""
    return _recorder is not None


def serve(name: str, traceparent: str) -> Span:
    """Begin a request's span, in the caller's trace if it names one; samples."""
    if _recorder is None:
        return UNRECORDED
    return _recorder.begin(name, traceparent, "server", is_remote=True)


def span(name: str, traceparent: str, kind: Kind = "internal", **attributes: str | int) -> Span:
    """Begin a span in a trace of ours; unrecorded when that is not recorded."""
    if _recorder is None or not traceparent:
        return UNRECORDED
    begun = _recorder.begin(name, traceparent, kind, is_remote=False)
    begun.note(**attributes)
    return begun
