"""What users hear whose calls are refused or ended: which calls have it, in which words, and that it costs nothing."""

import json
from pathlib import Path

import numpy as np
import pytest

from bridge.app import meter
from bridge.app.announcements import MOST_AT_ONCE, Announcements
from bridge.app.live_plan import LivePlan
from bridge.app.media_facts import feed_media
from bridge.app.repertoire import Repertoire, rehearse
from bridge.app.sayings import ANNOUNCEMENT, ANY
from bridge.app.speech import SpeechError, speak
from bridge.calls import events as ev
from bridge.calls import media_events as medev
from bridge.calls.state import State
from bridge.core.clock import SystemClock
from bridge.core.ids import UserId
from bridge.media.engine import MediaError, SoundPlayed
from bridge.media.sounds import pause
from bridge.media.speech_program import can_speak
from bridge.media.verdicts import unavailable
from bridge.numbers.ledger import SLICE_S
from bridge.numbers.limits import CALLS_AT_ONCE, LIMIT_REACHED, TOO_MANY_ATTEMPTS, Cap, Limit
from bridge.numbers.refusals import NO_EMERGENCY_CALLS, NOT_PERMITTED
from bridge.numbers.sentences import EMERGENCY, SENTENCES, Spoken, language_of
from tests.app.conftest import open_stage
from tests.app.outsides import ALICE, BOB
from tests.app.stage import Stage
from tests.app.test_spending import CENT, change_limits, limited, talk, until
from tests.clock import ManualClock
from tests.config_files import MINIMAL, load
from tests.e2e.sound import write_wav

EVERYTHING = tuple(reason.value for reason in Spoken)
NEEDS_SPEECH = pytest.mark.skipif(not can_speak(), reason="espeak-ng is not installed")


def hears_to_the_end(stage: Stage) -> None:
    """The sound that a call's user hears is over."""
    (live,) = stage.switchboard.lives()
    feed_media(stage.switchboard, stage.messages, SoundPlayed(call_id=live.call.call_id, number=live.playing))


async def test_a_refusal_is_answered_said_and_hung_up_without_any_phone(tmp_path: Path) -> None:
    async with open_stage(tmp_path, spoken=EVERYTHING) as stage:
        limited(stage, calls_at_once=1)
        await talk(stage, "first")
        await stage.invite("second")
        assert stage.matrix.types()[-3:] == ["m.room.message", "m.call.answer", "m.call.candidates"]
        assert stage.engine.sessions[-1].asked == ["set_matrix_offer", "play to matrix"]
        told = next(live for live in stage.switchboard.lives() if live.call.state is State.TELLING)
        feed_media(stage.switchboard, stage.messages, SoundPlayed(call_id=told.call.call_id, number=told.playing))
        await stage.settle()
        assert stage.matrix.content("m.call.hangup")["call_id"] == "second"
        assert stage.reasons() == [CALLS_AT_ONCE.reason]
        assert stage.sip.names() == ["invite"]
        assert stage.engine.sessions[-1].closed


async def test_a_limit_lets_the_phone_go_before_anything_is_said_and_what_is_said_costs_nothing(tmp_path: Path) -> None:
    clock = ManualClock()
    async with open_stage(tmp_path, spoken=EVERYTHING, clock=clock) as stage:
        limited(stage, call=Cap(seconds=60))
        dialog = await talk(stage)
        (live,) = stage.switchboard.lives()
        stage.switchboard.feed(live, medev.MediaConnected())
        clock.now += SLICE_S - meter.EARLY_S
        change_limits(stage, Limit(who=("example.org",), call=Cap(seconds=SLICE_S)))
        await until(stage, lambda: live.call.state is State.TELLING)
        assert ("bye", dialog) in stage.sip.commands
        assert stage.engine.sessions[0].asked[-3:] == ["play to matrix", "drop_sip_leg", "play to matrix"], "and warned"
        assert live.cost == 10 * CENT
        assert "m.call.hangup" not in stage.matrix.types()
        cost, talked = live.cost, live.call.talk_s
        clock.now += 60
        hears_to_the_end(stage)
        await stage.settle()
        assert (live.cost, live.call.talk_s) == (cost, talked)
        assert stage.reasons() == ["limit_reached"]
        assert len(stage.matrix.contents("m.room.message")) == 2, "a warning and the end, each once"


async def test_a_warning_that_cannot_be_played_is_written_and_ends_no_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def out_of_order(*_: object, **__: object) -> int:
        raise unavailable("nothing can be played just now")

    async with open_stage(tmp_path, spoken=EVERYTHING) as stage:
        limited(stage, call=Cap(seconds=60))
        await talk(stage)
        (live,) = stage.switchboard.lives()
        stage.switchboard.feed(live, medev.MediaConnected())
        monkeypatch.setattr(type(stage.engine.sessions[0]), "play", out_of_order)
        stage.switchboard._warn(live, "This call will end soon.")
        await stage.settle()
        assert stage.matrix.content("m.room.message")["body"] == "This call will end soon."
        assert live.call.state is State.CONNECTED


