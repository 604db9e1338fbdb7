"""How long a caller waits for us: from an `m.call.invite` pushed to the bridge until its INVITE is on the wire.

A bridge runs as an operator runs it, between a scripted homeserver and a phone that is always busy. The time begins
when the homeserver starts to push the transaction, so it includes HTTP, storing the event, policy, media and SIP.
"""

import asyncio
import json
import tempfile
import time
from pathlib import Path
from statistics import quantiles
from typing import Any, cast

from bridge.core.ids import UserId
from bridge.sip import Request, parse_message
from tests.e2e.running_bridge import Bridge, Section
from tests.e2e.scripted_users import AS_TOKEN, HS_TOKEN, ScriptedUser
from tests.e2e.webrtc import mute_offer
from tests.homeserver import ScriptedHomeserver
from tests.peers.process import LOOPBACK

Row = dict[str, str | float]

_SERVER_NAME = "example.org"
_WARM_UP = 20
_CALLS = 300
_CALLS_PER_S = 25
_DISCARD_PORT = 9


class TimedHomeserver(ScriptedHomeserver):
    """Notes when it begins to push each invite."""

    def __init__(self) -> None:
        super().__init__(server_name=_SERVER_NAME, as_token=AS_TOKEN, hs_token=HS_TOKEN)
        self.pushed_at: dict[str, float] = {}

    async def ask(self, method: str, path: str, body: bytes | None = None, token: str | None = None) -> tuple[int, Any]:
        if "/transactions/" in path and body and b"m.call.invite" in body:
            now = time.perf_counter()
            for event in json.loads(body)["events"]:
                if event["type"] == "m.call.invite":
                    self.pushed_at.setdefault(event["content"]["call_id"], now)
        return await super().ask(method, path, body, token)


class BusyPhone(asyncio.DatagramProtocol):
    """Notes when the first INVITE to each number arrives, and is busy."""

    def __init__(self) -> None:
        self.invited_at: dict[str, float] = {}
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not checked: the datagram transport of CPython 3.11 is no subclass of DatagramTransport.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        now = time.perf_counter()
        message = parse_message(data)
        if isinstance(message, Request) and message.method == "INVITE" and self._transport is not None:
            self.invited_at.setdefault(_called(message), now)
            self._transport.sendto(bytes(message.response(486, to_tag="busy")), addr)


def _called(request: Request) -> str:
    """User part of the Request-URI."""
    return str(request.uri).partition(":")[2].partition("@")[0]


def run() -> list[Row]:
    """Measure and return one row for each figure."""
    with tempfile.TemporaryDirectory() as folder:
        waits = sorted(asyncio.run(_measure(Path(folder))))
    cuts = quantiles(waits, n=100)
    figures = {"p50": cuts[49], "p99": cuts[98], "max": waits[-1]}
    return [
        {"name": f"invite_to_invite_{name}", "value": round(value * 1e3, 2), "unit": "ms"}
        for name, value in figures.items()
    ]


async def _measure(folder: Path) -> list[float]:
    loop = asyncio.get_running_loop()
    transport, phone = await loop.create_datagram_endpoint(BusyPhone, local_addr=(LOOPBACK, 0))
    try:
        homeserver = TimedHomeserver()
        async with homeserver:
            bridge = _bridge(folder, homeserver, transport.get_extra_info("sockname")[1])
            homeserver.connect(f"http://{LOOPBACK}:{bridge.appservice_port}")
            async with bridge:
                await _call(homeserver, range(_WARM_UP))
                await _call(homeserver, range(_WARM_UP, _WARM_UP + _CALLS))
        return [
            phone.invited_at[_number(index)] - homeserver.pushed_at[_call_id(index)]
            for index in range(_WARM_UP, _WARM_UP + _CALLS)
        ]
    finally:
        transport.close()


def _bridge(folder: Path, homeserver: ScriptedHomeserver, phone_port: int) -> Bridge:
    settings: dict[str, Section] = {
        "trunks": {"phone": {"server": f"{LOOPBACK}:{phone_port}"}},
        "permissions": {"outbound": [{"who": [_SERVER_NAME], "prefixes": ["+1555"]}]},
        "logging": {"level": "info", "format": "json"},
    }
    bridge = Bridge(folder, homeserver_url=homeserver.url, server_name=_SERVER_NAME, settings=settings)
    bridge.use_tokens(as_token=AS_TOKEN, hs_token=HS_TOKEN)
    return bridge


async def _call(homeserver: TimedHomeserver, indexes: range) -> None:
    """Place one call after the other at an even pace, each by a user of its own in a room that is ready."""
    users = [await _user(homeserver, index) for index in indexes]
    async with asyncio.TaskGroup() as group:
        for index, user in zip(indexes, users, strict=True):
            group.create_task(_be_refused(user, index))
            await asyncio.sleep(1 / _CALLS_PER_S)


async def _user(homeserver: TimedHomeserver, index: int) -> ScriptedUser:
    user_id = homeserver.add_user(f"caller{index}")
    room_id = await homeserver.create_dm(user_id, UserId(f"@_sip_{_number(index)}:{_SERVER_NAME}"))
    return ScriptedUser(homeserver=homeserver, user_id=user_id, room_id=room_id)


async def _be_refused(user: ScriptedUser, index: int) -> None:
    await user.invite(_call_id(index), mute_offer(index, port=_DISCARD_PORT))
    await user.rejected(_call_id(index))


def _number(index: int) -> str:
    return f"+1555{index:07}"


def _call_id(index: int) -> str:
    return f"call{index}"
