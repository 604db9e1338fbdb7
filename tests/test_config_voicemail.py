"""What phones hear before a message, in the configuration: a text or a recording, everybody's or one user's own."""

from pathlib import Path

import numpy as np
import pytest

from bridge.app.greetings import Greetings
from bridge.app.repertoire import rehearse
from bridge.app.speech import speak
from bridge.config import warnings
from bridge.core.ids import UserId
from bridge.media import speech_program
from bridge.media.speech_program import can_speak
from tests.config_files import MINIMAL, faults, load
from tests.e2e.sound import write_wav

ALICE, BOB, CAROL = (UserId(f"@{name}:example.org") for name in ("alice", "bob", "carol"))
ALICE_S = f"voicemail.greetings.{ALICE}"
NEEDS_SPEECH = pytest.mark.skipif(not can_speak(), reason="espeak-ng is not installed")


def box(settings: str) -> str:
    return MINIMAL + "voicemail: {users: [example.org], " + settings + "}\n"


def recorded(path: Path, *, seconds: float) -> None:
    write_wav(path, np.zeros(round(8_000 * seconds)), rate_hz=8_000)


@NEEDS_SPEECH
async def test_each_user_s_phones_hear_that_user_s_own_greeting(tmp_path: Path) -> None:
    recorded(tmp_path / "all.wav", seconds=1.0)
    recorded(tmp_path / "bob.WAV", seconds=2.0)
    own = f'{{"{ALICE}": "This is Alice. Speak now.", "{BOB}": bob.WAV}}'
    repertoire = await rehearse(load(tmp_path, box(f"greeting: all.wav, language: en-gb, greetings: {own}")))
    greetings = Greetings(lambda: repertoire)
    assert greetings.of(ALICE).pcm == (await speak("This is Alice. Speak now.", language="en-gb")).pcm
    assert greetings.of(BOB).duration_ms == 2_000
    assert greetings.of(CAROL).duration_ms == 1_000


@pytest.mark.parametrize(
    ("settings", "path", "message"),
    [
        (
            "greetings: {'@alice:example.org': none.wav}",
            "voicemail.greetings.@alice:example.org",
            "none.wav cannot be read",
        ),
        (
            "greetings: {'@alice:example.org': ' '}",
            "voicemail.greetings.@alice:example.org",
            "a text to be spoken, or a",
        ),
        (
            'greetings: {"@alice:example.org": "Hi.\\nHo."}',
            "voicemail.greetings.@alice:example.org",
            "must be one line",
        ),
        ("greetings: {'@alice:example.org': 7}", ALICE_S, "put it in quotes"),
        ("greetings: {alice: Hello.}", "voicemail.greetings.alice", "expected a user id"),
        ("greetings: Hello.", "voicemail.greetings", "expected"),
        ("greetings: {'@alice:example.org': /etc/trunkline/alice.wave}", ALICE_S, "name ends in .wav"),
        ("greetings: {'@alice:example.org': ./alice}", ALICE_S, "name ends in .wav"),
        ("greetings: {'@alice:example.org': ../our sounds/alice.mp3}", ALICE_S, "name ends in .wav"),
        ("greetings: {'@alice:example.org': ~/alice.ogg}", ALICE_S, "name ends in .wav"),
        ("greetings: {'@alice:example.org': trunkline.yaml}", ALICE_S, "name ends in .wav"),
        ("greeting: none.wav", "voicemail.greeting", "none.wav cannot be read"),
    ],
)
def test_what_is_wrong_with_a_greeting_is_said(tmp_path: Path, settings: str, path: str, message: str) -> None:
    assert message in faults(tmp_path, box(settings))[path]


def test_a_recording_lies_where_the_file_says_and_a_text_is_no_path(tmp_path: Path) -> None:
    recorded(tmp_path / "bob.wav", seconds=1.0)
    config = load(tmp_path, box(f'greetings: {{"{ALICE}": "Hello.", "{BOB}": bob.wav}}'))
    assert config.voicemail.greetings == {ALICE: "Hello.", BOB: str(tmp_path / "bob.wav")}


def test_a_greeting_that_is_nothing_is_that_of_all(tmp_path: Path) -> None:
    config = load(tmp_path, box(f'greetings: {{"{ALICE}": null, "{BOB}": "", "{CAROL}": Hello.}}'))
    assert config.voicemail.greetings == {CAROL: "Hello."}


@pytest.mark.parametrize("text", ["alice.wave", "Hello.", "Back at 12/24.", "and trunkline.yaml", "你好" * 200])
def test_a_text_that_names_no_file_is_spoken(tmp_path: Path, text: str) -> None:
    config = load(tmp_path, box(f'greetings: {{"{ALICE}": "{text}"}}'))
    assert config.voicemail.greetings == {ALICE: text}


def test_own_texts_that_nothing_here_can_speak_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech_program, "PROGRAM", "no-such-program")
    recorded(tmp_path / "bob.wav", seconds=1.0)
    own = f'greetings: {{"{ALICE}": "Hello.", "{BOB}": bob.wav}}'
    (told,) = [note for note in warnings(load(tmp_path, box(own))) if note.startswith("voicemail.")]
    assert told.startswith("voicemail.greetings.@alice:example.org: is not heard, for espeak-ng is not installed")
    without = load(tmp_path, MINIMAL + f"voicemail: {{{own}}}\n")
    assert not [note for note in warnings(without) if "is not installed" in note], "nobody leaves a message"


@pytest.mark.parametrize(
    ("users", "unheard"),
    [("example.org", []), (f"'{ALICE}'", [BOB]), (f"'{ALICE}', '{BOB}'", []), ("", [ALICE, BOB])],
)
def test_a_greeting_of_somebody_without_a_message_box_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, users: str, unheard: list[UserId]
) -> None:
    monkeypatch.setattr(speech_program, "PROGRAM", "no-such-program")
    own = f'greetings: {{"{ALICE}": "Hello.", "{BOB}": "Hi."}}'
    told = warnings(load(tmp_path, MINIMAL + f"voicemail: {{users: [{users}], {own}}}\n"))
    never = [note for note in told if "is never heard" in note]
    assert never == [
        f"voicemail.greetings.{user}: is never heard, for {user} is not one of voicemail.users" for user in unheard
    ]
    assert len([note for note in told if note.startswith("voicemail.greetings.")]) == 2, "one note each"
