"""What the bot says, in the words of people who know nothing of trunks and verdicts."""

import pytest

from bridge.app.plan import message_reasons
from bridge.bot import replies
from bridge.config import Config
from bridge.config.voicemail import VoicemailConfig
from bridge.core.ids import RoomId, UserId
from bridge.ops.declarations.label_values import REASONS
from bridge.store.people import PastCall, StoredSettings


def past(direction: str, reason: str, *, number: str = "+15550100", talk_s: float = 0.0) -> PastCall:
    return PastCall(
        user_id=UserId("@alice:example.org"),
        number=number,
        direction=direction,
        reason=reason,
        began_at=1_700_000_000.0,
        ended_at=1_700_000_100.0,
        talk_s=talk_s,
    )


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (past("outbound", "completed", talk_s=125.4), "2023-11-14 22:13 UTC, to +15550100: 2 min 5 s"),
        (past("inbound", "completed", talk_s=9.0), "2023-11-14 22:13 UTC, from +15550100: 9 s"),
        (past("inbound", "no_answer", number=""), "2023-11-14 22:13 UTC, from a withheld number: missed"),
        (past("inbound", "cancelled"), "2023-11-14 22:13 UTC, from +15550100: missed"),
        (past("outbound", "cancelled"), "2023-11-14 22:13 UTC, to +15550100: you cancelled"),
        (past("inbound", "do_not_disturb"), "2023-11-14 22:13 UTC, from +15550100: missed, do not disturb was on"),
        (past("outbound", "trunk_unreachable"), "2023-11-14 22:13 UTC, to +15550100: failed"),
    ],
)
def test_a_past_call_is_one_line(call: PastCall, line: str) -> None:
    assert replies.history([call], str) == line


def test_the_words_for_how_calls_end_belong_to_reasons_that_exist() -> None:
    assert {reason for words in replies._ENDS.values() for reason in words} <= REASONS


@pytest.mark.parametrize(
    ("reasons", "words"),
    [
        (("no_answer",), "A phone that calls you can leave a message when you do not answer."),
        (
            ("busy", "do_not_disturb", "out_of_hours"),
            "A phone that calls you can leave a message when you are busy, do not disturb is on, or it is outside of "
            "your hours.",
        ),
        (
            ("homeserver_unreachable", "homeserver_refused"),
            "A phone that calls you can leave a message when you cannot be reached.",
        ),
        ((), "Phones that are led to your voicemail can leave a message."),
    ],
)
def test_who_has_a_message_box_reads_which_calls_leave_a_message(reasons: tuple[str, ...], words: str) -> None:
    where = "It comes into the room of the number that called, as a voice message."
    assert replies.message_box(reasons) == f"{words} {where}"


def test_there_are_words_for_every_call_that_can_leave_a_message() -> None:
    config = Config.model_construct(voicemail=VoicemailConfig(users=("example.org",)))
    reasons = message_reasons(config, UserId("@alice:example.org"))
    assert reasons is not None
    assert set(reasons) == set(replies._NOT_TAKEN)


def test_without_calls_it_says_so() -> None:
    assert replies.history([], str) == replies.NO_HISTORY


def test_the_link_leads_to_the_room_and_names_a_server_that_is_in_it() -> None:
    text = replies.call_from("+1 555-0100", RoomId("!ab+c:example.org"), joined=True)
    assert "https://matrix.to/#/%21ab%2Bc%3Aexample.org?via=example.org" in text
    assert "invited" not in text
    assert "invited" in replies.call_from("+1 555-0100", RoomId("!a:example.org"), joined=False)


def test_status_tells_everything_at_a_glance() -> None:
    state = replies.State(
        own_numbers=["+15550199"],
        prefixes=["+1", "+44", "*97"],
        trunks={"carrier": True, "pbx": False},
        settings=StoredSettings(do_not_disturb=True, forward="+15550122"),
        calls=[replies.CallNow(number="+15550100", outbound=True, answered=False)],
    )
    assert replies.status(state, str).splitlines() == [
        "Your number: +15550199",
        "You may call: numbers that begin with +1, +44; *97",
        "Do not disturb: on",
        "Forwarding: to +15550122",
        "Calls now: to +15550100 (not answered yet)",
        "Telephone network: carrier works, pbx is out of service",
    ]


def test_status_names_blocks_of_numbers_by_how_they_begin() -> None:
    state = replies.State(
        own_numbers=["201"],
        own_blocks=["+1555020", "3"],
        prefixes=[],
        trunks={},
        settings=StoredSettings(),
        calls=[],
    )
    (first, *_) = replies.status(state, str).splitlines()
    assert first == "Your number: 201, all that begin with +1555020, all that begin with 3"


def test_status_of_somebody_who_has_nothing() -> None:
    state = replies.State(own_numbers=[], prefixes=[], trunks={}, settings=StoredSettings(), calls=[])
    assert replies.status(state, str).splitlines() == [
        replies.NO_OWN_NUMBER,
        "You may call: no number",
        "Do not disturb: off",
        "Forwarding: off",
        "Calls now: none",
        "Telephone network: not connected",
    ]
