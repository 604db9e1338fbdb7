"""What TLS means to a dialog: whose certificate counts, what `sips` asks for, and that nothing leaves TLS again."""

import pytest

from bridge.core.entropy import SeededEntropy
from bridge.core.ids import TrunkName
from bridge.sip.actions import Flow
from bridge.sip.message import Request, Response
from bridge.sip.settings import Transport, TrunkTls
from bridge.sip.targets import server_at
from bridge.sip.trunks import Directory
from bridge.sip.uri import SipUri
from bridge.sip.usage_commands import AcceptAsked, HangUpAsked
from tests.sip.scripted_peer import PEER, SDP, Scripted, peer_request, trunk

CARRIER = "sip.example.net"


def scripted(*, host: str = CARRIER, server_name: str = "", transport: Transport = Transport.TLS) -> Scripted:
    settings = trunk(host=host, transport=transport, tls=TrunkTls(server_name=server_name))
    return Scripted(settings, transport=transport)


def bye_flow(peer: Scripted, **answer: str) -> Flow:
    """Where the BYE of a call goes that was answered with these headers."""
    dialog = peer.call()
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP, **answer)
    peer.steer(dialog, HangUpAsked())
    return next(flow for message, flow in reversed(peer.sent) if isinstance(message, Request))


def test_a_trunk_has_to_show_the_certificate_of_the_name_it_was_looked_up_by() -> None:
    peer = scripted()
    peer.call()
    flow = peer.sent[-1][1]
    assert (flow.host, flow.name, flow.trunk) == (PEER, CARRIER, TrunkName("trunk"))


def test_or_the_name_that_the_settings_give() -> None:
    peer = scripted(server_name="pbx.internal")
    peer.call()
    assert peer.sent[-1][1].name == "pbx.internal"


def test_no_certificate_is_asked_for_without_tls() -> None:
    peer = scripted(transport=Transport.TCP)
    peer.call()
    assert peer.sent[-1][1].name == ""


def test_via_and_contact_say_tls() -> None:
    peer = scripted()
    peer.call()
    invite = peer.last_request("INVITE")
    assert invite.via.transport == "TLS"
    contact = invite.contacts[0].uri
    assert isinstance(contact, SipUri)
    assert (contact.scheme, contact.transport) == ("sip", "tls")


@pytest.mark.parametrize(
    ("contact", "host", "port", "name"),
    [
        ("<sip:peer@198.51.100.7:5071;transport=tls>", "198.51.100.7", 5071, CARRIER),
        ("<sip:peer@198.51.100.7>", "198.51.100.7", 5061, CARRIER),
        ("<sips:peer@edge.example.net>", "edge.example.net", 0, "edge.example.net"),
        ("<sips:peer@edge.example.net;transport=tcp>", "edge.example.net", 0, "edge.example.net"),
        (f"<sip:peer@{CARRIER};transport=tls>", PEER, 5060, CARRIER),
    ],
)
def test_the_peer_of_a_dialog_shows_its_own_name_or_the_trunks(contact: str, host: str, port: int, name: str) -> None:
    flow = bye_flow(scripted(), Contact=contact)
    assert flow.transport is Transport.TLS
    assert (flow.host, flow.port, flow.name) == (host, port, name)


@pytest.mark.parametrize("transport", ["udp", "tcp", "sctp"])
def test_a_dialog_over_tls_never_leaves_it(transport: str) -> None:
    flow = bye_flow(scripted(), Contact=f"<sip:peer@198.51.100.7:5060;transport={transport}>")
    assert (flow.transport, flow.host) == (Transport.TLS, PEER)


def test_a_secure_target_is_never_reached_without_tls() -> None:
    flow = bye_flow(scripted(transport=Transport.TCP), Contact="<sips:peer@198.51.100.7>")
    assert (flow.transport, flow.host, flow.port) == (Transport.TLS, "198.51.100.7", 5061)


def contact_of_answer(peer: Scripted, invite: Request) -> SipUri:
    peer.receive(invite)
    peer.steer(peer.incoming.dialog, AcceptAsked(sdp=SDP))
    response = peer.last_response()
    assert isinstance(response, Response)
    uri = response.contacts[0].uri
    assert isinstance(uri, SipUri)
    return uri


def secure_invite() -> Request:
    invite = peer_request("INVITE", sdp=SDP)
    return Request("INVITE", SipUri("sips", "+15550100", None, "192.0.2.1"), invite.headers, invite.body)


def test_a_secure_call_gets_a_secure_contact() -> None:
    assert contact_of_answer(scripted(), secure_invite()).scheme == "sips"


def test_a_secure_contact_of_the_peer_gets_one_too() -> None:
    invite = peer_request("INVITE", sdp=SDP)
    invite.headers.set("Contact", f"<sips:peer@{PEER}>")
    assert contact_of_answer(scripted(), invite).scheme == "sips"


def test_an_ordinary_call_over_tls_gets_an_ordinary_contact() -> None:
    assert contact_of_answer(scripted(), peer_request("INVITE", sdp=SDP)).scheme == "sip"


def test_what_came_in_the_clear_is_not_called_secure() -> None:
    assert contact_of_answer(scripted(transport=Transport.TCP), secure_invite()).scheme == "sip"


@pytest.mark.parametrize("transport", list(Transport))
def test_of_two_trunks_at_one_address_a_call_comes_by_the_one_with_its_transport(transport: Transport) -> None:
    trunks = tuple(trunk(name=TrunkName(one), transport=one) for one in Transport)
    directory = Directory(trunks, SeededEntropy(1))
    for state in directory:
        state.resolve(server_at((PEER,), 5999, state.trunk.transport), 0.0)
    found = directory.of_call(peer_request("INVITE"), Flow(transport=transport, host=PEER, port=40_000))
    assert found is not None
    assert found.trunk.name == transport.value
