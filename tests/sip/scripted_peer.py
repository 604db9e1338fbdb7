"""A user agent whose peer is the test: what it sends is read, what it receives is written by hand."""

from bridge.core.entropy import SeededEntropy
from bridge.core.ids import DialogKey, TrunkName
from bridge.sip.actions import (
    Action,
    Count,
    DoubtFlow,
    Emit,
    Fault,
    Flow,
    LocalAddress,
    LookUp,
    Note,
    Ping,
    Received,
    Send,
    SentBy,
    TimeElapsed,
    TrunkResolved,
)
from bridge.sip.events import CallAnswered, CallMoved, IncomingCall, OutgoingCall, SipEvent
from bridge.sip.headers import Headers
from bridge.sip.inputs import DialogCommand, Input, PlaceCall, Start, Steer
from bridge.sip.message import Request, Response
from bridge.sip.parser import parse_message
from bridge.sip.settings import Listener, SipSettings, Transport, Trunk, TrunkAuth
from bridge.sip.targets import server_at
from bridge.sip.usage_commands import AcceptAsked
from bridge.sip.user_agent import UserAgent
from tests.sip.declared import is_declared

US = "192.0.2.1"
PEER = "192.0.2.2"
STRANGER = "198.51.100.9"
TRUNK = TrunkName("trunk")
SDP = "v=0\r\no=- 1 1 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
CHALLENGE = 'Digest realm="{realm}", nonce="{nonce}", qop="auth", algorithm=MD5{more}'


def trunk(auth: TrunkAuth = TrunkAuth.ADDRESS, **settings: object) -> Trunk:
    """A trunk at the peer's address."""
    account = {} if auth is TrunkAuth.ADDRESS else {"username": "alice", "password": "secret"}
    return Trunk(**{"name": TRUNK, "host": PEER, "auth": auth, **account, **settings})  # type: ignore[arg-type]


