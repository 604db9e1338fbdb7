"""Calls that come in: what the peer sees, and what the application is told (RFC 3261 §8.2, §9.2, §13.3, §14.2)."""

import pytest

from bridge.sip import inbound
from bridge.sip.events import (
    CallCancelled,
    CallConfirmed,
    CallEnded,
    CallReoffered,
    IncomingCall,
)
from bridge.sip.message import Request, Response
from bridge.sip.settings import TrunkAuth
from bridge.sip.usage_commands import AcceptAsked, CancelAsked, HangUpAsked, RejectAsked, RingAsked
from tests.sip.scripted_peer import PEER, SDP, STRANGER, US, Scripted, peer_request, trunk


def test_a_call_is_told_after_100_was_sent() -> None:
    peer = Scripted()
    peer.receive(peer_request("INVITE", sdp=SDP))
    assert peer.titles() == ["100 INVITE"]
    assert peer.incoming.called == "+15550199"
    assert peer.incoming.caller == "+15550123"
    assert peer.incoming.sdp == SDP
    assert peer.incoming.sip_call_id == "peer-call"


def test_answers_go_to_the_source_and_say_what_it_was() -> None:
    peer = Scripted()
    peer.receive(peer_request("INVITE"), port=40_000)
    response, flow = peer.sent[0]
    assert flow.address == (PEER, 40_000)
    assert (response.via.received, response.via.rport) == (PEER, 40_000)


def test_without_rport_answers_go_to_the_port_of_the_via() -> None:
    peer = Scripted()
    request = peer_request("INVITE")
    request.headers.set("Via", "SIP/2.0/UDP 192.0.2.77:5070;branch=z9hG4bKx")
    peer.receive(request, port=40_000)
    response, flow = peer.sent[0]
    assert flow.address == (PEER, 5070)
    assert response.via.received == PEER


def test_a_stranger_gets_no_answer_at_all() -> None:
    peer = Scripted()
    for method in ("INVITE", "OPTIONS", "REGISTER", "BYE", "CANCEL"):
        peer.receive(peer_request(method, branch=method), source=STRANGER)
    peer.receive(b"garbage", source=STRANGER)
    assert (peer.sent, peer.events) == ([], [])
    assert peer.counted("sip_dropped_total", reason="acl") == 6
    assert peer.agent.open_transactions == 0


def test_ringing_and_answering() -> None:
    peer = Scripted()
    peer.receive(peer_request("INVITE", sdp=SDP))
    dialog = peer.incoming.dialog
    peer.steer(dialog, RingAsked(status=180, sdp=None))
    peer.steer(dialog, AcceptAsked(sdp=SDP))
    assert peer.titles() == ["100 INVITE", "180 INVITE", "200 INVITE"]
    ringing, answer = (message for message, _ in peer.sent[1:])
    assert ringing.to.tag == answer.to.tag != None  # noqa: E711
    assert answer.body.decode() == SDP
    assert str(answer.contacts[0].uri) == f"sip:trunkline@{US}:5060"
    peer.receive(peer_request("ACK", to_tag=answer.to.tag or "", branch="ack"))
    assert peer.last_event() == CallConfirmed(dialog=dialog)


def test_record_routes_are_echoed_and_used() -> None:
    peer = Scripted()
    routes = ("Record-Route", "<sip:192.0.2.2:5080;lr>, <sip:192.0.2.9;lr>")
    peer.receive(peer_request("INVITE", sdp=SDP, fields=(routes,)))
    peer.steer(peer.incoming.dialog, AcceptAsked(sdp=SDP))
    tag = peer.last_response().to.tag or ""
    assert len(peer.last_response().record_routes) == 2
    peer.receive(peer_request("ACK", to_tag=tag, branch="ack"))
    peer.steer(peer.incoming.dialog, HangUpAsked())
    bye, flow = peer.sent[-1]
    assert isinstance(bye, Request)
    assert bye.uri_text == f"sip:peer@{PEER}:5060"
    assert [str(route) for route in bye.routes] == ["<sip:192.0.2.2:5080;lr>", "<sip:192.0.2.9;lr>"]
    assert flow.address == ("192.0.2.2", 5080)


