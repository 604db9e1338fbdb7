"""Calls over a network that loses, delays, reorders and doubles, with libwebrtc at one end; and the measuring of it."""

import asyncio
from itertools import groupby

import numpy as np
import pytest

from bridge.core.ids import CallId
from bridge.media.embedded import EmbeddedEngine
from tests.media import marks
from tests.media.outcome import Outcome, judge
from tests.media.rough_network import Channel, Conditions, RoughNetwork
from tests.media.talking import CLIENT_RATE, Talk

LEAD, MARKS, TRIES = 25, 200, 6
PACKETS = 20_000
ROUGH = (Conditions(loss=0.1), Conditions(jitter_s=0.04, reordered=0.05, doubled=0.02))


def arrivals(conditions: Conditions) -> list[list[float]]:
    """When the copies of a packet that is sent every 20 ms arrive."""
    channel = Channel(conditions, "a seed")
    return [[number * 0.02 + delay for delay in channel.delays(number * 0.02)] for number in range(PACKETS)]


@pytest.mark.parametrize("burst", [1, 5])
def test_a_network_loses_as_many_as_it_should(burst: int) -> None:
    lost = [not copies for copies in arrivals(Conditions(loss=0.1, burst=burst))]
    assert sum(lost) / PACKETS == pytest.approx(0.1, abs=0.02)
    runs = [len(list(run)) for is_lost, run in groupby(lost) if is_lost]
    assert np.mean(runs) == pytest.approx(max(burst, 1 / 0.9), rel=0.2)


def test_a_network_is_the_same_in_every_run() -> None:
    rough = Conditions(loss=0.1, burst=3, jitter_s=0.04, reordered=0.02, doubled=0.02)
    assert arrivals(rough) == arrivals(rough)


def test_jitter_keeps_the_order_and_reordering_does_not() -> None:
    evenly = [copies[0] for copies in arrivals(Conditions(jitter_s=0.06))]
    assert evenly == sorted(evenly)
    assert max(at - number * 0.02 for number, at in enumerate(evenly)) <= 0.06 + 1e-9
    overtaken = [copies[0] for copies in arrivals(Conditions(reordered=0.05))]
    assert overtaken != sorted(overtaken)


def test_marks_are_told_apart_and_made_up_sound_is_no_mark() -> None:
    sound, said = marks.make(100, marks.RATE), [0.02 * number for number in range(100)]
    assert all(at == pytest.approx(when, abs=0.003) for at, when in zip(marks.read(sound, said).at, said, strict=True))
    sound[40 * 160 : 42 * 160] = sound[38 * 160 : 40 * 160]
    missing = [number for number, at in enumerate(marks.read(sound, said).at) if at is None]
    assert missing == [40, 41]


def test_silence_is_noticed() -> None:
    said = [0.02 * number for number in range(200)]
    sound = marks.make(200, marks.RATE)
    assert marks.read(sound, said).silent == 0.0
    sound[100 * 160 : 150 * 160] = 0
    assert marks.read(sound, said).silent > 0.2


async def talked(engine: EmbeddedEngine, number: int, conditions: Conditions) -> tuple[Outcome, Outcome]:
    """What the phone and the client heard of each other's marks."""
    session = await engine.open(CallId(f"call-{number}"))

    async def open_call(offer: str, phone: str) -> tuple[str, str]:
        await session.set_matrix_offer(offer)
        sip = await session.create_sip_offer()
        await session.set_sip_answer(phone)
        return await session.create_matrix_answer(), sip

    def sound(rate: int) -> marks.Samples:
        pause = np.zeros(LEAD * rate // 50)
        return np.concatenate((pause, marks.make(MARKS, rate), pause))

    with RoughNetwork(conditions, seed=2) as network:
        talk = await Talk.begin(open_call, network, "opus")
        try:
            await talk.say(sound(CLIENT_RATE), sound(marks.RATE))
            by_phone, by_client = talk.phone.heard(), talk.client.heard()
        finally:
            await talk.close()
            await session.close()
    return (
        judge(by_phone, talk.client_sent_at, LEAD, MARKS, talk.client_frames_lost),
        judge(by_client, talk.phone_said_at, LEAD, MARKS),
    )


async def held_up(engine: EmbeddedEngine, first: int) -> list[str]:
    """What went wrong in one call over each of the networks."""
    calls = (talked(engine, first + number, conditions) for number, conditions in enumerate(ROUGH))
    outcomes = await asyncio.gather(*calls)
    faults = []
    for conditions, (phone, client) in zip(ROUGH, outcomes, strict=True):
        least = 0.8 if conditions.loss else 0.93
        discarded = phone.discarded if phone.discarded is not None else 1.0
        if discarded > 0.05 or max(phone.silent, client.silent) > 0.03 or min(phone.heard, client.heard) < least:
            faults.append(f"{conditions}: {phone}, {client}")
    return faults


async def test_what_a_bad_network_delivers_is_heard_and_what_it_loses_is_made_up(engine: EmbeddedEngine) -> None:
    """A machine that is busy with something else makes it worse, and nothing makes it better: so once is enough."""
    for attempt in range(TRIES):
        faults = await held_up(engine, attempt * len(ROUGH))
        if not faults:
            return
    raise AssertionError(faults)