class Scripted:
    """One user agent with one trunk."""

    def __init__(
        self, settings: Trunk | None = None, *, transport: Transport = Transport.UDP, emergency: tuple[str, ...] = ()
    ) -> None:
        self.now = 1000.0
        self.transport = transport
        self.connection = 1
        """Number of the stream by which new requests leave."""
        self.sent: list[tuple[Request | Response, Flow]] = []
        self.events: list[SipEvent] = []
        self.moves = 0
        """How often a call had to be written down anew."""
        self.counts: list[Count] = []
        self.notes: list[Note] = []
        self.sought: list[str] = []
        self.doubts: list[DoubtFlow] = []
        self.pings: list[tuple[float, Ping]] = []
        self.faults: list[Exception] | None = None
        """Where faults are kept that a test causes; any other fails it."""
        chosen = settings or trunk(transport=transport)
        self.agent = UserAgent(
            SipSettings(
                listeners=(Listener(transport=transport, host=US, port=5060),),
                trunks=(chosen,),
                emergency=frozenset(emergency),
            ),
            entropy=SeededEntropy(1),
            local_addresses=(LocalAddress(transport=transport, host=US, port=5060),),
        )
        self.feed(TrunkResolved(trunk=TRUNK, servers=server_at((PEER,), 5060, chosen.transport)))

    # In.

    def feed(self, event: Input) -> None:
        """One input."""
        for action in self.agent.handle(event, self.now):
            self._take(action)

    def start(self) -> None:
        """Register and watch."""
        self.feed(Start())

    def advance(self, seconds: float) -> None:
        """Let time pass, deadline by deadline."""
        end = self.now + seconds
        while (deadline := self.agent.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.feed(TimeElapsed())
        self.now = end

    def receive(
        self, message: Request | Response | bytes, *, source: str = PEER, port: int = 5060, refused: str = ""
    ) -> None:
        """A message comes in."""
        flow = Flow(transport=self.transport, host=source, port=port)
        self.feed(Received(payload=bytes(message), flow=flow, refused=refused))

    def answer(
        self, request: Request, status: int, *, tag: str | None = "peer", sdp: str | None = None, **fields: str
    ) -> None:
        """The peer answers a request of ours."""
        headers = [(name.replace("_", "-"), value) for name, value in fields.items()]
        if status < 300 and request.method == "INVITE" and "Contact" not in fields:
            headers.append(("Contact", f"<sip:peer@{PEER}:5060>"))
        if sdp is not None:
            headers.append(("Content-Type", "application/sdp"))
        body = (sdp or "").encode()
        self.receive(request.response(status, to_tag=tag if status > 100 else None, headers=headers, body=body))

    def challenge(
        self, request: Request, status: int = 407, *, realm: str = "lab", nonce: str = "n1", more: str = ""
    ) -> None:
        """The peer wants credentials."""
        name = "Proxy_Authenticate" if status == 407 else "WWW_Authenticate"
        self.answer(request, status, **{name: CHALLENGE.format(realm=realm, nonce=nonce, more=more)})

    # What we do.

    def call(
        self, key: str = "call", *, sdp: str | None = SDP, called: str = "+15550100", caller: str = "+15550199"
    ) -> DialogKey:
        """Place a call."""
        call = OutgoingCall(trunk=TRUNK, called=called, caller=caller, caller_name="Alice", sdp=sdp)
        self.feed(PlaceCall(dialog=DialogKey(key), call=call))
        return DialogKey(key)

    def steer(self, dialog: DialogKey, command: DialogCommand) -> None:
        """Command a call."""
        self.feed(Steer(dialog=dialog, command=command))

    def answered_call(self) -> DialogKey:
        """A call that we placed and the peer answered."""
        dialog = self.call()
        self.answer(self.last_request("INVITE"), 200, sdp=SDP)
        assert isinstance(self.events[-1], CallAnswered)
        self.sent.clear()
        return dialog

    def accepted_call(self) -> tuple[DialogKey, Request, str]:
        """A call that the peer placed and we answered: its key, the INVITE, our tag."""
        invite = peer_request("INVITE", sdp=SDP)
        self.receive(invite)
        dialog = self.incoming.dialog
        self.steer(dialog, AcceptAsked(sdp=SDP))
        tag = self.last_response().to.tag or ""
        self.receive(peer_request("ACK", to_tag=tag, branch="ack"))
        self.sent.clear()
        return dialog, invite, tag

    # Out.

    @property
    def incoming(self) -> IncomingCall:
        """The newest call that came in."""
        return next(event for event in reversed(self.events) if isinstance(event, IncomingCall))

    def last_event(self) -> SipEvent:
        """The newest event."""
        return self.events[-1]

    def last_request(self, method: str) -> Request:
        """The newest request of a method that we sent."""
        return next(
            message for message, _ in reversed(self.sent) if isinstance(message, Request) and message.method == method
        )

    def last_response(self) -> Response:
        """The newest response that we sent."""
        return next(message for message, _ in reversed(self.sent) if isinstance(message, Response))

    def titles(self) -> list[str]:
        """What we sent, in short."""
        return [
            message.method if isinstance(message, Request) else f"{message.status} {message.cseq.method}"
            for message, _ in self.sent
        ]

    def counted(self, name: str, **labels: str) -> int:
        """How often something was counted."""
        return sum(count.name == name and labels.items() <= dict(count.labels).items() for count in self.counts)

    def _take(self, action: Action) -> None:
        match action:
            case Send(payload=payload, flow=flow, transaction=key):
                self.sent.append((parse_message(payload), flow))
                if flow.reliable and key is not None:
                    self.feed(SentBy(transaction=key, connection=flow.connection or self.connection))
            case Emit(event=CallMoved()):
                self.moves += 1
            case Emit(event=event):
                self.events.append(event)
            case Count():
                self.counts.append(is_declared(action, TRUNK))
            case Note():
                self.notes.append(action)
            case DoubtFlow():
                self.doubts.append(action)
            case Ping():
                self.pings.append((self.now, action))
            case LookUp(host=host):
                self.sought.append(host)
            case Fault(error=error):
                if self.faults is None:
                    raise error
                self.faults.append(error)
            case _:
                pass


def peer_request(
    method: str,
    *,
    cseq: int = 1,
    branch: str = "one",
    to_tag: str = "",
    sdp: str | None = None,
    uri: str = f"sip:+15550199@{US}",
    call_id: str = "peer-call",
    from_: str = "<sip:+15550123@example.org>;tag=peer",
    to: str = "<sip:+15550199@example.org>",
    fields: tuple[tuple[str, str], ...] = (),
) -> Request:
    """A request of the peer."""
    headers = Headers(
        (
            ("Via", f"SIP/2.0/UDP {PEER}:5060;branch=z9hG4bK{branch};rport"),
            ("Max-Forwards", "70"),
            ("From", from_),
            ("To", to + (f";tag={to_tag}" if to_tag else "")),
            ("Call-ID", call_id),
            ("CSeq", f"{cseq} {method}"),
            ("Contact", f"<sip:peer@{PEER}:5060>"),
            *fields,
        )
    )
    if sdp is not None and "Content-Type" not in headers:
        headers.add("Content-Type", "application/sdp")
    return Request(method, uri, headers, (sdp or "").encode())
