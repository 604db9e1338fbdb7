"""What a bridge says is ready before a configuration holds, and one that cannot be said does not hold."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from bridge.app import repertoire
from bridge.app.greetings import BEFORE_BEEP_S, Greetings
from bridge.app.live_plan import LivePlan
from bridge.app.prompts import Prompts
from bridge.app.repertoire import Repertoire, rehearse
from bridge.app.speech import SpeechError, speak
from bridge.calls.menu import Prompt
from bridge.config import Config, ConfigError
from bridge.core.ids import MenuName, TrunkName
from bridge.media.sounds import Sound, pause
from bridge.media.speech_program import can_speak
from tests.app.outsides import ALICE
from tests.config_files import MINIMAL, load
from tests.e2e.sound import write_wav

NEEDS_SPEECH = pytest.mark.skipif(not can_speak(), reason="espeak-ng is not installed")


@pytest.fixture
def spoken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that was given to a program that can speak all but the word "mumble"."""
    texts: list[str] = []

    async def program(text: str, *, language: str) -> Sound:
        texts.append(text)
        await asyncio.sleep(0)
        if "mumble" in text:
            raise SpeechError("espeak-ng: no sound")
        return pause(1.0)

    monkeypatch.setattr(repertoire, "speak", program)
    monkeypatch.setattr(repertoire, "can_speak", lambda: True)
    return texts


def config(directory: Path, *, prompt: str = "Hello.", greeting: str = "Speak.", spoken: bool = False) -> Config:
    announcements = f"announcements: {{spoken: {str(spoken).lower()}}}\n"
    box = f"voicemail: {{users: [example.org], greeting_text: {greeting}}}\n"
    return load(directory, f"{MINIMAL}\n{announcements}{box}menus: {{main: {{prompt: {prompt}, nobody: Hello.}}}}\n")


async def test_each_text_is_spoken_once_and_not_again_when_another_changes(tmp_path: Path, spoken: list[str]) -> None:
    first = await rehearse(config(tmp_path))
    assert sorted(spoken) == ["Hello.", "Speak.", "That key has no meaning here."]
    spoken.clear()
    second = await rehearse(config(tmp_path, greeting="Talk."), first)
    assert spoken == ["Talk."]
    assert second.sounds["prompt", "main", "choices"] is first.sounds["prompt", "main", "choices"]
    assert second.edition == first.edition + 1


@pytest.mark.parametrize(
    ("setting", "text"), [("prompt", "menus.main.prompt"), ("greeting", "voicemail.greeting_text")]
)
async def test_a_new_text_that_cannot_be_spoken_keeps_the_old_configuration(
    setting: str, text: str, tmp_path: Path, spoken: list[str]
) -> None:
    before = await rehearse(config(tmp_path))
    with pytest.raises(ConfigError) as refused:
        await rehearse(config(tmp_path, **{setting: "mumble"}), before)  # type: ignore[arg-type]
    (fault,) = refused.value.faults
    assert fault.located == f"{text}: cannot be spoken: espeak-ng: no sound"


async def test_what_could_not_be_spoken_at_the_start_does_not_hold_up_other_changes(
    tmp_path: Path, spoken: list[str]
) -> None:
    before = await rehearse(config(tmp_path, greeting="mumble"))
    after = await rehearse(config(tmp_path, greeting="mumble", prompt="Good day."), before)
    assert Greetings(lambda: after).longest_s == BEFORE_BEEP_S
    assert "Good day." in spoken


async def test_a_machine_that_cannot_speak_takes_new_texts_all_the_same(
    tmp_path: Path, spoken: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await rehearse(config(tmp_path))
    monkeypatch.setattr(repertoire, "can_speak", lambda: False)
    after = await rehearse(config(tmp_path, prompt="New."), before)
    assert ("prompt", "main", "choices") not in after.sounds
    assert after.sounds["greeting",] is before.sounds["greeting",], "which was spoken while it could"


async def test_a_recording_that_has_gone_meanwhile_is_named(tmp_path: Path, spoken: list[str]) -> None:
    recording = write_wav(tmp_path / "hello.wav", np.zeros(8_000), rate_hz=8_000)
    new = config(tmp_path, prompt="hello.wav")
    recording.unlink()
    with pytest.raises(ConfigError) as refused:
        await rehearse(new, await rehearse(config(tmp_path)))
    assert [fault.path for fault in refused.value.faults] == ["menus.main.prompt"]


async def test_a_recording_is_made_once_and_again_only_when_it_is_another(tmp_path: Path, spoken: list[str]) -> None:
    write_wav(tmp_path / "hello.wav", np.zeros(8_000), rate_hz=8_000)
    settings = config(tmp_path, prompt="hello.wav")
    first = await rehearse(settings)
    second = await rehearse(settings, first)
    assert second.sounds["prompt", "main", "choices"] is first.sounds["prompt", "main", "choices"]
    write_wav(tmp_path / "hello.wav", np.zeros(16_000), rate_hz=8_000)
    third = await rehearse(settings, second)
    assert third.sounds["prompt", "main", "choices"].duration_ms == 2_000


async def test_who_is_in_a_menu_hears_the_old_one_until_nobody_is(tmp_path: Path, spoken: list[str]) -> None:
    live = LivePlan(config(tmp_path))
    prompts = Prompts(live.sounds_of, live.region_of)
    await take(live, config(tmp_path))
    menu = live.menus()[MenuName("main")]
    said = prompts.prompt("main", Prompt.CHOICES, menu.edition)
    await take(live, config(tmp_path, prompt="New."), editions_in_use={menu.edition})
    assert prompts.prompt("main", Prompt.CHOICES, menu.edition) is said
    new = live.menus()[MenuName("main")]
    assert prompts.prompt("main", Prompt.CHOICES, new.edition) is not said
    await take(live, config(tmp_path, prompt="Newer."))
    assert live.sounds_of(menu.edition) is None, "nobody hears it any more"


async def take(live: LivePlan, config: Config, editions_in_use: set[int] | None = None) -> None:
    ready = live.worked_out(config, await rehearse(config, live.sounds()))
    live.take(ready, editions_in_use=editions_in_use or ())


@NEEDS_SPEECH
async def test_a_text_is_spoken_as_telephone_audio() -> None:
    sound = await speak("Please leave a message.", language="en")
    assert 1_000 < sound.duration_ms < 5_000
    assert max(sound.pcm) > 0


async def test_a_trunk_that_is_gone_rings_as_the_default_country_does(tmp_path: Path) -> None:
    live = LivePlan(config(tmp_path))
    assert live.region_of(TrunkName("gone")) == live.config().numbers.default_region


def test_without_any_sounds_a_phone_hears_a_moment_of_silence() -> None:
    assert max(Greetings(Repertoire).of(ALICE).pcm) == 0
