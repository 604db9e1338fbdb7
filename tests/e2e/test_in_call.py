"""What may happen while a browser and a phone talk: other networks, a muted microphone, a camera."""

import asyncio

import pytest

from tests.e2e.handset import Handset
from tests.e2e.lab import Lab
from tests.e2e.network import Network
from tests.e2e.test_hold import hear_each_other, talking
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.asyncio(loop_scope="session")
MOST_GAP_S = 0.3
"""A third of a second is noticed as a click, more as "are you still there?"."""


async def test_a_browser_that_restarts_ice_is_heard_all_the_time(lab: Lab) -> None:
    restarts = await lab.bridge.metric("ice_restarts_total", result="success")
    async with talking(lab) as (handset, phone):
        before = await handset.shown()
        await handset.time_gaps()
        phone.time_gaps()
        await handset.restart_ice()
        await lab.bridge.wait_metric("ice_restarts_total", restarts + 1, result="success")
        await handset.wait_shown(connection="connected", association="connected", certificate=before["certificate"])
        assert (await handset.shown())["credentials"] != before["credentials"]
        await hear_each_other(handset, phone)
        assert await handset.longest_gap_s() < MOST_GAP_S
        assert phone.longest_gap_s() < MOST_GAP_S
        assert phone.offered == ["sendrecv"]


async def test_a_browser_whose_network_is_gone_comes_back_over_another(lab: Lab) -> None:
    """The browser notices within seconds, and the SDK restarts ICE two seconds later. Here the phone has called."""
    person = await lab.person()
    async with lab.desk_phone() as phone, lab.device(person) as device, Network(device) as network:
        phone.call(person.number)
        await device.wait_ringing()
        await device.answer()
        await asyncio.gather(device.wait_connected(), phone.wait_answered())
        handset = Handset(device)
        await hear_each_other(handset, phone)
        network.cut()
        await asyncio.gather(phone.hears_nothing(), handset.hears_nothing())
        await device.wait_state("connecting")
        await device.wait_connected(limit_s=PATIENCE_S)
        await hear_each_other(handset, phone)
        await device.hang_up()
        await phone.wait_ended()


async def test_a_muted_microphone_and_a_refused_camera_change_nothing_else(lab: Lab) -> None:
    async with talking(lab) as (handset, phone):
        await handset.mute()
        await asyncio.gather(phone.hears_nothing(), handset.wait_shown(muted=True, direction="sendrecv"))
        await handset.mute(muted=False)
        await hear_each_other(handset, phone)
        await handset.show_camera()
        await handset.wait_shown(video="0", direction="sendrecv", connection="connected")
        await hear_each_other(handset, phone)
        assert phone.offered == ["sendrecv"]
        await handset.hold()
        await phone.wait_offered("sendonly")
        await handset.resume()
        await handset.wait_shown(video="0", direction="sendrecv")
        await hear_each_other(handset, phone)
        room_id = (await handset.device.calls())[-1]["roomId"]
        kinds = [event["type"] for event in await handset.device.call_events(room_id)]
        assert kinds.count("m.call.sdp_stream_metadata_changed") >= 2
