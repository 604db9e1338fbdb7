"""Calls that we place: forks, races, credentials and failures (RFC 3261 §8.1, §9.1, §13.2, §22)."""

import pytest

from bridge.sip.actions import Address, Unreachable
from bridge.sip.credentials import MAX_NONCES
from bridge.sip.events import CallAnswered, CallEnded, CallFailed, CallProgress
from bridge.sip.message import Request
from bridge.sip.settings import Transport, Trunk, TrunkAuth
from bridge.sip.usage_commands import AcceptAsked, CancelAsked, HangUpAsked
from tests.sip.scripted_peer import CHALLENGE, PEER, SDP, STRANGER, US, Scripted, peer_request, trunk

DIGEST = trunk(TrunkAuth.DIGEST)


def test_the_invite_has_what_a_trunk_needs() -> None:
    peer = Scripted(trunk(domain="example.org"))
    peer.call()
    invite, flow = peer.sent[0]
    assert isinstance(invite, Request)
    assert flow.address == (PEER, 5060)
    assert invite.uri_text == "sip:+15550100@example.org"
    assert str(invite.from_.uri) == "sip:+15550199@example.org"
    assert invite.from_.display_name == "Alice"
    assert str(invite.to) == "<sip:+15550100@example.org>"
    assert str(invite.asserted_identities[0].uri) == "sip:+15550199@example.org"
    assert "rport" in invite.via.params
    assert (invite.via.host, invite.via.port) == (US, 5060)
    assert invite.headers.get("Max-Forwards") == "70"
    assert invite.body.decode() == SDP


def test_a_withheld_number_is_nowhere_in_the_invite() -> None:
    peer = Scripted()
    peer.call(caller="")
    invite = peer.last_request("INVITE")
    assert str(invite.from_.uri) == "sip:anonymous@anonymous.invalid"
    assert invite.headers.get("Privacy") == "id"
    assert invite.asserted_identities == []


def test_a_dialled_string_cannot_smuggle_a_header() -> None:
    peer = Scripted()
    peer.call(called="1\r\nX-Evil: 1\r\n", caller="2\r\nX-Evil: 1")
    assert peer.last_request("INVITE").headers.get("X-Evil") is None


def test_progress_and_early_media_are_told() -> None:
    peer = Scripted()
    dialog = peer.call()
    invite = peer.last_request("INVITE")
    peer.answer(invite, 100)
    assert peer.events == []
    peer.answer(invite, 183, sdp=SDP)
    peer.answer(invite, 180)
    assert peer.events == [
        CallProgress(dialog=dialog, status=183, sdp=SDP),
        CallProgress(dialog=dialog, status=180),
    ]


def test_the_answer_is_acknowledged_before_it_is_told() -> None:
    peer = Scripted()
    dialog = peer.call()
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP, Contact="<sip:peer@192.0.2.44:5070>")
    ack, flow = peer.sent[-1]
    assert isinstance(ack, Request)
    assert (ack.method, ack.uri_text) == ("ACK", "sip:peer@192.0.2.44:5070")
    assert flow.address == ("192.0.2.44", 5070)
    assert ack.cseq.number == peer.last_request("INVITE").cseq.number
    assert ack.via.branch != peer.last_request("INVITE").via.branch
    assert peer.events == [CallAnswered(dialog=dialog, sdp=SDP)]


def test_each_repeated_answer_gets_the_same_ack() -> None:
    peer = Scripted()
    peer.call()
    invite = peer.last_request("INVITE")
    for _ in range(3):
        peer.answer(invite, 200, sdp=SDP)
    acks = [message for message, _ in peer.sent if isinstance(message, Request) and message.method == "ACK"]
    assert acks == [acks[0]] * 3
    assert len(peer.events) == 1


def test_the_route_is_the_record_route_backwards() -> None:
    peer = Scripted()
    dialog = peer.call()
    routes = "<sip:192.0.2.9;lr>, <sip:192.0.2.2:5080;lr>"
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP, Record_Route=routes)
    peer.steer(dialog, HangUpAsked())
    bye, flow = peer.sent[-1]
    assert [str(route) for route in bye.routes] == ["<sip:192.0.2.2:5080;lr>", "<sip:192.0.2.9;lr>"]
    assert flow.address == ("192.0.2.2", 5080)


