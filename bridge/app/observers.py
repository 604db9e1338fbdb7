"""Who takes down what happens in calls: the file of traces, a Homer server, an OpenTelemetry collector."""

import asyncio
from contextlib import AsyncExitStack

from bridge.app.call_tracing import CallTracing
from bridge.config import Config, trace_settings
from bridge.core.clock import Clock
from bridge.core.telemetry import Telemetry
from bridge.ops.spans.sending import SpanSender
from bridge.ops.traces.recorder import CallRecorder


class Observers:
    """Those that the configuration wants; `tracing` tells them."""

    def __init__(self, config: Config, *, clock: Clock, telemetry: Telemetry, version: str) -> None:
        traces, url = trace_settings(config), config.ops.telemetry.otlp_url
        wanted = traces.path is not None or traces.hep is not None
        self._recorder = CallRecorder(traces, telemetry=telemetry) if wanted else None
        self._spans = SpanSender(url, version=version, telemetry=telemetry) if url else None
        self.tracing = CallTracing(self._recorder, clock, self._spans)

    def keep_secret(self, headers: frozenset[str]) -> None:
        """Header fields that have to be left out from now on, besides those of before."""
        if self._recorder is not None:
            self._recorder.keep_secret(headers)

    def start(self, stack: AsyncExitStack) -> None:
        """Begin; when `stack` is unwound, what is left is written and sent."""
        for observer in (self._recorder, self._spans):
            if observer is not None:
                observer.start()
                stack.push_async_callback(asyncio.to_thread, observer.stop)