async def test_the_end_of_a_warning_is_not_taken_for_the_end_of_the_sentence_after_it(tmp_path: Path) -> None:
    async with open_stage(tmp_path, spoken=EVERYTHING) as stage:
        limited(stage, call=Cap(seconds=60))
        await talk(stage)
        (live,) = stage.switchboard.lives()
        stage.switchboard.feed(live, medev.MediaConnected())
        stage.switchboard._warn(live, "This call will end soon.")
        await stage.settle()
        warning = live.playing
        stage.switchboard.feed(live, ev.Aborted(verdict=LIMIT_REACHED))
        feed_media(stage.switchboard, stage.messages, SoundPlayed(call_id=live.call.call_id, number=warning))
        await stage.settle()
        assert live.call.state is State.TELLING
        hears_to_the_end(stage)
        assert live.call.ended


async def test_a_user_who_is_being_told_something_can_be_called_and_can_call(tmp_path: Path) -> None:
    async with open_stage(tmp_path, spoken=EVERYTHING) as stage:
        limited(stage, day=Cap(seconds=0.5))
        await stage.invite("refused")
        await stage.invite("refused again")
        await stage.incoming()
        states = [live.call.state for live in stage.switchboard.lives()]
        assert states == [State.TELLING, State.TELLING, State.RINGING]


async def test_who_dials_again_and_again_only_reads_it_in_the_end() -> None:
    said = Repertoire(sounds={(ANNOUNCEMENT, "calls_at_once", ANY): pause(0.02)})
    announcements = Announcements(lambda: said, lambda user: "en", SystemClock())
    spoken = [bool(announcements.for_call(ALICE, CALLS_AT_ONCE)) for _ in range(MOST_AT_ONCE + 1)]
    assert spoken == [True] * MOST_AT_ONCE + [False]
    assert announcements.for_call(BOB, CALLS_AT_ONCE), "each user's own"
    assert announcements.for_call(ALICE, NOT_PERMITTED), "a call that says nothing costs no turn"
    assert TOO_MANY_ATTEMPTS.reason not in EVERYTHING, "whoever floods us gets no media session for it"


async def announced(directory: Path, **settings: object) -> Announcements:
    """What users hear in a country and in another one."""
    numbers = {"default_region": "DE", "regions": {"example.fr": "FR"}}
    config = load(directory, f"{MINIMAL}\nannouncements: {json.dumps(settings)}\nnumbers: {json.dumps(numbers)}\n")
    live = LivePlan(config)
    live.take(live.worked_out(config, await rehearse(config)))
    return Announcements(live.sounds, live.language_of, SystemClock())


@NEEDS_SPEECH
async def test_whoever_calls_for_help_is_told_in_the_language_of_their_country(tmp_path: Path) -> None:
    announcements = await announced(tmp_path)
    german, french = UserId("@a:example.org"), UserId("@b:example.fr")
    sounds = [announcements.sound(NO_EMERGENCY_CALLS.reason, user) for user in (german, french)]
    assert sounds[0] is not sounds[1]
    assert all(4_000 < sound.duration_ms < 20_000 for sound in sounds)
    assert announcements.sound("limit_reached", german) is announcements.sound("limit_reached", french)


@NEEDS_SPEECH
@pytest.mark.parametrize("language", EMERGENCY)
async def test_every_language_of_ours_can_be_spoken(language: str) -> None:
    try:
        sound = await speak(EMERGENCY[language], language=language)
    except SpeechError as error:
        pytest.fail(str(error))
    assert sound.duration_ms > 2_000


@pytest.mark.parametrize(
    ("region", "language"), [("DE", "de"), ("AT", "de"), ("MX", "es"), ("US", "en"), ("JP", "en"), ("BR", "pt")]
)
def test_a_region_has_a_language(region: str, language: str) -> None:
    assert language_of(region) == language


def test_everything_that_is_said_has_words() -> None:
    assert set(SENTENCES) == set(Spoken) - {Spoken.EMERGENCY_REFUSED}


@NEEDS_SPEECH
async def test_own_words_and_recordings_take_the_place_of_ours(tmp_path: Path) -> None:
    recording = write_wav(tmp_path / "limit.wav", np.zeros(8_000), rate_hz=8_000)
    own = {"texts": {"emergency_refused": "Nein."}, "language": "de", "recordings": {"limit_reached": str(recording)}}
    announcements = await announced(tmp_path, **own)
    assert announcements.sound("limit_reached", ALICE).duration_ms == 2_000, "with silence before and after"
    assert announcements.sound("emergency_refused", ALICE).duration_ms < 3_000


@pytest.mark.parametrize("silent", [{"spoken": False}, {}])
async def test_where_nothing_can_be_said_there_is_only_the_text(
    silent: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.app.repertoire.can_speak", lambda: False)
    announcements = await announced(tmp_path, **silent)
    assert announcements.for_call(ALICE, NO_EMERGENCY_CALLS) == frozenset()
    with pytest.raises(MediaError):
        announcements.sound("limit_reached", ALICE)
