"""Who is at the other end by now (RFC 4916, RFC 5876)."""

import pytest

from bridge.core.ids import DialogKey
from bridge.sip.events import CallIdentityChanged
from bridge.sip.usage_commands import AcceptAsked, HangUpAsked, ReofferAsked
from tests.sip.scripted_peer import SDP, Scripted, peer_request, trunk

CALLED = "+15550100"
EVE = '"Eve" <sip:+15550177@example.org>'
ASSERTED = ("P-Asserted-Identity", EVE)


def changes(peer: Scripted) -> list[tuple[str, str]]:
    return [(event.number, event.name) for event in peer.events if isinstance(event, CallIdentityChanged)]


@pytest.mark.parametrize("status", [180, 200])
def test_the_trunk_says_who_answered_a_forwarded_call(status: int) -> None:
    peer = Scripted()
    peer.call(called=CALLED)
    peer.answer(peer.last_request("INVITE"), status, sdp=SDP, P_Asserted_Identity=EVE)
    assert changes(peer) == [("+15550177", "Eve")]


def test_who_was_called_is_no_news() -> None:
    peer = Scripted()
    peer.call(called=CALLED)
    peer.answer(peer.last_request("INVITE"), 180, P_Asserted_Identity=f"<sip:{CALLED}@example.org>")
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP, P_Asserted_Identity=f"<sip:{CALLED}@example.org>")
    assert changes(peer) == []


def test_a_trunk_that_is_not_trusted_says_nothing() -> None:
    peer = Scripted(trunk(trust_identity=False))
    peer.call(called=CALLED)
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP, P_Asserted_Identity=EVE)
    assert changes(peer) == []


@pytest.mark.parametrize(("method", "sdp"), [("INVITE", SDP), ("UPDATE", SDP), ("UPDATE", None)])
def test_a_call_that_was_transferred_behind_the_trunk_is_told_once(method: str, sdp: str | None) -> None:
    peer = Scripted()
    dialog, _, tag = peer.accepted_call()
    for cseq in (2, 3):
        branch = f"{method}{cseq}"
        peer.receive(peer_request(method, cseq=cseq, branch=branch, to_tag=tag, sdp=sdp, fields=(ASSERTED,)))
        peer.steer(dialog, AcceptAsked(sdp=SDP))
        peer.receive(peer_request("ACK", cseq=cseq, branch=f"ack{cseq}", to_tag=tag))
    assert changes(peer) == [("+15550177", "Eve")]


def test_an_identity_that_is_withheld_from_now_on_is_empty() -> None:
    peer = Scripted()
    _, _, tag = peer.accepted_call()
    fields = (ASSERTED, ("Privacy", "id"))
    peer.receive(peer_request("UPDATE", cseq=2, branch="two", to_tag=tag, fields=fields))
    assert changes(peer) == [("", "")]


@pytest.mark.parametrize(("may_change", "expected"), [(True, [("+15550188", "Bob")]), (False, [])])
def test_a_from_counts_only_where_it_may_change(may_change: bool, expected: list[tuple[str, str]]) -> None:
    peer = Scripted()
    fields = (("Supported", "from-change"),) if may_change else ()
    peer.receive(peer_request("INVITE", sdp=SDP, fields=fields))
    dialog = peer.incoming.dialog
    peer.steer(dialog, AcceptAsked(sdp=SDP))
    tag = peer.last_response().to.tag or ""
    peer.receive(peer_request("ACK", to_tag=tag, branch="ack"))
    other = '"Bob" <sip:+15550188@example.org>;tag=peer'
    peer.receive(peer_request("UPDATE", cseq=2, branch="two", to_tag=tag, from_=other))
    assert changes(peer) == expected
    peer.steer(dialog, HangUpAsked())
    addressed = str(peer.last_request("BYE").to.uri)
    assert ("+15550188" in addressed) is may_change


def test_the_answer_to_our_reoffer_may_name_somebody_else() -> None:
    peer = Scripted()
    dialog = peer.answered_call()
    peer.steer(dialog, ReofferAsked(sdp=SDP))
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP, P_Asserted_Identity=EVE)
    assert changes(peer) == [("+15550177", "Eve")]
    assert peer.last_event() == CallIdentityChanged(dialog=DialogKey("call"), number="+15550177", name="Eve")
