"""Spoken menus in the configuration: what is wrong with one is said before a caller hears it."""

import wave
from pathlib import Path

import pytest

from bridge.app.live_plan import LivePlan
from bridge.app.plan import menu_plans
from bridge.app.prompts import Prompts
from bridge.app.repertoire import rehearse
from bridge.calls.menu import MenuPlan, Prompt
from bridge.config import Config, warnings
from bridge.core.ids import MenuName, TrunkName
from bridge.media import speech_program
from bridge.media.formats import Codec
from bridge.media.tone_plan import ringback
from tests.config_files import MINIMAL, TRUNK, faults, load

INBOUND = 'numbers: {inbound: {"+15550199": "menu:main", "201": "@bob:example.org", "3*": "@bob:example.org"}}\n'
START = MINIMAL + TRUNK + INBOUND


def menus(text: str) -> str:
    return START + "menus:\n" + "".join(f"  {line}\n" for line in text.splitlines())


def test_a_menu_is_what_the_file_says(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        menus(
            'main: {prompt: "Hello.", digits: {"1": "@alice:example.org", "#": "menu:night"}, dial_extensions: true}\n'
            'night: {prompt: "Closed.", otherwise: "menu:main", timeout_s: 3, repeats: 0}'
        ),
    )
    assert menu_plans(config) == {
        "main": MenuPlan(name="main", choices={"1": "@alice:example.org", "#": "menu:night"}, extensions="23"),
        "night": MenuPlan(name="night", otherwise="menu:main", timeout_s=3.0, repeats=0),
    }


def test_extensions_of_a_menu_are_those_of_the_numbers_in_force(tmp_path: Path) -> None:
    text = menus("main: {prompt: a, dial_extensions: true}")
    live = LivePlan(load(tmp_path, text))
    assert live.menus()[MenuName("main")].extensions == "23"
    live.take(live.worked_out(load(tmp_path, text.replace('"201"', '"501"')), live.sounds()))
    assert live.menus()[MenuName("main")].extensions == "35"


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("main: {}", "menus.main.prompt", "required"),
        ("Main: {prompt: a}", "menus.Main", "expected a name of a-z"),
        ('main: {prompt: ""}', "menus.main.prompt", "expected a text to be spoken, or a WAV file"),
        ("main: {prompt: trunkline.yaml}", "menus.main.prompt", "a recording's name ends in .wav"),
        ("main: {prompt: a, nobody: /etc/nobody.mp3}", "menus.main.nobody", "a recording's name ends in .wav"),
        ("main: {prompt: none.wav}", "menus.main.prompt", "none.wav cannot be read"),
        ('main: {prompt: a, digits: {"12": "menu:main"}}', "menus.main.digits.12", "expected a key of a telephone"),
        ('main: {prompt: a, digits: {1: "menu:main"}}', "menus.main.digits[1]", "in quotes"),
        (
            'main: {prompt: a, digits: {"1": "menu:mian"}}',
            "menus.main.digits.1",
            "no menu is called 'mian'; there is main",
        ),
        ('main: {prompt: a, digits: {"1": "alice"}}', "menus.main.digits.1", "expected a user id"),
        ('main: {prompt: a, otherwise: "menu:main"}', "menus.main.otherwise", "leads back to main"),
        (
            'main: {prompt: a, otherwise: "menu:b"}\nb: {prompt: a, otherwise: "menu:main"}',
            "menus.b.otherwise",
            "leads back to b",
        ),
        (
            'main: {prompt: a, digits: {"1": "voicemail:@alice:example.org"}}',
            "menus.main.digits.1",
            "not one of voicemail.users",
        ),
        ("main: {prompt: a, timeout_s: 1}", "menus.main.timeout_s", "2"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, path: str, message: str) -> None:
    assert message in faults(tmp_path, menus(text))[path]


def test_a_number_cannot_lead_to_a_menu_that_is_not_there(tmp_path: Path) -> None:
    assert "no menu is called 'main'; there is none" in faults(tmp_path, START)["numbers.inbound.+15550199"]


def test_extensions_cannot_be_dialled_where_there_are_none(tmp_path: Path) -> None:
    text = MINIMAL + TRUNK + 'menus: {main: {prompt: "Hello.", dial_extensions: true}}\n'
    assert "there is none" in faults(tmp_path, text)["menus.main.dial_extensions"]


def test_texts_that_nothing_here_can_speak_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech_program, "PROGRAM", "no-such-program")
    config = load(tmp_path, menus('main: {prompt: "Hello."}'))
    told = [note for note in warnings(config) if note.startswith("menus.")]
    assert [note.partition(":")[0] for note in told] == ["menus.main.prompt", "menus.main.invalid", "menus.main.nobody"]


async def heard(config: Config) -> Prompts:
    live = LivePlan(config)
    live.take(live.worked_out(config, await rehearse(config)))
    return Prompts(live.sounds_of, live.region_of)


async def test_recordings_and_texts_are_ready_to_be_played(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "hello.wav"), "wb") as recording:
        recording.setparams((1, 2, 8000, 0, "NONE", ""))
        recording.writeframes(bytes(16_000))
    config = load(tmp_path, menus('main: {prompt: hello.wav, invalid: "No."}'))
    prompts, first = await heard(config), 1
    assert prompts.prompt("main", Prompt.CHOICES, first).duration_ms == 1000
    assert max(prompts.prompt("main", Prompt.INVALID, first).pcm) > 0


async def test_phones_hear_the_ringback_of_their_trunks_country(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL + "trunks: {a: {server: h.b, region: GB}, b: {server: i.b}}\n")
    prompts = await heard(config)
    assert prompts.ringback(TrunkName("a")) is ringback("GB")
    assert prompts.ringback(TrunkName("b")) is ringback("US")


async def test_nothing_has_to_be_coded_while_a_phone_waits(tmp_path: Path) -> None:
    config = load(tmp_path, menus("main: {prompt: a}").replace("server: h.b", "server: h.b, region: AT"))
    ringing = (await heard(config)).ringback(TrunkName("a"))
    assert ringing is ringback("AT")
    assert ringing._encoded.keys() == set(Codec)
