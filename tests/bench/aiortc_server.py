"""aiortc as it is, between a client and a phone: what an application gets that leaves the audio to its peer connection.

It has no plain RTP, so the phone's side is made of its own jitter buffer and codecs: a track for the peer connection to
send, and frames of the peer connection's track encoded again. Calls come and go as with `media_server`.
"""

import asyncio
import json
import re
import socket
import sys
from contextlib import suppress
from typing import Any

import aioice.ice
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCRtpCodecParameters, RTCSessionDescription
from aiortc.codecs import get_decoder, get_encoder
from aiortc.jitterbuffer import JitterBuffer
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import RtpPacket

from tests.peers.process import LOOPBACK

_PCMU = RTCRtpCodecParameters(mimeType="audio/PCMU", clockRate=8000, channels=1, payloadType=0)
_FRAME = 160
_MOST_FRAMES = 50


class PhoneTrack(MediaStreamTrack):
    """What the phone says."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._buffer, self._decoder = JitterBuffer(capacity=16, prefetch=4), get_decoder(_PCMU)
        self._frames: asyncio.Queue[Any] = asyncio.Queue(_MOST_FRAMES)

    def take(self, datagram: bytes) -> None:
        """RTP as it comes."""
        packet = RtpPacket.parse(datagram)
        packet._data = packet.payload  # type: ignore[attr-defined]
        _, encoded = self._buffer.add(packet)
        if encoded is not None and not self._frames.full():
            for frame in self._decoder.decode(encoded):
                self._frames.put_nowait(frame)

    async def recv(self) -> Any:
        return await self._frames.get()


class PhoneSide(asyncio.DatagramProtocol):
    """The phone's RTP."""

    def __init__(self, phone: str) -> None:
        port = re.search(r"m=audio (\d+)", phone)
        assert port is not None
        self._phone = (LOOPBACK, int(port[1]))
        self.track = PhoneTrack()
        self._encoder = get_encoder(_PCMU)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.track.take(data)

    async def listen(self, heard: Any) -> None:
        """Encode what the client says for the phone, to the end of the call."""
        sequence = timestamp = 0
        with suppress(MediaStreamError):
            while True:
                payloads, _ = self._encoder.encode(await heard.recv())
                for payload in payloads:
                    packet = RtpPacket(payload_type=0, sequence_number=sequence, timestamp=timestamp, ssrc=1)
                    packet.payload = payload
                    self._transport.sendto(packet.serialize(), self._phone)
                    sequence, timestamp = (sequence + 1) & 0xFFFF, (timestamp + _FRAME) & 0xFFFFFFFF


async def opened(offer: str, phone: str, tasks: asyncio.TaskGroup) -> dict[str, str]:
    """One call, up to the answer."""
    endpoint = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    endpoint.bind((LOOPBACK, 0))
    loop = asyncio.get_running_loop()
    _, side = await loop.create_datagram_endpoint(lambda: PhoneSide(phone), sock=endpoint)
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.on("track", lambda track: tasks.create_task(side.listen(track)))
    connection.addTrack(side.track)
    await connection.setRemoteDescription(RTCSessionDescription(sdp=offer, type="offer"))
    await connection.setLocalDescription(await connection.createAnswer())
    sip = f"v=0\r\nm=audio {endpoint.getsockname()[1]} RTP/AVP 0\r\n"
    return {"answer": connection.localDescription.sdp, "sip": sip}


async def serve() -> None:
    """Open calls until the input ends."""
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as tasks:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            asked = json.loads(line)
            print(json.dumps(await opened(asked["offer"], asked["phone"], tasks)), flush=True)
        sys.exit(0)


if __name__ == "__main__":
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [LOOPBACK]
    asyncio.run(serve())
