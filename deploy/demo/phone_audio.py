"""The phone's audio: PCMU over plain RTP, what it plays and what it hears."""

import asyncio
import collections
import random
from collections.abc import Callable

from bridge.media import g711
from bridge.media.rtp import RtpError, RtpPacket
from deploy.demo.audio import FRAME_SAMPLES, RATE_HZ, Ear, Tone

PCMU = 0
"""Static payload type of µ-law (RFC 3551 §6)."""

_FRAME_S = FRAME_SAMPLES / RATE_HZ
_TONE_FRAMES = round(5.0 / _FRAME_S)
_ECHO_DELAY_FRAMES = round(1.0 / _FRAME_S)
_SILENCE = bytes(2 * FRAME_SAMPLES)


class Programme:
    """What the phone plays: its tone for five seconds, then everything it hears, a second later."""

    def __init__(self, tone: Tone) -> None:
        self._tone = tone
        self._index = 0
        self._echo: collections.deque[bytes] = collections.deque(maxlen=2 * _ECHO_DELAY_FRAMES)

    def hear(self, pcm: bytes) -> None:
        """Keep what is to be played later; the oldest is forgotten when too much comes."""
        self._echo.append(pcm)

    def next_frame(self) -> bytes:
        """The next 20 ms."""
        index, self._index = self._index, self._index + 1
        if index < _TONE_FRAMES:
            return self._tone.frame(index)
        return self._echo.popleft() if len(self._echo) > _ECHO_DELAY_FRAMES else _SILENCE


class PhoneAudio(asyncio.DatagramProtocol):
    """One RTP socket on loopback: receives from the start, sends once it knows where to."""

    def __init__(self, tone: Tone) -> None:
        self.ear = Ear()
        self._programme = Programme(tone)
        self._transport: asyncio.DatagramTransport | None = None
        self._sending: asyncio.Task[None] | None = None

    async def open(self, host: str) -> int:
        """Bind a free port and return it."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(host, 0))
        return int(self._transport.get_extra_info("sockname")[1])

    def start_sending(self, host: str, port: int) -> None:
        """Play towards this address; the second and later calls change nothing."""
        if self._sending is None and self._transport is not None:
            send = self._transport.sendto
            sending = self._send_for_ever(lambda datagram: send(datagram, (host, port)))
            self._sending = asyncio.get_running_loop().create_task(sending, name="demo-phone-audio")

    async def close(self) -> None:
        """Stop playing and free the port; may be called twice."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Hear PCMU; other payload types (digits, comfort noise) are silence to this phone."""
        try:
            packet = RtpPacket.parse(data)
        except RtpError:
            return
        if packet.payload_type == PCMU:
            pcm = g711.ulaw_decode(packet.payload)
            self.ear.hear(pcm)
            self._programme.hear(pcm)

    async def _send_for_ever(self, send: Callable[[bytes], None]) -> None:
        """One packet every 20 ms by the clock of the event loop, without drift."""
        loop = asyncio.get_running_loop()
        began, sequence, timestamp = loop.time(), random.getrandbits(15), random.getrandbits(31)
        ssrc, index = random.getrandbits(32), 0
        while True:
            packet = RtpPacket(
                payload_type=PCMU,
                sequence=(sequence + index) & 0xFFFF,
                timestamp=(timestamp + index * FRAME_SAMPLES) & 0xFFFFFFFF,
                ssrc=ssrc,
                marker=index == 0,
                payload=g711.ulaw_encode(self._programme.next_frame()),
            )
            send(bytes(packet))
            index += 1
            await asyncio.sleep(max(0.0, began + index * _FRAME_S - loop.time()))
