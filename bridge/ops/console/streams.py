"""Server-sent events: the changing part of a page, rendered anew and sent when it looks different."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from bridge.core.clock import Clock

REFRESH_S = 2.0
LIFE_S = 600.0
"""After so long a stream ends and the browser opens another one, for which it has to be let in again."""
MAX_STREAMS = 12
"""Of the 32 connections of the ops port: metrics must find one, too."""
_QUIET_S = 20.0
"""A comment at least so often shows a proxy that the stream lives."""

Part = Callable[[], Awaitable[str | None]]


class Streams:
    """All open streams."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open = 0
        self._closing = asyncio.Event()

    def close(self) -> None:
        """End them all."""
        self._closing.set()

    async def serve(self, request: web.Request, part: Part) -> web.StreamResponse:
        """Send `part` until it is `None`, or the browser goes."""
        if self._open >= MAX_STREAMS or self._closing.is_set():
            raise web.HTTPServiceUnavailable(reason="Too many pages of the console are open.")
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers={**headers, "X-Content-Type-Options": "nosniff"})
        self._open += 1
        try:
            await response.prepare(request)
            await self._send_changes(response, part)
        except ConnectionError:
            pass  # The browser has gone, as it does whenever somebody turns to another page.
        finally:
            self._open -= 1
        return response

    async def _send_changes(self, response: web.StreamResponse, part: Part) -> None:
        end, sent, sent_at = self._clock.monotonic() + LIFE_S, "", 0.0
        while not self._closing.is_set() and (now := self._clock.monotonic()) < end:
            text = await part()
            if text is None:
                await response.write(b"event: over\ndata:\n\n")
                return
            if text != sent:
                await response.write(_event(text))
                sent, sent_at = text, now
            elif now - sent_at >= _QUIET_S:
                await response.write(b":\n\n")
                sent_at = now
            await self._pause()

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._closing.wait(), REFRESH_S)
        except TimeoutError:
            return


def _event(text: str) -> bytes:
    lines = "".join(f"data: {line}\n" for line in text.splitlines())
    return f"{lines}\n".encode()
