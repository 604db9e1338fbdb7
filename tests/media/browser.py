"""A Matrix client's WebRTC stack: aiortc's own peer connection, with packets instead of tracks."""

import asyncio
from typing import Any, cast

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.codecs import get_capabilities

from bridge.media.rtp import RtpPacket
from tests.media.waiting import Collected
from tests.patience import PATIENCE_S


class Browser:
    """Negotiates like a client; sends and receives RTP packets as they are."""

    def __init__(self, *codecs: str) -> None:
        """Offer only these codecs, in this order; none means all that aiortc has."""
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.received: Collected[RtpPacket] = Collected()
        self.sequence, self.timestamp = 7000, 90000
        self._codecs = codecs

    def _prepare(self) -> None:
        transceiver = self.connection.getTransceivers()[0]
        if self._codecs:
            known = get_capabilities("audio").codecs
            chosen = [c for name in self._codecs for c in known if c.mimeType.lower() == f"audio/{name}".lower()]
            transceiver.setCodecPreferences(chosen)

    def _listen(self) -> None:
        self.dtls = cast(Any, self.connection.getTransceivers()[0].sender.transport)
        self.ssrc: int = self.connection.getTransceivers()[0].sender._ssrc

        async def take(data: bytes, arrival_time_ms: int) -> None:
            self.received.add(RtpPacket.parse(data))

        self.dtls._handle_rtp_data = take

    async def offer(self) -> str:
        """A client that calls."""
        self.connection.addTransceiver("audio", direction="sendrecv")
        self._prepare()
        await self.connection.setLocalDescription(await self.connection.createOffer())
        self._listen()
        return self.connection.localDescription.sdp

    async def take_answer(self, sdp: str) -> None:
        """The callee answered."""
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="answer"))

    async def answer(self, offer: str) -> str:
        """A client that is called."""
        self.connection.addTransceiver("audio", direction="sendrecv")
        self._prepare()
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp=offer, type="offer"))
        await self.connection.setLocalDescription(await self.connection.createAnswer())
        self._listen()
        return self.connection.localDescription.sdp

    async def connected(self) -> None:
        """Wait until ICE and DTLS are up."""
        up = asyncio.Event()

        def check() -> None:
            if self.connection.connectionState == "connected":
                up.set()

        self.connection.on("connectionstatechange", check)
        check()
        async with asyncio.timeout(PATIENCE_S):
            await up.wait()

    async def send(self, payload: bytes, payload_type: int, *, step: int, marker: bool = False) -> None:
        """One packet, then the counters advance."""
        packet = RtpPacket(
            payload_type=payload_type,
            sequence=self.sequence & 0xFFFF,
            timestamp=self.timestamp & 0xFFFFFFFF,
            ssrc=self.ssrc,
            payload=payload,
            marker=marker,
        )
        self.sequence += 1
        self.timestamp += step
        await self.dtls._send_rtp(bytes(packet))

    async def close(self) -> None:
        """End the connection."""
        await self.connection.close()
