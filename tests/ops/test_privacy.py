"""The log of a whole process, from its start through calls of every kind to its end, names nobody."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import scripted
from tests.e2e.running_bridge import Bridge, Section
from tests.e2e.scripted_users import AS_TOKEN, HS_TOKEN, ScriptedUser
from tests.e2e.webrtc import mute_answer, mute_offer
from tests.homeserver import ScriptedHomeserver
from tests.patience import PATIENCE_S
from tests.peers.process import LOOPBACK, free_port
from tests.peers.sipp import SippUac, SippUas

SERVER_NAME = "example.org"
PHONE = "+15550100"
CALLED = "+15559001"
UNKNOWN = "+15556660"
STRANGER = "4930901820"
CALLER, CALLEE, PAUPER = "wanda.walker", "carla.callee", "peter.pauper"
PERSONAL = (
    *(number.removeprefix("+") for number in (PHONE, CALLED, UNKNOWN, STRANGER)),
    *(CALLER, CALLEE, PAUPER, LOOPBACK, AS_TOKEN, HS_TOKEN),
)
"""Numbers with and without their `+`, and localparts with and without the rest of the user id."""
OWN = ("host",)
"""Keys whose value the operator has chosen: where the bridge listens."""
LIKE_A_PERSON = re.compile(
    r"\+\d{7,}|@[\w.+-]+:[\w.-]+|\b\d{1,3}(?:\.\d{1,3}){3}\b|\b[0-9a-f]{1,4}(?:::?[0-9a-f]{1,4}){3,}\b"
)
"""A number, a user id, or an address of IPv4 or IPv6, whoever's."""
HOLD_MS = 200
UNPARSABLE = (
    f"INVITE sip:{STRANGER}@{LOOPBACK} SIP/2.0\r\nFrom: <sip:+{STRANGER}@{LOOPBACK}\r\nCSeq: what\r\n\r\n".encode(),
    f"@{CALLER}:{SERVER_NAME} calls +{STRANGER}\r\n\r\n".encode(),
)


@asynccontextmanager
async def running(directory: Path, homeserver: ScriptedHomeserver, phone_port: int) -> AsyncIterator[Bridge]:
    """A bridge that logs as it does for an operator."""
    settings: dict[str, Section] = {
        "trunks": {"phone": {"server": f"{LOOPBACK}:{phone_port}"}},
        "numbers": {"inbound": {CALLED: f"@{CALLEE}:{SERVER_NAME}"}},
        "permissions": {"outbound": [{"who": [f"@{CALLER}:{SERVER_NAME}"], "prefixes": ["+1555"]}]},
        "logging": {"level": "info", "format": "json"},
    }
    bridge = Bridge(directory, homeserver_url=homeserver.url, server_name=SERVER_NAME, settings=settings)
    bridge.use_tokens(as_token=AS_TOKEN, hs_token=HS_TOKEN)
    homeserver.connect(f"http://{LOOPBACK}:{bridge.appservice_port}")
    async with bridge:
        try:
            yield bridge
        except Exception as error:
            error.add_note(bridge.log_tail())
            raise


async def someone(homeserver: ScriptedHomeserver, name: str) -> ScriptedUser:
    """A user in a room with the phone's ghost."""
    user_id = homeserver.add_user(name)
    room_id = await homeserver.create_dm(user_id, type(user_id)(f"@_sip_{PHONE}:{SERVER_NAME}"), timeout_s=PATIENCE_S)
    return ScriptedUser(homeserver=homeserver, user_id=user_id, room_id=room_id)


