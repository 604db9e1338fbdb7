"""Keys that servers have heard, as they report them: one JSON object in a datagram (rtpengine's `dtmf-log-dest`)."""

import asyncio
import json
from collections.abc import Callable

from bridge.media.keypad import KEYS
from bridge.media.settings import ServerAddress

_LONGEST, _LONGEST_MS = 4096, 10_000
OnKey = Callable[[str, str, str, int], None]
"""The server's name of the call, the tag of who pressed, the key, and for how long in milliseconds."""


class KeyListener(asyncio.DatagramProtocol):
    """Hears the reports of all servers. What cannot be read, or belongs to no call of ours, is nobody's key."""

    def __init__(self, address: ServerAddress | None, on_key: OnKey) -> None:
        self._address = address
        self._on_key = on_key
        self._transport: asyncio.BaseTransport | None = None

    async def open(self) -> None:
        """Bind, if there is an address to bind."""
        if self._address is not None:
            loop = asyncio.get_running_loop()
            local = self._address.host, self._address.port
            self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=local)

    def close(self) -> None:
        """Hear no more."""
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: object) -> None:
        """A report: `callid`, `source_tag`, `event`, `duration` in ticks of the stream's clock."""
        if len(data) > _LONGEST:
            return
        try:
            report = json.loads(data)
        except (ValueError, RecursionError):
            return
        if not isinstance(report, dict):
            return
        match report:
            case {"callid": str(key), "source_tag": str(tag), "event": int(event), "duration": int(duration)}:
                if 0 <= event < len(KEYS):
                    # A server cuts off what is left of a tick: 100 ms at 48 kHz come as 96.
                    self._on_key(key, tag, KEYS[event], 10 * round(min(max(duration, 0), _LONGEST_MS) / 10))
