"""What is said about rtpengine servers in the configuration, and what is refused."""

import wave
from pathlib import Path

import pytest

from bridge.config import media_settings, warnings
from bridge.media.settings import PathChoice, ServerAddress
from tests.config_files import MINIMAL, TOKENS, faults, load

ENGINE = "media: {engine: rtpengine, rtpengine: ['10.0.0.5:2223', 'media.example:2223']"


def test_servers_are_read_in_their_order(tmp_path: Path) -> None:
    settings = media_settings(load(tmp_path, MINIMAL + ENGINE + ", rtpengine_keys: '10.0.0.1:2226'}"))
    assert settings.engine is PathChoice.RTPENGINE
    assert settings.rtpengines == (
        ServerAddress(host="10.0.0.5", port=2223),
        ServerAddress(host="media.example", port=2223),
    )
    assert settings.rtpengine_keys == ServerAddress(host="10.0.0.1", port=2226)


@pytest.mark.parametrize(
    ("media", "place", "words"),
    [
        ("media: {engine: rtpengine}", "media.rtpengine", "is empty"),
        ("media: {engine: rtpengine, rtpengine: ['a.b:1', 'a.b:1']}", "media.rtpengine", "twice"),
        ("media: {engine: rtpengine, rtpengine: ['a.b:0']}", "media.rtpengine[0]", "port"),
        ("media: {engine: rtpengine, rtpengine: ['a.b']}", "media.rtpengine[0]", "host:port"),
        (ENGINE + "}\ntrunks: {a: {server: a.b, dtmf: info}}", "trunks.a.dtmf", "rtpengine_keys"),
        (ENGINE + "}\nvoicemail: {users: [example.org]}", "voicemail.users", "record on disks of their own"),
        (ENGINE + "}\nmenus: {main: {prompt: Hello.}}", "menus.main", "take no keys in menus"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, media: str, place: str, words: str) -> None:
    found = faults(tmp_path, MINIMAL + media, TOKENS)
    assert words in found[place]


def test_music_that_does_not_fit_into_a_request_is_refused(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "music.wav"), "wb") as music:
        music.setparams((1, 2, 8000, 0, "NONE", ""))
        music.writeframes(bytes(2 * 8000 * 9))
    found = faults(tmp_path, MINIMAL + ENGINE + ", hold_music: music.wav}", TOKENS)
    assert "8 seconds" in found["media.hold_music"]


def test_what_is_less_strict_than_it_looks_is_noted(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL + ENGINE + ", rtp_sources: [10.0.0.0/8]}")
    assert any("for three seconds" in note for note in warnings(config))
    assert not any("media.rtp_host" in note for note in warnings(config))


@pytest.mark.parametrize(
    ("media", "unused"),
    [
        (ENGINE + ", stun_servers: ['a.example']}", "media.stun_servers:"),
        (ENGINE + ", turn: {uris: ['turn:a.example'], shared_secret: secret}}", "media.turn:"),
        (ENGINE.replace("engine: rtpengine", "engine: portable") + "}", "media.rtpengine:"),
    ],
)
def test_what_is_meant_for_another_engine_is_noted(tmp_path: Path, media: str, unused: str) -> None:
    assert any(note.startswith(unused) for note in warnings(load(tmp_path, MINIMAL + media)))
    assert not any("never used" in note for note in warnings(load(tmp_path, MINIMAL + ENGINE + "}")))
