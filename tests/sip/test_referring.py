"""Our REFER, as a peer sees it, and what the application is told of its outcome (RFC 3515)."""

from ipaddress import ip_network

import pytest

from bridge.core.ids import DialogKey
from bridge.sip.events import CallAnswered, CallReferred, ReferralProgress
from bridge.sip.message import Request
from bridge.sip.referral_commands import ReferAsked
from bridge.sip.settings import NumberFormat, TrunkAuth
from bridge.sip.trunk_care import LINGER_S, LOOK_S
from bridge.sip.trunk_changes import ChangeTrunks
from bridge.sip.usage_commands import HangUpAsked
from tests.sip.scripted_peer import PEER, SDP, US, Scripted, trunk
from tests.sip.transferring import notify, refer, talking


def referring(peer: Scripted | None = None) -> tuple[Scripted, DialogKey, Request]:
    """A call that we placed, and our REFER in it."""
    peer = peer or Scripted()
    dialog = peer.answered_call()
    peer.steer(dialog, ReferAsked(target_user="+15550177"))
    return peer, dialog, peer.last_request("REFER")


def progress(peer: Scripted) -> list[int]:
    return [event.status for event in peer.events if isinstance(event, ReferralProgress)]


def test_we_ask_for_a_transfer_and_hear_what_comes_of_it() -> None:
    peer, dialog, request = referring()
    assert request.headers.get("Refer-To") == f"<sip:+15550177@{PEER}>"
    assert request.headers.get("Referred-By") == f"<sip:+15550199@{PEER}>"
    assert str(request.contacts[0].uri) == f"sip:trunkline@{US}:5060"
    peer.answer(request, 202)
    peer.receive(notify(request))
    peer.receive(notify(request, "SIP/2.0 180 Ringing\r\n", cseq=11, event=f"refer;id={request.cseq.number}"))
    peer.receive(notify(request, "SIP/2.0 200 OK\r\n", cseq=12, state="terminated;reason=noresource"))
    assert peer.titles()[1:] == ["200 NOTIFY"] * 3
    assert progress(peer) == [100, 180, 200]
    assert peer.last_event() == ReferralProgress(dialog=dialog, status=200)
    peer.receive(notify(request, cseq=13))
    assert peer.last_response().status == 481


def test_an_attended_transfer_names_the_other_call_as_its_peer_sees_it() -> None:
    peer = Scripted()
    first = peer.answered_call()
    second = peer.call("second", called="+15550177")
    invite = peer.last_request("INVITE")
    peer.answer(invite, 200, tag="other", sdp=SDP)
    peer.steer(first, ReferAsked(target_user="+15550177", replaces=second))
    replaces = f"{invite.call_id}%3Bto-tag%3Dother%3Bfrom-tag%3D{invite.from_.tag}"
    assert peer.last_request("REFER").headers.get("Refer-To") == f"<sip:+15550177@{PEER}?Replaces={replaces}>"


@pytest.mark.parametrize("status", [403, 405, 480, 603])
def test_a_refused_transfer_is_told(status: int) -> None:
    peer, dialog, request = referring()
    peer.answer(request, status)
    assert peer.last_event() == ReferralProgress(dialog=dialog, status=status, refused=True)
    assert peer.agent.open_dialogs == 1


def test_a_transfer_that_gets_no_answer_is_told() -> None:
    peer, dialog, _ = referring()
    peer.advance(33)
    assert peer.last_event() == ReferralProgress(dialog=dialog, status=408, refused=True)


def test_a_peer_that_never_reports_is_not_waited_for_for_ever() -> None:
    peer, _, request = referring()
    peer.answer(request, 202)
    peer.advance(31)
    assert progress(peer) == []
    peer.advance(2)
    assert progress(peer) == [408]


def test_a_peer_that_reports_once_and_then_no_more_is_not_waited_for_for_ever() -> None:
    peer, _, request = referring()
    peer.answer(request, 202)
    peer.receive(notify(request))
    peer.advance(299)
    assert progress(peer) == [100]
    peer.advance(2)
    assert progress(peer) == [100, 408]


def test_a_report_may_come_before_the_answer() -> None:
    peer, _, request = referring()
    peer.receive(notify(request))
    peer.answer(request, 202)
    peer.receive(notify(request, "SIP/2.0 486 Busy Here\r\n", cseq=11, state="terminated;reason=noresource"))
    assert progress(peer) == [100, 486]


def test_even_the_last_report_may_come_before_the_answer() -> None:
    peer, _, request = referring()
    peer.receive(notify(request, "SIP/2.0 200 OK\r\n", state="terminated;reason=noresource"))
    peer.answer(request, 202)
    peer.advance(400)
    assert progress(peer) == [200]
    assert not peer.agent._transfers.sent


def test_a_peer_that_ends_its_reports_without_an_outcome_has_none() -> None:
    peer, _, request = referring()
    peer.answer(request, 202)
    peer.receive(notify(request, state="terminated;reason=noresource"))
    assert progress(peer) == [408]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"event": "presence"}, 489),
        ({"event": ""}, 489),
        ({"event": "refer;id=999"}, 481),
        ({"kind": "text/plain"}, 415),
        ({"body": "what?"}, 400),
        ({"cseq": 1}, 500),
    ],
)
def test_a_report_that_is_none_changes_nothing(changes: dict[str, object], status: int) -> None:
    peer, _, request = referring()
    peer.answer(request, 202)
    peer.receive(notify(request, cseq=5))
    peer.receive(notify(request, **changes))  # type: ignore[arg-type]
    assert peer.last_response().status == status
    assert progress(peer) == [100]
    peer.receive(notify(request, "SIP/2.0 200 OK\r\n", cseq=20))
    assert progress(peer) == [100, 200]


