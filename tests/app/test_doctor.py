"""What the doctor sees, and what it advises: a scripted homeserver, trunks on real sockets, files of this machine."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from aiohttp import web
from click.testing import CliRunner

from bridge.app.doctor.examination import examine
from bridge.app.doctor.findings import Finding, Grade
from bridge.app.doctor.homeserver import HomeserverCheck
from bridge.app.doctor.machine import MachineCheck
from bridge.app.doctor.trunks import TrunkCheck
from bridge.cli import main
from bridge.config import Config, load_config, matrix_settings, media_settings, sip_settings
from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.core.ids import CallId, TrunkName
from bridge.core.telemetry import NoTelemetry
from bridge.media.embedded import EmbeddedEngine
from bridge.ops.metrics import PrometheusTelemetry
from bridge.ops.server import Check, Heartbeat, OpsServer
from bridge.sip import Request, parse_message
from tests.e2e.sound import write_wav
from tests.homeserver import ScriptedHomeserver
from tests.patience import PATIENCE_S
from tests.peers.certificates import Authority
from tests.peers.process import LOOPBACK, free_port

AS_TOKEN, HS_TOKEN = "as-0123456789abcdef", "hs-0123456789abcdef"
_COPIED = ("Via", "From", "To", "Call-ID", "CSeq")


class Peer(asyncio.DatagramProtocol):
    """A trunk that answers every request with one status, or not at all."""

    def __init__(self, status: int | None) -> None:
        self._status = status
        self.methods: list[str] = []

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        request = parse_message(data)
        assert isinstance(request, Request)
        self.methods.append(request.method)
        if self._status is None:
            return
        lines = [line for line in data.decode().split("\r\n") if line.partition(":")[0] in (*_COPIED, "Contact")]
        head = [f"SIP/2.0 {self._status} Whatever", *lines, "Expires: 60", "Content-Length: 0"]
        self._transport.sendto(("\r\n".join(head) + "\r\n\r\n").encode(), addr)


@asynccontextmanager
async def trunk(status: int | None) -> AsyncIterator[tuple[int, Peer]]:
    """Port and peer."""
    loop = asyncio.get_running_loop()
    transport, peer = await loop.create_datagram_endpoint(lambda: Peer(status), local_addr=(LOOPBACK, 0))
    try:
        yield transport.get_extra_info("sockname")[1], peer
    finally:
        transport.close()


def written(directory: Path, homeserver_url: str = "http://127.0.0.1:9", **sections: Mapping[str, Any]) -> Path:
    """A configuration file whose ports are free ones."""
    sip_port = free_port()
    document: dict[str, Any] = {
        "homeserver": {"url": homeserver_url, "server_name": "example.org", "request_timeout_s": 2.0},
        "appservice": {"listen": f"{LOOPBACK}:{free_port()}", "as_token": AS_TOKEN, "hs_token": HS_TOKEN},
        "sip": {"listen": [f"udp:{LOOPBACK}:{sip_port}", f"tcp:{LOOPBACK}:{sip_port}"]},
        "media": {"ports": "20000-20099", "webrtc_hosts": [LOOPBACK]},
        "ops": {"listen": f"{LOOPBACK}:{free_port()}"},
    }
    for name, section in sections.items():
        document[name] = {**document.get(name, {}), **section}
    file = directory / "trunkline.yaml"
    file.write_text(yaml.safe_dump(document))
    file.chmod(0o600)
    return file


async def examined(file: Path, *, limit_s: float = PATIENCE_S) -> list[Finding]:
    return [finding async for finding in examine(load_config(file, {}), file, limit_s=limit_s)]


def about(findings: list[Finding], subject: str) -> Finding:
    """The one finding about a subject that has only one."""
    (found,) = [finding for finding in findings if finding.subject == subject]
    return found


def faults(findings: list[Finding]) -> list[str]:
    return [finding.subject for finding in findings if finding.grade is Grade.FAULT]


@pytest.fixture
async def homeserver() -> AsyncIterator[ScriptedHomeserver]:
    async with ScriptedHomeserver(server_name="example.org", as_token=AS_TOKEN, hs_token=HS_TOKEN) as homeserver:
        yield homeserver


async def test_a_sound_set_up_has_no_faults(tmp_path: Path, homeserver: ScriptedHomeserver) -> None:
    async with trunk(200) as (port, peer):
        file = written(tmp_path, homeserver.url, trunks={"carrier": {"server": f"{LOOPBACK}:{port}"}})
        findings = await examined(file)
    assert faults(findings) == []
    assert peer.methods[0] == "OPTIONS"
    sound = {finding.subject for finding in findings if finding.grade is Grade.OK}
    assert {"homeserver", "clock", "registration", "sip.listen", "trunks.carrier", "media.ports", "disk"} <= sound
    assert "v1.11" in about(findings, "homeserver").seen


async def test_a_homeserver_that_is_away_is_a_fault(tmp_path: Path) -> None:
    findings = await examined(written(tmp_path, f"http://{LOOPBACK}:{free_port()}"))
    assert faults(findings) == ["homeserver"]
    assert about(findings, "homeserver").seen.endswith("cannot be reached (Connection refused)")
    assert "homeserver.url" in about(findings, "homeserver").advice


async def test_plain_http_where_tls_is_configured_is_told(tmp_path: Path, homeserver: ScriptedHomeserver) -> None:
    findings = await examined(written(tmp_path, homeserver.url.replace("http:", "https:")))
    assert "speaks no TLS" in about(findings, "homeserver").seen


async def test_a_server_that_waits_for_more_than_a_tls_hello_is_told_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.app.doctor.homeserver.CONNECT_S", 0.2)
    with socket.create_server((LOOPBACK, 0)) as waiting:
        url = f"https://{LOOPBACK}:{waiting.getsockname()[1]}"
        findings = await examined(written(tmp_path, url, homeserver={"request_timeout_s": PATIENCE_S}))
    assert "no TLS within" in about(findings, "homeserver").seen


async def test_a_homeserver_without_the_registration_is_a_fault(tmp_path: Path, homeserver: ScriptedHomeserver) -> None:
    homeserver.as_token = "of another registration"
    findings = await examined(written(tmp_path, homeserver.url))
    assert faults(findings) == ["registration"]
    assert "app_service_config_files" in about(findings, "registration").advice


async def test_another_server_name_or_bot_is_a_fault(tmp_path: Path, homeserver: ScriptedHomeserver) -> None:
    findings = await examined(written(tmp_path, homeserver.url, appservice={"bot_localpart": "_sip_other"}))
    assert "not for @_sip_other:example.org" in about(findings, "registration").seen


@pytest.mark.parametrize(("apart_s", "grade"), [(1, Grade.OK), (20, Grade.WARNING), (-300, Grade.FAULT)])
async def test_clocks_that_are_apart_are_told(
    tmp_path: Path, homeserver: ScriptedHomeserver, apart_s: int, grade: Grade
) -> None:
    class Apart(SystemClock):
        def wall(self) -> float:
            return super().wall() + apart_s

    settings = matrix_settings(load_config(written(tmp_path, homeserver.url), {}))
    check = HomeserverCheck(settings=settings, clock=Apart(), entropy=SystemEntropy())
    findings = [finding async for finding in check.findings(bridge_runs=False)]
    assert about(findings, "clock").grade is grade


@pytest.mark.parametrize("auth", ["address", "register"])
async def test_a_trunk_that_says_nothing_is_a_fault(tmp_path: Path, homeserver: ScriptedHomeserver, auth: str) -> None:
    async with trunk(None) as (port, peer):
        carrier = {"server": f"{LOOPBACK}:{port}", "auth": auth, "username": "us", "password": "secret"}
        findings = await examined(written(tmp_path, homeserver.url, trunks={"carrier": carrier}), limit_s=1.5)
    assert faults(findings) == ["trunks.carrier"]
    assert "gives no answer" in about(findings, "trunks.carrier").seen
    assert peer.methods


async def test_a_trunk_whose_certificate_is_not_believed_is_told_apart(
    tmp_path: Path, homeserver: ScriptedHomeserver
) -> None:
    authority = Authority(tmp_path)
    theirs, ours = authority.issue(file="theirs"), authority.issue(file="ours")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(theirs.certificate, theirs.private_key)
    server = await asyncio.start_server(lambda reader, writer: None, LOOPBACK, 0, ssl=context)
    async with server:
        carrier = {"server": f"{LOOPBACK}:{server.sockets[0].getsockname()[1]}", "transport": "tls"}
        sip = {
            "listen": [f"tls:{LOOPBACK}:{free_port()}"],
            "tls": {"certificate": str(ours.certificate), "private_key": str(ours.private_key)},
        }
        file = written(tmp_path, homeserver.url, trunks={"carrier": carrier}, sip=sip)
        findings = await examined(file, limit_s=5.0)
    assert "TLS failed: untrusted" in about(findings, "trunks.carrier").seen
    assert "ca_file" in about(findings, "trunks.carrier").advice


@pytest.mark.parametrize(("status", "seen"), [(200, "lets us register"), (403, "refuses to let us register")])
async def test_a_registration_is_tried(tmp_path: Path, homeserver: ScriptedHomeserver, status: int, seen: str) -> None:
    async with trunk(status) as (port, peer):
        carrier = {"server": f"{LOOPBACK}:{port}", "auth": "register", "username": "us", "password": "secret"}
        findings = await examined(written(tmp_path, homeserver.url, trunks={"carrier": carrier}))
    assert about(findings, "trunks.carrier").seen == seen
    assert "REGISTER" in peer.methods


async def test_a_name_without_an_address_is_a_fault(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, trunks={"carrier": {"server": "sip.example.com"}}), {})
    check = TrunkCheck(settings=sip_settings(config), clock=SystemClock(), entropy=SystemEntropy())
    assert faults(check.names({TrunkName("carrier"): ()})) == ["trunks.carrier"]
    assert check.names({TrunkName("carrier"): ("192.0.2.1",)}) == []


@asynccontextmanager
async def bridge_of(config: Config, *, trunk_up: bool, healthy: bool = True) -> AsyncIterator[None]:
    """The ops port of a bridge, and its SIP listeners, which nobody else may have meanwhile."""
    telemetry = PrometheusTelemetry(trunks=tuple(config.trunks), version="1", strict=True)
    for name in config.trunks:
        telemetry.gauge("trunk_up", float(trunk_up), trunk=name)
    heartbeat = Heartbeat(clock=SystemClock(), telemetry=telemetry)
    checks = {"store": Check(passes=lambda: healthy, otherwise="the disk is full")}
    server = OpsServer(telemetry=telemetry, heartbeat=heartbeat, checks=checks)
    listener = config.sip.listen[0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((listener.host, listener.port))
        await server.start(config.ops.listen.host, config.ops.listen.port)
        try:
            yield
        finally:
            await server.stop()


@pytest.mark.parametrize("up", [True, False])
async def test_a_bridge_that_runs_is_asked_and_left_alone(
    tmp_path: Path, homeserver: ScriptedHomeserver, up: bool
) -> None:
    async with trunk(200) as (port, peer):
        carrier = {"server": f"{LOOPBACK}:{port}", "options_interval_s": 30.0}
        file = written(tmp_path, homeserver.url, trunks={"carrier": carrier})
        async with bridge_of(load_config(file, {}), trunk_up=up):
            findings = await examined(file)
    assert peer.methods == []
    assert about(findings, "bridge").seen == "runs and takes calls"
    assert about(findings, "trunks.carrier").grade is (Grade.OK if up else Grade.FAULT)
    assert "sip.listen" not in faults(findings)


@pytest.mark.parametrize(("status", "grade"), [(200, Grade.OK), (None, Grade.FAULT)])
async def test_a_trunk_that_the_running_bridge_has_not_read_is_asked_beside_it(
    tmp_path: Path, homeserver: ScriptedHomeserver, status: int | None, grade: Grade
) -> None:
    async with trunk(200) as (port, known), trunk(status) as (second_port, unread):
        known_trunk = {"server": f"{LOOPBACK}:{port}", "options_interval_s": 30.0}
        before = load_config(written(tmp_path, homeserver.url, trunks={"carrier": known_trunk}), {})
        added = {"server": f"{LOOPBACK}:{second_port}", "auth": "register", "username": "us", "password": "secret"}
        document = yaml.safe_load((tmp_path / "trunkline.yaml").read_text())
        document["trunks"]["second"] = added
        (tmp_path / "trunkline.yaml").write_text(yaml.safe_dump(document))
        async with bridge_of(before, trunk_up=True):
            findings = await examined(tmp_path / "trunkline.yaml", limit_s=PATIENCE_S if status else 1.5)
    assert known.methods == []
    assert set(unread.methods) == {"OPTIONS"}
    assert about(findings, "trunks.carrier").grade is Grade.OK
    waiting, asked = [finding for finding in findings if finding.subject == "trunks.second"]
    assert waiting.grade is Grade.WARNING
    assert waiting.seen == "the running bridge has not read it yet"
    assert "systemctl reload trunkline" in waiting.advice
    assert asked.grade is grade
    assert "sip.listen" not in {finding.subject for finding in findings}


async def test_what_keeps_a_running_bridge_from_work_is_told(tmp_path: Path, homeserver: ScriptedHomeserver) -> None:
    file = written(tmp_path, homeserver.url)
    async with bridge_of(load_config(file, {}), trunk_up=True, healthy=False):
        findings = await examined(file)
    assert about(findings, "bridge").seen == "runs, but store: the disk is full"


async def test_a_homeserver_that_cannot_reach_the_bridge_is_a_fault(
    tmp_path: Path, homeserver: ScriptedHomeserver
) -> None:
    file = written(tmp_path, homeserver.url)
    homeserver.add_user("_sip_bot")
    homeserver.connect(f"http://{LOOPBACK}:{free_port()}")
    async with bridge_of(load_config(file, {}), trunk_up=True):
        findings = await examined(file)
    assert "M_CONNECTION_FAILED" in about(findings, "homeserver to bridge").seen


async def test_a_stranger_on_the_ops_port_is_a_fault(tmp_path: Path, homeserver: ScriptedHomeserver) -> None:
    file = written(tmp_path, homeserver.url)
    runner = web.AppRunner(web.Application())
    await runner.setup()
    listen = load_config(file, {}).ops.listen
    await web.TCPSite(runner, listen.host, listen.port).start()
    try:
        findings = await examined(file)
    finally:
        await runner.cleanup()
    assert "ops.listen" in faults(findings)


async def test_ports_that_others_have_are_faults(tmp_path: Path, homeserver: ScriptedHomeserver) -> None:
    file = written(tmp_path, homeserver.url)
    config = load_config(file, {})
    with socket.socket() as http, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sip:
        http.bind((LOOPBACK, config.appservice.listen.port))
        http.listen()
        sip.bind((LOOPBACK, config.sip.listen[0].port))
        findings = await examined(file)
    for setting in ("appservice.listen", "sip.listen"):
        finding = about(findings, setting)
        assert finding.grade is Grade.FAULT
        assert finding.seen.endswith("another program has that port: end it, or choose another port")


class MediaServer(asyncio.DatagramProtocol):
    """Answers every command of the ng protocol as rtpengine answers a ping."""

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._transport.sendto(data.partition(b" ")[0] + b" d6:result4:ponge", addr)


async def test_media_servers_are_asked(tmp_path: Path, homeserver: ScriptedHomeserver) -> None:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(MediaServer, local_addr=(LOOPBACK, 0))
    port, dead = transport.get_extra_info("sockname")[1], free_port()
    servers = {"engine": "rtpengine", "rtpengine": [f"{LOOPBACK}:{port}", f"{LOOPBACK}:{dead}"]}
    findings = await examined(written(tmp_path, homeserver.url, media=servers))
    transport.close()
    seen = {finding.seen.partition(" ")[0]: finding.grade for finding in findings if "rtpengine" in finding.subject}
    assert seen == {f"{LOOPBACK}:{port}": Grade.OK, f"{LOOPBACK}:{dead}": Grade.FAULT}


def machine(file: Path, *trunk_hosts: str) -> list[Finding]:
    check = MachineCheck(config=load_config(file, {}), file=file)
    return list(check.findings(bridge_runs=False, trunk_hosts=trunk_hosts))


def test_an_address_that_is_elsewhere_is_a_fault(tmp_path: Path) -> None:
    findings = machine(written(tmp_path, media={"rtp_host": "192.0.2.77"}))
    assert "192.0.2.77" in about(findings, "media").seen


@pytest.mark.parametrize(("user", "told"), [(0, True), (998, False)])
def test_root_is_told_that_another_user_may_not_write_where_root_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, told: bool
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: user)
    assert any("as root" in finding.seen for finding in machine(written(tmp_path))) is told


def test_ports_of_the_audio_that_are_taken_are_a_fault(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((LOOPBACK, 0))
        port = taken.getsockname()[1]
        first = port - port % 2
        findings = machine(written(tmp_path, media={"ports": f"{first}-{first + 1}"}))
    assert about(findings, "media.ports").grade is Grade.FAULT


@pytest.mark.parametrize(("hosts", "calls"), [([LOOPBACK], 3), (["127.0.0.1", "127.0.0.2", "127.0.0.3"], 2)])
async def test_as_many_calls_are_told_as_the_engine_carries(tmp_path: Path, hosts: list[str], calls: int) -> None:
    first = free_port(span=11)
    first += first % 2
    file = written(tmp_path, media={"ports": f"{first}-{first + 9}", "webrtc_hosts": hosts, "engine": "portable"})
    told = about(machine(file), "media.ports").seen
    assert f"at {2 + len(hosts)} a call enough for {calls} at once" in told
    settings, clock = media_settings(load_config(file, {})), SystemClock()
    engine = EmbeddedEngine(settings, entropy=SystemEntropy(), clock=clock, telemetry=NoTelemetry())
    await engine.start(lambda event: None)
    try:
        for number in range(calls):
            assert engine.has_ports
            session = await engine.open(CallId(str(number)))
            await session.create_matrix_offer()
        assert not engine.has_ports
    finally:
        await engine.stop()


def test_private_addresses_before_a_trunk_on_the_internet_are_told(tmp_path: Path) -> None:
    def told(host: str, sip: Mapping[str, Any] | None = None, media: Mapping[str, Any] | None = None) -> set[str]:
        findings = machine(written(tmp_path, sip=sip or {}, media=media or {}), host)
        return {finding.subject for finding in findings if finding.grade is Grade.WARNING} & named

    named = {"sip.advertised_host", "media.advertised_host"}
    assert told("9.9.9.9") == named
    assert told("10.0.0.1") == set()
    outside = {"advertised_host": "9.9.9.10"}
    assert told("9.9.9.9", sip=outside, media=outside) == set()


def test_files_that_others_read_are_told(tmp_path: Path) -> None:
    file = written(tmp_path)
    assert not [finding for finding in machine(file) if finding.subject == "files"]
    file.chmod(0o644)
    assert "has secrets in it" in about(machine(file), "files").seen


def test_a_word_of_a_comment_is_no_secret(tmp_path: Path) -> None:
    file = written(
        tmp_path, trunks={"a": {"server": "h.b", "auth": "register", "username": "u", "password_file": "pw"}}
    )
    (tmp_path / "pw").write_text("secrets")
    document = yaml.safe_load(file.read_text())
    for token in ("as_token", "hs_token"):
        (tmp_path / token).write_text(document["appservice"].pop(token))
        document["appservice"][f"{token}_file"] = token
    file.write_text("# The secrets lie elsewhere.\n" + yaml.safe_dump(document))
    file.chmod(0o644)
    assert not [finding for finding in machine(file) if finding.subject == "files"]


def test_a_disk_that_is_full_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.app.doctor.machine.MIN_FREE_OCTETS", 1 << 62)
    assert about(machine(written(tmp_path)), "disk").grade is Grade.FAULT


def test_a_voice_that_is_not_installed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.app.doctor.machine.can_speak", lambda: False)
    assert "espeak-ng" in about(machine(written(tmp_path, voicemail={"users": ["example.org"]})), "voicemail").seen
    everybody_s = str(write_wav(tmp_path / "all.wav", np.zeros(8_000), rate_hz=8_000))
    own = {"users": ["example.org"], "greeting": everybody_s, "greetings": {"@alice:example.org": "Speak."}}
    assert "1 of voicemail.greetings" in about(machine(written(tmp_path, voicemail=own)), "voicemail").seen
    menus = {"main": {"prompt": "Hello."}}
    assert "silence for 3 texts" in about(machine(written(tmp_path, menus=menus)), "menus").seen
    assert "emergency_refused" in about(machine(written(tmp_path)), "announcements").seen
    silent = machine(written(tmp_path, announcements={"spoken": False}))
    assert not [finding for finding in silent if finding.subject == "announcements"]


def test_the_command_counts_and_fails_on_faults(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["doctor", "--config", str(written(tmp_path))])
    assert result.exit_code == 1
    assert "ok       configuration:" in result.output
    assert "fault    homeserver: http://127.0.0.1:9 cannot be reached" in result.output
    assert "\n1 to put right" in result.output


def test_the_command_lists_the_faults_of_a_configuration(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["doctor", "--config", str(written(tmp_path, media={"ports": "x"}))])
    assert result.exit_code == 1
    assert "media.ports" in result.output
