"""Keypad tones in INFO requests (RFC 6086 and what came before it): one at a time, for their order is what they say."""

from collections import deque
from dataclasses import dataclass, field

from bridge.core.ids import DialogKey
from bridge.sip.active_transaction import ActiveServer
from bridge.sip.context import Context
from bridge.sip.dialog_request import DialogRequest, request_inside
from bridge.sip.dtmf_info import RELAY_TYPE, parse_keys, relay_body
from bridge.sip.errors import LocalSipError, SipError
from bridge.sip.events import DigitsReceived
from bridge.sip.invite_usage import InviteUsage
from bridge.sip.message import Response

MAX_WAITING = 32
"""Keys that wait for those before them; nobody types further ahead of a peer that answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DigitAsked:
    """Press a key."""

    digit: str = field(repr=False)
    duration_ms: int


@dataclass(slots=True, kw_only=True, eq=False)
class Keypads:
    """The keys that are pressed in all calls."""

    context: Context
    waiting: dict[DialogKey, deque[bytes]] = field(default_factory=dict)
    """Bodies to send, in calls where an INFO is under way."""

    def take(self, usage: InviteUsage, server: ActiveServer, now: float) -> None:
        """An INFO of the peer; an empty one only asks whether we are there.

        469 for Info Packages: none was agreed upon, which Recv-Info says (RFC 6086 §4.2.2).
        """
        request = server.request
        if "Info-Package" in request.headers:
            raise SipError(469, "Bad Info Package")
        if request.body:
            keys = parse_keys(request.content_type, request.body)
            self.context.emit(DigitsReceived(dialog=usage.key, digits=keys.digits, duration_ms=keys.duration_ms))
            self._count("in", "sent")
        self.context.layer.respond(server, request.response(200), now)

    def press(self, key: DialogKey, command: DigitAsked, now: float) -> None:
        """Send a key, now or when those before it were answered."""
        usage = self.context.usages.get(key)
        queue = self.waiting.get(key)
        try:
            body = relay_body(command.digit, command.duration_ms)
        except LocalSipError:
            body = None
        if body is None or usage is None or not usage.talking or (queue is not None and len(queue) >= MAX_WAITING):
            self._count("out", "dropped")
        elif queue is not None:
            queue.append(body)
        else:
            self.waiting[key] = deque()
            self._send(usage, body, now)

    def close(self) -> None:
        """Forget everything, without a word to anyone."""
        self.waiting.clear()

    def _send(self, usage: InviteUsage, body: bytes, now: float) -> None:
        if usage.dialog is None:
            return
        request = request_inside(usage, usage.dialog, "INFO")
        request.headers.add("Content-Type", RELAY_TYPE)
        request.body = body

        def finished(status: int, response: Response | None, now: float) -> None:
            self._finish(usage, status, now)

        DialogRequest(usage=usage, dialog=usage.dialog, on_final=finished).send(request, now)

    def _finish(self, usage: InviteUsage, status: int, now: float) -> None:
        """On to the next. Without one that was refused, those that wait would mean another thing."""
        queue = self.waiting.get(usage.key)
        accepted = 200 <= status < 300
        self._count("out", "sent" if accepted else "refused")
        if queue and accepted and usage.talking:
            self._send(usage, queue.popleft(), now)
            return
        for _ in self.waiting.pop(usage.key, ()):
            self._count("out", "dropped")

    def _count(self, direction: str, outcome: str) -> None:
        self.context.count("sip_info_digits_total", direction=direction, outcome=outcome)
