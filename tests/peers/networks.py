"""Networks of this machine's own: two private ones, each behind a NAT of its own, and a public one between them.

inner 10.1.0.2 ── NAT 192.0.2.10 ── public 192.0.2.9, 198.51.100.9 ── NAT 198.51.100.10 ── inner 10.2.0.2
"""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from shutil import which
from typing import Self

from tests.patience import PATIENCE_S

PUBLIC_HOST = "192.0.2.9"
_SIDES = (("192.0.2", "10.1.0"), ("198.51.100", "10.2.0"))


def can_be_made() -> bool:
    """Whether this user may make network namespaces."""
    return os.geteuid() == 0 and which("ip") is not None and which("iptables") is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """Names of the namespaces."""

    public: str
    inner: tuple[str, str]

    @classmethod
    @contextlib.asynccontextmanager
    async def behind_nats(cls, *, symmetric: bool) -> AsyncIterator[Self]:
        """Two NATs as routers at home are; `symmetric` ones give every destination another port (RFC 4787 §4.1)."""
        made: list[str] = []
        try:
            yield cls._made(f"tl{os.getpid()}", made, symmetric)
        finally:
            for name in reversed(made):
                _run("ip", "netns", "delete", name)

    @classmethod
    def _made(cls, prefix: str, made: list[str], symmetric: bool) -> Self:
        public = _namespace(f"{prefix}public", made)
        inner = []
        for number, (outside, inside) in enumerate(_SIDES):
            router, host = _namespace(f"{prefix}nat{number}", made), _namespace(f"{prefix}host{number}", made)
            _link(public, f"nat{number}", f"{outside}.9", router, "out", f"{outside}.10")
            _link(router, "in", f"{inside}.1", host, "out", f"{inside}.2")
            _inside(router, "ip", "route", "add", "default", "via", f"{outside}.9")
            _inside(host, "ip", "route", "add", "default", "via", f"{inside}.1")
            _inside(router, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
            _inside(router, "iptables", "-A", "INPUT", "-i", "out", "-j", "DROP")
            ways = ("-t", "nat", "-A", "POSTROUTING", "-o", "out", "-j", "MASQUERADE")
            _inside(router, "iptables", *ways, *(["--random-fully"] if symmetric else []))
            inner.append(host)
        _inside(public, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
        return cls(public=public, inner=(inner[0], inner[1]))


def _namespace(name: str, made: list[str]) -> str:
    _run("ip", "netns", "add", name)
    made.append(name)
    _inside(name, "ip", "link", "set", "lo", "up")
    return name


def _link(one: str, device: str, address: str, other: str, other_device: str, other_address: str) -> None:
    """Two interfaces that are the ends of one wire."""
    peer = ("peer", "name", other_device, "netns", other)
    _inside(one, "ip", "link", "add", device, "type", "veth", *peer)
    for namespace, name, host in ((one, device, address), (other, other_device, other_address)):
        _inside(
            namespace, "ip", "address", "add", f"{host}/30" if not host.startswith("10.") else f"{host}/24", "dev", name
        )
        _inside(namespace, "ip", "link", "set", name, "up")


def _inside(namespace: str, *command: str) -> None:
    _run("ip", "netns", "exec", namespace, *command)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S)


async def start(namespace: str, *command: str) -> asyncio.subprocess.Process:
    """A program inside a namespace, spoken with by its standard input and output."""
    return await asyncio.create_subprocess_exec(
        "ip", "netns", "exec", namespace, *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
