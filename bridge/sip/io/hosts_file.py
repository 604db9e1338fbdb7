"""`/etc/hosts`: names that the administrator has given addresses, which count more than any name server's answer."""

import os
from pathlib import Path

from bridge.core.addresses import is_numeric

HOSTS = Path("/etc/hosts")
MAX_BYTES = 1 << 20


class HostsFile:
    """Read again whenever it has changed."""

    def __init__(self, path: Path = HOSTS) -> None:
        self._path = path
        self._read_at = -1.0
        self._names: dict[str, tuple[str, ...]] = {}

    def addresses(self, host: str) -> tuple[str, ...]:
        """What the file says about a name."""
        self._refresh()
        return self._names.get(host.lower().rstrip("."), ())

    def _refresh(self) -> None:
        try:
            changed_at = os.stat(self._path).st_mtime
            if changed_at == self._read_at:
                return
            with self._path.open("rb") as file:
                text = file.read(MAX_BYTES).decode(errors="replace")
        except OSError:
            return
        self._read_at = changed_at
        self._names = _parsed(text)


def _parsed(text: str) -> dict[str, tuple[str, ...]]:
    names: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        address, *hosts = line.partition("#")[0].split() or [""]
        if is_numeric(address):
            for host in hosts:
                names[host.lower()] = (*names.get(host.lower(), ()), address)
    return names
