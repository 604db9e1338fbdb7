"""Session timers message by message, as caller and as callee (RFC 4028 §7 to §10)."""

import pytest

from bridge.core.ids import DialogKey
from bridge.sip.events import CallAnswered, CallEnded, CallFailed, CallReofferAnswered
from bridge.sip.message import Request
from bridge.sip.offering import MAX_RETRIES
from bridge.sip.session_timer import MAX_LONGER
from bridge.sip.settings import SessionTimer
from bridge.sip.usage_commands import AcceptAsked, ReofferAsked
from tests.sip.scripted_peer import SDP, Scripted, peer_request, trunk

OTHER = SDP.replace("4000", "4002")
KNOWN = ("Supported", "timer")


def answered(peer: Scripted, **fields: str) -> DialogKey:
    """A call of ours whose 2xx has these fields."""
    dialog = peer.call()
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP, **fields)
    peer.sent.clear()
    return dialog


def accepted(peer: Scripted, *fields: tuple[str, str]) -> str:
    """A call of the peer that we answered; returns our tag."""
    peer.receive(peer_request("INVITE", sdp=SDP, fields=fields))
    peer.steer(peer.incoming.dialog, AcceptAsked(sdp=OTHER))
    tag = peer.last_response().to.tag or ""
    peer.receive(peer_request("ACK", to_tag=tag, branch="ack"))
    return tag


def made(peer: Scripted, method: str) -> int:
    """How many requests of a method we made, repetitions left out."""
    sent = [message for message, _ in peer.sent if isinstance(message, Request) and message.method == method]
    return len({request.cseq.number for request in sent})


# Asking.


def test_the_invite_asks_for_what_the_trunk_is_set_to() -> None:
    peer = Scripted(trunk(session_timer=SessionTimer.REQUIRED, session_expires_s=600, min_se_s=120))
    peer.call()
    invite = peer.last_request("INVITE")
    assert "timer" in invite.supported
    assert "timer" in invite.require
    assert (invite.headers.get("Session-Expires"), invite.headers.get("Min-SE")) == ("600", "120")


def test_a_422_is_answered_with_the_interval_that_it_wants() -> None:
    peer = Scripted()
    peer.call()
    first = peer.last_request("INVITE")
    peer.answer(first, 422, Min_SE="3600")
    second = peer.last_request("INVITE")
    assert (second.headers.get("Session-Expires"), second.headers.get("Min-SE")) == ("3600", "3600")
    assert (second.call_id, second.from_, second.cseq.number) == (first.call_id, first.from_, 2)
    peer.answer(second, 200, sdp=SDP, Session_Expires="3600;refresher=uac", Allow="UPDATE")
    peer.advance(1800)
    assert peer.last_request("UPDATE").headers.get("Min-SE") == "3600"


@pytest.mark.parametrize("min_se", ["", "90", "nonsense"])
def test_a_422_that_wants_nothing_longer_fails_the_call(min_se: str) -> None:
    peer = Scripted()
    peer.call()
    peer.answer(peer.last_request("INVITE"), 422, Min_SE=min_se)
    assert isinstance(peer.last_event(), CallFailed)


def test_a_peer_that_always_wants_more_is_not_asked_for_ever() -> None:
    peer = Scripted()
    peer.call()
    for number in range(MAX_LONGER + 1):
        peer.answer(peer.last_request("INVITE"), 422, Min_SE=str(3600 + number))
    assert made(peer, "INVITE") == MAX_LONGER + 1
    assert isinstance(peer.last_event(), CallFailed)


def test_a_peer_that_knows_no_timers_is_left_alone() -> None:
    peer = Scripted()
    answered(peer, Allow="UPDATE")
    peer.advance(100_000)
    assert peer.titles() == []
    assert peer.agent.open_dialogs == 1


def test_half_way_the_call_is_confirmed_with_update() -> None:
    peer = Scripted()
    answered(peer, Session_Expires="90;refresher=uac", Allow="UPDATE")
    for _ in range(3):
        peer.advance(45)
        update = peer.last_request("UPDATE")
        assert (update.headers.get("Session-Expires"), update.body) == ("90;refresher=uac", b"")
        peer.answer(update, 200, Session_Expires="90;refresher=uac")
    assert made(peer, "UPDATE") == 3
    assert isinstance(peer.last_event(), CallAnswered)


