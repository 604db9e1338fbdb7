"""What is refused before the application is told of a call (RFC 3261 §8.2), and what is turned away under load."""

import pytest

from bridge.sip import inbound
from bridge.sip.events import (
    IncomingCall,
)
from bridge.sip.message import Request, Response
from bridge.sip.usage_commands import AcceptAsked, RingAsked
from tests.sip.scripted_peer import SDP, Scripted, peer_request


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