def test_a_strict_router_gets_its_own_address() -> None:
    peer = Scripted()
    dialog = peer.call()
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP, Record_Route="<sip:192.0.2.9>")
    peer.steer(dialog, HangUpAsked())
    bye = peer.last_request("BYE")
    assert bye.uri_text == "sip:192.0.2.9"
    assert [str(route.uri) for route in bye.routes] == [f"sip:peer@{PEER}:5060"]


def test_an_answer_with_an_unreadable_contact_is_still_acknowledged_and_hung_up() -> None:
    peer = Scripted()
    dialog = peer.call()
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP, Contact="<<<")
    assert peer.titles()[-1] == "ACK"
    peer.steer(dialog, HangUpAsked())
    assert peer.sent[-1][1].address == (PEER, 5060)


def test_a_contact_that_we_cannot_reach_is_tried_through_the_trunk() -> None:
    peer = Scripted()
    peer.call()
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP, Contact="<sip:peer@192.0.2.44;transport=sctp>")
    assert peer.sent[-1][1].address == (PEER, 5060)


def test_an_offer_that_comes_with_the_answer_waits_for_ours() -> None:
    peer = Scripted()
    dialog = peer.call(sdp=None)
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP)
    assert peer.events == [CallAnswered(dialog=dialog, sdp=SDP)]
    assert peer.titles() == ["INVITE"]
    peer.steer(dialog, AcceptAsked(sdp=SDP))
    assert peer.last_request("ACK").body.decode() == SDP


# Forks.


def test_each_fork_rings_and_the_first_answer_wins() -> None:
    peer = Scripted()
    dialog = peer.call()
    invite = peer.last_request("INVITE")
    peer.answer(invite, 180, tag="a")
    peer.answer(invite, 180, tag="b")
    peer.answer(invite, 200, tag="b", sdp=SDP)
    peer.answer(invite, 200, tag="c", sdp=SDP)
    assert [type(event) for event in peer.events] == [CallProgress, CallProgress, CallAnswered]
    assert peer.titles() == ["INVITE", "ACK", "ACK", "BYE"]
    assert peer.last_request("BYE").to.tag == "c"
    peer.steer(dialog, HangUpAsked())
    assert peer.last_request("BYE").to.tag == "b"


def test_a_late_answer_of_a_fork_is_ended_even_after_the_call() -> None:
    peer = Scripted()
    peer.call()
    invite = peer.last_request("INVITE")
    peer.answer(invite, 200, tag="a", sdp=SDP)
    peer.receive(peer_request("BYE", call_id=invite.call_id, to_tag=invite.from_.tag or "", from_="<sip:p@x>;tag=a"))
    assert isinstance(peer.last_event(), CallEnded)
    peer.answer(invite, 200, tag="b", sdp=SDP)
    assert peer.titles()[-2:] == ["ACK", "BYE"]
    peer.answer(invite, 200, tag="b", sdp=SDP)
    assert peer.titles()[-1] == "ACK"


def test_a_reinvite_of_an_early_dialog_is_told_that_ours_is_pending() -> None:
    peer = Scripted()
    peer.call()
    invite = peer.last_request("INVITE")
    peer.answer(invite, 180, tag="a")
    for method in ("INVITE", "UPDATE"):
        peer.receive(
            peer_request(
                method,
                cseq=5 if method == "INVITE" else 6,
                branch=method,
                call_id=invite.call_id,
                to_tag=invite.from_.tag or "",
                from_="<sip:p@x>;tag=a",
                sdp=SDP,
            )
        )
        assert peer.last_response().status == 491


# Cancelling.


def test_a_cancel_waits_for_a_provisional_response() -> None:
    peer = Scripted()
    dialog = peer.call()
    invite = peer.last_request("INVITE")
    peer.steer(dialog, CancelAsked(q850=16))
    assert peer.titles() == ["INVITE"]
    peer.answer(invite, 100)
    cancel = peer.last_request("CANCEL")
    assert (cancel.via, cancel.uri_text, cancel.call_id) == (invite.via, invite.uri_text, invite.call_id)
    assert cancel.cseq.number == invite.cseq.number
    assert cancel.headers.get("Reason") == "Q.850;cause=16"
    peer.answer(cancel, 200)
    peer.answer(invite, 487)
    assert peer.events == [CallFailed(dialog=dialog, status=487, reason_phrase="Request Terminated")]
    assert peer.titles()[-1] == "ACK"


