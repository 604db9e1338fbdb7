"""REFER and Replaces as a peer sees them, and what the application is told (RFC 3515, RFC 3891, RFC 3892, RFC 4488)."""

import pytest

from bridge.core.entropy import SeededEntropy
from bridge.core.ids import DialogKey
from bridge.sip.errors import SipError
from bridge.sip.events import CallAnswered, CallReferred, OutgoingCall, ReferralProgress
from bridge.sip.inputs import PlaceCall
from bridge.sip.message import Request
from bridge.sip.referral_commands import ReferAsked, ReferralAccepted, ReferralRefused, ReferralReported
from bridge.sip.replaces import Replaces, replaced_call
from bridge.sip.settings import NumberFormat, TrunkAuth
from bridge.sip.transfers import MAX_REFERRALS
from bridge.sip.trunks import Directory
from bridge.sip.uri import SipUri
from bridge.sip.usage_commands import AcceptAsked, CancelAsked, HangUpAsked, RingAsked
from tests.sip.scripted_peer import PEER, SDP, TRUNK, US, Scripted, peer_request, trunk

TARGET = ("Refer-To", "<sip:+15550177@pbx.example>")


def transferring_peer(auth: TrunkAuth = TrunkAuth.ADDRESS) -> Scripted:
    return Scripted(trunk(auth, accept_transfers=True))


def talking(peer: Scripted | None = None) -> tuple[Scripted, DialogKey, str]:
    """A call from the peer, and our tag in it."""
    peer = peer or transferring_peer()
    dialog, _, tag = peer.accepted_call()
    return peer, dialog, tag


def refer(tag: str, *fields: tuple[str, str], cseq: int = 2, branch: str = "refer") -> Request:
    return peer_request("REFER", to_tag=tag, cseq=cseq, branch=branch, fields=fields or (TARGET,))


def notify(
    request: Request,
    body: str = "SIP/2.0 100 Trying\r\n",
    *,
    cseq: int = 10,
    event: str = "refer",
    state: str = "active;expires=60",
    kind: str = "message/sipfrag;version=2.0",
) -> Request:
    """A report on our REFER."""
    sent = peer_request(
        "NOTIFY",
        cseq=cseq,
        branch=f"notify{cseq}",
        call_id=request.call_id,
        from_=str(request.to),
        to=str(request.from_),
        fields=(("Event", event), ("Subscription-State", state), ("Content-Type", kind)),
    )
    sent.body = body.encode()
    return sent


# REFER received.


def test_a_transfer_is_asked_for_tried_and_reported() -> None:
    peer, dialog, tag = talking()
    peer.receive(refer(tag, TARGET, ("Referred-By", "<sip:bob@pbx.example>;cid=1@x")))
    referred = peer.last_event()
    assert isinstance(referred, CallReferred)
    assert (referred.dialog, referred.target.user) == (dialog, "+15550177")
    assert (referred.target.uri, referred.target.replaces) == (SipUri.parse("sip:+15550177@pbx.example"), None)
    assert referred.referred_by == "<sip:bob@pbx.example>"
    assert peer.titles() == []
    peer.steer(dialog, ReferralAccepted())
    assert peer.titles() == ["202 REFER", "NOTIFY"]
    accepted = peer.last_response()
    assert str(accepted.contacts[0].uri) == f"sip:trunkline@{US}:5060"
    first = peer.last_request("NOTIFY")
    assert first.headers.get("Event") == "refer;id=2"
    assert first.headers.get("Subscription-State") == "active;expires=300"
    assert first.headers.get("Content-Type") == "message/sipfrag;version=2.0"
    assert first.body == b"SIP/2.0 100 Trying\r\n"
    assert first.to.tag == "peer"
    peer.answer(first, 200)
    peer.advance(10)
    peer.steer(dialog, ReferralReported(status=180))
    ringing = peer.last_request("NOTIFY")
    assert (ringing.body, ringing.headers.get("Subscription-State")) == (
        b"SIP/2.0 180 Ringing\r\n",
        "active;expires=290",
    )
    peer.answer(ringing, 200)
    peer.steer(dialog, ReferralReported(status=200))
    last = peer.last_request("NOTIFY")
    assert last.body == b"SIP/2.0 200 OK\r\n"
    assert last.headers.get("Subscription-State") == "terminated;reason=noresource"
    assert [first.cseq.number, ringing.cseq.number, last.cseq.number] == [1, 2, 3]
    peer.answer(last, 200)
    assert not peer.agent._transfers.received