def test_the_answer_is_repeated_until_its_ack_comes() -> None:
    peer = Scripted()
    peer.receive(peer_request("INVITE", sdp=SDP))
    peer.steer(peer.incoming.dialog, AcceptAsked(sdp=SDP))
    tag = peer.last_response().to.tag or ""
    peer.sent.clear()
    peer.advance(4)
    assert peer.titles() == ["200 INVITE"] * 3
    peer.receive(peer_request("ACK", to_tag=tag, branch="ack"))
    peer.sent.clear()
    peer.advance(60)
    assert peer.titles() == []


def test_without_ack_the_call_is_hung_up() -> None:
    peer = Scripted()
    peer.receive(peer_request("INVITE", sdp=SDP))
    dialog = peer.incoming.dialog
    peer.steer(dialog, AcceptAsked(sdp=SDP))
    peer.advance(33)
    assert peer.last_event() == CallEnded(dialog=dialog, by_peer=False)
    assert peer.titles()[-1] == "BYE"
    peer.advance(100)
    assert peer.agent.open_dialogs == 0


def test_a_hangup_before_the_ack_waits_for_it() -> None:
    peer = Scripted()
    peer.receive(peer_request("INVITE", sdp=SDP))
    peer.steer(peer.incoming.dialog, AcceptAsked(sdp=SDP))
    tag = peer.last_response().to.tag or ""
    peer.steer(peer.incoming.dialog, HangUpAsked(q850=16))
    assert "BYE" not in peer.titles()
    peer.receive(peer_request("ACK", to_tag=tag, branch="ack"))
    assert peer.last_request("BYE").headers.get("Reason") == "Q.850;cause=16"


def test_a_late_offer_is_answered_in_the_ack() -> None:
    peer = Scripted()
    peer.receive(peer_request("INVITE"))
    assert peer.incoming.sdp is None
    peer.steer(peer.incoming.dialog, AcceptAsked(sdp=SDP))
    tag = peer.last_response().to.tag or ""
    peer.receive(peer_request("ACK", to_tag=tag, branch="ack", sdp=SDP))
    assert peer.last_event() == CallConfirmed(dialog=peer.incoming.dialog, sdp=SDP)


def test_a_refusal_carries_status_phrase_and_cause() -> None:
    peer = Scripted()
    peer.receive(peer_request("INVITE", sdp=SDP))
    peer.steer(peer.incoming.dialog, RejectAsked(status=486, reason_phrase="Busy", q850=17))
    response = peer.last_response()
    assert (response.status, response.reason_phrase) == (486, "Busy")
    assert response.headers.get("Reason") == "Q.850;cause=17"
    assert peer.agent.open_dialogs == 0


def test_a_phrase_cannot_smuggle_a_header() -> None:
    peer = Scripted()
    peer.receive(peer_request("INVITE", sdp=SDP))
    peer.steer(peer.incoming.dialog, RejectAsked(status=486, reason_phrase="Busy\r\nX-Evil: 1"))
    assert peer.last_response().headers.get("X-Evil") is None


def test_a_cancelled_call_gets_200_and_487() -> None:
    peer = Scripted()
    peer.receive(peer_request("INVITE", sdp=SDP))
    dialog = peer.incoming.dialog
    peer.steer(dialog, RingAsked(status=180, sdp=None))
    peer.receive(peer_request("CANCEL"))
    assert peer.titles()[-2:] == ["200 CANCEL", "487 INVITE"]
    assert peer.last_event() == CallCancelled(dialog=dialog)
    assert peer.sent[-1][0].to.tag == peer.sent[-2][0].to.tag


def test_a_cancel_says_that_another_device_answered() -> None:
    peer = Scripted()
    peer.receive(peer_request("INVITE", sdp=SDP))
    reason = ("Reason", 'SIP;cause=200;text="Call completed elsewhere"')
    peer.receive(peer_request("CANCEL", fields=(reason,)))
    assert peer.last_event() == CallCancelled(dialog=peer.incoming.dialog, answered_elsewhere=True)


