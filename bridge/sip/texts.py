"""Text messages (RFC 3428): ours to a trunk and a trunk's to us, each a request of its own outside any dialog."""

from dataclasses import dataclass, field

from bridge.core.entropy import Entropy
from bridge.core.ids import TextKey
from bridge.sip.active_transaction import ActiveClient, ActiveServer
from bridge.sip.caller_fields import CallerFields
from bridge.sip.context import Context
from bridge.sip.credentials import Attempts
from bridge.sip.errors import LocalSipError, SipError
from bridge.sip.events import OutgoingText, TextDelivered, TextFailed, TextReceived
from bridge.sip.failover import Hunt, hops_of
from bridge.sip.fields import NameAddr
from bridge.sip.identity import called_of, caller_of
from bridge.sip.message import Request, Response
from bridge.sip.number_forms import written_called
from bridge.sip.requests import TEXT_TYPE, new_request, repeated
from bridge.sip.settings import Texting
from bridge.sip.trunks import TrunkState

MAX_WAITING = 200
"""Texts either way whose answer is awaited; more are no conversation."""

_CHARSETS = {"": "utf-8", "utf-8": "utf-8", "us-ascii": "utf-8", "iso-8859-1": "latin-1", "iso-8859-15": "iso8859-15"}
"""What is understood; the default of SIP is UTF-8 (RFC 3261 §7.4.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendText:
    """Send a text message."""

    text: TextKey
    message: OutgoingText


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerText:
    """The final response to a text message of a trunk's."""

    text: TextKey
    status: int


@dataclass(slots=True, kw_only=True, eq=False)
class Texts:
    """All text messages that are under way."""

    context: Context
    outgoing: "dict[TextKey, Delivery]" = field(default_factory=dict)
    incoming: dict[TextKey, ActiveServer] = field(default_factory=dict)

    def send(self, key: TextKey, message: OutgoingText, now: float) -> None:
        """Send one, to each server of the trunk until one answers."""
        context = self.context
        state = context.trunks.get(message.trunk)
        hops = hops_of(state, context.entropy, now) if state is not None else []
        if state is None or not hops or len(self.outgoing) >= MAX_WAITING:
            context.emit(TextFailed(text=key, status=503, local=True))
            return
        try:
            request = new_message(message, state, entropy=context.entropy, user_agent=context.settings.user_agent)
        except LocalSipError:
            context.emit(TextFailed(text=key, status=484, local=True))
            return
        self.outgoing[key] = delivery = Delivery(key=key, trunk=state, texts=self)
        delivery.hunt = Hunt.through(hops, context=context, trunk=state, user=delivery)
        delivery.client = delivery.hunt.start(request, now)

    def take(self, server: ActiveServer, now: float) -> None:
        """One of a trunk's; raises `SipError` for one that cannot be read."""
        context, request = self.context, server.request
        state = context.trunks.of_call(request, server.source)
        if state is None:
            context.count("sip_dropped_total", reason="acl")
            context.layer.drop(server)
            return
        if state.trunk.texts is Texting.NONE:
            raise SipError(405, "Method Not Allowed")
        body = plain_text(request)
        if len(self.incoming) >= MAX_WAITING:
            raise SipError(503, "Service Unavailable")
        caller, key = caller_of(request, state.trunk), TextKey(context.entropy.token(24))
        self.incoming[key] = server
        event = TextReceived(
            text=key,
            trunk=state.trunk.name,
            called=called_of(request, state),
            caller=caller.number,
            caller_name=caller.name,
            body=body,
        )
        context.emit(event)

    def answer(self, key: TextKey, status: int, now: float) -> None:
        """The final response to one of a trunk's."""
        server = self.incoming.pop(key, None)
        if server is None:
            self.context.count("sip_late_commands_total", command="AnswerText")
            return
        self.context.answer(server, status, now)
        self.context.layer.settle(server)

    def close(self) -> None:
        """Forget everything, without a word to anyone."""
        self.outgoing.clear()
        self.incoming.clear()


@dataclass(slots=True, kw_only=True, eq=False)
class Delivery:
    """One text message of ours, until the trunk has answered it."""

    key: TextKey
    trunk: TrunkState
    texts: Texts
    hunt: Hunt | None = None
    client: ActiveClient | None = None
    attempts: Attempts = field(default_factory=Attempts)

    def response_received(self, client: ActiveClient, response: Response, now: float) -> None:
        """The trunk's answer, or its challenge."""
        if client is not self.client or response.status < 200:
            return
        if response.status < 300:
            self._finish(TextDelivered(text=self.key))
        elif not self._authenticates(client, response, now):
            self._finish(TextFailed(text=self.key, status=response.status))

    def moved(self, client: ActiveClient, now: float) -> None:
        """The request goes on at another server, which has not asked for anything yet."""
        self.client, self.attempts = client, Attempts()

    def request_failed(self, client: ActiveClient, status: int, now: float) -> None:
        """No answer, or no way to the trunk."""
        if client is self.client:
            self._finish(TextFailed(text=self.key, status=status, local=True))

    def _authenticates(self, client: ActiveClient, response: Response, now: float) -> bool:
        """Whether the request goes out again, with credentials (RFC 3261 §22.2)."""
        if response.status not in (401, 407) or self.hunt is None:
            return False
        credentials = self.trunk.credentials_for(client, response, self.attempts)
        if not credentials:
            return False
        again = repeated(client.request, cseq=client.request.cseq.number + 1, credentials=credentials)
        self.client = self.hunt.repeat(again, now)
        return True

    def _finish(self, event: TextDelivered | TextFailed) -> None:
        if self.texts.outgoing.pop(self.key, None) is not None:
            self.texts.context.emit(event)


def new_message(message: OutgoingText, state: TrunkState, *, entropy: Entropy, user_agent: str) -> Request:
    """A MESSAGE request (RFC 3428 §4), without its Via. It has no Contact: there is no dialog to go on in (§4)."""
    target = state.uri(written_called(message.called, state.trunk))
    sender = CallerFields(call=message, state=state)
    request = new_request(
        "MESSAGE",
        target,
        from_=sender.from_(entropy.token(12)),
        to=NameAddr("", target),
        sip_call_id=entropy.token(24),
        cseq=1,
        fields=(
            *state.route_fields(),
            *sender.identities(),
            ("User-Agent", user_agent),
            ("Content-Type", f"{TEXT_TYPE};charset=UTF-8"),
        ),
    )
    request.body = message.body.encode(errors="replace")
    return request


def plain_text(request: Request) -> str:
    """What a MESSAGE says. Raises `SipError` 415 for anything but plain text in a charset that is known."""
    kind, _, params = (request.headers.get("Content-Type") or TEXT_TYPE).partition(";")
    values = (param.partition("=") for param in params.split(";", 8))
    charset = next((value for name, _, value in values if name.strip().lower() == "charset"), "")
    encoding = _CHARSETS.get(charset.strip().strip('"').lower())
    identity = (request.headers.get("Content-Encoding") or "identity").lower() == "identity"
    if kind.strip().lower() != TEXT_TYPE or encoding is None or not identity:
        raise SipError(415, "Unsupported Media Type")
    return request.body.decode(encoding, errors="replace")