def test_a_transfer_is_refused() -> None:
    peer, dialog, tag = talking()
    peer.receive(refer(tag))
    peer.steer(dialog, ReferralRefused(status=603))
    assert peer.titles() == ["603 REFER"]
    assert not peer.agent._transfers.received


def test_nobody_is_transferred_by_a_trunk_that_may_not() -> None:
    peer, _, tag = talking(Scripted())
    peer.receive(refer(tag))
    assert peer.last_response().status == 403
    assert not any(isinstance(event, CallReferred) for event in peer.events)


def test_a_transfer_has_to_wait_until_the_call_is_answered() -> None:
    peer = transferring_peer()
    peer.receive(peer_request("INVITE", sdp=SDP))
    peer.steer(peer.incoming.dialog, RingAsked(status=180, sdp=None))
    peer.receive(refer(peer.last_response().to.tag or ""))
    assert peer.last_response().status == 491


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ((("Subject", "no target"),), 400),
        ((TARGET, TARGET), 400),
        ((("Refer-To", "<http://example.org>"),), 416),
        ((TARGET, ("Require", "multiple-refer")), 420),
        ((TARGET, ("Replaces", "a;to-tag=b;from-tag=c")), 400),
    ],
)
def test_a_transfer_to_nowhere_is_refused(fields: tuple[tuple[str, str], ...], status: int) -> None:
    peer, _, tag = talking()
    peer.receive(refer(tag, *fields))
    assert peer.last_response().status == status
    assert not peer.agent._transfers.received


def test_one_transfer_at_a_time() -> None:
    peer, dialog, tag = talking()
    peer.receive(refer(tag))
    peer.receive(refer(tag, cseq=3, branch="another"))
    assert peer.titles() == ["491 REFER"]
    peer.steer(dialog, ReferralRefused(status=480))
    peer.receive(refer(tag, cseq=4, branch="third"))
    peer.steer(dialog, ReferralAccepted())
    assert peer.last_request("NOTIFY").headers.get("Event") == "refer;id=4"


def test_a_transfer_that_nobody_decides_upon_is_declined() -> None:
    peer, _, tag = talking()
    peer.receive(refer(tag))
    peer.advance(11)
    assert peer.titles() == ["603 REFER"]


def test_a_peer_that_wants_no_reports_gets_none() -> None:
    peer, dialog, tag = talking()
    peer.receive(refer(tag, TARGET, ("Refer-Sub", "false"), ("Require", "norefersub")))
    peer.steer(dialog, ReferralAccepted())
    assert peer.last_response().headers.get("Refer-Sub") == "false"
    peer.steer(dialog, ReferralReported(status=180))
    peer.steer(dialog, ReferralReported(status=200))
    assert peer.titles() == ["202 REFER"]
    assert not peer.agent._transfers.received


def test_a_peer_that_does_not_know_of_the_transfer_gets_no_more_reports() -> None:
    peer, dialog, tag = talking()
    peer.receive(refer(tag))
    peer.steer(dialog, ReferralAccepted())
    peer.answer(peer.last_request("NOTIFY"), 481)
    peer.sent.clear()
    peer.steer(dialog, ReferralReported(status=200))
    assert peer.titles() == []
    assert peer.counted("sip_late_commands_total", command="ReferralReported") == 1