def test_a_cancel_that_comes_after_the_answer_changes_nothing() -> None:
    peer = Scripted()
    peer.receive(peer_request("INVITE", sdp=SDP))
    peer.steer(peer.incoming.dialog, AcceptAsked(sdp=SDP))
    peer.receive(peer_request("CANCEL"))
    assert peer.titles()[-1] == "200 CANCEL"
    assert peer.agent.open_dialogs == 1


def test_a_cancel_of_nothing_is_481() -> None:
    peer = Scripted()
    peer.receive(peer_request("CANCEL"))
    assert peer.titles() == ["481 CANCEL"]


def test_the_caller_may_hang_up_with_bye_while_it_rings() -> None:
    peer = Scripted()
    peer.receive(peer_request("INVITE", sdp=SDP))
    peer.steer(peer.incoming.dialog, RingAsked(status=180, sdp=None))
    tag = peer.last_response().to.tag or ""
    peer.receive(peer_request("BYE", cseq=2, branch="bye", to_tag=tag))
    assert peer.titles()[-2:] == ["200 BYE", "487 INVITE"]
    assert isinstance(peer.last_event(), CallCancelled)


def test_an_unanswered_call_that_we_hang_up_is_refused() -> None:
    for command in (HangUpAsked(), CancelAsked()):
        peer = Scripted()
        peer.receive(peer_request("INVITE", sdp=SDP))
        peer.steer(peer.incoming.dialog, command)
        assert peer.titles()[-1] == "480 INVITE"


def test_ringing_is_repeated_each_minute() -> None:
    peer = Scripted()
    peer.receive(peer_request("INVITE", sdp=SDP))
    peer.steer(peer.incoming.dialog, RingAsked(status=180, sdp=None))
    peer.sent.clear()
    peer.advance(130)
    assert peer.titles() == ["180 INVITE"] * 2


# What is refused before anyone is told.


@pytest.mark.parametrize(
    ("request_", "status", "header"),
    [
        (peer_request("INVITE", sdp=SDP, fields=(("Require", "nothingSupportsThis"),)), 420, "Unsupported"),
        (peer_request("INVITE", sdp="x", fields=(("Content-Type", "application/unknown"),)), 415, "Accept"),
        (peer_request("INVITE", sdp=SDP, fields=(("Content-Encoding", "gzip"),)), 415, "Accept-Encoding"),
        (peer_request("INVITE", fields=(("Accept", "text/nobodyKnowsThis"),)), 406, None),
        (peer_request("REGISTER"), 405, "Allow"),
        (peer_request("SUBSCRIBE"), 405, "Allow"),
        (peer_request("REFER"), 403, None),
        (peer_request("NOTIFY"), 481, None),
        (peer_request("INFO"), 481, None),
        (peer_request("MESSAGE"), 405, "Allow"),
        (peer_request("NEWMETHOD"), 501, "Allow"),
        (peer_request("BYE"), 481, None),
        (peer_request("BYE", to_tag="unknown"), 481, None),
        (peer_request("INFO", to_tag="unknown"), 481, None),
        (peer_request("UPDATE", to_tag="unknown"), 481, None),
        (peer_request("INVITE", to_tag="unknown", sdp=SDP), 481, None),
    ],
)
def test_what_we_cannot_do_is_refused(request_: Request, status: int, header: str | None) -> None:
    peer = Scripted()
    peer.receive(request_)
    assert peer.last_response().status == status
    assert header is None or peer.last_response().headers.get(header)
    assert peer.events == []


def test_an_invite_without_contact_is_400() -> None:
    peer = Scripted()
    request = peer_request("INVITE", sdp=SDP)
    request.headers.remove("Contact")
    peer.receive(request)
    assert peer.last_response().status == 400
    assert peer.agent.open_dialogs == 0


def test_options_are_answered_with_what_we_can() -> None:
    peer = Scripted()
    peer.receive(peer_request("OPTIONS"))
    response = peer.last_response()
    assert response.status == 200
    assert "INVITE" in (response.headers.get("Allow") or "")
    assert response.headers.get("Accept") == "application/sdp"
    assert response.headers.get("Supported") is not None


def test_a_request_that_came_by_two_ways_is_482() -> None:
    peer = Scripted()
    peer.receive(peer_request("INVITE", sdp=SDP))
    peer.receive(peer_request("INVITE", sdp=SDP, branch="two"))
    assert peer.titles()[-1] == "482 INVITE"
    assert len(peer.events) == 1


