"""baresip: a real softphone without a sound card, steered over its netstring-JSON control port."""

import asyncio
import itertools
import json
import math
import re
import wave
from array import array
from pathlib import Path
from typing import Any

from tests.patience import PATIENCE_S
from tests.peers.certificates import Authority, Identity
from tests.peers.process import LOOPBACK, PeerProcess, PeerTooSlowError, free_port, port_is_bound

_EVENTS_KEPT = 1000

_CONFIGURATION = """poll_method epoll
net_interface {host}
sip_listen {host}:{port}
call_local_timeout 60
call_max_calls 10
audio_player aubridge,none
audio_source aufile,{tone}
audio_alert aufile,/dev/null
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
audio_level no
rtp_tos 184
rtp_ports {rtp_low}-{rtp_high}
rtcp_mux no
jitter_buffer_delay 5-10
rtp_stats yes
module_path /usr/lib/baresip/modules
module g711.so
module g722.so
module opus.so
module aufile.so
module sndfile.so
module aubridge.so
module ausine.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
module_app contact.so
module_app debug_cmd.so
ctrl_tcp_listen {host}:{control_port}
snd_path {recordings}
{tls}
"""

_TLS = """module srtp.so
sip_certificate {certificate}
sip_cafile {ca_file}"""


def write_tone(path: Path, frequency_hz: float, *, seconds: int = 30, level: float = 0.5) -> Path:
    """A mono 8 kHz WAV file with one sine."""
    rate = 8000
    samples = array("h", (round(32767 * level * math.sin(2 * math.pi * frequency_hz * n / rate)) for n in range(rate)))
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples.tobytes() * seconds)
    return path


