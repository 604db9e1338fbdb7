"""An OpenTelemetry collector: takes OTLP over HTTP, and keeps what came."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.patience import PATIENCE_S


class Collector:
    """`spans` in the order in which they came."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.resources: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.status = 200
        self.url = ""
        self._news = asyncio.Condition()

    @classmethod
    @asynccontextmanager
    async def open(cls) -> "AsyncIterator[Collector]":
        """Listen on a free port."""
        collector = cls()
        application = web.Application()
        application.router.add_post("/{path:.*}", collector._take)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield collector
        finally:
            await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        parsed = ExportTraceServiceRequest.FromString(await request.read())
        async with self._news:
            self.paths.append(request.path)
            for group in parsed.resource_spans:
                self.resources.append({entry.key: entry.value.string_value for entry in group.resource.attributes})
                self.spans += [span for scope in group.scope_spans for span in scope.spans]
            self._news.notify_all()
        answer = ExportTraceServiceResponse().SerializeToString()
        return web.Response(status=self.status, body=answer, content_type="application/x-protobuf")

    async def wait(self, count: int, limit_s: float = PATIENCE_S) -> list[Span]:
        """Wait for so many spans."""
        async with asyncio.timeout(limit_s), self._news:
            await self._news.wait_for(lambda: len(self.spans) >= count)
        return self.spans


def attributes_of(span: Span) -> dict[str, object]:
    """As plain values."""
    values = {entry.key: entry.value for entry in span.attributes}
    return {name: getattr(value, value.WhichOneof("value")) for name, value in values.items()}
