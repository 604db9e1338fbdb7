"""Keeps asking the homeserver to call us, so that it delivers at once and we know whether it is there."""

import asyncio
import itertools

import structlog

from bridge.core.clock import Clock
from bridge.core.entropy import Entropy
from bridge.core.telemetry import Telemetry
from bridge.matrix.client import Client
from bridge.matrix.link import MatrixError
from bridge.matrix.settings import MatrixSettings

_log = structlog.get_logger()

_INTERVAL_S = 60.0
_SECOND_S = 5.0
_FIRST_RETRY_S = 0.5
_LONGEST_RETRY_S = 15.0
_REMEDIES = {
    "M_UNKNOWN_TOKEN": "list the file of generate-registration in the homeserver's configuration, and restart it",
    "M_UNREACHABLE": "is homeserver.url right, and does the homeserver run?",
    "M_CONNECTION_FAILED": "does the url of the registration lead to appservice.listen?",
    "M_BAD_STATUS": "is hs_token the same here and in the registration that the homeserver has loaded?",
}
"""What an admin can do, by why the homeserver did not reach us (specification, "Pinging")."""


class Pinger:
    """A homeserver that could not deliver waits up to 512 s before it tries again, unless a ping succeeds.

    Synapse begins to deliver with the first event after its own start, and a ping before that hastens nothing. So after
    the first success there is a second ping soon, for a homeserver that was started together with us.
    """

    def __init__(
        self, settings: MatrixSettings, *, client: Client, clock: Clock, entropy: Entropy, telemetry: Telemetry
    ) -> None:
        self._settings = settings
        self._client = client
        self._entropy = entropy
        self._clock = clock
        self._telemetry = telemetry
        self._bot_known = False
        self.healthy = False
        """Whether the homeserver reached us when it was last asked to."""

    async def run(self) -> None:
        """Ping now, again soon after a failure, and now and then after a success."""
        retry_s = _FIRST_RETRY_S
        for number in itertools.count(1):
            healthy_before = self.healthy
            await self._ping(f"ping-{self._entropy.token(8)}-{number}")
            if self.healthy:
                retry_s = _FIRST_RETRY_S
                await asyncio.sleep(_INTERVAL_S if healthy_before else _SECOND_S)
            else:
                await asyncio.sleep(retry_s)
                retry_s = min(retry_s * 2, _LONGEST_RETRY_S)

    async def _ping(self, txn_id: str) -> None:
        limit_s = self._settings.request_timeout_s
        try:
            if not self._bot_known:
                await self._client.register(self._settings.bot_localpart, give_up_after_s=limit_s)
                self._bot_known = True
            await self._client.ping(self._settings.appservice_id, txn_id, give_up_after_s=limit_s)
        except MatrixError as error:
            # A homeserver from before specification v1.7 knows no ping, but it is there.
            if error.errcode == "M_UNRECOGNIZED":
                self._note(healthy=True)
                return
            self._note(healthy=False)
            remedy = _REMEDIES.get(error.errcode, "trunkline doctor says more")
            _log.warning("homeserver_ping_failed", reason=error.errcode, status=error.status, remedy=remedy)
        else:
            self._note(healthy=True)

    def _note(self, *, healthy: bool) -> None:
        if healthy and not self.healthy:
            _log.info("homeserver_reached_us")
        self.healthy = healthy
        self._telemetry.gauge("matrix_homeserver_up", 1 if healthy else 0)
