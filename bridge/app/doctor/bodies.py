"""Bodies of HTTP answers, no longer than they may be."""

import aiohttp

MAX_OCTETS = 4 << 20


async def bounded_body(answer: aiohttp.ClientResponse) -> bytes:
    """The whole body, cut off where it is longer than anybody honest writes."""
    body = bytearray()
    async for chunk in answer.content.iter_chunked(65_536):
        body += chunk
        if len(body) >= MAX_OCTETS:
            break
    return bytes(body)
