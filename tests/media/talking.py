"""A client with libwebrtc and a phone that talk through an engine and a rough network, and what each of them hears.

Everything that is heard lies on a line of time: sound at 8 kHz that begins at a known moment of the loop's clock.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import webrtc

from bridge.media import g711
from bridge.media.coders import make_decoder
from bridge.media.formats import Codec
from bridge.media.rtp import RtpPacket, sequence_delta, timestamp_delta
from tests.media.marks import RATE, Samples
from tests.media.phone import FRAME, FRAME_S, Phone
from tests.media.rough_network import Passage, RoughNetwork
from tests.patience import PATIENCE_S

CLIENT_RATE = 48_000
_QUEUE = 2000
"""Pieces of 10 ms that wait to be read; a busy test reads late."""
_PHONE_HOLDS_S = 0.060
_PHONE_CONCEALS_S = 0.060
_PHONE_LEARNS = 50
"""Packets after which the phone knows how late they usually are."""
webrtc.allow_loopback()
Open = Callable[[str, str], Awaitable[tuple[str, str]]]
"""Opens a call: the client's offer and the phone's answer in, the client's answer and the phone's offer out."""


@dataclass(slots=True, kw_only=True)
class Line:
    """Sound at 8 kHz and when it began."""

    begins: float
    sound: Samples

    def since(self, moment: float) -> Samples:
        """What was heard from that moment on; silence before the beginning."""
        skip = round((moment - self.begins) * RATE)
        return self.sound[skip:] if skip >= 0 else np.concatenate((np.zeros(-skip), self.sound))


class Client:
    """libwebrtc, as it is in most Matrix clients."""

    def __init__(self) -> None:
        self._connection = webrtc.RTCPeerConnection()
        voice = webrtc.MediaStreamTrackGenerator("audio")
        self._microphone = voice.writable.get_writer()
        self._connection.add_track(voice)
        self._changed = asyncio.Condition()
        for name in ("icegatheringstatechange", "connectionstatechange"):
            self._connection.on(name, self._look)
        self._connection.on("track", self._on_track)
        self._heard: list[tuple[float, int, bytes]] = []
        self._ear: asyncio.Task[None] | None = None

    async def offer(self, codec: str) -> str:
        """An offer of one codec, all candidates inline."""
        await self._connection.set_local_description(await self._connection.create_offer())
        await self._until(lambda: self._connection.ice_gathering_state == "complete")
        description = self._connection.local_description
        assert description is not None
        return only(description.sdp, codec)

    async def connect(self, answer: str) -> None:
        """Take the answer, and wait for ICE and DTLS."""
        await self._connection.set_remote_description(webrtc.RTCSessionDescriptionInit("answer", answer))
        await self._until(lambda: self._connection.connection_state == "connected")

    async def say(self, frame: bytes) -> None:
        """20 ms at 48 kHz."""
        count = len(frame) // 2
        await self._microphone.write(webrtc.AudioData(webrtc.AudioDataInit("s16", CLIENT_RATE, count, 1, 0, frame)))

    def heard(self) -> Line:
        """What the speaker played so far."""
        if not self._heard:
            return Line(begins=0.0, sound=np.zeros(0))
        runs = itertools.groupby(self._heard, lambda piece: piece[1])
        sound = [_sound(b"".join(pcm for _, _, pcm in run), rate) for rate, run in runs]
        # The speaker runs evenly; the earliest piece, seen from where it should be, was the one not read late.
        begins = min(at - index * 0.010 for index, (at, _, _) in enumerate(self._heard))
        return Line(begins=begins, sound=np.concatenate(sound))

    async def close(self) -> None:
        """End the connection."""
        self._connection.close()
        if self._ear is not None:
            self._ear.cancel()
            await asyncio.gather(self._ear, return_exceptions=True)

    def _on_track(self, event: Any) -> None:
        processor = webrtc.MediaStreamTrackProcessor(webrtc.MediaStreamTrackProcessorInit(event.track, _QUEUE))
        self._ear = asyncio.get_running_loop().create_task(self._listen(processor))

    async def _listen(self, processor: Any) -> None:
        loop, options = asyncio.get_running_loop(), webrtc.AudioDataCopyToOptions(plane_index=0, format="s16")
        async for piece in processor.readable:
            channels, room = piece.number_of_channels, bytearray(piece.allocation_size(options))
            piece.copy_to(room, options)
            mono = np.frombuffer(room, "<i2")[::channels].tobytes()
            self._heard.append((loop.time(), int(piece.sample_rate), mono))
            piece.close()

    async def _look(self, _: object) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(true)


class ListeningPhone(Phone):
    """A phone that keeps when each packet came, and plays by the numbers in them."""

    def __init__(self) -> None:
        super().__init__()
        self._arrived: list[tuple[float, RtpPacket]] = []

    def datagram_received(self, data: bytes, addr: Any) -> None:
        packet = RtpPacket.parse(data) if data and data[1] & 0x7F == 0 else None
        if packet is not None:
            self._arrived.append((asyncio.get_running_loop().time(), packet))
            self.received.add(packet)

    def heard(self) -> Line:
        """What its speaker played: late packets make it wait, never throw away; short gaps are concealed (G.711 I)."""
        if not self._arrived:
            return Line(begins=0.0, sound=np.zeros(0))
        pieces = _timed(self._arrived)
        begins = pieces[0][0]
        sound, decoder = bytearray(), make_decoder(Codec.PCMU)
        for plays_at, payload in pieces:
            gap = round((plays_at - begins) * RATE) - len(sound) // 2
            if gap > 0:
                made_up = min(gap, round(_PHONE_CONCEALS_S * RATE))
                sound += decoder.conceal(made_up) + bytes(2 * (gap - made_up))
            sound[len(sound) + 2 * min(gap, 0) :] = decoder.decode(payload)
        return Line(begins=begins - _PHONE_HOLDS_S, sound=np.frombuffer(bytes(sound), "<i2") / 32768)


def _timed(arrived: list[tuple[float, RtpPacket]]) -> list[tuple[float, bytes]]:
    """When each payload is played, in order."""
    number = ticks = 0
    before, order = arrived[0][1], []
    for at, packet in arrived:
        number += sequence_delta(packet.sequence, before.sequence)
        ticks += timestamp_delta(packet.timestamp, before.timestamp)
        before = packet
        order.append((number, ticks, at, packet.payload))
    anchor = min(at - ticks / RATE for _, ticks, at, _ in order[:_PHONE_LEARNS]) + _PHONE_HOLDS_S
    played, last = [], None
    for number, ticks, at, payload in sorted(order, key=lambda entry: entry[:2]):
        if number == last:
            continue
        last = number
        anchor = max(anchor, at - ticks / RATE)
        played.append((anchor + ticks / RATE, payload))
    return played


@dataclass(slots=True, kw_only=True)
class Talk:
    """A call in which both sides say the same; when each 20 ms were said, by the client and by the phone."""

    client: Client
    phone: ListeningPhone
    network: RoughNetwork
    client_said_at: list[float] = field(default_factory=list)
    phone_said_at: list[float] = field(default_factory=list)

    @classmethod
    async def begin(cls, open_call: Open, network: RoughNetwork, codec: str) -> "Talk":
        """A call that is up."""
        client, phone = Client(), await ListeningPhone.open()
        assert isinstance(phone, ListeningPhone)
        offer = await client.offer(codec)
        answer, sip = await open_call(network.hidden(offer), phone.sdp(formats="0"))
        phone.aim(sip)
        await client.connect(network.shown(answer))
        return cls(client=client, phone=phone, network=network)

    async def say(self, client_sound: Samples, phone_sound: Samples) -> None:
        """Both at once, as microphones would."""
        await asyncio.gather(self._client_says(client_sound), self._phone_says(phone_sound))

    @property
    def client_sent_at(self) -> list[float]:
        """When each frame of the client left it: libwebrtc sends nothing before anything is said, nor in between,
        but on a busy machine it keeps what is said for a while."""
        sent = self.network.from_client
        times = {number: passage.at for number, passage in zip(_numbers(sent), sent, strict=True)}
        return [times.get(number, said) for number, said in enumerate(self.client_said_at)]

    @property
    def client_frames_lost(self) -> frozenset[int]:
        """Those that the network lost."""
        sent = self.network.from_client
        return frozenset(number for number, passage in zip(_numbers(sent), sent, strict=True) if passage.lost)

    async def _client_says(self, sound: Samples) -> None:
        size = 2 * round(FRAME_S * CLIENT_RATE)
        pcm = _pcm(sound)
        async for index in _beat(len(pcm) // size):
            self.client_said_at.append(asyncio.get_running_loop().time())
            await self.client.say(pcm[index * size : (index + 1) * size])

    async def _phone_says(self, sound: Samples) -> None:
        size = 2 * FRAME
        pcm = _pcm(sound)
        async for index in _beat(len(pcm) // size):
            self.phone_said_at.append(asyncio.get_running_loop().time())
            self.phone.send(g711.ulaw_encode(pcm[index * size : (index + 1) * size]))

    async def close(self) -> None:
        """Free both ends."""
        await self.client.close()
        await self.phone.close()


def _numbers(sent: list[Passage]) -> list[int]:
    """Which frame is in each packet, by the timestamps."""
    if len(sent) < 2:
        return [0] * len(sent)
    step = int(np.median(np.diff([passage.timestamp for passage in sent])))
    return [round(timestamp_delta(passage.timestamp, sent[0].timestamp) / step) for passage in sent]


async def _beat(count: int) -> Any:
    """Every 20 ms, late ones at once."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    for index in range(count):
        await asyncio.sleep(max(0.0, start + index * FRAME_S - loop.time()))
        yield index


def _pcm(sound: Samples) -> bytes:
    return (sound * 32767).clip(-32768, 32767).astype("<i2").tobytes()


def _sound(pcm: bytes, rate: int) -> Samples:
    """Samples at 8 kHz: what lies above 4 kHz is left out."""
    sound = np.frombuffer(pcm, "<i2") / 32768
    if rate == RATE:
        return sound
    spectrum = np.fft.rfft(sound)
    count = round(sound.size * RATE / rate)
    return np.fft.irfft(spectrum[: count // 2 + 1], count) * RATE / rate


def only(sdp: str, codec: str) -> str:
    """An offer of this codec alone, and of events."""
    lines = sdp.splitlines()
    types = {"PCMU": {"0"}}.get(codec) or {
        line.split(":")[1].split()[0] for line in lines if line.startswith("a=rtpmap:") and f" {codec}/" in line
    }
    kept = []
    for line in lines:
        name, _, rest = line.partition(":")
        if line.startswith("m=audio"):
            kept.append(" ".join([*line.split()[:3], *sorted(types)]))
        elif name not in ("a=rtpmap", "a=fmtp", "a=rtcp-fb") or rest.split()[0] in types:
            kept.append(line)
    return "\r\n".join(kept) + "\r\n"
