"""One phone in the place of another, through intake, call, audio and user agent; and keys that come by signalling."""

import json
from dataclasses import replace
from typing import Any

import pytest

from bridge.calls import media_events as medev
from bridge.core.ids import DialogKey, SipCallId, UserId
from bridge.numbers.policy import WITHHELD
from bridge.sip import events as sip
from bridge.sip.uri import SipUri
from tests.app.outsides import ALICE, PBX, PHONE, ROOM, TRUNK
from tests.app.stage import Stage

REPLACES = "other;to-tag=1;from-tag=2"


async def feed(stage: Stage, event: sip.CallEvent) -> None:
    stage.sip_intake.handle(event)
    await stage.settle()


async def talking(stage: Stage) -> DialogKey:
    """Alice talks to the phone."""
    await stage.invite()
    dialog = DialogKey("out-1")
    await feed(stage, sip.CallAnswered(dialog=dialog, sdp="phone answer"))
    for live in stage.switchboard.lives():
        stage.switchboard.feed(live, medev.MediaConnected())
    return dialog


def referred(dialog: DialogKey, user: str, host: str = "pbx.example", replaces: str | None = None) -> sip.CallReferred:
    uri = SipUri(scheme="sip", user=user, password=None, host=host)
    target = sip.ReferTarget(user=user, uri=uri, replaces=replaces)
    return sip.CallReferred(dialog=dialog, target=target, referred_by="<sip:boss@pbx.example>")


def placed(stage: Stage) -> Any:
    return stage.sip.commands[-1][1]


async def test_a_blind_transfer_calls_the_number_over_the_same_trunk_and_moves_the_call(stage: Stage) -> None:
    first = await talking(stage)
    await feed(stage, referred(first, "5550111"))
    assert stage.sip.names()[-2:] == ["accept_referral", "invite"]
    second = placed(stage)
    assert (second.trunk, second.called, second.target) == (TRUNK, "+15550111", None)
    assert (second.sdp, second.referred_by) == ("our offer to another phone", "<sip:boss@pbx.example>")
    other = DialogKey(f"out-{len(stage.sip.commands)}")
    await feed(stage, sip.CallProgress(dialog=other, status=180))
    await feed(stage, sip.CallAnswered(dialog=other, sdp="other answer"))
    assert ("notify_referral", first, 180) in stage.sip.commands
    assert ("notify_referral", first, 200) in stage.sip.commands
    assert "set_sip_answer of another" in stage.engine.sessions[0].asked
    identity = stage.matrix.contents("m.call.asserted_identity")[-1]
    assert identity["asserted_identity"] == {"display_name": "+15550111"}
    await feed(stage, sip.CallEnded(dialog=first))
    assert len(stage.switchboard.directory) == 1
    await feed(stage, sip.CallEnded(dialog=other))
    assert stage.reasons() == ["completed"]
    assert ("bye", first) not in stage.sip.commands


@pytest.mark.parametrize(("user", "status"), [("+442079460000", 403), ("112", 403), ("hello there", 484)])
async def test_whom_the_user_may_not_call_nobody_gets_by_a_transfer(stage: Stage, user: str, status: int) -> None:
    first = await talking(stage)
    await feed(stage, referred(first, user))
    assert stage.sip.commands[-1] == ("refuse_referral", first, status)
    assert len(stage.switchboard.directory) == 1


async def test_an_attended_transfer_calls_the_address_that_the_trunk_names(stage: Stage) -> None:
    first = await talking(stage)
    await feed(stage, referred(first, "carol", replaces=REPLACES))
    second = placed(stage)
    assert (str(second.target), second.replaces) == ("sip:carol@pbx.example", REPLACES)


async def test_an_attended_transfer_to_somebody_elses_address_is_refused(stage: Stage) -> None:
    first = await talking(stage)
    await feed(stage, referred(first, "carol", host="evil.example", replaces=REPLACES))
    assert stage.sip.commands[-1] == ("refuse_referral", first, 403)