class Baresip(PeerProcess):
    """A phone named `user`; registers at `registrar` (`host:port`) with `password`, or just listens when that is empty.

    With an `identity` it shows a certificate on `tls_port`, and believes those of `authority`; `transport="tls"` and
    `account_options=";mediaenc=srtp-mand"` then make it a phone that encrypts everything.
    `recordings` holds `dump-*-dec.wav`, what the phone heard, for as long as a call lasted.
    """

    def __init__(
        self,
        directory: Path,
        user: str,
        *,
        registrar: str = "",
        domain: str = "",
        password: str = "",
        transport: str = "udp",
        answer: str = "auto",
        tone_hz: float = 440,
        codecs: str = "PCMU/8000/1,PCMA/8000/1",
        account_options: str = "",
        port: int | None = None,
        identity: Identity | None = None,
        authority: Authority | None = None,
        writes_to: str = "",
    ) -> None:
        self.port = port or free_port(span=2)
        self.tls_port = self.port + 1
        self.control_port = free_port()
        super().__init__(f"baresip-{self.port}", directory)
        self.user = user
        self.home = directory / self.name
        self.recordings = self.home / "recordings"
        self._tone_hz = tone_hz
        self._contact = f'"correspondent" <{writes_to}>\n' if writes_to else ""
        outbound = f';outbound="sip:{registrar};transport={transport}"' if registrar else ""
        own_port = self.tls_port if transport == "tls" else self.port
        self._account = (
            f"<sip:{user}@{domain or f'{LOOPBACK}:{own_port}'};transport={transport}>"
            f";auth_user={user};auth_pass={password}{outbound};regint={60 if password else 0}"
            f";answermode={answer};audio_codecs={codecs}{account_options}\n"
        )
        self._tls = ""
        if identity is not None and authority is not None:
            self._tls = _TLS.format(certificate=identity.both, ca_file=authority.ca_file)
        self._events: list[dict[str, Any]] = []
        self._changed = asyncio.Condition()
        self._replies: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._tokens = itertools.count(1)
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.recordings.mkdir(parents=True)
        rtp_low = free_port(span=40)
        tone = write_tone(self.home / "tone.wav", self._tone_hz)
        text = _CONFIGURATION.format(
            host=LOOPBACK,
            port=self.port,
            tone=tone,
            rtp_low=rtp_low,
            rtp_high=rtp_low + 39,
            control_port=self.control_port,
            recordings=self.recordings,
            tls=self._tls,
        )
        (self.home / "config").write_text(text)
        (self.home / "accounts").write_text(self._account)
        (self.home / "contacts").write_text(self._contact)
        await self.launch(("baresip", "-s", "-f", self.home, "-4"))
        await self.wait_until(lambda: port_is_bound(self.control_port, "tcp"))
        reader, self._writer = await asyncio.open_connection(LOOPBACK, self.control_port)
        self._reading = asyncio.create_task(self._read(reader))

    async def stop(self) -> None:
        await super().stop()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()
            await asyncio.gather(self._writer.wait_closed(), return_exceptions=True)

    async def command(self, name: str, params: str = "") -> dict[str, Any]:
        """Run one command and return its reply."""
        if self._writer is None:
            raise RuntimeError("baresip is not running")
        token = str(next(self._tokens))
        reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._replies[token] = reply
        text = json.dumps({"command": name, "params": params, "token": token}).encode()
        self._writer.write(b"%d:%s," % (len(text), text))
        try:
            return await asyncio.wait_for(reply, PATIENCE_S)
        finally:
            del self._replies[token]

    async def wait_registered(self) -> None:
        """Wait until the registrar said 200; the control port may have missed the event, the log has it."""
        await self.wait_until(lambda: "200 OK" in self.log_tail(200))

    async def dial(self, uri: str) -> dict[str, Any]:
        """Call `uri`."""
        return await self.command("dial", uri)

    async def accept(self) -> dict[str, Any]:
        """Answer the ringing call."""
        return await self.command("accept")

    async def hangup(self) -> dict[str, Any]:
        """End or refuse the current call."""
        return await self.command("hangup")

    async def hold(self) -> dict[str, Any]:
        """Put the call on hold: a re-INVITE with sendonly or inactive audio."""
        return await self.command("hold")

    async def resume(self) -> dict[str, Any]:
        """Take the call off hold."""
        return await self.command("resume")

    async def transfer(self, uri: str) -> dict[str, Any]:
        """Send the other end of the call to `uri` (REFER)."""
        return await self.command("transfer", uri)

    async def send_digits(self, digits: str) -> None:
        """Press keys; each is sent as telephone-event."""
        for digit in digits:
            await self.command("sndcode", digit)

    async def write(self, text: str) -> None:
        """Send a text message (MESSAGE) to `writes_to`, the only one that this phone has the address of."""
        await self.command("message", text)

    def texts(self) -> list[str]:
        """The text messages that came, as the trace of SIP has them; one line each."""
        trace = self.log_path.read_text(errors="replace")
        arrows = re.split(r"^(?:UDP|TCP|TLS) (\S+) -> (\S+)$", trace, flags=re.MULTILINE)
        to_us = [
            body for target, body in zip(arrows[2::3], arrows[3::3], strict=True) if target.endswith(f":{self.port}")
        ]
        return [
            body.replace("\r", "").partition("\n\n")[2].partition("\x1b")[0].strip()
            for body in to_us
            if body.lstrip().startswith("MESSAGE ")
        ]

    def events(self, kind: str = "") -> list[dict[str, Any]]:
        """Everything that was reported so far (`CALL_INCOMING`, `CALL_ESTABLISHED`, `CALL_CLOSED`, `REGISTER_OK` …)."""
        return [event for event in self._events if not kind or event.get("type") == kind]

    async def wait_event(self, kind: str, *, count: int = 1, limit_s: float = PATIENCE_S) -> dict[str, Any]:
        """Wait until `count` events of `kind` were reported and return the last of those."""
        try:
            async with asyncio.timeout(limit_s), self._changed:
                await self._changed.wait_for(lambda: len(self.events(kind)) >= count)
        except TimeoutError:
            seen = [event.get("type") for event in self._events]
            raise PeerTooSlowError(f"{self.name}: no {kind} in {limit_s} s; saw {seen}\n{self.log_tail()}") from None
        return self.events(kind)[count - 1]

    def directions(self) -> list[str]:
        """The directions of all descriptions in the order in which they came and went, as the trace of SIP has them."""
        return re.findall(r"^a=(sendrecv|sendonly|recvonly|inactive)\r?$", self.log_path.read_text(), re.MULTILINE)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while True:
            try:
                size = await reader.readuntil(b":")
                text = await reader.readexactly(int(size[:-1]) + 1)
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            await self._take(json.loads(text[:-1].decode(errors="replace")))

    async def _take(self, message: dict[str, Any]) -> None:
        reply = self._replies.get(str(message.get("token", "")))
        if message.get("response") and reply is not None and not reply.done():
            reply.set_result(message)
        elif message.get("event") and len(self._events) < _EVENTS_KEPT:
            async with self._changed:
                self._events.append(message)
                self._changed.notify_all()
