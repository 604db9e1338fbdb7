"""The Matrix caller against itself, over a real homeserver: whatever it cannot do alone it cannot show of Trunkline."""

import asyncio
from pathlib import Path

import pytest

from deploy.demo.audio import Ear, Tone, listen_for
from deploy.demo.errors import DemoError
from deploy.demo.homeserver import Synapse
from deploy.demo.matrix_caller import MatrixCaller
from deploy.demo.milestones import Milestone
from tests.patience import PATIENCE_S

ALICE = Tone(pitch_hz=440.0, level_dbfs=-20.0)
BOB = Tone(pitch_hz=600.0, level_dbfs=-23.0)


async def hears(ear: Ear, tone: Tone) -> bool:
    """Whether the tone arrives in time."""
    return tone.matches(await listen_for(tone, ear, within_s=PATIENCE_S))


@pytest.mark.usefixtures("loopback_ice")
async def test_two_callers_ring_answer_hear_each_other_and_hang_up(synapse: Synapse) -> None:
    await synapse.register_user("alice", "secret")
    bob_id = await synapse.register_user("bob", "secret")
    caller, callee = MatrixCaller(synapse.url, tone=ALICE), MatrixCaller(synapse.url, tone=BOB)
    async with caller, callee:
        await caller.log_in("alice", "secret")
        await callee.log_in("bob", "secret")
        out = caller.new_call(await caller.client.direct_room(bob_id))
        await out.invite()
        back = await asyncio.wait_for(callee.incoming.get(), PATIENCE_S)
        await back.answer()
        await out.milestones.wait(Milestone.CONNECTED, within_s=PATIENCE_S)

        assert await hears(out.audio.ear, BOB)
        assert await hears(back.audio.ear, ALICE)

        await back.hang_up()
        await out.milestones.wait(Milestone.ENDED, within_s=PATIENCE_S)
        assert out.milestones.why_ended == "m.call.hangup, reason user_hangup"


async def test_a_room_of_an_earlier_call_is_used_again(synapse: Synapse) -> None:
    await synapse.register_user("alice", "secret")
    bob_id = await synapse.register_user("bob", "secret")
    caller, callee = MatrixCaller(synapse.url, tone=ALICE), MatrixCaller(synapse.url, tone=BOB)
    async with caller, callee:
        await caller.log_in("alice", "secret")
        await callee.log_in("bob", "secret")

        first = await caller.client.direct_room(bob_id)

        assert await caller.client.direct_room(bob_id) == first


async def test_a_wrong_password_is_said_in_words(synapse: Synapse) -> None:
    await synapse.register_user("alice", "secret")
    async with MatrixCaller(synapse.url, tone=ALICE) as caller:
        with pytest.raises(DemoError, match=r"refused POST /login: Invalid username or password"):
            await caller.log_in("alice", "wrong")


async def test_a_homeserver_is_started_again_with_its_users(tmp_path: Path) -> None:
    for _ in range(2):
        synapse = Synapse(tmp_path)
        await synapse.start()
        try:
            assert await synapse.register_user("alice", "secret") == "@alice:localhost"
            async with MatrixCaller(synapse.url, tone=ALICE) as caller:
                await caller.log_in("alice", "secret")
        finally:
            await synapse.stop()


async def test_a_homeserver_that_cannot_start_shows_what_it_said(tmp_path: Path) -> None:
    synapse = Synapse(tmp_path, app_service_config_files=[tmp_path / "missing.yaml"])

    with pytest.raises(DemoError, match=r"(?s)Synapse ended at once .*missing\.yaml"):
        await synapse.start()


async def test_a_missing_environment_says_what_makes_it(tmp_path: Path) -> None:
    synapse = Synapse(tmp_path, python=tmp_path / "python")

    with pytest.raises(DemoError, match="make demo"):
        await synapse.start()