def test_no_hops_left_is_no_obstacle_at_the_target() -> None:
    peer = Scripted()
    request = peer_request("INVITE", sdp=SDP)
    request.headers.set("Max-Forwards", "0")
    peer.receive(request)
    assert isinstance(peer.last_event(), IncomingCall)


def test_an_ack_of_nothing_gets_no_answer() -> None:
    peer = Scripted()
    peer.receive(peer_request("ACK", to_tag="unknown"))
    assert peer.sent == []


def test_a_broken_request_gets_its_status() -> None:
    peer = Scripted()
    peer.receive(bytes(peer_request("INVITE")).replace(b"CSeq: 1 INVITE", b"CSeq: 1 BYE"))
    assert peer.last_response().status == 400


def test_the_session_description_is_found_beside_other_parts() -> None:
    peer = Scripted()
    parts = ("application/isup\r\n\r\n\x01", f"application/sdp\r\n\r\n{SDP}")
    body = "".join(f"--b\r\nContent-Type: {part}\r\n" for part in parts) + "--b--\r\n"
    kind = ("Content-Type", 'multipart/mixed;boundary="b"')
    peer.receive(peer_request("INVITE", sdp=body, fields=(kind,)))
    assert peer.incoming.sdp == SDP


# Peers of RFC 2543.


def test_a_peer_without_branches_calls_and_cancels() -> None:
    peer = Scripted()
    invite, cancel = peer_request("INVITE", sdp=SDP), peer_request("CANCEL")
    for request in (invite, cancel):
        request.headers.set("Via", f"SIP/2.0/UDP {PEER}:5060")
    peer.receive(invite)
    peer.receive(invite)
    assert peer.titles() == ["100 INVITE", "100 INVITE"]
    assert len(peer.events) == 1
    peer.receive(cancel)
    assert peer.titles()[-2:] == ["200 CANCEL", "487 INVITE"]


def test_a_peer_without_branches_acknowledges() -> None:
    peer = Scripted()
    invite = peer_request("INVITE", sdp=SDP)
    invite.headers.set("Via", f"SIP/2.0/UDP {PEER}:5060")
    peer.receive(invite)
    peer.steer(peer.incoming.dialog, AcceptAsked(sdp=SDP))
    ack = peer_request("ACK", to_tag=peer.last_response().to.tag or "")
    ack.headers.set("Via", f"SIP/2.0/UDP {PEER}:5060")
    peer.receive(ack)
    assert peer.last_event() == CallConfirmed(dialog=peer.incoming.dialog)


# Inside the dialog.


def test_bye_ends_the_call() -> None:
    peer = Scripted()
    dialog, _, tag = peer.accepted_call()
    reason = ("Reason", "Q.850;cause=31")
    peer.receive(peer_request("BYE", cseq=2, branch="bye", to_tag=tag, fields=(reason,)))
    assert peer.titles() == ["200 BYE"]
    assert peer.last_event() == CallEnded(dialog=dialog, q850=31)
    assert peer.agent.open_dialogs == 0


def test_a_reinvite_is_offered_and_answered() -> None:
    peer = Scripted()
    dialog, _, tag = peer.accepted_call()
    peer.receive(peer_request("INVITE", cseq=2, branch="two", to_tag=tag, sdp=SDP))
    assert peer.last_event() == CallReoffered(dialog=dialog, sdp=SDP)
    peer.steer(dialog, AcceptAsked(sdp=SDP))
    assert peer.titles() == ["100 INVITE", "200 INVITE"]
    peer.receive(peer_request("ACK", cseq=2, branch="ack2", to_tag=tag))
    assert peer.last_event() == CallConfirmed(dialog=dialog)
    peer.sent.clear()
    peer.advance(40)
    assert peer.titles() == []


def test_a_refused_reinvite_leaves_the_call_as_it_was() -> None:
    peer = Scripted()
    dialog, _, tag = peer.accepted_call()
    peer.receive(peer_request("INVITE", cseq=2, branch="two", to_tag=tag, sdp=SDP))
    peer.steer(dialog, RejectAsked(status=488))
    assert peer.titles()[-1] == "488 INVITE"
    peer.receive(peer_request("BYE", cseq=3, branch="bye", to_tag=tag))
    assert peer.last_event() == CallEnded(dialog=dialog)


