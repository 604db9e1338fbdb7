"""Sends spans to a collector, on a thread of its own: one that is away costs spans, never a call.

The libraries come with the extra `otel`. Headers that a collector wants are taken from
`OTEL_EXPORTER_OTLP_HEADERS`, as its own programs do.
"""

import contextlib
import hashlib
import importlib.util
import logging
import queue
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import structlog

from bridge.core.clock import SystemClock
from bridge.core.floodgate import Floodgate
from bridge.core.ids import CallId
from bridge.core.telemetry import Telemetry
from bridge.ops.spans.model import CallSpans, Stage

if TYPE_CHECKING:
    import requests
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext

EXTRA = ".[otel]"
"""As pip is told it beside Trunkline's `pyproject.toml`."""
QUEUE_CALLS = 1_000
"""Calls that may wait for the collector."""
_MODULE = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
_PATH = "/v1/traces"
"""Where OTLP over HTTP has them unless the address says more (OTLP specification, "OTLP/HTTP Request")."""
_COLLECT_S = 1.0
_MAX_BATCH = 100
_TIMEOUT_S = 5.0
_NANO = 1_000_000_000

_log = structlog.get_logger(__name__)


def can_send() -> bool:
    """Whether the libraries are installed."""
    try:
        return importlib.util.find_spec(_MODULE) is not None
    except ModuleNotFoundError:
        return False


def trace_id_of(call_id: CallId) -> int:
    """The trace of a call, so that one can be found by the other (16 octets, W3C Trace Context §3.2.2.3)."""
    return _digest(call_id, 16)


def _digest(text: str, octets: int) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:octets], "big") or 1


class SpanSink(Protocol):
    """Where calls go that are over. Never blocks, never raises."""

    def add(self, spans: CallSpans) -> None:
        """Take one."""
        ...


class SpanSender:
    """`start` it, `add` to it, `stop` it."""

    def __init__(self, url: str, *, version: str, telemetry: Telemetry) -> None:
        self._url = url if _has_path(url) else url.rstrip("/") + _PATH
        self._version = version
        self._telemetry = telemetry
        self._floodgate = Floodgate(SystemClock())
        self._calls: queue.Queue[CallSpans | None] = queue.Queue(QUEUE_CALLS)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to send."""
        # It says of every failure at length what is counted and told here, and the address as well.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._thread = threading.Thread(target=self._run, name="span-sender", daemon=True)
        self._thread.start()

    def add(self, spans: CallSpans) -> None:
        """Queue one call; never blocks, never raises."""
        try:
            self._calls.put_nowait(spans)
        except queue.Full:
            self._drop(spans)

    def stop(self, limit_s: float = 2.0) -> None:
        """Send what is queued, for a bounded time; blocking."""
        if self._thread is None:
            return
        self._stopping.set()
        # Where the collector is away the queue may be full: the thread looks at `_stopping` after each try.
        with contextlib.suppress(queue.Full):
            self._calls.put_nowait(None)
        self._thread.join(limit_s)

    # On the thread.

    def _run(self) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace.export import SpanExportResult

        session = _session()
        exporter = OTLPSpanExporter(endpoint=self._url, timeout=_TIMEOUT_S, session=session)
        resource = Resource({"service.name": "trunkline", "service.version": self._version})
        going_on = True
        while going_on:
            calls, going_on = self._collect()
            spans = [span for call in calls for span in _readable(call, resource)]
            if not spans:
                continue
            try:
                sent = exporter.export(spans) is SpanExportResult.SUCCESS
            except Exception:
                sent = False
                self._telemetry.count("internal_errors_total", component="ops")
                _log.exception("spans_not_sent")
            self._note(len(spans), sent=sent)
        session.close()
        self._drop_rest()

    def _collect(self) -> tuple[list[CallSpans], bool]:
        """What has come within a moment, and whether more may follow."""
        calls: list[CallSpans] = []
        until = time.monotonic() + _COLLECT_S
        while len(calls) < _MAX_BATCH:
            try:
                call = self._calls.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                return calls, not self._stopping.is_set()
            if call is None:
                return calls, False
            calls.append(call)
        return calls, not self._stopping.is_set()

    def _drop_rest(self) -> None:
        """What there was no time for."""
        with contextlib.suppress(queue.Empty):
            while True:
                if (call := self._calls.get_nowait()) is not None:
                    self._drop(call)

    def _drop(self, call: CallSpans) -> None:
        self._telemetry.count("spans_total", len(call.stages) + 1, outcome="dropped")

    def _note(self, count: int, *, sent: bool) -> None:
        self._telemetry.count("spans_total", count, outcome="sent" if sent else "failed")
        suppressed = None if sent else self._floodgate.pass_or_count("spans_not_sent")
        if suppressed is not None:
            _log.warning("spans_not_sent", spans=count, suppressed=suppressed)


def _session() -> "requests.Session":
    """One to which a redirection is no success: the exporter follows none, and would take it for one."""
    import requests

    def refuse(response: requests.Response, *_: object, **__: object) -> None:
        if 300 <= response.status_code < 400:
            response.close()
            raise requests.TooManyRedirects(response=response)

    session = requests.Session()
    session.hooks["response"].append(refuse)
    return session


def _has_path(url: str) -> bool:
    return "/" in url.partition("://")[2].rstrip("/")


def _readable(call: CallSpans, resource: "Resource") -> "Iterator[ReadableSpan]":
    """A call in the words of the SDK; the ids follow from ours, so nothing has to be kept for them."""
    from opentelemetry.trace import SpanContext, TraceFlags

    def context(name: str) -> SpanContext:
        span_id = _digest(f"{call.call_id} {name}", 8)
        flags = TraceFlags(TraceFlags.SAMPLED)
        return SpanContext(trace_id_of(call.call_id), span_id, is_remote=False, trace_flags=flags)

    root = context("")
    yield _span(call.whole, root, None, resource)
    for stage in call.stages:
        yield _span(stage, context(stage.name), root, resource)


def _span(stage: Stage, context: "SpanContext", parent: "SpanContext | None", resource: "Resource") -> "ReadableSpan":
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.status import Status, StatusCode

    return ReadableSpan(
        stage.name,
        context=context,
        parent=parent,
        resource=resource,
        attributes=dict(stage.attributes),
        events=[Event(moment.name, timestamp=_nanoseconds(moment.at)) for moment in stage.moments],
        kind=SpanKind.SERVER if parent is None else SpanKind.INTERNAL,
        status=Status(StatusCode.ERROR, stage.fault) if stage.fault else Status(StatusCode.UNSET),
        start_time=_nanoseconds(stage.began),
        end_time=_nanoseconds(stage.ended),
        instrumentation_scope=InstrumentationScope("trunkline"),
    )


def _nanoseconds(seconds: float) -> int:
    return round(seconds * _NANO)
