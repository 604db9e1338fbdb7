"""A phone that is nothing but an RTP socket."""

import asyncio
from collections.abc import Callable
from typing import Any

from bridge.media import g711, tones
from bridge.media.dtmf import TelephoneEvent
from bridge.media.rtp import RtpPacket
from bridge.media.sdp import address_lines
from tests.media.waiting import Collected
from tests.peers.process import free_port

FRAME_S = 0.020
FRAME = 160


class Phone(asyncio.DatagramProtocol):
    """Receives and sends plain RTP on loopback."""

    def __init__(self) -> None:
        self.received: Collected[RtpPacket] = Collected()
        self.sources: set[tuple[str, int]] = set()
        self.target: tuple[str, int] = ("127.0.0.1", 9)
        self.sequence, self.timestamp, self.ssrc = 100, 5000, 0x51515151
        self.loses: Callable[[], bool] = lambda: False
        """Asked for each packet whether the network loses it."""
        self.lost = 0
        self._closed = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(cls, host: str = "127.0.0.1") -> "Phone":
        """Bind a port of which the next one is nobody else's, who would be sent our RTCP (RFC 3550 §11)."""
        loop = asyncio.get_running_loop()
        _, phone = await loop.create_datagram_endpoint(cls, local_addr=(host, free_port(span=2)))
        return phone

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.host, self.port = transport.get_extra_info("sockname")[:2]

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set_result(None)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        packet = RtpPacket.parse(data)
        self.sources.add((addr[0], addr[1]))
        self.received.add(packet)

    def sdp(self, formats: str = "0 8 101", flow: str = "sendrecv", host: str | None = None, version: int = 1) -> str:
        """A description as phones write it."""
        lines = [
            "v=0",
            f"o=phone 1 {version} {address_lines(self.host)}",
            "s=-",
            f"c={address_lines(host or self.host)}",
            "t=0 0",
            f"m=audio {self.port} RTP/AVP {formats}",
            "a=rtpmap:101 telephone-event/8000",
            f"a={flow}",
        ]
        return "\r\n".join(lines) + "\r\n"

    def aim(self, sdp: str) -> None:
        """Send to the address in a description of ours."""
        port = next(line for line in sdp.splitlines() if line.startswith("m=audio")).split()[1]
        self.target = (self.host, int(port))

    def send(self, payload: bytes, payload_type: int = 0, *, marker: bool = False, step: int = FRAME) -> None:
        """One packet, then the counters advance."""
        packet = RtpPacket(
            payload_type=payload_type,
            sequence=self.sequence & 0xFFFF,
            timestamp=self.timestamp & 0xFFFFFFFF,
            ssrc=self.ssrc,
            payload=payload,
            marker=marker,
        )
        if self.loses():
            self.lost += 1
        else:
            self.transport.sendto(bytes(packet), self.target)
        self.sequence += 1
        self.timestamp += step

    def send_digit(self, event: int, payload_type: int = 101) -> None:
        """One digit: three packets in progress and three end packets (RFC 4733 §2.5.1.4)."""
        durations = [(160, False), (320, False), (480, False), (640, True), (640, True), (640, True)]
        for number, (duration, end) in enumerate(durations):
            payload = bytes(TelephoneEvent(event=event, end=end, volume=10, duration=duration))
            self.send(payload, payload_type, marker=number == 0, step=0)
        self.timestamp += 640

    def audio(self) -> bytes:
        """PCM of the PCMU that was received."""
        return b"".join(g711.ulaw_decode(p.payload) for p in self.received.items if p.payload_type == 0)

    async def close(self) -> None:
        """Free the socket."""
        self.transport.close()
        await self._closed


def tone_frames(frequency_hz: float, count: int, level_dbfs: float = -12.0) -> list[bytes]:
    """PCM frames of 20 ms at 8 kHz."""
    pcm = tones.sine(frequency_hz, count * FRAME_S, level_dbfs=level_dbfs)
    return [pcm[n * 2 * FRAME : (n + 1) * 2 * FRAME] for n in range(count)]
