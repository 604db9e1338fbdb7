"""Several streams to one server: what went over one of them ends with it, and nothing else does (RFC 3261 §18.4)."""

from bridge.sip.actions import ConnectionClosed, Flow
from bridge.sip.events import CallAnswered, CallFailed
from bridge.sip.settings import Transport, TrunkAuth
from bridge.sip.usage_commands import CancelAsked
from tests.sip.scripted_peer import PEER, SDP, TRUNK, Scripted, trunk


def over_tcp(auth: TrunkAuth = TrunkAuth.ADDRESS) -> Scripted:
    return Scripted(trunk(auth, transport=Transport.TCP), transport=Transport.TCP)


def end(peer: Scripted, connection: int) -> None:
    """A stream to the server ends."""
    peer.feed(ConnectionClosed(flow=Flow(transport=Transport.TCP, host=PEER, port=5060, connection=connection)))


def failed(peer: Scripted) -> list[str]:
    return [event.dialog for event in peer.events if isinstance(event, CallFailed)]


def test_a_call_fails_with_its_own_connection_and_with_no_other() -> None:
    peer = over_tcp()
    peer.call("one")
    peer.connection = 2
    peer.call("two")
    end(peer, 1)
    assert failed(peer) == ["one"]
    end(peer, 2)
    assert failed(peer) == ["one", "two"]


def test_a_request_that_waits_for_a_connection_fails_with_no_other() -> None:
    peer = over_tcp()
    peer.connection = 0
    peer.call("waits")
    end(peer, 1)
    assert failed(peer) == []


def test_a_registration_outlives_other_connections_to_its_registrar() -> None:
    peer = over_tcp(TrunkAuth.REGISTER)
    peer.start()
    request = peer.last_request("REGISTER")
    peer.answer(request, 200, Contact=f"{request.headers.get('Contact')};expires=600")
    end(peer, 2)
    assert peer.agent.trunk_up(TRUNK)
    end(peer, 1)
    assert not peer.agent.trunk_up(TRUNK)


def test_a_cancel_takes_the_connection_of_its_invite() -> None:
    peer = over_tcp()
    dialog = peer.call()
    peer.answer(peer.last_request("INVITE"), 180)
    peer.connection = 2
    peer.steer(dialog, CancelAsked())
    assert peer.titles()[-1] == "CANCEL"
    assert peer.sent[-1][1].connection == 1


def test_a_server_may_close_the_connection_while_a_phone_rings_and_answer_by_another() -> None:
    peer = over_tcp()
    peer.call()
    invite = peer.last_request("INVITE")
    peer.answer(invite, 180)
    end(peer, 1)
    peer.answer(invite, 200, sdp=SDP)
    end(peer, 1)
    assert isinstance(peer.last_event(), CallAnswered)
    assert peer.counted("sip_unexpected_events_total") == 0
