"""A phone is watched at a PBX that sipp plays."""

from pathlib import Path

import pytest

from bridge.sip.dialog_info import PhoneState
from bridge.sip.events import PhoneStateChanged
from bridge.sip.settings import Transport, Trunk, TrunkAuth
from tests.patience import PATIENCE_S
from tests.peers.sipp import SippUas
from tests.sip.phone import LOOPBACK, Phone
from tests.sip.test_peers import TRUNK
from tests.sip.test_transfer_peers import SCENARIOS


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
async def test_sipp_tells_what_its_phone_is_doing(tmp_path: Path, transport: Transport) -> None:
    scenario = SCENARIOS / "watched_phone.xml"
    async with SippUas(tmp_path, transport=transport.value, scenario=scenario, calls=1) as uas:
        trunk = Trunk(
            name=TRUNK,
            host=LOOPBACK,
            port=uas.port,
            transport=transport,
            auth=TrunkAuth.DIGEST,
            username="alice",
            password="secret",
            presence_of=("201",),
        )
        async with Phone(trunk) as phone:
            await phone.wait(PhoneStateChanged, count=4)
        assert await uas.wait_exit(limit_s=PATIENCE_S) == 0, uas.log_tail()
    states = [event.state for event in phone.of(PhoneStateChanged)]
    assert states == [PhoneState.IDLE, PhoneState.RINGING, PhoneState.BUSY, PhoneState.IDLE]
