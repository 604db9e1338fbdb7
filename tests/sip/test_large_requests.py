"""Requests that one datagram may not carry whole (RFC 3261 §18.1.1)."""

from bridge.sip.actions import Flow, SendFailed
from bridge.sip.events import CallAnswered
from bridge.sip.failover import MAX_DATAGRAM
from bridge.sip.message import Request
from bridge.sip.settings import Transport, TrunkAuth
from bridge.sip.usage_commands import CancelAsked, HangUpAsked
from tests.sip.scripted_peer import SDP, Scripted, trunk

LONG = SDP + "a=x-filler:" + "x" * 900 + "\r\n"


def ways(peer: Scripted) -> list[tuple[str, Transport]]:
    return [(title, flow.transport) for title, (_, flow) in zip(peer.titles(), peer.sent, strict=True)]


def fail_newest(peer: Scripted) -> None:
    """The newest request could not be sent."""
    key = next(key for key in reversed(list(peer.agent._context.layer._clients)))
    peer.feed(SendFailed(transaction=key))


def newest(peer: Scripted) -> tuple[Request, Flow]:
    message, flow = peer.sent[-1]
    assert isinstance(message, Request)
    return message, flow


def test_a_long_invite_goes_over_tcp_and_so_does_its_cancel() -> None:
    peer = Scripted(trunk(large_by_tcp=True))
    dialog = peer.call(sdp=LONG)
    invite, _ = newest(peer)
    assert invite.via.transport == "TCP"
    assert len(bytes(invite)) > MAX_DATAGRAM
    peer.transport = Transport.TCP
    peer.answer(invite, 180)
    peer.steer(dialog, CancelAsked())
    assert ways(peer) == [("INVITE", Transport.TCP), ("CANCEL", Transport.TCP)]


def test_a_trunk_that_takes_no_connection_gets_the_datagram() -> None:
    peer = Scripted(trunk(large_by_tcp=True))
    dialog = peer.call(sdp=LONG)
    fail_newest(peer)
    invite, flow = newest(peer)
    assert (invite.via.transport, flow.transport) == ("UDP", Transport.UDP)
    peer.answer(invite, 200, sdp=SDP)
    assert isinstance(peer.last_event(), CallAnswered)
    peer.steer(dialog, HangUpAsked())
    assert ways(peer)[-2:] == [("ACK", Transport.UDP), ("BYE", Transport.UDP)]


def test_a_trunk_that_answered_a_datagram_is_not_tried_over_tcp_again() -> None:
    peer = Scripted(trunk(TrunkAuth.DIGEST, large_by_tcp=True))
    peer.call(sdp=LONG)
    fail_newest(peer)
    peer.challenge(newest(peer)[0])
    assert ways(peer)[-1] == ("INVITE", Transport.UDP)


def test_a_server_that_says_nothing_to_a_connection_gets_the_datagram_soon() -> None:
    peer = Scripted(trunk(large_by_tcp=True))
    peer.call(sdp=LONG)
    peer.advance(4.0)
    assert ways(peer) == [("INVITE", Transport.TCP), ("INVITE", Transport.UDP)]


def test_a_short_invite_and_a_trunk_that_is_not_set_so_stay_with_datagrams() -> None:
    for settings, sdp in ((trunk(large_by_tcp=True), SDP), (trunk(), LONG)):
        peer = Scripted(settings)
        peer.call(sdp=sdp)
        assert ways(peer) == [("INVITE", Transport.UDP)]
