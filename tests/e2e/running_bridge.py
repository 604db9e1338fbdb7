"""Trunkline as an operator runs it: a configuration file, the real commands, a process, its ops port."""

import asyncio
import json
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.e2e.waiting import until
from tests.patience import PATIENCE_S
from tests.peers.process import LOOPBACK, PeerProcess, free_port

_COMMAND_LIMIT_S = 60.0
_READY_LIMIT_S = 60.0
_REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=5)
REGISTRATION = "registration.yaml"
PUPPETS = "registration-puppets.yaml"
COMMAND = Path(sys.executable).parent / "trunkline"

Section = dict[str, Any]


class Bridge(PeerProcess):
    """One `trunkline run` with a configuration file in `directory`; ports are chosen before it starts.

    `settings` holds whole sections of the configuration; those that name addresses of this machine are filled in.
    """

    def __init__(self, directory: Path, *, homeserver_url: str, server_name: str, settings: Mapping[str, Section]):
        super().__init__("trunkline", directory)
        # Kept, since a bridge that is started again is away from them for seconds.
        self.appservice_port = free_port(kept=True)
        self.sip_port = free_port(kept=True)
        self.tls_port = free_port(kept=True)
        """Used only with settings for TLS."""
        self.ops_port = free_port(kept=True)
        self.config = directory / "trunkline.yaml"
        self.registration = directory / REGISTRATION
        self.call_records = directory / "call-records.jsonl"
        self._token_files = {name: directory / name for name in ("as_token", "hs_token")}
        self._homeserver = {"url": homeserver_url, "server_name": server_name}
        self._settings = settings

    def write_config(self, **others: Section) -> None:
        """Write the configuration file, with `others` over its sections."""
        directory = self.directory
        document: Section = {
            "homeserver": self._homeserver,
            "appservice": {
                "listen": f"{LOOPBACK}:{self.appservice_port}",
                "as_token_file": str(self._token_files["as_token"]),
                "hs_token_file": str(self._token_files["hs_token"]),
            },
            "sip": {"listen": self._listeners()},
            "media": {"webrtc_hosts": [LOOPBACK], "rtp_host": LOOPBACK, "ports": "20000-29999"},
            "store": {"path": str(directory / "trunkline.sqlite3")},
            "ops": {"listen": f"{LOOPBACK}:{self.ops_port}", "call_records": str(self.call_records)},
            "calls": {"drain_timeout_s": 0},
            "logging": {"level": "debug", "format": "console"},
        }
        for name, section in (*self._settings.items(), *others.items()):
            document[name] = {**document.get(name, {}), **section}
        self.config.write_text(yaml.safe_dump(document, sort_keys=False))

    def _listeners(self) -> list[str]:
        listeners = [f"udp:{LOOPBACK}:{self.sip_port}", f"tcp:{LOOPBACK}:{self.sip_port}"]
        secure = [f"tls:{LOOPBACK}:{self.tls_port}"] if "tls" in self._settings.get("sip", {}) else []
        return [*listeners, *secure]

    async def generate_registration(self, **others: Section) -> Path:
        """Write configuration, tokens and registration; gives the file that the homeserver needs.

        With `others` the registration is for these settings, and the configuration is as ever.
        """
        self.write_config(**others)
        await _run(COMMAND, "generate-registration", "--config", self.config, "--output", self.registration)
        self.write_config()
        return self.registration

    async def restart(self, **others: Section) -> None:
        """End the process, and start another one with `others` over the sections of its configuration."""
        await self.stop()
        self.write_config(**others)
        await self.start()

    async def prepare(self) -> None:
        """Before the first start: a configuration, and tokens that a homeserver knows."""
        if not self._token_files["as_token"].exists():
            await self.generate_registration()
        elif not self.config.exists():
            self.write_config()

    async def start(self) -> None:
        await self.prepare()
        await self.launch((COMMAND, "run", "--config", self.config))
        await self.wait_ready()

    async def wait_ready(self) -> None:
        """Wait until the process that was started takes calls; one that ends instead fails with its log."""
        await until(self._ready_or_ended, lambda: f"trunkline is not ready:\n{self.log_tail()}", limit_s=_READY_LIMIT_S)
        if self.pid is None:
            raise RuntimeError(f"trunkline ended at start:\n{self.log_tail()}")

    async def _ready_or_ended(self) -> bool:
        return self.pid is None or await self.is_ready()

    async def is_ready(self) -> bool:
        """Whether `/readyz` says 200."""
        try:
            async with (
                aiohttp.ClientSession(timeout=_REQUEST_TIMEOUT) as session,
                session.get(f"http://{LOOPBACK}:{self.ops_port}/readyz") as answer,
            ):
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def checks(self) -> dict[str, bool]:
        """What `/readyz` says, check by check."""
        async with (
            aiohttp.ClientSession(timeout=_REQUEST_TIMEOUT) as session,
            session.get(f"http://{LOOPBACK}:{self.ops_port}/readyz") as answer,
        ):
            return dict((await answer.json())["checks"])

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric over the labels that are not given; one that is not declared at all is an error."""
        text = await self.metrics()
        if f"# TYPE trunkline_{name} " not in text:
            raise AssertionError(f"there is no metric {name}")
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        rows = (line.rpartition(" ") for line in text.splitlines() if line.startswith(f"trunkline_{name}"))
        return sum(
            float(value)
            for sample, _, value in rows
            if sample.partition("{")[0] == f"trunkline_{name}" and all(pair in sample for pair in wanted)
        )

    async def metrics(self) -> str:
        """What `/metrics` says."""
        async with (
            aiohttp.ClientSession(timeout=_REQUEST_TIMEOUT) as session,
            session.get(f"http://{LOOPBACK}:{self.ops_port}/metrics") as answer,
        ):
            return await answer.text()

    async def wait_metric(self, name: str, value: float, *, limit_s: float = PATIENCE_S, **labels: str) -> None:
        """Poll until a metric, summed over the labels that are not given, has `value`."""
        now = 0.0

        async def reached() -> bool:
            nonlocal now
            now = await self.metric(name, **labels)
            return now == value

        await until(reached, lambda: f"{name} is {now}, not {value}", limit_s=limit_s)

    def records(self) -> list[dict[str, Any]]:
        """The call records so far."""
        if not self.call_records.exists():
            return []
        return [json.loads(line) for line in self.call_records.read_text().splitlines()]

    def use_tokens(self, *, as_token: str, hs_token: str) -> None:
        """Take these secrets, which a scripted homeserver has, instead of making some with a registration."""
        self._token_files["as_token"].write_text(as_token)
        self._token_files["hs_token"].write_text(hs_token)

    def open_files(self, *, besides: Collection[int] = ()) -> int:
        """How many files and sockets the process holds, less its TCP connections from or to the ports `besides`."""
        ignored = _connections(besides)
        return sum(link not in ignored for link in self._links())

    def connections(self, port: int) -> int:
        """How many of its established TCP connections have `port` at one end."""
        wanted = _connections((port,))
        return sum(link in wanted for link in self._links())

    def _links(self) -> list[str]:
        return [str(link.readlink()) for link in Path(f"/proc/{self.pid}/fd").iterdir() if link.is_symlink()]


def _connections(ports: Collection[int]) -> set[str]:
    """Links of the established TCP connections whose one end is one of `ports`."""
    suffixes = tuple(f":{port:04X}" for port in ports)
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    listening = "0A"
    return {
        f"socket:[{row[9]}]"
        for row in rows
        if row[3] != listening and (row[1].endswith(suffixes) or row[2].endswith(suffixes))
    }


async def _run(*command: str | Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), _COMMAND_LIMIT_S)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{output.decode(errors='replace')}")
