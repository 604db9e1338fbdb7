"""A real homeserver for the demo and for the end-to-end tests: Synapse in a directory of its own."""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp

from deploy.demo.errors import DemoError
from deploy.demo.ports import StoredPorts
from deploy.demo.processes import ChildProcess, tail
from deploy.demo.synapse_config import CONFIG_FILE, SynapseSecrets, write_synapse_config

_POLL_INTERVAL_S = 0.1
_REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=10)
_ADMIN_REGISTER = "/_synapse/admin/v1/register"


class Synapse:
    """Synapse on a port of 127.0.0.1, with SQLite; a directory that was used before is used again.

    `port` is that of the last run while it is free, if none is given, and is known before `start`: other configuration
    files need it.
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        python: Path | str = ".venv-synapse/bin/python",
        server_name: str = "localhost",
        app_service_config_files: Sequence[Path | str] = (),
        port: int | None = None,
    ) -> None:
        self.directory = Path(directory).absolute()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.server_name = server_name
        self.port = port or StoredPorts(self.directory / "ports.json").take("homeserver")
        # Not resolved: a virtual environment's interpreter is a symbolic link, and must be called by it.
        self._python = Path(python).absolute()
        self._app_service_config_files = [Path(path).absolute() for path in app_service_config_files]
        self._secrets = SynapseSecrets.kept_in(self.directory / "secrets.json")
        config = self.directory / CONFIG_FILE
        command = (str(self._python), "-m", "synapse.app.homeserver", "--config-path", str(config))
        self._process = ChildProcess("Synapse", command, log=self.output_file)

    @property
    def url(self) -> str:
        """Base address of the client-server API."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log_file(self) -> Path:
        """What Synapse logs; what it prints before its logging is up goes to `output_file`."""
        return self.directory / "homeserver.log"

    @property
    def output_file(self) -> Path:
        """Standard output and error of the process: faults of the configuration end up here."""
        return self.directory / "homeserver.out"

    async def start(self, *, timeout_s: float = 90.0) -> None:
        """Write the configuration, start the process and wait until it answers; raises :class:`DemoError`."""
        if not self._python.exists():
            raise DemoError(f"{self._python} is missing; `make demo` installs Synapse there")
        write_synapse_config(
            self.directory,
            server_name=self.server_name,
            port=self.port,
            app_service_config_files=self._app_service_config_files,
            secrets_=self._secrets,
        )
        self.output_file.unlink(missing_ok=True)
        await self._process.start_until(lambda: self._until_it_answers(timeout_s))

    async def stop(self) -> None:
        """End the process; may be called at any time, and twice."""
        await self._process.stop()

    async def wait(self) -> int:
        """Until the process ends by itself, which it should not; its exit code."""
        return await self._process.wait()

    async def register_user(self, name: str, password: str, *, admin: bool = False) -> str:
        """Make a user with the shared secret (Synapse's admin API); returns the user id, also of one that exists."""
        async with aiohttp.ClientSession(self.url, timeout=_REQUEST_TIMEOUT) as session:
            async with session.get(_ADMIN_REGISTER) as answer:
                nonce = (await answer.json())["nonce"]
            request = self._registration_request(nonce, name, password, admin)
            async with session.post(_ADMIN_REGISTER, json=request) as answer:
                content: dict[str, Any] = await answer.json()
        if answer.status != 200 and content.get("errcode") != "M_USER_IN_USE":
            raise DemoError(f"Synapse did not register {name}: {content.get('error', answer.status)}")
        return f"@{name}:{self.server_name}"

    def log_tail(self, lines: int = 15) -> str:
        """The end of the log, or of the process's own output when it never came to logging."""
        return tail(self.output_file, lines) or tail(self.log_file, lines)

    def _registration_request(self, nonce: str, name: str, password: str, admin: bool) -> dict[str, Any]:
        parts = (nonce, name, password, "admin" if admin else "notadmin")
        mac = hmac.new(self._secrets.registration.encode(), "\0".join(parts).encode(), hashlib.sha1).hexdigest()
        return {"nonce": nonce, "username": name, "password": password, "admin": admin, "mac": mac}

    async def _until_it_answers(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        async with aiohttp.ClientSession(self.url, timeout=_REQUEST_TIMEOUT) as session:
            while not await _answers(session):
                self._raise_if_ended()
                if time.monotonic() > deadline:
                    raise DemoError(self.explain(f"Synapse did not answer within {timeout_s:.0f} s"))
                await asyncio.sleep(_POLL_INTERVAL_S)

    def _raise_if_ended(self) -> None:
        if not self._process.running:
            raise DemoError(self.explain(f"Synapse ended at once (exit code {self._process.returncode})"))

    def explain(self, what: str) -> str:
        """A message that shows what Synapse said last."""
        return f"{what}. The end of {self.log_file}:\n{self.log_tail()}"


async def _answers(session: aiohttp.ClientSession) -> bool:
    """Whether the client-server API is up; a refused connection is the ordinary answer of a server that starts."""
    try:
        async with session.get("/_matrix/client/versions") as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
