"""Calls that come in: what the peer sees, and what the application is told (RFC 3261 §9.2, §13.3)."""

import pytest

from bridge.sip.events import (
    CallCancelled,
    CallConfirmed,
    CallEnded,
)
from bridge.sip.message import Request
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