def test_a_cancel_that_crosses_the_answer_ends_the_call() -> None:
    peer = Scripted()
    dialog = peer.call()
    invite = peer.last_request("INVITE")
    peer.answer(invite, 180)
    peer.steer(dialog, CancelAsked())
    peer.answer(invite, 200, sdp=SDP)
    assert peer.titles() == ["INVITE", "CANCEL", "ACK", "BYE"]
    assert peer.last_event() == CallFailed(dialog=dialog, status=487, reason_phrase="Request Terminated")
    assert not any(isinstance(event, CallAnswered) for event in peer.events)


def test_a_cancel_without_effect_is_not_waited_for_for_ever() -> None:
    peer = Scripted()
    dialog = peer.call()
    peer.answer(peer.last_request("INVITE"), 180)
    peer.steer(dialog, CancelAsked())
    peer.advance(33)
    assert peer.last_event() == CallFailed(dialog=dialog, status=487, reason_phrase="Request Terminated", local=True)
    assert peer.agent.open_dialogs == 0


def test_a_cancel_after_the_answer_is_a_hangup() -> None:
    peer = Scripted()
    dialog = peer.answered_call()
    peer.steer(dialog, CancelAsked(q850=16))
    assert peer.titles() == ["BYE"]


def test_a_hangup_before_the_answer_is_a_cancel() -> None:
    peer = Scripted()
    dialog = peer.call()
    peer.answer(peer.last_request("INVITE"), 180)
    peer.steer(dialog, HangUpAsked())
    assert peer.titles()[-1] == "CANCEL"


# Failing.


@pytest.mark.parametrize("status", [302, 404, 486, 503, 603])
def test_a_failure_is_told_and_acknowledged(status: int) -> None:
    peer = Scripted()
    dialog = peer.call()
    peer.answer(peer.last_request("INVITE"), status, Reason="Q.850;cause=17")
    failure = peer.last_event()
    assert isinstance(failure, CallFailed)
    assert (failure.dialog, failure.status, failure.q850, failure.local) == (dialog, status, 17, False)
    assert peer.titles() == ["INVITE", "ACK"]


def test_silence_is_a_timeout_of_our_own_making() -> None:
    peer = Scripted()
    dialog = peer.call()
    peer.advance(33)
    assert peer.titles() == ["INVITE"] * 7
    assert peer.events == [CallFailed(dialog=dialog, status=408, local=True)]


def test_a_trunk_without_address_fails_the_call() -> None:
    peer = Scripted(Trunk(name=trunk().name, host="trunk.example.org"))
    peer.agent._context.trunks.get(trunk().name).servers = ()  # type: ignore[union-attr]
    dialog = peer.call()
    assert peer.events == [CallFailed(dialog=dialog, status=503, reason_phrase="No Address", local=True)]


def test_a_trunk_that_the_network_cannot_reach_fails_the_call_at_once() -> None:
    peer = Scripted()
    dialog = peer.call()
    peer.feed(Unreachable(transport=Transport.UDP, address=Address(PEER, 5060)))
    assert peer.events == [CallFailed(dialog=dialog, status=503, local=True)]


def test_a_response_that_answers_nothing_of_ours_is_dropped() -> None:
    peer = Scripted()
    peer.call()
    invite = peer.last_request("INVITE")
    forged = invite.response(200, to_tag="x")
    forged.headers.set("Via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKforged")
    peer.receive(forged)
    twice = invite.response(200, to_tag="x")
    twice.headers.add("Via", "SIP/2.0/UDP 255.255.255.255;branch=z9hG4bKx")
    peer.receive(twice)
    assert peer.events == []
    assert peer.counted("sip_dropped_total", reason="unmatched") == 2


# Credentials.