@pytest.mark.parametrize("replaces", [None, REPLACES])
@pytest.mark.parametrize("hidden_by", ["the user", "the configuration", "a code"])
async def test_a_hidden_caller_stays_hidden_from_whom_the_call_is_moved_to(
    stage: Stage, hidden_by: str, replaces: str | None
) -> None:
    """Nor can the phone that moves the call undo it."""
    if hidden_by == "the user":
        await stage.settings.change(ALICE, withheld=True)
    elif hidden_by == "the configuration":
        stage.plan = replace(stage.plan, caller_ids={ALICE: WITHHELD})
    else:
        stage.matrix.members = {ROOM: frozenset({ALICE, UserId("@_sip_#31#+15550100:example.org")})}
    first = await talking(stage)
    for dialled in ("5550111", "*825550111"):
        await feed(stage, referred(first, dialled, replaces=replaces))
        assert (placed(stage).caller, placed(stage).withheld) == ("+15550199", True)
        await feed(stage, sip.CallFailed(dialog=DialogKey(f"out-{len(stage.sip.commands)}"), status=486))


async def test_a_code_that_the_phone_adds_hides_the_caller(stage: Stage) -> None:
    first = await talking(stage)
    await feed(stage, referred(first, "*675550111"))
    assert placed(stage).withheld
    await feed(stage, sip.CallFailed(dialog=DialogKey(f"out-{len(stage.sip.commands)}"), status=486))
    await feed(stage, referred(first, "5550111"))
    assert not placed(stage).withheld


async def test_whoever_helps_sees_the_number_after_a_transfer_too(stage: Stage) -> None:
    await stage.settings.change(ALICE, withheld=True)
    stage.plan = replace(stage.plan, trunks=tuple(replace(trunk, emergency=True) for trunk in stage.plan.trunks))
    first = await talking(stage)
    await feed(stage, referred(first, "112"))
    assert (placed(stage).called, placed(stage).withheld) == ("112", False)


async def test_a_transfer_that_fails_leaves_the_two_talking(stage: Stage) -> None:
    first = await talking(stage)
    await feed(stage, referred(first, "+15550111"))
    await feed(stage, sip.CallFailed(dialog=DialogKey(f"out-{len(stage.sip.commands)}"), status=486))
    assert stage.sip.commands[-1] == ("notify_referral", first, 486)
    await feed(stage, sip.CallEnded(dialog=first))
    assert stage.reasons() == ["completed"]


async def test_an_answer_that_cannot_be_used_is_hung_up_on_and_the_two_talk_on(stage: Stage) -> None:
    first = await talking(stage)
    await feed(stage, referred(first, "+15550111"))
    other = DialogKey(f"out-{len(stage.sip.commands)}")
    await feed(stage, sip.CallAnswered(dialog=other, sdp="unusable"))
    assert stage.sip.commands[-2:] == [("bye", other), ("notify_referral", first, 488)]
    assert len(stage.switchboard.directory) == 1


async def test_phones_that_the_call_is_not_with_are_answered_when_they_offer_anything(stage: Stage) -> None:
    """A re-INVITE or UPDATE that nobody answers ends as a timeout at the peer, and with it the call."""
    first = await talking(stage)
    await feed(stage, referred(first, "+15550111"))
    other = DialogKey(f"out-{len(stage.sip.commands)}")
    await feed(stage, sip.CallReoffered(dialog=other, sdp="moved"))
    assert stage.sip.commands[-1] == ("reject", other, 491)
    await feed(stage, sip.CallAnswered(dialog=other, sdp="other answer"))
    await feed(stage, sip.CallReoffered(dialog=first, sdp="hold"))
    assert stage.sip.commands[-1] == ("reject", first, 491)


async def test_a_user_who_hangs_up_while_the_other_phone_rings_lets_both_go(stage: Stage) -> None:
    first = await talking(stage)
    await feed(stage, referred(first, "+15550111"))
    other = DialogKey(f"out-{len(stage.sip.commands)}")
    await stage.event("m.call.hangup", {"call_id": "call", "version": "1", "party_id": "LAPTOP"})
    assert stage.sip.commands[-3:] == [("cancel", other), ("notify_referral", first, 487), ("bye", first)]
    await feed(stage, sip.CallAnswered(dialog=other, sdp="too late"))
    assert len(stage.switchboard.directory) == 0