def test_a_cancelled_reinvite_leaves_the_call_as_it_was() -> None:
    peer = Scripted()
    dialog, _, tag = peer.accepted_call()
    peer.receive(peer_request("INVITE", cseq=2, branch="two", to_tag=tag, sdp=SDP))
    peer.receive(peer_request("CANCEL", cseq=2, branch="two", to_tag=tag))
    assert peer.titles()[-2:] == ["200 CANCEL", "487 INVITE"]
    assert peer.agent.open_dialogs == 1
    peer.steer(dialog, AcceptAsked(sdp=SDP))
    assert peer.counted("sip_late_commands_total") == 1


def test_a_second_reinvite_before_the_first_is_answered_is_told_to_wait() -> None:
    peer = Scripted()
    _, _, tag = peer.accepted_call()
    peer.receive(peer_request("INVITE", cseq=2, branch="two", to_tag=tag, sdp=SDP))
    peer.receive(peer_request("INVITE", cseq=3, branch="three", to_tag=tag, sdp=SDP))
    assert peer.last_response().status == 500
    assert 0 <= int(peer.last_response().headers.get("Retry-After") or "-1") <= 10


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize(("offer", "status"), [(SDP, 500), (None, 491)])
def test_an_offer_before_the_ack_waits_or_crosses_ours(method: str, offer: str | None, status: int) -> None:
    """491 while the ACK has to answer an offer of ours (RFC 3311 §5.2); 500 while there is only the ACK to come."""
    peer = Scripted()
    peer.receive(peer_request("INVITE", sdp=offer))
    peer.steer(peer.incoming.dialog, AcceptAsked(sdp=SDP))
    tag = peer.last_response().to.tag or ""
    peer.receive(peer_request(method, cseq=2, branch="early", to_tag=tag, sdp=SDP))
    assert peer.last_response().status == status
    assert ("Retry-After" in peer.last_response().headers) is (status == 500)


def test_a_request_out_of_order_is_500() -> None:
    peer = Scripted()
    _, _, tag = peer.accepted_call()
    peer.receive(peer_request("OPTIONS", cseq=9, branch="options", to_tag=tag))
    peer.receive(peer_request("BYE", cseq=8, branch="bye", to_tag=tag))
    assert peer.titles() == ["200 OPTIONS", "500 BYE"]


def test_an_update_without_offer_moves_the_peer() -> None:
    peer = Scripted()
    dialog, _, tag = peer.accepted_call()
    request = peer_request("UPDATE", cseq=2, branch="two", to_tag=tag)
    request.headers.set("Contact", "<sip:moved@192.0.2.55:5090>")
    peer.receive(request)
    assert peer.titles() == ["200 UPDATE"]
    peer.steer(dialog, HangUpAsked())
    assert peer.last_request("BYE").uri_text == "sip:moved@192.0.2.55:5090"
    assert peer.sent[-1][1].address == ("192.0.2.55", 5090)


def test_an_update_with_offer_is_offered_and_answered_without_ack() -> None:
    peer = Scripted()
    dialog, _, tag = peer.accepted_call()
    peer.receive(peer_request("UPDATE", cseq=2, branch="two", to_tag=tag, sdp=SDP))
    assert peer.last_event() == CallReoffered(dialog=dialog, sdp=SDP)
    peer.steer(dialog, AcceptAsked(sdp=SDP))
    assert peer.titles() == ["200 UPDATE"]
    peer.advance(100)
    assert peer.titles() == ["200 UPDATE"]


@pytest.mark.parametrize(
    ("method", "sdp", "status"),
    [
        ("INFO", None, 200),
        ("INFO", "Signal=1", 415),
        ("REFER", None, 403),
        ("NOTIFY", None, 489),
        ("SUBSCRIBE", None, 405),
        ("STRANGE", None, 501),
    ],
)
def test_other_requests_inside_a_call_get_a_clean_answer(method: str, sdp: str | None, status: int) -> None:
    peer = Scripted()
    _, _, tag = peer.accepted_call()
    peer.receive(peer_request(method, cseq=2, branch="two", to_tag=tag, sdp=sdp))
    assert peer.last_response().status == status
    assert peer.agent.open_dialogs == 1


