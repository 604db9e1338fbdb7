"""A browser's call over a network that loses every tenth packet: each side hears the other's tone without holes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import numpy as np
from playwright.async_api import Page, async_playwright

from bridge.core.ids import CallId
from bridge.media import g711
from bridge.media.embedded import EmbeddedEngine
from tests.e2e.chromium import launch
from tests.e2e.sound import Heard, Tone, level_db, measure
from tests.media.marks import RATE
from tests.media.phone import FRAME, FRAME_S, tone_frames
from tests.media.rough_network import Conditions, RoughNetwork
from tests.media.talking import ListeningPhone, only
from tests.patience import PATIENCE_S

OURS, THEIRS = Tone(pitch_hz=440), Tone(pitch_hz=1000)
STEADY_S = 2.0
QUIET_DB = -30.0
HOLES = 0.1

OFFER = """async ([pitch, level]) => {
    const audio = new AudioContext({ sampleRate: 48000 });
    const mouth = audio.createMediaStreamDestination();
    const tone = new OscillatorNode(audio, { frequency: pitch });
    tone.connect(new GainNode(audio, { gain: level })).connect(mouth);
    tone.start();
    const connection = window.connection = new RTCPeerConnection();
    connection.addTrack(mouth.stream.getAudioTracks()[0], mouth.stream);
    connection.ontrack = ({ track }) => {
        const stream = new MediaStream([track]);
        // Chromium plays into the graph only what an element plays too.
        const element = new Audio();
        element.muted = true;
        element.srcObject = stream;
        element.play();
        window.ear = new AnalyserNode(audio, { fftSize: 16384 });
        audio.createMediaStreamSource(stream).connect(window.ear);
    };
    await connection.setLocalDescription();
    while (connection.iceGatheringState !== "complete") {
        await new Promise((changed) => connection.addEventListener("icegatheringstatechange", changed, { once: true }));
    }
    return connection.localDescription.sdp;
}"""
ANSWER = "(sdp) => window.connection.setRemoteDescription({ type: 'answer', sdp })"
LISTEN = """() => {
    const samples = new Float32Array(window.ear ? window.ear.fftSize : 0);
    window.ear?.getFloatTimeDomainData(samples);
    return Array.from(samples);
}"""


@asynccontextmanager
async def page(directory: Path) -> AsyncIterator[Page]:
    """A page of Debian's Chromium."""
    async with async_playwright() as playwright:
        browser = await launch(playwright, directory, THEIRS)
        try:
            yield await browser.new_page()
        finally:
            await browser.close()


async def speak(phone: ListeningPhone) -> None:
    """A tone for as long as the test takes."""
    loop, frames, number = asyncio.get_running_loop(), tone_frames(OURS.pitch_hz, 50), 0
    start = loop.time()
    while True:
        phone.send(g711.ulaw_encode(frames[number % 50]))
        number += 1
        await asyncio.sleep(max(0.0, start + number * FRAME_S - loop.time()))


async def heard_in(browser: Page) -> Heard:
    """The client's sound once it is the phone's tone, else what there is at last."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE_S
    while True:
        heard = measure(np.array(await browser.evaluate(LISTEN), dtype=np.float64), 48000)
        if heard.is_like(OURS) or loop.time() > deadline:
            return heard


async def heard_at(phone: ListeningPhone) -> tuple[Heard, float]:
    """The phone's sound, and which part of it is silence: once it is the client's tone, else what there is at last.

    A busy machine makes holes of its own, so this takes the first two seconds that it left alone.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE_S
    while True:
        phone.received.clear()
        await phone.received.count(round(STEADY_S / FRAME_S))
        sound = phone.heard().sound[-round(STEADY_S * RATE) :]
        heard, holes = (
            measure(sound, RATE),
            float(np.mean([level_db(frame) < QUIET_DB for frame in sound.reshape(-1, FRAME)])),
        )
        if (heard.is_like(THEIRS) and holes <= HOLES) or loop.time() > deadline:
            return heard, holes


async def test_a_browser_and_a_phone_recognise_each_other_when_every_tenth_packet_is_lost(
    engine: EmbeddedEngine, tmp_path: Path
) -> None:
    session, phone = await engine.open(CallId("call-1")), await ListeningPhone.open()
    assert isinstance(phone, ListeningPhone)
    async with page(tmp_path) as browser, AsyncExitStack() as stack:
        stack.push_async_callback(phone.close)
        network = stack.enter_context(RoughNetwork(Conditions(loss=0.1)))
        offer = await browser.evaluate(OFFER, [THEIRS.pitch_hz, 10 ** (THEIRS.level_db / 20)])
        await session.set_matrix_offer(network.hidden(only(offer, "opus")))
        phone.aim(await session.create_sip_offer())
        await session.set_sip_answer(phone.sdp(formats="0"))
        await browser.evaluate(ANSWER, network.shown(await session.create_matrix_answer()))
        speaking = asyncio.create_task(speak(phone))
        stack.callback(speaking.cancel)
        by_client = await heard_in(browser)
        by_phone, holes = await heard_at(phone)
        assert any(passage.lost for passage in network.from_client)
        assert any(passage.lost for passage in network.from_engine)
    assert by_client.is_like(OURS), by_client
    assert by_phone.is_like(THEIRS), by_phone
    assert holes <= HOLES
