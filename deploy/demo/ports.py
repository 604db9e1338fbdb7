"""Free ports that stay the same from one run to the next, as long as nobody else takes them."""

import contextlib
import json
import socket
from collections.abc import Mapping
from pathlib import Path

_KINDS = {"tcp": (socket.SOCK_STREAM,), "udp": (socket.SOCK_DGRAM,), "both": (socket.SOCK_STREAM, socket.SOCK_DGRAM)}
_ATTEMPTS = 50


def is_free(port: int, *, host: str = "127.0.0.1", kind: str = "tcp") -> bool:
    """Whether `port` can be bound now; `kind` is `tcp`, `udp` or `both`."""
    return all(_can_bind(host, port, socket_type) for socket_type in _KINDS[kind])


def free_port(*, host: str = "127.0.0.1", kind: str = "tcp", preferred: int = 0) -> int:
    """`preferred` if it is free, else one that the system picks; for `both`, one number that is free in TCP and UDP."""
    if preferred and is_free(preferred, host=host, kind=kind):
        return preferred
    for _ in range(_ATTEMPTS):
        port = _any_port(host, _KINDS[kind][0])
        if is_free(port, host=host, kind=kind):
            return port
    raise OSError(f"no free {kind} port on {host} after {_ATTEMPTS} attempts")


class StoredPorts:
    """Ports by name in a small JSON file, so that an address noted down yesterday works today."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ports = dict(_read(path))

    def take(self, name: str, *, kind: str = "tcp") -> int:
        """The port that `name` had last time if it is free, else a new one that is remembered."""
        port = free_port(kind=kind, preferred=self._ports.get(name, 0))
        if self._ports.get(name) != port:
            self._ports[name] = port
            self._path.write_text(json.dumps(self._ports, indent=2, sort_keys=True) + "\n")
        return port


def _read(path: Path) -> Mapping[str, int]:
    """What is stored; a file that cannot be read counts as empty, since any free port will do."""
    with contextlib.suppress(OSError, ValueError):
        stored = json.loads(path.read_text())
        if isinstance(stored, dict):
            return {name: port for name, port in stored.items() if isinstance(port, int) and 0 < port < 65536}
    return {}


def _can_bind(host: str, port: int, socket_type: int) -> bool:
    with socket.socket(socket.AF_INET, socket_type) as probe:
        if socket_type == socket.SOCK_STREAM:
            # A server's closed connections linger in TIME_WAIT; servers bind over them, so the probe does too.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def _any_port(host: str, socket_type: int) -> int:
    with socket.socket(socket.AF_INET, socket_type) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