def test_a_bye_that_crosses_ours_is_answered() -> None:
    peer = Scripted()
    dialog, _, tag = peer.accepted_call()
    peer.steer(dialog, HangUpAsked())
    peer.receive(peer_request("BYE", cseq=2, branch="bye", to_tag=tag))
    assert peer.titles() == ["BYE", "200 BYE"]
    assert not any(isinstance(event, CallEnded) for event in peer.events)


def test_the_peer_of_a_call_may_have_another_address_than_the_trunk() -> None:
    peer = Scripted()
    invite = peer_request("INVITE", sdp=SDP)
    invite.headers.set("Contact", f"<sip:peer@{STRANGER}:5060>")
    peer.receive(invite)
    peer.steer(peer.incoming.dialog, AcceptAsked(sdp=SDP))
    tag = peer.last_response().to.tag or ""
    peer.receive(peer_request("ACK", to_tag=tag, branch="ack"), source=STRANGER)
    peer.receive(peer_request("INVITE", call_id="other", branch="other"), source=STRANGER)
    peer.receive(peer_request("BYE", cseq=2, branch="bye", to_tag=tag), source=STRANGER)
    assert [type(event) for event in peer.events] == [IncomingCall, CallConfirmed, CallEnded]
    assert not peer.agent.admits(STRANGER)


# Who calls.


@pytest.mark.parametrize(
    ("fields", "from_", "expected"),
    [
        ((), "<sip:+15550123@example.org>;tag=peer", ("+15550123", "")),
        ((), '"Bob" <sip:+15550123;tgrp=x@example.org>;tag=peer', ("+15550123", "Bob")),
        ((), '"Anonymous" <sip:anonymous@anonymous.invalid>;tag=peer', ("", "")),
        ((("P-Asserted-Identity", '"Eve" <sip:+15550177@example.org>'),), "<sip:x@y>;tag=peer", ("+15550177", "Eve")),
        ((("P-Asserted-Identity", "<tel:+1-555-0177>"),), "<sip:x@y>;tag=peer", ("+15550177", "")),
        (
            (("P-Asserted-Identity", "<sip:+15550177@example.org>"), ("Privacy", "id")),
            '"Anonymous" <sip:anonymous@anonymous.invalid>;tag=peer',
            ("", ""),
        ),
    ],
)
def test_the_caller_is_who_the_trunk_says(
    fields: tuple[tuple[str, str], ...], from_: str, expected: tuple[str, str]
) -> None:
    peer = Scripted()
    peer.receive(peer_request("INVITE", sdp=SDP, from_=from_, fields=fields))
    assert (peer.incoming.caller, peer.incoming.caller_name) == expected


def test_an_identity_is_not_believed_from_a_trunk_that_is_not_trusted() -> None:
    peer = Scripted(trunk(trust_identity=False))
    field = ("P-Asserted-Identity", "<sip:+15550177@example.org>")
    peer.receive(peer_request("INVITE", sdp=SDP, fields=(field,)))
    assert peer.incoming.caller == "+15550123"


def test_the_called_number_is_in_to_where_the_registrar_puts_our_contact_into_the_request() -> None:
    peer = Scripted(trunk(TrunkAuth.REGISTER))
    peer.receive(peer_request("INVITE", sdp=SDP, uri=f"sip:alice@{US}:5060"))
    assert peer.incoming.called == "+15550199"


def test_commands_for_a_call_that_has_ended_do_nothing() -> None:
    peer = Scripted()
    dialog, _, tag = peer.accepted_call()
    peer.receive(peer_request("BYE", cseq=2, branch="bye", to_tag=tag))
    peer.sent.clear()
    commands = (
        RingAsked(status=180, sdp=None),
        AcceptAsked(sdp=SDP),
        RejectAsked(status=486),
        CancelAsked(),
        HangUpAsked(),
    )
    for command in commands:
        peer.steer(dialog, command)
    assert peer.sent == []
    assert peer.counted("sip_late_commands_total") == len(commands)