def calling_in(dialog: str, replaces: DialogKey, **changes: Any) -> sip.IncomingCall:
    call = {"called": "+15550199", "caller": "+15550111", "sdp": "other offer", "caller_name": "Carol", **changes}
    return sip.IncomingCall(
        dialog=DialogKey(dialog), trunk=TRUNK, sip_call_id=SipCallId("theirs"), replaces=replaces, **call
    )


async def test_a_phone_that_calls_in_for_another_takes_its_place(stage: Stage) -> None:
    first = await talking(stage)
    await feed(stage, calling_in("in-9", first))
    assert stage.sip.commands[-2:] == [("accept", "in-9", "our answer to sip"), ("bye", first)]
    identity = stage.matrix.contents("m.call.asserted_identity")[-1]
    assert identity["asserted_identity"] == {"display_name": "Carol"}
    await feed(stage, sip.CallEnded(dialog=first))
    await feed(stage, sip.CallEnded(dialog=DialogKey("in-9")))
    assert stage.reasons() == ["completed"]


async def test_a_phone_that_picks_up_a_call_that_rings_elsewhere_is_connected(stage: Stage) -> None:
    await stage.invite()
    await feed(stage, calling_in("in-9", DialogKey("out-1")))
    assert ("cancel", "out-1") in stage.sip.commands
    assert stage.sip.commands[-1] == ("accept", "in-9", "our answer to sip")
    assert stage.matrix.contents("m.call.answer")


async def test_the_place_of_a_call_that_is_over_cannot_be_taken(stage: Stage) -> None:
    await feed(stage, calling_in("in-9", DialogKey("out-1")))
    assert stage.sip.commands == [("reject", "in-9", 481)]
    assert stage.reasons() == ["nothing_to_replace"]


async def test_hold_by_the_client_is_offered_to_the_phone(stage: Stage) -> None:
    first = await talking(stage)
    stage.engine.sessions[0].reoffer = "our hold"
    negotiate = {"call_id": "call", "version": "1", "party_id": "LAPTOP", "lifetime": 10_000}
    await stage.event("m.call.negotiate", {**negotiate, "description": {"type": "offer", "sdp": "hold"}})
    assert stage.matrix.contents("m.call.negotiate")
    assert stage.sip.commands[-1] == ("reoffer", first, "our hold")
    await feed(stage, sip.CallReofferAnswered(dialog=first, sdp="their answer"))
    assert stage.engine.sessions[0].asked[-1] == "set_sip_answer"
    await feed(stage, sip.CallReofferRefused(dialog=first, status=488))
    assert len(stage.switchboard.directory) == 1


async def test_keys_by_signalling_are_taken_only_where_the_trunk_sends_them_so(stage: Stage) -> None:
    first = await talking(stage)
    await feed(stage, sip.DigitsReceived(dialog=first, digits="42", duration_ms=100))
    assert stage.engine.sessions[0].asked[-1] == "play 42"
    stage.switchboard.directory.by_dialog(first).call.trunk = PBX  # type: ignore[union-attr]
    await feed(stage, sip.DigitsReceived(dialog=first, digits="43", duration_ms=100))
    assert stage.engine.sessions[0].asked[-1] == "play 42"


async def test_who_the_phone_turns_out_to_be_is_told_once(stage: Stage) -> None:
    first = await talking(stage)
    for _ in range(2):
        await feed(stage, sip.CallIdentityChanged(dialog=first, number="5550111", name=""))
    await feed(stage, sip.CallIdentityChanged(dialog=first, number="5550111", name="Carol"))
    told = [content["asserted_identity"] for content in stage.matrix.contents("m.call.asserted_identity")]
    assert told == [{"display_name": "+15550111"}, {"display_name": "Carol"}]


async def test_a_phone_that_is_who_was_called_is_not_told(stage: Stage) -> None:
    first = await talking(stage)
    await feed(stage, sip.CallIdentityChanged(dialog=first, number=PHONE, name=""))
    assert stage.matrix.contents("m.call.asserted_identity") == []


async def test_a_trunk_has_its_own_policy_of_audio(stage: Stage) -> None:
    await stage.incoming(trunk=PBX)
    assert [policy.ptime_ms for policy in stage.engine.policies] == [30]


def test_keys_do_not_show_in_what_is_logged() -> None:
    event = sip.DigitsReceived(dialog=DialogKey("d"), digits="4711", duration_ms=100)
    assert "4711" not in json.dumps(repr(event))