def test_reports_go_on_after_the_peer_has_hung_up_and_end_when_it_says_so() -> None:
    peer, dialog, tag = talking()
    peer.receive(refer(tag))
    peer.steer(dialog, ReferralAccepted())
    peer.answer(peer.last_request("NOTIFY"), 200)
    peer.receive(peer_request("BYE", to_tag=tag, cseq=3, branch="bye"))
    peer.steer(dialog, ReferralReported(status=200))
    last = peer.last_request("NOTIFY")
    assert last.body == b"SIP/2.0 200 OK\r\n"
    peer.answer(last, 481)
    peer.advance(100)
    assert (peer.agent.open_dialogs, peer.agent.open_transactions) == (0, 0)
    assert peer.agent.next_deadline() is None
    assert not peer.agent._context.peers._met


def test_a_transfer_does_not_run_for_ever() -> None:
    peer, dialog, tag = talking()
    peer.receive(refer(tag))
    peer.steer(dialog, ReferralAccepted())
    peer.answer(peer.last_request("NOTIFY"), 200)
    peer.advance(301)
    last = peer.last_request("NOTIFY")
    assert last.headers.get("Subscription-State") == "terminated;reason=timeout"
    peer.answer(last, 200)
    assert not peer.agent._transfers.received


def test_transfers_of_calls_that_are_over_do_not_pile_up() -> None:
    peer, _, tag = talking()
    filling = peer.agent._transfers.received
    filling.update({DialogKey(str(number)): None for number in range(MAX_REFERRALS)})  # type: ignore[misc]
    peer.receive(refer(tag))
    assert peer.last_response().status == 503


def test_refer_is_allowed_where_it_is() -> None:
    for peer, allowed in ((Scripted(), False), (transferring_peer(), True)):
        peer.receive(peer_request("OPTIONS"))
        headers = peer.last_response().headers
        assert ("REFER" in (headers.get("Allow") or "")) is allowed
        assert ("replaces" in (headers.get("Supported") or "")) is allowed
        assert {"INFO", "NOTIFY"} <= set((headers.get("Allow") or "").split(", "))


# REFER sent.


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


# Replaces.


def replacing(value: str, *more: tuple[str, str]) -> Request:
    return peer_request(
        "INVITE", sdp=SDP, call_id="new", branch="new", from_="<sip:c@h>;tag=c", fields=(("Replaces", value), *more)
    )


def test_a_call_takes_the_place_of_another() -> None:
    peer, dialog, tag = talking()
    peer.receive(replacing(f"peer-call;to-tag={tag};from-tag=peer"))
    assert peer.incoming.replaces == dialog
    assert peer.incoming.dialog != dialog
    peer.steer(peer.incoming.dialog, AcceptAsked(sdp=SDP))
    peer.steer(dialog, HangUpAsked())
    assert peer.titles() == ["100 INVITE", "200 INVITE", "BYE"]


def test_a_call_takes_the_place_of_one_that_we_place_and_that_still_rings() -> None:
    peer = transferring_peer()
    dialog = peer.call()
    invite = peer.last_request("INVITE")
    peer.answer(invite, 180, tag="early", Contact=f"<sip:peer@{PEER}>")
    peer.receive(replacing(f"{invite.call_id};to-tag={invite.from_.tag};from-tag=early;early-only"))
    assert peer.incoming.replaces == dialog
    peer.steer(dialog, CancelAsked())
    assert peer.titles()[-1] == "CANCEL"


def test_a_tag_of_nought_is_that_of_a_peer_without() -> None:
    peer = transferring_peer()
    peer.receive(peer_request("INVITE", sdp=SDP, from_="<sip:old@h>"))
    peer.steer(peer.incoming.dialog, AcceptAsked(sdp=SDP))
    old, tag = peer.incoming.dialog, peer.last_response().to.tag
    peer.receive(replacing(f"peer-call;to-tag={tag};from-tag=0"))
    assert peer.incoming.replaces == old


