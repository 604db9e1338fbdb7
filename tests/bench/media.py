"""What a call's audio costs: processor time, added delay and memory of both packet paths, and the floor under them.

Each engine runs in a process of its own, with real ICE and DTLS; then its clients' sockets and keys, and the phones'
sockets, go to a generator in Rust (`bridge/media/native/examples/load.rs`), which speaks fifty packets a second each
way. Paths and kinds of audio take turns in every round; of each figure the least is shown, and the median.
"""

import asyncio
import json
import os
import shutil
import socket
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import structlog

from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.media import g711, native_path, sdp_matrix
from bridge.media.formats import AudioFormat, Codec
from bridge.media.ice import IceAgent
from bridge.media.ice_path import WebRtcSettings
from bridge.media.opus import OpusEncoder
from bridge.media.ports import PortPool
from bridge.media.sdp_matrix import LocalStream, Setup
from bridge.media.settings import PathChoice
from bridge.media.webrtc import WebRtcLeg, WebRtcListener
from tests.media.counting import CountingTelemetry
from tests.media.phone import tone_frames
from tests.peers.process import LOOPBACK

Row = dict[str, str | float]
NATIVE = Path(__file__).parents[2] / "bridge/media/native"
ROUNDS = 3
SPEAK_S, SETTLE_S = 4.0, 0.5
CALLS = {"passthrough": 100, "opus": 10}
LEAST_HEARD = 0.8
SETTINGS = WebRtcSettings(hosts=(LOOPBACK,), advertised_host="", allow_loopback=True, connect_timeout_s=20.0)
PHONE = (
    "v=0\r\no=phone 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\na=sendrecv\r\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """The sockets of one call's client and phone, as the generator wants them."""

    client: int
    phone: socket.socket
    line: str


class Reader:
    """The generator reads the client's socket; connectivity checks go unanswered for these few seconds."""

    client = -1
    bridge = ("", 0)

    def take(self, agent: IceAgent) -> None:
        sockets, nominated = agent.hand_over(self), agent.nominated
        assert nominated is not None
        self.client, self.bridge = sockets[nominated[0]], nominated[1]

    def paths_changed(self) -> None:
        return None

    def let_go(self, agent: IceAgent) -> None:
        return None


class Server:
    """An engine's process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def processor_s(self) -> float:
        """Processor time of all its threads so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def memory_kb(self) -> float:
        """Resident memory."""
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1000

    async def ask(self, **asked: str) -> dict[str, str]:
        """Open a call."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        async with asyncio.timeout(20):
            answer: dict[str, str] = json.loads(await self._process.stdout.readline())
        return answer


@asynccontextmanager
async def running(choice: PathChoice) -> AsyncIterator[Server]:
    """An engine with one of the paths."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.media_server", choice.value),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield Server(process)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 20)
        except TimeoutError:
            process.kill()
            await process.wait()


async def placed(
    server: Server, ports: PortPool, tasks: asyncio.TaskGroup, audio: AudioFormat
) -> tuple[WebRtcLeg, Ends]:
    """A call that is up."""
    connected = asyncio.Event()
    listener = WebRtcListener(
        on_connected=connected.set,
        on_ended=lambda failure: None,
        on_packet=lambda packet: None,
        on_off_path=lambda: None,
    )
    clock = SystemClock().monotonic
    leg = WebRtcLeg(SETTINGS, ports, listener, CountingTelemetry(), now=clock, log=structlog.get_logger())
    await leg.gather(controlling=True)
    stream = LocalStream(session=1, version=1, stream="stream", track="track", ssrc=1, cname="client")
    phone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    phone.bind((LOOPBACK, 0))
    described = await server.ask(
        offer=sdp_matrix.write_offer(leg.local, stream, (audio,)),
        phone=PHONE.format(host=LOOPBACK, port=phone.getsockname()[1]),
    )
    remote = sdp_matrix.read_remote(described["answer"], answer=True, allow_loopback=True)
    await leg.set_remote(remote)
    leg.start(tasks, Setup.ACTIVE)
    async with asyncio.timeout(20):
        await connected.wait()
    ours, theirs = leg.keys
    reader = Reader()
    leg.hand_over(reader)
    trunk = next(line for line in described["sip"].splitlines() if line.startswith("m=audio")).split()[1]
    client, (host, port) = reader.client, reader.bridge
    keys = f"{ours[0]} {ours[1].hex()} {theirs[1].hex()}"
    line = f"{client} {host}:{port} {keys} {phone.fileno()} {LOOPBACK}:{trunk}"
    return leg, Ends(client=client, phone=phone, line=line)


