"""What a client's WebRTC stack does when it restarts ICE, which aiortc's does not: other candidates and credentials for
the DTLS association that it has (RFC 8445 §9)."""

import asyncio
import re

import aioice
import pylibsrtp

from bridge.media.rtp import RtpPacket, is_rtcp
from tests.media.browser import Browser
from tests.media.waiting import Collected


class Restart:
    """One restart of a browser: `offer`, then `take_answer`, then packets go and come over the new path."""

    def __init__(self, browser: Browser) -> None:
        self.received: Collected[RtpPacket] = Collected()
        """What came over the new path."""
        self._browser = browser
        before = browser.dtls.transport._connection
        self._connection = aioice.Connection(ice_controlling=before.ice_controlling)
        self._reading: asyncio.Task[None] | None = None

    async def offer(self, *, with_candidates: bool = True) -> str:
        """The description of before with new credentials."""
        ice = self._connection
        await ice.gather_candidates()
        text: str = self._browser.connection.localDescription.sdp
        text = re.sub(r"a=setup:\w+", "a=setup:actpass", re.sub(r"a=candidate:.*\r\n", "", text))
        text = re.sub(r"a=ice-ufrag:\S+", f"a=ice-ufrag:{ice.local_username}", text)
        candidates = "".join(f"a={line}\r\n" for line in self.candidates) if with_candidates else ""
        return re.sub(r"a=ice-pwd:\S+\r\n", f"a=ice-pwd:{ice.local_password}\r\n{candidates}", text)

    @property
    def candidates(self) -> list[str]:
        """Ours, to be trickled."""
        return [f"candidate:{candidate.to_sdp()}" for candidate in self._connection.local_candidates]

    @property
    def was_checked(self) -> bool:
        """Whether the other side has tried the new path before it was asked to."""
        return bool(self._connection._early_checks)

    async def take_answer(self, sdp: str) -> None:
        """Check the new path to the end."""
        ice = self._connection
        ice.remote_username, ice.remote_password = _value(sdp, "ice-ufrag"), _value(sdp, "ice-pwd")
        for line in re.findall(r"a=candidate:(.*)\r\n", sdp):
            await ice.add_remote_candidate(aioice.Candidate.from_sdp(line))
        await ice.add_remote_candidate(None)
        await ice.connect()
        self._reading = asyncio.create_task(self._read())

    async def send(self, payload: bytes, payload_type: int, *, step: int) -> None:
        """One packet over the new path, continuing the browser's stream."""
        browser = self._browser
        packet = RtpPacket(
            payload_type=payload_type,
            sequence=browser.sequence & 0xFFFF,
            timestamp=browser.timestamp & 0xFFFFFFFF,
            ssrc=browser.ssrc,
            payload=payload,
        )
        browser.sequence += 1
        browser.timestamp += step
        await self._connection.send(browser.dtls._tx_srtp.protect(bytes(packet)))

    async def _read(self) -> None:
        while True:
            datagram = await self._connection.recv()
            if not is_rtcp(datagram):
                self._take(datagram)

    def _take(self, datagram: bytes) -> None:
        try:
            self.received.add(RtpPacket.parse(self._browser.dtls._rx_srtp.unprotect(datagram)))
        except pylibsrtp.Error:
            self.received.add(RtpPacket.parse(datagram))

    async def close(self) -> None:
        """End the new path."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._connection.close()


def cut(browser: Browser) -> None:
    """The network of the path in use is gone."""
    for protocol in browser.dtls.transport._connection._protocols:
        protocol.transport.abort()


def _value(sdp: str, name: str) -> str:
    found = re.search(rf"a={name}:(\S+)", sdp)
    if found is None:
        raise AssertionError(f"no {name} in {sdp}")
    return found[1]
