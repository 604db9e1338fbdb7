"""Trunkline itself, as an operator runs it: a configuration file, a registration file and one process."""

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import ifaddr
import yaml

from deploy.demo.errors import DemoError
from deploy.demo.processes import ChildProcess, tail

HOST = "127.0.0.1"
_MAX_WEBRTC_HOSTS = 8
_POLL_INTERVAL_S = 0.1
_COMMAND_LIMIT_S = 30.0
_REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoConfig:
    """What the demo's configuration is made of; everything else keeps its default."""

    homeserver_url: str
    server_name: str
    appservice_port: int
    sip_port: int
    phone_port: int
    ops_port: int
    inbound: Mapping[str, str]
    callable_prefix: str
    caller_id: str
    webrtc_hosts: Sequence[str]

    def sections(self) -> dict[str, Any]:
        """The file, in the shape of `config/trunkline.example.yaml`."""
        return {
            "homeserver": {"url": self.homeserver_url, "server_name": self.server_name},
            "appservice": {
                "listen": f"{HOST}:{self.appservice_port}",
                "url": f"http://{HOST}:{self.appservice_port}",
                "as_token_file": "as_token",
                "hs_token_file": "hs_token",
            },
            "sip": {"listen": [f"udp:{HOST}:{self.sip_port}", f"tcp:{HOST}:{self.sip_port}"]},
            "trunks": {"demo": {"server": f"{HOST}:{self.phone_port}", "auth": "address", "caller_id": self.caller_id}},
            "numbers": {"inbound": dict(self.inbound)},
            "permissions": {"outbound": [{"who": [self.server_name], "prefixes": [self.callable_prefix]}]},
            # Whoever ends the demo waits for nobody.
            "calls": {"drain_timeout_s": 0},
            "media": {"webrtc_hosts": list(self.webrtc_hosts), "rtp_host": HOST},
            "store": {"path": "trunkline.sqlite3"},
            "ops": {"listen": f"{HOST}:{self.ops_port}", "call_records": "call-records.jsonl"},
            "logging": {"level": "info", "format": "json"},
        }


class Trunkline:
    """`trunkline run` with the demo's configuration, in a directory where everything it writes stays."""

    def __init__(self, directory: Path, config: DemoConfig) -> None:
        self.config_file = directory / "trunkline.yaml"
        self.registration_file = directory / "registration.yaml"
        self.log_file = directory / "trunkline.log"
        self._ops_url = f"http://{HOST}:{config.ops_port}"
        self._config = config
        # Not resolved: the interpreter of a virtual environment is a link, the command lies beside the link.
        self._command = Path(sys.executable).parent / "trunkline"
        run = (str(self._command), "run", "--config", str(self.config_file))
        self._process = ChildProcess("Trunkline", run, log=self.log_file)

    @property
    def metrics_url(self) -> str:
        """Where an operator looks."""
        return f"{self._ops_url}/metrics"

    async def prepare(self) -> None:
        """Write the configuration and have the registration made from it."""
        if not self._command.exists():
            raise DemoError(f"{self._command} is missing; `make demo` installs Trunkline there")
        self.config_file.write_text(yaml.safe_dump(self._config.sections(), sort_keys=False))
        await self._run_to_end(
            "generate-registration", "--config", self.config_file, "--output", self.registration_file, "--force"
        )

    async def start(self, *, timeout_s: float = 30.0) -> None:
        """Start the process and wait until it says that it is ready; raises :class:`DemoError`."""
        self.log_file.unlink(missing_ok=True)
        await self._process.start_until(lambda: self._until_ready(timeout_s))

    async def stop(self) -> None:
        """End the process; may be called at any time, and twice."""
        await self._process.stop()

    async def wait(self) -> int:
        """Until the process ends by itself, which it should not."""
        return await self._process.wait()

    def explain(self, what: str) -> str:
        """A message that shows what Trunkline said last."""
        return f"{what}. The end of {self.log_file}:\n{tail(self.log_file)}"

    async def _run_to_end(self, *arguments: str | Path) -> None:
        command = (str(self._command), *(str(argument) for argument in arguments))
        process = ChildProcess(f"trunkline {arguments[0]}", command, log=self.log_file)
        await process.start()
        try:
            status = await asyncio.wait_for(process.wait(), _COMMAND_LIMIT_S)
        except TimeoutError as error:
            raise DemoError(self.explain(f"{process.name} took more than {_COMMAND_LIMIT_S:.0f} s")) from error
        finally:
            await process.stop()
        if status != 0:
            raise DemoError(self.explain(f"{process.name} failed (exit code {status})"))

    async def _until_ready(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        async with aiohttp.ClientSession(self._ops_url, timeout=_REQUEST_TIMEOUT) as session:
            while (state := await _readiness(session)) != "ready":
                if not self._process.running:
                    raise DemoError(self.explain(f"Trunkline ended at once (exit code {self._process.returncode})"))
                if time.monotonic() > deadline:
                    raise DemoError(self.explain(f"Trunkline was not ready within {timeout_s:.0f} s ({state})"))
                await asyncio.sleep(_POLL_INTERVAL_S)


def machine_addresses() -> list[str]:
    """Loopback, then this machine's IPv4 addresses: browsers leave loopback out, our own caller uses nothing else."""
    found = [ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips if isinstance(ip.ip, str)]
    others = [address for address in dict.fromkeys(found) if not address.startswith(("127.", "169.254."))]
    return [HOST, *others][:_MAX_WEBRTC_HOSTS]


async def _readiness(session: aiohttp.ClientSession) -> str:
    """`ready`, or what is missing, in the words of `/readyz`."""
    try:
        async with session.get("/readyz") as answer:
            return "ready" if answer.status == 200 else (await answer.text())[:300]
    except (aiohttp.ClientError, TimeoutError) as error:
        return str(error)
