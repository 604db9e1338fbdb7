"""REFER from a peer, and what the application is told (RFC 3515, RFC 3892, RFC 4488)."""

import pytest

from bridge.core.ids import DialogKey
from bridge.sip.events import CallReferred
from bridge.sip.referral_commands import ReferralAccepted, ReferralRefused, ReferralReported
from bridge.sip.transfers import MAX_REFERRALS
from bridge.sip.uri import SipUri
from bridge.sip.usage_commands import RingAsked
from tests.sip.scripted_peer import SDP, US, Scripted, peer_request
from tests.sip.transferring import TARGET, refer, talking, transferring_peer


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