def test_an_update_with_a_body_that_is_no_offer_offers_nothing() -> None:
    peer = Scripted()
    _, _, tag = peer.accepted_call()
    told = len(peer.events)
    kind = (("Content-Type", "application/x-note"), ("Content-Disposition", "render;handling=optional"))
    peer.receive(peer_request("UPDATE", cseq=2, branch="two", to_tag=tag, sdp="a note", fields=kind))
    assert peer.titles() == ["200 UPDATE"]
    assert len(peer.events) == told


def test_a_contact_cannot_put_headers_into_our_requests() -> None:
    peer = Scripted()
    invite = peer_request("INVITE", sdp=SDP)
    invite.headers.set("Contact", f"<sip:peer@{PEER};method=REGISTER;ob?Route=%3Csip:evil.example.org%3E&X-Evil=1>")
    peer.receive(invite)
    peer.steer(peer.incoming.dialog, AcceptAsked(sdp=SDP))
    tag = peer.last_response().to.tag or ""
    peer.receive(peer_request("ACK", to_tag=tag, branch="ack"))
    peer.steer(peer.incoming.dialog, HangUpAsked())
    assert peer.last_request("BYE").uri_text == f"sip:peer@{PEER};ob"


# Load.


@pytest.mark.parametrize("limit", ["MAX_CALLS", "MAX_TRANSACTIONS"])
def test_under_load_only_what_is_new_is_turned_away(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbound, limit, 1)
    peer = Scripted()
    invite = peer_request("INVITE", sdp=SDP)
    peer.receive(invite)
    peer.steer(peer.incoming.dialog, RingAsked(status=180, sdp=None))
    peer.receive(invite)
    assert peer.titles() == ["100 INVITE", "180 INVITE", "180 INVITE"]
    assert peer.counted("sip_retransmissions_total", direction="in", method="INVITE") == 1
    peer.receive(peer_request("INVITE", sdp=SDP, branch="two", call_id="two"))
    assert peer.last_response().status == 503
    assert 5 <= int(peer.last_response().headers.get("Retry-After") or "0") <= 30
    assert peer.counted("sip_dropped_total", reason="overload") == 1
    peer.receive(peer_request("CANCEL"))
    assert peer.titles()[-2:] == ["200 CANCEL", "487 INVITE"]
    assert peer.agent.open_dialogs == 0


def test_what_lingers_after_a_call_answers_retransmissions_and_holds_no_request() -> None:
    peer = Scripted()
    peer.receive(peer_request("INVITE", sdp=SDP))
    peer.steer(peer.incoming.dialog, AcceptAsked(sdp=SDP))
    tag = peer.last_response().to.tag or ""
    peer.receive(peer_request("ACK", to_tag=tag, branch="ack"))
    bye = peer_request("BYE", to_tag=tag, branch="bye", cseq=2)
    peer.receive(bye)
    first = bytes(peer.last_response())
    peer.receive(bye)
    assert peer.titles()[-2:] == ["200 BYE", "200 BYE"]
    assert bytes(peer.last_response()) == first
    lingering = peer.agent._context.layer._servers.values()
    assert [len(server.request.headers) for server in lingering] == [0, 0]


def test_a_flood_of_calls_keeps_nothing_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbound, "MAX_CALLS", 5)
    peer = Scripted()
    for number in range(50):
        peer.receive(peer_request("INVITE", sdp=SDP, branch=f"b{number}", call_id=f"c{number}"))
    assert (peer.agent.open_dialogs, peer.agent.open_transactions) == (5, 5)


def test_what_pretends_to_belong_to_a_dialog_leaves_nothing_behind() -> None:
    peer = Scripted()
    for number in range(50):
        for method in ("BYE", "INFO", "UPDATE", "INVITE"):
            peer.receive(peer_request(method, branch=f"{method}{number}", to_tag="none", call_id=f"c{number}"))
    assert {(message.status, message.to.tag) for message, _ in peer.sent if isinstance(message, Response)} == {
        (481, "none")
    }
    assert (len(peer.sent), peer.agent.open_transactions) == (200, 0)
