"""Everything the demo starts, in order, and ended in the opposite order."""

import asyncio
import fcntl
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.demo.audio import Tone
from deploy.demo.errors import DemoError
from deploy.demo.homeserver import Synapse
from deploy.demo.logs import log_to
from deploy.demo.phone import Phone
from deploy.demo.ports import StoredPorts
from deploy.demo.terminal import Terminal
from deploy.demo.trunkline import HOST, DemoConfig, Trunkline, machine_addresses

PHONE_NUMBER = "+15550100"
USER_NUMBER = "+15550199"
USER_NAME = "alice"
SERVER_NAME = "localhost"
PHONE_TONE = Tone(pitch_hz=600.0, level_dbfs=-23.0)
MATRIX_TONE = Tone(pitch_hz=440.0, level_dbfs=-20.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The parts that run now."""

    directory: Path
    synapse: Synapse
    trunkline: Trunkline
    phone: Phone
    user_id: str
    password: str

    async def watch(self) -> None:
        """Raise :class:`DemoError` as soon as a part ends that should not."""
        async with asyncio.TaskGroup() as watching:
            watching.create_task(_must_not_end("Trunkline", self.trunkline))
            watching.create_task(_must_not_end("Synapse", self.synapse))


@asynccontextmanager
async def stage(directory: Path, terminal: Terminal) -> AsyncIterator[Stage]:
    """Start the homeserver, Trunkline and the phone; whatever happens, end what was started."""
    with _held(directory) as directory, log_to(directory / "demo.log"):
        ports = StoredPorts(directory / "ports.json")
        phone_port, sip_port = ports.take("phone", kind="udp"), ports.take("sip", kind="both")
        synapse = Synapse(
            directory / "synapse",
            server_name=SERVER_NAME,
            app_service_config_files=[directory / "registration.yaml"],
        )
        config = _config(ports, synapse, sip_port=sip_port, phone_port=phone_port)
        trunkline = Trunkline(directory, config)
        phone = Phone(number=PHONE_NUMBER, port=phone_port, trunkline_port=sip_port, tone=PHONE_TONE)
        async with AsyncExitStack() as parts:
            await _timed(terminal, "Registration", str(trunkline.registration_file), trunkline.prepare())
            # Ended last to first: the phone hangs up, Trunkline tells the homeserver, then the homeserver may go.
            parts.push_async_callback(synapse.stop)
            parts.push_async_callback(trunkline.stop)
            await _start_servers(synapse, trunkline, config, terminal)
            address = f"sip:{PHONE_NUMBER}@{HOST}:{phone_port}"
            await _timed(terminal, "Phone", address, parts.enter_async_context(phone))
            password = _password(directory / "password")
            yield Stage(
                directory=directory,
                synapse=synapse,
                trunkline=trunkline,
                phone=phone,
                user_id=await synapse.register_user(USER_NAME, password),
                password=password,
            )


async def _start_servers(synapse: Synapse, trunkline: Trunkline, config: DemoConfig, terminal: Terminal) -> None:
    """Both at once: each waits for the other by itself."""
    sip = f"sip:{HOST}:{config.sip_port}, metrics {trunkline.metrics_url}"
    async with asyncio.TaskGroup() as starting:
        starting.create_task(_timed(terminal, "Synapse", synapse.url, synapse.start()))
        starting.create_task(_timed(terminal, "Trunkline", sip, trunkline.start()))


async def _timed(terminal: Terminal, name: str, detail: str, start: Awaitable[object]) -> None:
    began = time.monotonic()
    await start
    terminal.part(name, detail, time.monotonic() - began)


def _config(ports: StoredPorts, synapse: Synapse, *, sip_port: int, phone_port: int) -> DemoConfig:
    return DemoConfig(
        homeserver_url=synapse.url,
        server_name=SERVER_NAME,
        appservice_port=ports.take("appservice"),
        sip_port=sip_port,
        phone_port=phone_port,
        ops_port=ports.take("ops"),
        inbound={USER_NUMBER: f"@{USER_NAME}:{SERVER_NAME}"},
        caller_id=USER_NUMBER,
        callable_prefix=PHONE_NUMBER[:5],
        webrtc_hosts=machine_addresses(),
    )


def _password(path: Path) -> str:
    """The user's password: made once, since the homeserver keeps the user."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(6) + "\n")
    return path.read_text().strip()


async def _must_not_end(name: str, server: Trunkline | Synapse) -> None:
    status = await server.wait()
    raise DemoError(server.explain(f"{name} ended in the middle of the demo (exit code {status})"))


@contextmanager
def _held(directory: Path) -> Iterator[Path]:
    """The directory for us alone, as an absolute path: two homeservers on one database would ruin it."""
    directory = directory.absolute()
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DemoError(f"a demo runs in {directory} already: end it, or choose another --directory") from error
        yield directory