@pytest.mark.parametrize(
    ("value", "more", "status"),
    [
        ("peer-call;to-tag={tag};from-tag=another", (), 481),
        ("another;to-tag={tag};from-tag=peer", (), 481),
        ("peer-call;to-tag=peer;from-tag={tag}", (), 481),
        ("peer-call;to-tag={tag};from-tag=peer;early-only", (), 486),
        ("peer-call;to-tag={tag}", (), 400),
        ("peer-call;to-tag={tag};from-tag=peer", (("Replaces", "x;to-tag=a;from-tag=b"),), 400),
        ("peer-call;to-tag={tag};from-tag=peer", (("Join", "x;to-tag=a;from-tag=b"),), 400),
        ("peer-call;to-tag={tag};from-tag=peer", (("Require", "join"),), 420),
    ],
)
def test_a_call_that_cannot_replace_is_refused(value: str, more: tuple[tuple[str, str], ...], status: int) -> None:
    peer, dialog, tag = talking()
    peer.receive(replacing(value.format(tag=tag), *more))
    assert peer.last_response().status == status
    assert peer.incoming.dialog == dialog
    assert peer.agent.open_dialogs == 1


def test_a_call_that_rings_here_is_not_replaced() -> None:
    peer = transferring_peer()
    peer.receive(peer_request("INVITE", sdp=SDP))
    peer.steer(peer.incoming.dialog, RingAsked(status=180, sdp=None))
    peer.receive(replacing(f"peer-call;to-tag={peer.last_response().to.tag};from-tag=peer"))
    assert peer.last_response().status == 481


def test_a_call_that_is_accepted_but_waits_for_a_prack_is_not_replaced() -> None:
    peer = transferring_peer()
    peer.receive(peer_request("INVITE", sdp=SDP, fields=(("Supported", "100rel"),)))
    peer.steer(peer.incoming.dialog, RingAsked(status=183, sdp=SDP))
    tag = peer.last_response().to.tag
    peer.steer(peer.incoming.dialog, AcceptAsked(sdp=SDP))
    peer.receive(replacing(f"peer-call;to-tag={tag};from-tag=peer"))
    assert peer.last_response().status == 481


def test_a_call_that_was_hung_up_is_not_replaced() -> None:
    peer, dialog, tag = talking()
    peer.steer(dialog, HangUpAsked())
    peer.receive(replacing(f"peer-call;to-tag={tag};from-tag=peer"))
    assert peer.last_response().status == 603


def test_nothing_is_replaced_by_a_trunk_that_may_not() -> None:
    peer, dialog, tag = talking(Scripted())
    peer.receive(replacing(f"peer-call;to-tag={tag};from-tag=peer"))
    assert peer.last_response().status == 403
    assert peer.incoming.dialog == dialog


def test_no_trunk_replaces_the_call_of_another() -> None:
    peer, _, tag = talking()
    another = Directory((trunk(accept_transfers=True),), SeededEntropy(2)).get(TRUNK)
    assert another is not None
    replaces = Replaces(sip_call_id="peer-call", to_tag=tag, from_tag="peer")
    with pytest.raises(SipError) as caught:
        replaced_call(peer.agent._context, replaces, another)
    assert caught.value.status == 481


def test_replaces_belongs_into_an_invite() -> None:
    peer, _, tag = talking()
    fields = (("Replaces", f"peer-call;to-tag={tag};from-tag=peer"),)
    peer.receive(peer_request("OPTIONS", branch="options", fields=fields))
    assert peer.last_response().status == 400


def test_a_call_that_a_transfer_asks_for_says_so() -> None:
    peer = Scripted()
    call = OutgoingCall(
        trunk=TRUNK,
        called="ignored",
        caller="+15550199",
        sdp=SDP,
        target=SipUri.parse("sip:carol@pbx.example;user=x"),
        replaces="a@b;to-tag=x;from-tag=y",
        referred_by="<sip:bob@pbx.example>",
    )
    peer.feed(PlaceCall(dialog=DialogKey("transfer"), call=call))
    invite, flow = peer.sent[-1]
    assert isinstance(invite, Request)
    assert invite.uri_text == "sip:carol@pbx.example;user=x"
    assert invite.headers.get("Replaces") == "a@b;to-tag=x;from-tag=y"
    assert invite.headers.get("Referred-By") == "<sip:bob@pbx.example>"
    assert flow.address == (PEER, 5060)