def voices(audio: AudioFormat) -> tuple[str, str]:
    """What client and phone say: a second of a tone each."""
    pcm = tone_frames(440, 50)
    phone = [g711.ulaw_encode(frame) for frame in pcm]
    encoder = OpusEncoder()
    client = [encoder.encode(frame) for frame in pcm] if audio.codec is Codec.OPUS else phone
    step = audio.codec.clock_rate // 50
    return (
        f"{audio.payload_type}:{step}:{','.join(frame.hex() for frame in client)}",
        f"0:160:{','.join(frame.hex() for frame in phone)}",
    )


async def spoken(load: Path, ends: list[Ends], audio: AudioFormat, server: Server) -> dict[str, float]:
    """Let all of them speak, and measure the engine meanwhile."""
    stamped = "stamped" if audio.codec is not Codec.OPUS else "plain"
    head = " ".join((str(SETTLE_S + SPEAK_S + SETTLE_S), stamped, *voices(audio)))
    process = await asyncio.create_subprocess_exec(
        load,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        pass_fds=[descriptor for end in ends for descriptor in (end.client, end.phone.fileno())],
    )
    asked = "\n".join((head, *(end.line for end in ends))).encode()
    talk = asyncio.create_task(process.communicate(asked))
    await asyncio.sleep(SETTLE_S)
    before = server.processor_s
    await asyncio.sleep(SPEAK_S)
    percent = 100 * (server.processor_s - before) / SPEAK_S / len(ends)
    output, _ = await asyncio.wait_for(talk, 30)
    heard: dict[str, float] = json.loads(output)
    if heard["by_client"] + heard["by_phone"] < LEAST_HEARD * heard["sent"]:
        raise RuntimeError(f"not all was heard: {heard}")
    return {"% core/call": percent, "p50 µs": heard["p50_us"], "p99 µs": heard["p99_us"]}


async def measure(load: Path, choice: PathChoice, kind: str) -> dict[str, float]:
    """One path, one kind of audio."""
    opus = kind == "opus"
    audio = sdp_matrix.OUR_OPUS if opus else sdp_matrix.OUR_G711[Codec.PCMU]
    ports = PortPool(low=30000, high=39999, entropy=SystemEntropy(), clock=SystemClock())
    async with running(choice) as server, asyncio.TaskGroup() as tasks:
        warm = await placed(server, ports, tasks, audio)
        before = server.memory_kb
        calls = [warm, *[await placed(server, ports, tasks, audio) for _ in range(CALLS[kind] - 1)]]
        result = await spoken(load, [ends for _, ends in calls], audio, server)
        result["kB/call"] = (server.memory_kb - before) / (len(calls) - 1)
        for leg, ends in calls:
            await leg.close()
            ends.phone.close()
    return result


async def _built() -> Path:
    """The generator, built when it is not."""
    command = ("cargo", "build", "--release", "--quiet", "--example", "load")
    process = await asyncio.create_subprocess_exec(*command, cwd=NATIVE)
    if await process.wait() != 0:
        raise RuntimeError("the generator could not be built")
    return Path(os.environ.get("CARGO_TARGET_DIR", NATIVE / "target")) / "release/examples/load"


async def _all() -> list[Row]:
    load = await _built()
    choices = [PathChoice.PORTABLE, *([PathChoice.NATIVE] if native_path.load() is not None else [])]
    figures: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
    floors: list[float] = []
    for _ in range(ROUNDS):
        floors.append(await _floor(load))
        for kind in CALLS:
            for choice in choices:
                for unit, value in (await measure(load, choice, kind)).items():
                    figures[kind, choice.value, unit].append(value)
    return _rows(floors, figures)


async def _floor(load: Path) -> float:
    """Percent of a core that 100 packets a second cost to receive, to encrypt or decrypt, and to send."""
    process = await asyncio.create_subprocess_exec(load, "floor", stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    costs: dict[str, Any] = json.loads(output)
    return float(sum(costs.values())) * 100 / 1e9 * 100


def _rows(floors: list[float], figures: dict[tuple[str, str, str], list[float]]) -> list[Row]:
    floor = min(floors)
    rows: list[Row] = [
        {"name": "media_floor", "value": round(floor, 4), "unit": "% core/call", "median": round(median(floors), 4)}
    ]
    for (kind, path, unit), values in figures.items():
        if any(values):
            row: Row = {"name": f"media_{kind}_{path}", "value": round(min(values), 4), "unit": unit}
            row["median"] = round(median(values), 4)
            rows.append(row)
            if unit == "% core/call":
                rows.append({"name": row["name"], "value": round(100 / min(values)), "unit": "calls/core"})
    return rows


def run() -> list[Row]:
    """Measure."""
    if shutil.which("cargo") is None:
        return [{"name": "media", "value": 0, "unit": "no Rust here for the generator"}]
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    return asyncio.run(_all())
