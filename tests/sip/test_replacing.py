"""Calls that take the place of others (RFC 3891)."""

import pytest

from bridge.core.entropy import SeededEntropy
from bridge.core.ids import DialogKey, TrunkName
from bridge.sip.errors import SipError
from bridge.sip.events import OutgoingCall
from bridge.sip.inputs import PlaceCall, Start
from bridge.sip.message import Request
from bridge.sip.replaces import Replaces, replaced_call
from bridge.sip.trunk_changes import ChangeTrunks
from bridge.sip.trunks import Directory
from bridge.sip.uri import SipUri
from bridge.sip.usage_commands import AcceptAsked, CancelAsked, HangUpAsked, RingAsked
from tests.sip.scripted_peer import PEER, SDP, TRUNK, Scripted, peer_request, trunk
from tests.sip.transferring import talking, transferring_peer


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
    name = TrunkName("another")
    another = Directory((trunk(accept_transfers=True, name=name),), SeededEntropy(2)).get(name)
    assert another is not None
    replaces = Replaces(sip_call_id="peer-call", to_tag=tag, from_tag="peer")
    with pytest.raises(SipError) as caught:
        replaced_call(peer.agent._context, replaces, another)
    assert caught.value.status == 481


def test_a_call_of_before_is_replaced_by_the_trunk_that_other_settings_have_made() -> None:
    peer, dialog, tag = talking()
    peer.feed(ChangeTrunks(trunks=(trunk(accept_transfers=True, keep_alive_s=30.0),), emergency=frozenset()))
    peer.feed(Start())
    peer.receive(replacing(f"peer-call;to-tag={tag};from-tag=peer"))
    assert peer.incoming.replaces == dialog


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
    assert invite.headers.get("Require") == "replaces"
    assert invite.headers.get("Referred-By") == "<sip:bob@pbx.example>"
    assert flow.address == (PEER, 5060)
