"""sipp: a scripted caller or callee that counts good and bad calls (Debian package `sip-tester`)."""

import subprocess
from pathlib import Path

from tests.peers.process import LOOPBACK, PeerProcess, free_port, port_is_bound

_MODE = {"udp": "u1", "tcp": "t1"}


def builtin_scenario(name: str) -> str:
    """The XML of a scenario that is built into sipp, to be changed for a test."""
    shown = subprocess.run(["sipp", "-sd", name], capture_output=True, text=True, timeout=10, check=False)
    return shown.stdout[shown.stdout.index("<?xml") :]


class SippUas(PeerProcess):
    """A callee on `port`: answers 180, 200, and BYE; echoes RTP when asked to."""

    def __init__(
        self,
        directory: Path,
        *,
        transport: str = "udp",
        scenario: str | Path = "uas",
        port: int | None = None,
        rtp_echo: bool = False,
        calls: int | None = None,
        options: tuple[str, ...] = (),
    ) -> None:
        self.port = port or free_port()
        super().__init__(f"sipp-uas-{self.port}", directory)
        self.transport = transport
        self.rtp_port = free_port(span=4)
        self._scenario = scenario
        self._options = (*options, *(("-rtp_echo",) if rtp_echo else ()), *(("-m", str(calls)) if calls else ()))

    async def start(self) -> None:
        await self.launch(
            (
                *("sipp", *_scenario_arguments(self._scenario), "-i", LOOPBACK, "-p", str(self.port)),
                *("-t", _MODE[self.transport], "-mi", LOOPBACK, "-mp", str(self.rtp_port), "-nostdin"),
                *("-trace_err", "-error_file", f"{self.directory / self.name}.err", *self._options),
            )
        )
        await self.wait_until(lambda: port_is_bound(self.port, self.transport))


class SippUac(PeerProcess):
    """A caller of `target` (`host:port`); `run` places the calls and returns 0 when all were good."""

    def __init__(
        self,
        directory: Path,
        target: str,
        *,
        transport: str = "udp",
        scenario: str | Path = "uac",
        service: str = "service",
        calls: int = 1,
        rate: int = 10,
        hold_ms: int = 0,
        port: int | None = None,
        options: tuple[str, ...] = (),
    ) -> None:
        self.port = port or free_port()
        super().__init__(f"sipp-uac-{self.port}", directory)
        self.transport = transport
        self.rtp_port = free_port(span=4)
        self._target, self._scenario, self._service = target, scenario, service
        self._load = ("-m", str(calls), "-r", str(rate), "-d", str(hold_ms), "-s", service)
        self._options = options

    async def start(self) -> None:
        await self.launch(
            (
                *("sipp", *_scenario_arguments(self._scenario), self._target, "-i", LOOPBACK, "-p", str(self.port)),
                *("-t", _MODE[self.transport], "-mi", LOOPBACK, "-mp", str(self.rtp_port), "-nostdin"),
                *("-trace_err", "-error_file", f"{self.directory / self.name}.err", *self._load, *self._options),
            )
        )

    async def run(self, *, limit_s: float = 60.0) -> int:
        """Place the calls, wait for their end, return sipp's exit status."""
        async with self:
            return await self.wait_exit(limit_s=limit_s)


def _scenario_arguments(scenario: str | Path) -> tuple[str, str]:
    return ("-sf", str(scenario)) if isinstance(scenario, Path) else ("-sn", scenario)
