"""Nothing that our side says can smuggle a line or a message into what is sent.

Through every field of every command and setting that takes text (RFC 3261 §7.3.1, §26).
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.entropy import SeededEntropy
from bridge.core.ids import DialogKey
from bridge.sip import SipError, StreamFramer, parse_message
from bridge.sip.actions import Fault, Flow, LocalAddress, Received, Send, TrunkResolved
from bridge.sip.errors import LocalSipError
from bridge.sip.events import OutgoingCall
from bridge.sip.inputs import DialogCommand, Input, PlaceCall, Start, Steer
from bridge.sip.keypad import DigitAsked
from bridge.sip.message import Request
from bridge.sip.referral_commands import ReferAsked
from bridge.sip.settings import FromUser, IdentityHeader, Listener, SipSettings, Transport, Trunk, TrunkAuth
from bridge.sip.targets import server_at
from bridge.sip.uri import SipUri
from bridge.sip.usage_commands import AcceptAsked, RejectAsked, ReofferAsked, RingAsked
from bridge.sip.user_agent import UserAgent
from tests.sip.scripted_peer import PEER, SDP, TRUNK, US, Scripted, peer_request, trunk

EVIL = st.one_of(
    st.text(max_size=20),
    st.lists(
        st.sampled_from(
            [
                *(
                    "\r\n",
                    "\r",
                    "\n",
                    "\0",
                    "\r\n\r\n",
                    "\n\n",
                    "X-Evil: yes",
                    "INVITE sip:x SIP/2.0\r\n",
                    "%0d%0a",
                    "\r\n ",
                ),
                *(
                    '"',
                    "\\",
                    "<",
                    ">",
                    ";",
                    ",",
                    "@",
                    ":",
                    "?",
                    "a",
                    "+4930",
                    "\ud800",
                    "\u2028",
                    "\x85",
                    "\x0b",
                    "\u00e9",
                ),
            ]
        ),
        max_size=8,
    ).map("".join),
)
OURS = {
    *("Via", "Max-Forwards", "From", "To", "Call-ID", "CSeq", "Contact", "Allow", "Accept", "Supported", "User-Agent"),
    *("P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID", "Privacy", "Content-Type", "Content-Length"),
    *(
        "Session-Expires",
        "Min-SE",
        "Require",
        "Route",
        "Diversion",
        "History-Info",
        "Replaces",
        "Referred-By",
        "Reason",
    ),
    *("Expires", "Refer-To", "Server", "Retry-After", "Record-Route", "RSeq", "Authorization", "Proxy-Authorization"),
    *("Event", "Subscription-State", "Refer-Sub", "Allow-Events", "X-Ours", "Timestamp", "Target-Dialog"),
}
"""All names that a message of ours may have."""
SINGLE = ("From", "To", "Call-ID", "CSeq", "Content-Length", "Max-Forwards", "Contact", "Subject")


def check(payload: bytes) -> None:
    """Exactly one message, of our headers, whoever reads it."""
    frames = list(StreamFramer().feed(payload))
    assert frames == [payload]
    message = parse_message(payload)
    names = [name for name, _ in message.headers]
    assert set(names) <= OURS
    assert all(names.count(name) <= 1 for name in SINGLE)
    head, _, _ = payload.partition(b"\r\n\r\n")
    assert b"\0" not in head
    assert head.count(b"\r") == head.count(b"\n") == head.count(b"\r\n") == len(names)


FLOW = Flow(transport=Transport.UDP, host=PEER, port=5060)


class Sender:
    """A user agent whose every message is checked; that it refuses to send is as good."""

    def __init__(self, settings: Trunk, user_agent: str = "Trunkline") -> None:
        self.now = 0.0
        self.sent: list[Request] = []
        listener = Listener(transport=Transport.UDP, host=US, port=5060)
        self.agent = UserAgent(
            SipSettings(listeners=(listener,), trunks=(settings,), user_agent=user_agent),
            entropy=SeededEntropy(1),
            local_addresses=(LocalAddress(transport=Transport.UDP, host=US, port=5060),),
        )
        self.feed(TrunkResolved(trunk=TRUNK, servers=server_at((PEER,), 5060, Transport.UDP)))

    def feed(self, event: Input) -> None:
        for action in self.agent.handle(event, self.now):
            match action:
                case Send(payload=payload):
                    check(payload)
                    message = parse_message(payload)
                    if isinstance(message, Request):
                        self.sent.append(message)
                case Fault(error=error):
                    assert isinstance(error, LocalSipError)
                case _:
                    pass


CALL = OutgoingCall(trunk=TRUNK, called="+15550100", caller="+15550199", caller_name="Alice", sdp=SDP)
CHANGES: dict[str, Callable[[str], OutgoingCall]] = {
    "called": lambda text: replace(CALL, called=text),
    "caller": lambda text: replace(CALL, caller=text),
    "caller_name": lambda text: replace(CALL, caller_name=text),
    "diverted_from": lambda text: replace(CALL, diverted_from=(text, "+15550177")),
    "replaces": lambda text: replace(CALL, replaces=text),
    "referred_by": lambda text: replace(CALL, referred_by=text),
    "sdp": lambda text: replace(CALL, sdp=text),
    "target": lambda text: replace(CALL, target=SipUri("sip", text, None, PEER, None, {"p": text})),
}
"""Every field of a call to place that holds a text from elsewhere."""


@pytest.mark.parametrize("field", CHANGES)
@given(text=EVIL)
def test_no_field_of_a_call_holds_more_than_it_should(field: str, text: str) -> None:
    sender = Sender(trunk(identity_headers=tuple(IdentityHeader)))
    sender.feed(PlaceCall(dialog=DialogKey("call"), call=CHANGES[field](text)))
    assert sender.sent or not sender.agent.open_dialogs


@given(text=EVIL, number=st.integers(0, 5))
def test_no_command_of_a_call_holds_more_than_it_should(text: str, number: int) -> None:
    peer = Scripted()
    peer.faults = []
    peer.receive(peer_request("INVITE", sdp=SDP))
    dialog = peer.incoming.dialog
    commands: list[DialogCommand] = [
        RingAsked(status=183, sdp=text),
        AcceptAsked(sdp=text),
        RejectAsked(status=486, reason_phrase=text),
        ReofferAsked(sdp=text),
        ReferAsked(target_user=text),
        DigitAsked(digit=text, duration_ms=100),
    ]
    command = commands[number]
    if isinstance(command, ReofferAsked | ReferAsked | DigitAsked):
        peer.steer(dialog, AcceptAsked(sdp=SDP))
        peer.receive(peer_request("ACK", to_tag=peer.last_response().to.tag or "", branch="ack"))
    for action in peer.agent.handle(Steer(dialog=dialog, command=command), peer.now):
        if isinstance(action, Send):
            check(action.payload)


SETTINGS: dict[str, Callable[[str], Trunk]] = {
    "username": lambda text: trunk(TrunkAuth.REGISTER, username=text),
    "register_user": lambda text: trunk(TrunkAuth.REGISTER, register_user=text),
    "domain": lambda text: trunk(domain=text),
    "from_domain": lambda text: trunk(from_domain=text),
    "account": lambda text: trunk(TrunkAuth.DIGEST, username=text, from_user=FromUser.ACCOUNT),
    "number_prefix": lambda text: trunk(number_prefix=text),
    "headers": lambda text: trunk(headers=(("X-Ours", text),)),
}
"""Texts of the settings; the configuration refuses most of these before, and this does not rely on it."""


@pytest.mark.parametrize("field", [*SETTINGS, "user_agent"])
@given(text=EVIL)
def test_no_setting_holds_more_than_it_should(field: str, text: str) -> None:
    try:
        sender = Sender(SETTINGS[field](text)) if field in SETTINGS else Sender(trunk(TrunkAuth.REGISTER), text)
        sender.feed(Start())
        sender.feed(PlaceCall(dialog=DialogKey("call"), call=CALL))
        for request in list(sender.sent):
            header = ("WWW-Authenticate", 'Digest realm="lab", nonce="n", qop="auth"')
            answer = request.response(401, to_tag="peer", headers=(header,))
            sender.feed(Received(payload=bytes(answer), flow=FLOW))
    except (LocalSipError, SipError):
        return  # Refused at once is as good; a host that is none is refused by whoever reads it.