@pytest.mark.parametrize(("status", "header"), [(401, "Authorization"), (407, "Proxy-Authorization")])
def test_a_challenge_is_answered_with_a_digest(status: int, header: str) -> None:
    peer = Scripted(DIGEST)
    peer.call()
    first = peer.last_request("INVITE")
    peer.challenge(first, status)
    second = peer.last_request("INVITE")
    value = second.headers.get(header) or ""
    assert 'username="alice"' in value
    assert 'realm="lab"' in value
    assert second.cseq.number == first.cseq.number + 1
    assert (second.call_id, second.from_) == (first.call_id, first.from_)
    assert second.via.branch != first.via.branch
    peer.answer(second, 200, sdp=SDP)
    assert isinstance(peer.last_event(), CallAnswered)
    assert peer.last_request("ACK").headers.get(header) == value


def test_a_server_behind_a_proxy_may_ask_too() -> None:
    peer = Scripted(DIGEST)
    peer.call()
    peer.challenge(peer.last_request("INVITE"), 407)
    peer.challenge(peer.last_request("INVITE"), 401)
    invite = peer.last_request("INVITE")
    assert "Authorization" in invite.headers
    assert "Proxy-Authorization" in invite.headers


def test_a_refused_password_is_not_sent_again() -> None:
    peer = Scripted(DIGEST)
    dialog = peer.call()
    peer.challenge(peer.last_request("INVITE"))
    peer.challenge(peer.last_request("INVITE"), nonce="n2")
    assert peer.titles().count("INVITE") == 2
    failure = peer.last_event()
    assert isinstance(failure, CallFailed)
    assert (failure.dialog, failure.status) == (dialog, 407)


def test_a_stale_nonce_is_replaced_once() -> None:
    peer = Scripted(DIGEST)
    peer.call()
    peer.challenge(peer.last_request("INVITE"))
    peer.challenge(peer.last_request("INVITE"), nonce="n2", more=", stale=true")
    assert 'nonce="n2"' in (peer.last_request("INVITE").headers.get("Proxy-Authorization") or "")
    peer.challenge(peer.last_request("INVITE"), nonce="n3", more=", stale=true")
    assert peer.titles().count("INVITE") == 3
    assert isinstance(peer.last_event(), CallFailed)


@pytest.mark.parametrize(
    ("settings", "realm"),
    [(trunk(TrunkAuth.DIGEST, realm="lab"), "elsewhere"), (trunk(username="alice", password="secret"), "lab")],
)
def test_credentials_go_to_nobody_else(settings: Trunk, realm: str) -> None:
    peer = Scripted(settings)
    peer.call()
    peer.challenge(peer.last_request("INVITE"), realm=realm)
    assert peer.titles() == ["INVITE", "ACK"]
    assert isinstance(peer.last_event(), CallFailed)


def test_the_first_realm_that_asked_stays_the_only_one() -> None:
    peer = Scripted(DIGEST)
    peer.call("one")
    peer.challenge(peer.last_request("INVITE"), realm="lab")
    assert peer.titles().count("INVITE") == 2
    peer.call("two")
    peer.challenge(peer.last_request("INVITE"), realm="elsewhere")
    assert peer.titles().count("INVITE") == 3


def _authenticated(peer: Scripted, contact: str = f"<sip:peer@{PEER}:5060>") -> None:
    dialog = peer.call()
    peer.challenge(peer.last_request("INVITE"))
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP, Contact=contact)
    peer.steer(dialog, HangUpAsked())


def test_the_trunk_may_ask_for_credentials_of_a_bye() -> None:
    peer = Scripted(DIGEST)
    _authenticated(peer)
    peer.challenge(peer.last_request("BYE"), nonce="n2")
    bye = peer.last_request("BYE")
    assert 'nonce="n2"' in (bye.headers.get("Proxy-Authorization") or "")
    assert peer.titles().count("BYE") == 2
    peer.answer(bye, 200)
    assert peer.agent.open_dialogs == 0