@pytest.mark.parametrize("allow", ["", "INVITE, ACK, BYE"])
def test_a_peer_without_update_is_offered_the_same_session_again(allow: str) -> None:
    peer = Scripted()
    answered(peer, Session_Expires="90;refresher=uac", Allow=allow)
    peer.advance(45)
    invite = peer.last_request("INVITE")
    assert invite.body.decode() == SDP
    peer.answer(invite, 200, sdp=SDP, Session_Expires="90;refresher=uac")
    assert isinstance(peer.last_event(), CallAnswered)
    peer.advance(45)
    peer.answer(peer.last_request("INVITE"), 200, sdp=OTHER, Session_Expires="90;refresher=uac")
    assert peer.last_event() == CallReofferAnswered(dialog=DialogKey("call"), sdp=OTHER)


def test_an_update_that_the_peer_does_not_know_after_all_becomes_a_reinvite() -> None:
    peer = Scripted()
    answered(peer, Session_Expires="90;refresher=uac", Allow="UPDATE")
    peer.advance(45)
    peer.answer(peer.last_request("UPDATE"), 501)
    assert peer.titles() == ["UPDATE", "INVITE"]


def test_after_491_the_call_is_confirmed_a_little_later() -> None:
    peer = Scripted()
    answered(peer, Session_Expires="90;refresher=uac", Allow="UPDATE")
    peer.advance(45)
    peer.answer(peer.last_request("UPDATE"), 491)
    peer.advance(4)
    assert made(peer, "UPDATE") == 2


@pytest.mark.parametrize(("status", "fields"), [(500, {}), (500, {"Retry_After": "0"}), (491, {})])
def test_a_peer_that_takes_no_update_at_all_is_not_asked_for_ever(status: int, fields: dict[str, str]) -> None:
    peer = Scripted()
    answered(peer, Session_Expires="1800;refresher=uac", Allow="UPDATE")
    peer.advance(899)
    for _ in range(600):
        peer.advance(0.1)
        if peer.titles() and peer.titles()[-1] == "UPDATE":
            peer.answer(peer.last_request("UPDATE"), status, **fields)
    assert made(peer, "UPDATE") <= MAX_RETRIES + 1
    assert made(peer, "INVITE") == 1


def test_an_interval_that_has_become_too_short_is_made_longer() -> None:
    peer = Scripted()
    answered(peer, Session_Expires="90;refresher=uac", Allow="UPDATE")
    peer.advance(45)
    peer.answer(peer.last_request("UPDATE"), 422, Min_SE="600")
    assert peer.last_request("UPDATE").headers.get("Session-Expires") == "600;refresher=uac"
    peer.answer(peer.last_request("UPDATE"), 200, Session_Expires="600;refresher=uac")
    peer.advance(299)
    assert made(peer, "UPDATE") == 2


def test_a_reoffer_whose_interval_is_too_short_is_made_again() -> None:
    peer = Scripted()
    dialog = answered(peer, Session_Expires="90;refresher=uac")
    peer.steer(dialog, ReofferAsked(sdp=OTHER))
    peer.answer(peer.last_request("INVITE"), 422, Min_SE="600")
    again = peer.last_request("INVITE")
    assert (again.headers.get("Session-Expires"), again.body.decode()) == ("600;refresher=uac", OTHER)
    peer.answer(again, 200, sdp=SDP)
    assert peer.last_event() == CallReofferAnswered(dialog=dialog, sdp=SDP)


def test_a_2xx_to_a_confirmation_may_end_the_timer() -> None:
    peer = Scripted()
    answered(peer, Session_Expires="90;refresher=uac", Allow="UPDATE")
    peer.advance(45)
    peer.answer(peer.last_request("UPDATE"), 200)
    peer.advance(10_000)
    assert made(peer, "UPDATE") == 1
    assert peer.agent.open_dialogs == 1


@pytest.mark.parametrize("status", [408, 481])
@pytest.mark.parametrize("allow", ["UPDATE", "INVITE"])
def test_a_peer_that_has_left_ends_the_call(status: int, allow: str) -> None:
    peer = Scripted()
    dialog = answered(peer, Session_Expires="90;refresher=uac", Allow=allow)
    peer.advance(45)
    peer.answer(peer.last_request("UPDATE" if allow == "UPDATE" else "INVITE"), status)
    assert peer.last_event() == CallEnded(dialog=dialog, by_peer=False, expired=True)
    assert peer.titles()[-1] == "BYE"


def test_a_refused_confirmation_is_tried_again_until_the_session_ends() -> None:
    peer = Scripted()
    dialog = answered(peer, Session_Expires="90;refresher=uac")
    while peer.agent.open_dialogs and peer.now < 2000:
        peer.advance(0.5)
        if peer.titles() and peer.titles()[-1] == "INVITE":
            peer.answer(peer.last_request("INVITE"), 488)
        if peer.titles() and peer.titles()[-1] == "BYE":
            peer.answer(peer.last_request("BYE"), 200)
    assert made(peer, "INVITE") > 1
    assert peer.now == pytest.approx(1060, abs=1)
    assert peer.last_event() == CallEnded(dialog=dialog, by_peer=False, expired=True)


