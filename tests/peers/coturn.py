"""coturn, the STUN and TURN server that most homeservers come with."""

from pathlib import Path

from tests.patience import PATIENCE_S
from tests.peers.certificates import Identity
from tests.peers.process import LOOPBACK, PeerProcess, free_port, port_is_bound

_RELAYS = 40
SECRET = "a secret that the homeserver shares with it"
USER, PASSWORD = "bridge", "password of the bridge"


class Coturn(PeerProcess):
    """Serves UDP and TCP on `port`, with an `identity` TLS on `tls_port`, to `USER` or to who knows `SECRET`."""

    def __init__(
        self,
        directory: Path,
        *,
        host: str = LOOPBACK,
        namespace: str = "",
        shared_secret: bool = False,
        identity: Identity | None = None,
    ) -> None:
        self.host, self._namespace = host, namespace
        self.port = free_port(span=2 + _RELAYS)
        self.tls_port = self.port + 1
        super().__init__(f"coturn-{self.port}", directory)
        self._shared_secret, self._identity = shared_secret, identity

    async def start(self) -> None:
        first = self.port + 2
        command = [
            *(("ip", "netns", "exec", self._namespace) if self._namespace else ()),
            *(
                "turnserver",
                "-n",
                "--verbose",
                "--no-cli",
                "--log-file",
                "stdout",
                "--simple-log",
                "--realm",
                "lab.test",
            ),
            *("--listening-ip", self.host, "--listening-port", str(self.port), "--relay-ip", self.host),
            *("--min-port", str(first), "--max-port", str(first + _RELAYS - 1), "--allow-loopback-peers"),
            *(
                "--pidfile",
                str(self.directory / f"{self.name}.pid"),
                "--userdb",
                str(self.directory / f"{self.name}.db"),
            ),
            *(("--use-auth-secret", "--static-auth-secret", SECRET) if self._shared_secret else self._users()),
            *self._tls(),
        ]
        await self.launch(command)
        await self.wait_until(self._listens)

    def _listens(self) -> bool:
        if self._namespace:
            return "UDP listener opened" in self.log_path.read_text()
        return port_is_bound(self.port, "udp") and port_is_bound(self.port, "tcp")

    def _users(self) -> tuple[str, ...]:
        return ("--lt-cred-mech", "--user", f"{USER}:{PASSWORD}")

    def _tls(self) -> tuple[str, ...]:
        if self._identity is None:
            return ("--no-tls", "--no-dtls")
        files = ("--cert", str(self._identity.certificate), "--pkey", str(self._identity.private_key))
        return ("--tls-listening-port", str(self.tls_port), "--no-dtls", *files)

    async def given_back(self) -> None:
        """Wait until an allocation was ended by its client."""
        await self.wait_until(lambda: "lifetime=0" in self.log_path.read_text(), limit_s=PATIENCE_S)
