"""Debian's rtpengine in userspace, as far as comparing with it takes: started, and told of calls by its ng protocol."""

import asyncio
import itertools
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.media.free_ports import free_ports
from tests.peers.process import LOOPBACK, PeerProcess, free_port, port_is_bound

Value = int | str | Sequence["Value"] | Mapping[str, "Value"]
_PORTS = 2000
_ANSWER_LIMIT_S = 10.0
_COMMON: dict[str, Value] = {"replace": ["origin", "session-connection"], "SDES": ["off"]}


def is_installed() -> bool:
    """Whether there is one to compare with."""
    return shutil.which("rtpengine") is not None


class Rtpengine(PeerProcess, asyncio.DatagramProtocol):
    """One server with a worker thread per core, which is its default."""

    def __init__(self, directory: Path, *, transcodes: bool) -> None:
        super().__init__("rtpengine", directory)
        self._transcodes = transcodes
        self._port = free_port()
        self._calls = itertools.count()
        self._cookies = itertools.count()
        self._waiting: dict[bytes, asyncio.Future[bytes]] = {}
        self._transport: asyncio.DatagramTransport | None = None

    @property
    def process_id(self) -> int:
        assert self.pid is not None, self.log_tail()
        return self.pid

    async def start(self) -> None:
        low = free_ports(8)
        await self.launch(
            (
                *(
                    "rtpengine",
                    "--config-file=none",
                    "--foreground",
                    "--log-stderr",
                    "--log-level=3",
                    "--table=-1",
                    "--dtls-passive",
                ),
                *(
                    f"--interface={LOOPBACK}",
                    f"--listen-ng={LOOPBACK}:{self._port}",
                    f"--listen-cli={LOOPBACK}:{free_port()}",
                ),
                *(f"--port-min={low}", f"--port-max={low + _PORTS}", f"--num-threads={os.cpu_count()}"),
            )
        )
        await self.wait_until(lambda: port_is_bound(self._port, "udp"))
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, remote_addr=(LOOPBACK, self._port))

    async def stop(self) -> None:
        if self._transport is not None:
            self._transport.close()
        await super().stop()

    async def open(self, offer: str, phone: str) -> tuple[str, str]:
        """The client offers, the phone answers."""
        call: dict[str, Value] = {"call-id": f"call-{next(self._calls)}", "from-tag": "client", **_COMMON}
        codecs: Value = {"mask": ["opus"], "transcode": ["PCMU"]} if self._transcodes else {}
        to_phone: dict[str, Value] = {"ICE": "remove", "DTLS-reverse": "passive", "transport-protocol": "RTP/AVP"}
        to_client: dict[str, Value] = {"ICE": "force", "DTLS": "passive", "transport-protocol": "UDP/TLS/RTP/SAVPF"}
        offered = await self._ask(
            {**call, **to_phone, "command": "offer", "sdp": offer, "rtcp-mux": ["demux"], "codec": codecs}
            | {"flags": ["strip-extmap"]}
        )
        answered = await self._ask(
            {**call, **to_client, "command": "answer", "to-tag": "phone", "sdp": phone}
            | {"rtcp-mux": ["offer", "require"], "flags": ["generate-mid"]}
        )
        return answered["sdp"].decode(), offered["sdp"].decode()

    async def _ask(self, command: Mapping[str, Value]) -> dict[str, Any]:
        assert self._transport is not None
        cookie = f"{next(self._cookies)}".encode()
        answer = self._waiting[cookie] = asyncio.get_running_loop().create_future()
        self._transport.sendto(cookie + b" " + encode(command))
        decoded: dict[str, Any] = decode(await asyncio.wait_for(answer, _ANSWER_LIMIT_S))[0]
        if decoded.get("result") != b"ok":
            raise RuntimeError(f"rtpengine refused: {decoded}")
        return decoded

    def datagram_received(self, data: bytes, addr: Any) -> None:
        cookie, _, answer = data.partition(b" ")
        waiting = self._waiting.pop(cookie, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)


def encode(value: Value) -> bytes:
    """The octets of a value in bencode."""
    match value:
        case int():
            return b"i%de" % value
        case str():
            return b"%d:%b" % (len(value.encode()), value.encode())
        case Mapping():
            return b"d" + b"".join(encode(key) + encode(entry) for key, entry in value.items()) + b"e"
        case _:
            return b"l" + b"".join(map(encode, value)) + b"e"


def decode(octets: bytes) -> tuple[Any, bytes]:
    """A value in bencode, and what follows it."""
    match octets[:1]:
        case b"i":
            number, _, rest = octets[1:].partition(b"e")
            return int(number), rest
        case b"l" | b"d":
            rest, entries = octets[1:], []
            while rest[:1] != b"e":
                entry, rest = decode(rest)
                entries.append(entry)
            pairs = zip(entries[::2], entries[1::2], strict=False)
            return ({key.decode(): entry for key, entry in pairs} if octets[:1] == b"d" else entries), rest[1:]
        case _:
            length, _, rest = octets.partition(b":")
            return rest[: int(length)], rest[int(length) :]