@pytest.mark.parametrize(("interval_s", "end_s"), [(90, 60), (1800, 1768)])
def test_a_peer_that_should_confirm_and_does_not_is_hung_up_a_little_early(interval_s: int, end_s: int) -> None:
    peer = Scripted()
    dialog = answered(peer, Session_Expires=f"{interval_s};refresher=uas", Allow="UPDATE")
    peer.advance(end_s - 0.1)
    assert peer.titles() == []
    peer.advance(0.2)
    assert peer.titles() == ["BYE"]
    assert peer.last_event() == CallEnded(dialog=dialog, by_peer=False, expired=True)


# Being asked.


@pytest.mark.parametrize(
    ("fields", "expires", "require"),
    [
        ((), None, ()),
        ((KNOWN,), "1800;refresher=uas", ()),
        ((KNOWN, ("Session-Expires", "600;refresher=uac")), "600;refresher=uac", ("timer",)),
        ((KNOWN, ("Session-Expires", "600;refresher=uas")), "600;refresher=uas", ()),
        ((("Session-Expires", "600"),), "600;refresher=uas", ()),
        ((("Require", "timer"), ("Session-Expires", "7200"), ("Min-SE", "3600")), "3600;refresher=uas", ()),
    ],
)
def test_our_2xx_agrees(fields: tuple[tuple[str, str], ...], expires: str | None, require: tuple[str, ...]) -> None:
    peer = Scripted()
    peer.receive(peer_request("INVITE", sdp=SDP, fields=fields))
    peer.steer(peer.incoming.dialog, AcceptAsked(sdp=SDP))
    assert peer.last_response().headers.get("Session-Expires") == expires
    assert peer.last_response().require == require


@pytest.mark.parametrize(
    ("fields", "settings", "status", "header"),
    [
        ((KNOWN, ("Session-Expires", "89")), {}, 422, ("Min-SE", "90")),
        ((KNOWN, ("Session-Expires", "599")), {"min_se_s": 600}, 422, ("Min-SE", "600")),
        ((("Require", "timer"),), {"session_timer": SessionTimer.OFF}, 420, ("Unsupported", "timer")),
        ((KNOWN, ("Session-Expires", "soon")), {}, 400, ("To", None)),
    ],
)
def test_what_we_do_not_agree_to_is_refused(
    fields: tuple[tuple[str, str], ...], settings: dict[str, object], status: int, header: tuple[str, str | None]
) -> None:
    peer = Scripted(trunk(**settings))  # type: ignore[arg-type]
    peer.receive(peer_request("INVITE", sdp=SDP, fields=fields))
    assert peer.titles() == [f"{status} INVITE"]
    assert header[1] is None or peer.last_response().headers.get(header[0]) == header[1]
    assert peer.events == []


def test_the_peer_confirms_and_changes_the_interval() -> None:
    peer = Scripted()
    tag = accepted(peer, KNOWN, ("Session-Expires", "90;refresher=uac"))
    peer.advance(50)
    fields = (KNOWN, ("Session-Expires", "600;refresher=uac"))
    peer.receive(peer_request("UPDATE", cseq=2, branch="two", to_tag=tag, fields=fields))
    assert peer.last_response().headers.get("Session-Expires") == "600;refresher=uac"
    peer.advance(560)
    assert peer.agent.open_dialogs == 1
    peer.advance(10)
    assert peer.last_event() == CallEnded(dialog=peer.incoming.dialog, by_peer=False, expired=True)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_confirmation_with_too_short_an_interval_is_refused(method: str) -> None:
    peer = Scripted()
    tag = accepted(peer, KNOWN)
    fields = (KNOWN, ("Session-Expires", "10"))
    peer.receive(peer_request(method, cseq=2, branch="two", to_tag=tag, sdp=SDP, fields=fields))
    assert peer.last_response().status == 422
    assert peer.agent.open_dialogs == 1


def test_a_session_that_ends_while_an_offer_of_the_peer_waits_ends_that_too() -> None:
    peer = Scripted()
    tag = accepted(peer, KNOWN, ("Session-Expires", "90;refresher=uac"))
    peer.receive(peer_request("INVITE", cseq=2, branch="two", to_tag=tag, sdp=SDP))
    peer.sent.clear()
    peer.advance(60)
    assert "487 INVITE" in peer.titles()
    assert "BYE" in peer.titles()