@contextmanager
def mute_port() -> Iterator[int]:
    """A port on which nobody answers connectivity checks."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind((LOOPBACK, 0))
        yield mute.getsockname()[1]


async def call_out(directory: Path, homeserver: ScriptedHomeserver, phone_port: int, mute: int) -> None:
    """The phone answers, and hangs up."""
    callee = scripted.answering(directory, hold_ms=HOLD_MS)
    async with SippUas(directory, scenario=callee, port=phone_port, calls=1) as phone:
        user = await someone(homeserver, CALLER)
        await user.invite("call-out", mute_offer(1, port=mute))
        await user.answered("call-out")
        assert await user.hung_up("call-out") == "user_hangup"
        assert await phone.wait_exit(limit_s=PATIENCE_S) == 0


async def call_without_permission(homeserver: ScriptedHomeserver, mute: int) -> None:
    """The bridge refuses, and says why in the room."""
    user = await someone(homeserver, PAUPER)
    await user.invite("call-refused", mute_offer(2, port=mute))
    await homeserver.wait_event(user.room_id, "m.room.message", timeout_s=PATIENCE_S)


def dialling(directory: Path, bridge: Bridge, number: str, phone_port: int) -> SippUac:
    """The phone calls `number`."""
    file = directory / "numbers.csv"
    file.write_text(f"SEQUENTIAL\n{number}\n")
    return SippUac(
        directory,
        f"{LOOPBACK}:{bridge.sip_port}",
        scenario=scripted.calling(directory, PHONE),
        port=phone_port,
        hold_ms=HOLD_MS,
        options=("-inf", str(file)),
    )


async def answer(homeserver: ScriptedHomeserver, mute: int) -> None:
    """Join the room that the bridge makes for the call, and answer it there."""
    user_id = homeserver.add_user(CALLEE)
    room_id = await homeserver.wait_until(
        lambda: next((r for r, room in homeserver.rooms.items() if room.membership(user_id) == "invite"), None),
        timeout_s=PATIENCE_S,
    )
    assert room_id is not None
    await homeserver.join_as(user_id, room_id)
    invite = await homeserver.wait_event(room_id, "m.call.invite", timeout_s=PATIENCE_S)
    user = ScriptedUser(homeserver=homeserver, user_id=user_id, room_id=room_id)
    call_id = str(invite["content"]["call_id"])
    await user.answer(call_id, mute_answer(3, port=mute))
    assert await user.hung_up(call_id) == "user_hangup"


async def be_called(
    directory: Path, homeserver: ScriptedHomeserver, bridge: Bridge, phone_port: int, mute: int
) -> None:
    """Once for somebody who answers, once for nobody: the second call of sipp fails, as it should."""
    async with asyncio.TaskGroup() as group:
        group.create_task(answer(homeserver, mute))
        assert await dialling(directory, bridge, CALLED, phone_port).run(limit_s=PATIENCE_S) == 0
    assert await dialling(directory, bridge, UNKNOWN, phone_port).run(limit_s=PATIENCE_S) == 1


async def send_nonsense(bridge: Bridge) -> None:
    """What no parser takes, from an address that may send."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((LOOPBACK, 0))
        for datagram in UNPARSABLE:
            sender.sendto(datagram, (LOOPBACK, bridge.sip_port))
    await bridge.wait_metric("sip_parse_errors_total", len(UNPARSABLE))


def told(line: str) -> dict[str, Any]:
    """What a line says besides where the bridge itself listens."""
    members = json.loads(line)
    assert isinstance(members, dict)
    return {key: value for key, value in members.items() if key not in OWN}


def without_time(line: dict[str, Any]) -> str:
    return json.dumps({key: value for key, value in line.items() if key != "time"}, ensure_ascii=False)


@pytest.mark.parametrize("person", ["+4930901820", f"@{CALLER}:{SERVER_NAME}", "192.0.2.7", "2001:db8:0:1::7"])
def test_what_would_name_somebody_is_recognised(person: str) -> None:
    assert LIKE_A_PERSON.search(without_time({"event": "call_started", "room": f"x {person} y"}))


async def test_the_log_of_every_kind_of_call_names_nobody(tmp_path: Path) -> None:
    phone_port = free_port()
    async with ScriptedHomeserver(server_name=SERVER_NAME, as_token=AS_TOKEN, hs_token=HS_TOKEN) as homeserver:
        with mute_port() as mute:
            async with running(tmp_path, homeserver, phone_port) as bridge:
                await call_out(tmp_path, homeserver, phone_port, mute)
                await call_without_permission(homeserver, mute)
                await be_called(tmp_path, homeserver, bridge, phone_port, mute)
                await send_nonsense(bridge)
                await bridge.wait_metric("calls_active", 0)
        reasons = sorted(record["reason"] for record in bridge.records())
    lines = [told(line) for line in bridge.log_path.read_text().splitlines()]
    found = [(word, line) for line in lines for word in PERSONAL if word in json.dumps(line, ensure_ascii=False)]
    assert found == []
    assert [line for line in lines if LIKE_A_PERSON.search(without_time(line))] == []
    assert reasons == ["no_media", "no_media", "outbound_is_off", "unassigned_number"]
    ended = sorted(str(line["reason"]) for line in lines if line["event"] == "call_ended")
    assert ended == reasons
    events = {line["event"] for line in lines}
    assert {"bridge_started", "ghost_registered", "portal_created", "call_started", "bridge_stopped"} <= events
    assert "[redacted#" in json.dumps([line.get("sip_call_id") for line in lines])