def test_a_report_is_read_after_the_call_is_over() -> None:
    peer, dialog, request = referring()
    peer.answer(request, 202)
    peer.receive(notify(request))
    peer.steer(dialog, HangUpAsked())
    peer.answer(peer.last_request("BYE"), 200)
    assert peer.agent.open_dialogs == 0
    peer.receive(notify(request, "SIP/2.0 200 OK\r\n", cseq=11, state="terminated;reason=noresource"))
    assert peer.last_response().status == 200
    assert progress(peer) == [100, 200]


def test_a_report_is_read_from_any_address_of_a_trunk_that_has_been_left_since() -> None:
    peer, dialog, request = referring(Scripted(trunk(sources=(ip_network("198.51.100.0/24"),))))
    peer.answer(request, 202)
    peer.receive(notify(request))
    peer.steer(dialog, HangUpAsked())
    peer.answer(peer.last_request("BYE"), 200)
    peer.feed(ChangeTrunks(trunks=(), emergency=frozenset()))
    peer.advance(120)
    peer.receive(notify(request, "SIP/2.0 200 OK\r\n", cseq=11), source="198.51.100.7")
    assert progress(peer) == [100, 200]
    peer.advance(LINGER_S + 2 * LOOK_S)
    assert not peer.agent.left_trunks


def test_a_report_is_read_from_where_the_peer_is_after_the_call_is_over() -> None:
    peer = Scripted()
    dialog = peer.call()
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP, Contact="<sip:peer@198.51.100.7>")
    peer.steer(dialog, ReferAsked(target_user="+15550177"))
    request = peer.last_request("REFER")
    peer.answer(request, 202)
    peer.steer(dialog, HangUpAsked())
    peer.answer(peer.last_request("BYE"), 200)
    peer.advance(10)
    peer.receive(notify(request, "SIP/2.0 200 OK\r\n"), source="198.51.100.7")
    assert progress(peer) == [200]
    peer.advance(50)
    assert not peer.agent.admits("198.51.100.7")


def test_a_target_is_written_as_the_trunk_writes_numbers() -> None:
    peer, _, request = referring(Scripted(trunk(number_format=NumberFormat.DIGITS, number_prefix="99")))
    assert request.headers.get("Refer-To") == f"<sip:9915550177@{PEER}>"
    peer, _, tag = talking(Scripted(trunk(number_format=NumberFormat.DIGITS, accept_transfers=True)))
    peer.receive(refer(tag, ("Refer-To", "<tel:+1-555-0177>")))
    referred = peer.last_event()
    assert isinstance(referred, CallReferred)
    assert (referred.target.user, str(referred.target.uri)) == ("+15550177", f"sip:15550177@{PEER}")


def test_a_trunk_that_authenticated_the_call_may_ask_again() -> None:
    peer = Scripted(trunk(TrunkAuth.DIGEST))
    dialog = peer.call()
    peer.challenge(peer.last_request("INVITE"))
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP)
    assert isinstance(peer.last_event(), CallAnswered)
    peer.steer(dialog, ReferAsked(target_user="+15550177"))
    first = peer.last_request("REFER")
    peer.challenge(first, nonce="n2")
    again = peer.last_request("REFER")
    assert again.cseq.number == first.cseq.number + 1
    assert "Proxy-Authorization" in again.headers
    assert again.headers.get("Refer-To") == first.headers.get("Refer-To")
    peer.answer(again, 202)
    peer.receive(notify(again, event=f"refer;id={again.cseq.number}"))
    assert progress(peer) == [100]


def test_a_peer_that_did_not_authenticate_the_call_gets_no_credentials() -> None:
    peer, _, request = referring(Scripted(trunk(TrunkAuth.DIGEST)))
    peer.challenge(request)
    assert peer.titles().count("REFER") == 1
    assert progress(peer) == [407]


def test_what_cannot_be_transferred_is_told_at_once() -> None:
    peer = Scripted()
    dialog = peer.call()
    peer.steer(dialog, ReferAsked(target_user="1"))
    assert peer.last_event() == ReferralProgress(dialog=dialog, status=481, refused=True)
    peer = Scripted()
    dialog = peer.answered_call()
    peer.steer(dialog, ReferAsked(target_user="1", replaces=DialogKey("gone")))
    assert peer.last_event() == ReferralProgress(dialog=dialog, status=481, refused=True)
    peer.steer(dialog, ReferAsked(target_user="\ud800"))
    assert peer.last_event() == ReferralProgress(dialog=dialog, status=484, refused=True)
    peer.steer(dialog, ReferAsked(target_user="1"))
    peer.steer(dialog, ReferAsked(target_user="2"))
    assert peer.last_event() == ReferralProgress(dialog=dialog, status=491, refused=True)
    assert peer.titles().count("REFER") == 1
