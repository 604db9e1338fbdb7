"""A process of its own: how it ends and begins, its disk, its certificate."""

import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from bridge.core.ids import TrunkName
from bridge.sip.events import CallFailed
from bridge.sip.settings import Transport, Trunk, TrunkAuth
from tests.e2e.alerts.place import Place
from tests.e2e.alerts.story import Story
from tests.e2e.exchange import Exchange, number_of, open_exchange
from tests.e2e.running_bridge import Bridge, Section
from tests.e2e.waiting import until
from tests.patience import PATIENCE_S
from tests.peers.certificates import Authority
from tests.peers.process import LOOPBACK
from tests.sip.phone import Phone

_ENOUGH_CALLS = 4
_DISK_BYTES = 16 << 20
_CERTIFICATE = "bridge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A bridge as it is installed."""

    exchange: Exchange
    disk: Path
    authority: Authority
    story: Story

    @property
    def bridge(self) -> Bridge:
        """Its process."""
        return self.exchange.bridge

    def fill(self, *, free: int) -> None:
        """Leave so many bytes of the disk."""
        taken = self.disk / "taken"
        taken.unlink(missing_ok=True)
        status = os.statvfs(self.disk)
        with taken.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, status.f_bavail * status.f_frsize - free)

    def make_room(self) -> None:
        """Take away what fills the disk."""
        (self.disk / "taken").unlink()

    async def renew_certificate(self, days: int) -> None:
        """Put another one in place of the old one."""
        reloads = await self.bridge.metric("tls_reloads_total", outcome="done")
        self.authority.issue(file=_CERTIFICATE, days=days)
        self.bridge.signal(signal.SIGHUP)
        await self.bridge.wait_metric("tls_reloads_total", reloads + 1, outcome="done")


async def the_certificate_ends_soon(scene: Server) -> None:
    """In less than two weeks, until it is renewed."""
    await scene.renew_certificate(13)
    await scene.story.passes(5, "CertificateExpires", title="the certificate ends in 13 days")
    await scene.renew_certificate(90)
    await scene.story.passes(5)


async def the_configuration_has_a_fault(scene: Server) -> None:
    """A word that means nothing, until it is taken out again."""
    bridge = scene.bridge
    good = bridge.config.read_text()
    bridge.config.write_text(good + "nonsense: 1\n")
    bridge.signal(signal.SIGHUP)
    await bridge.wait_metric("config_reloads_total", 1, outcome="refused")
    await bridge.wait_metric("config_last_reload_successful", 0)
    await scene.story.passes(10, "ConfigurationRefused", title="the configuration has a fault")
    bridge.config.write_text(good)
    bridge.signal(signal.SIGHUP)
    await bridge.wait_metric("config_last_reload_successful", 1)
    await scene.story.passes(5)


async def the_disk_fills(scene: Server) -> None:
    """Little is left of it, and then nothing: a call is refused, and its record cannot be written."""
    bridge = scene.bridge
    scene.fill(free=_DISK_BYTES // 20)
    await scene.story.passes(10, "DiskAlmostFull", title="a twentieth of the disk is left")
    scene.fill(free=0)
    trunk = Trunk(
        name=TrunkName("bridge"),
        host=LOOPBACK,
        port=bridge.sip_port,
        transport=Transport.UDP,
        auth=TrunkAuth.ADDRESS,
    )
    async with Phone(trunk) as phone:

        async def cannot_write() -> bool:
            """What is in the database may leave room for a little more."""
            phone.call(number_of(0))
            await phone.wait(CallFailed, count=len(phone.of(CallFailed)) + 1)
            await bridge.wait_metric("calls_active", 0)
            failed = await bridge.metric("calls_total", reason="store_failed") >= _ENOUGH_CALLS
            return failed and await bridge.metric("check_passes", check="store") == 0

        await until(cannot_write, lambda: "the database can still be written", limit_s=PATIENCE_S)
    assert await bridge.metric("call_records_total", outcome="failed") > 0
    of_calls = ("CallRecordsNotWritten", "CallsFail", "CallsFailFast")
    await scene.story.passes(10, "DiskAlmostFull", "StoreFails", *of_calls, title="the disk is full")
    scene.make_room()
    await bridge.wait_metric("check_passes", 1, check="store")
    await scene.story.passes(420)


async def it_ends_again_and_again(scene: Server) -> None:
    """Killed, as for want of memory, it is away for a while; started again it is killed again."""
    bridge, story = scene.bridge, scene.story
    await bridge.crash()
    await story.passes(5, "TrunklineDown", title="it is killed")
    for _ in range(2):
        await bridge.start()
        await story.passes(2, title="it is started")
        await bridge.crash()
    await bridge.start()
    await story.passes(2, "TrunklineRestarts", title="it is started a third time")
    await story.passes(20)


@contextmanager
def _small_disk(path: Path) -> Iterator[Path]:
    """A disk of its own, which is full soon."""
    path.mkdir()
    subprocess.run(("mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", path), check=True, timeout=10)
    try:
        yield path
    finally:
        subprocess.run(("umount", path), check=True, timeout=10)


@asynccontextmanager
async def _opened(directory: Path) -> AsyncIterator[Server]:
    authority = Authority(directory)
    ours = authority.issue(file=_CERTIFICATE)
    with _small_disk(directory / "disk") as disk:
        settings: dict[str, Section] = {
            "sip": {"tls": {"certificate": str(ours.certificate), "private_key": str(ours.private_key)}},
            "store": {"path": str(disk / "trunkline.sqlite3")},
            "ops": {"call_records": str(disk / "call-records.jsonl")},
        }
        async with open_exchange(directory, settings) as exchange:

            async def exposition() -> str | None:
                try:
                    return await exchange.bridge.metrics()
                except aiohttp.ClientConnectionError:
                    return None

            await exchange.bridge.wait_metric("matrix_homeserver_up", 1)
            yield Server(exchange=exchange, disk=disk, authority=authority, story=Story(exposition))


def can_be_tried() -> bool:
    """Whether this user may mount disks."""
    return os.geteuid() == 0


PLACE = Place(
    name="process",
    opened=_opened,
    causes={
        "CertificateExpires": the_certificate_ends_soon,
        "ConfigurationRefused": the_configuration_has_a_fault,
        "DiskAlmostFull": the_disk_fills,
        "StoreFails": the_disk_fills,
        "CallRecordsNotWritten": the_disk_fills,
        "TrunklineDown": it_ends_again_and_again,
        "TrunklineRestarts": it_ends_again_and_again,
    },
)