def test_a_callee_elsewhere_gets_no_credentials_for_a_bye() -> None:
    peer = Scripted(DIGEST)
    _authenticated(peer, f"<sip:peer@{STRANGER}:5060>")
    bye = peer.last_request("BYE")
    headers = (("Proxy-Authenticate", 'Digest realm="lab", nonce="x"'),)
    peer.receive(bye.response(407, headers=headers), source=STRANGER)
    assert peer.titles().count("BYE") == 1
    assert peer.agent.open_dialogs == 0


@pytest.mark.parametrize("outgoing", [True, False])
def test_a_bye_of_a_call_that_was_not_authenticated_gets_no_credentials(outgoing: bool) -> None:
    peer = Scripted(DIGEST)
    dialog = peer.answered_call() if outgoing else peer.accepted_call()[0]
    peer.steer(dialog, HangUpAsked())
    peer.challenge(peer.last_request("BYE"))
    assert peer.titles() == ["BYE"]


@pytest.mark.parametrize("method", ["INVITE", "BYE"])
def test_a_challenge_from_an_address_that_is_not_the_trunks_gets_no_credentials(method: str) -> None:
    peer = Scripted(trunk(TrunkAuth.DIGEST))
    dialog = peer.call()
    if method == "BYE":
        peer.challenge(peer.last_request("INVITE"))
        peer.answer(peer.last_request("INVITE"), 200, sdp=SDP)
        peer.steer(dialog, HangUpAsked())
    request = peer.last_request(method)
    peer.sent.clear()
    header = ("Proxy-Authenticate", CHALLENGE.format(realm="lab", nonce="n2", more=""))
    answer = request.response(407, to_tag="peer", headers=(header,))
    peer.agent._context.peers.meet(STRANGER)  # As the peer of some other dialog would be.
    peer.receive(answer, source=STRANGER)
    assert not any("Proxy-Authorization" in message.headers for message, _ in peer.sent)
    assert peer.titles() == (["ACK"] if method == "INVITE" else [])


def test_a_bye_that_nobody_answers_ends_the_call_all_the_same() -> None:
    peer = Scripted()
    dialog = peer.answered_call()
    peer.steer(dialog, HangUpAsked())
    peer.advance(40)
    assert peer.agent.open_dialogs == 0
    peer.advance(60)
    assert peer.agent.open_transactions == 0


def test_a_route_that_is_no_loose_router_loses_what_no_request_uri_may_have() -> None:
    peer = Scripted()
    dialog = peer.call()
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP, Record_Route="<sip:192.0.2.9;method=REGISTER?X-Evil=1>")
    peer.steer(dialog, HangUpAsked())
    assert peer.last_request("BYE").uri_text == "sip:192.0.2.9"


def test_each_use_of_a_nonce_is_counted() -> None:
    peer = Scripted(DIGEST)
    counts = []
    for key, nonce in (("one", "n1"), ("two", "n1"), ("three", "n2"), ("four", "n1")):
        peer.call(key)
        peer.challenge(peer.last_request("INVITE"), nonce=nonce)
        value = peer.last_request("INVITE").headers.get("Proxy-Authorization") or ""
        counts.append(value.partition("nc=")[2][:8])
    assert counts == ["00000001", "00000002", "00000001", "00000003"]


def test_nonces_that_are_ever_new_are_not_all_remembered() -> None:
    peer = Scripted(DIGEST)
    for number in range(2 * MAX_NONCES):
        peer.call(str(number))
        peer.challenge(peer.last_request("INVITE"), nonce=f"n{number}")
    state = peer.agent._context.trunks.get(trunk().name)
    assert state is not None
    assert len(state.credentials._uses) == MAX_NONCES


@pytest.mark.parametrize(("transport", "doubted"), [(Transport.UDP, 0), (Transport.TCP, 1)])
def test_a_stream_by_which_no_answer_came_is_doubted(transport: Transport, doubted: int) -> None:
    peer = Scripted(transport=transport)
    peer.call()
    peer.advance(33)
    assert [doubt.flow.address for doubt in peer.doubts] == [(PEER, 5060)] * doubted
    assert all(doubt.silent_s == 32 for doubt in peer.doubts)


def test_repeated_requests_are_counted() -> None:
    peer = Scripted()
    peer.call()
    peer.advance(2)
    assert peer.counted("sip_retransmissions_total", direction="out", method="INVITE") == 2
