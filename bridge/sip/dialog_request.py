"""Requests of ours inside a dialog, from their sending to their one outcome (RFC 3261 §12.2.1, §14.1, §22)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bridge.sip.actions import Flow
from bridge.sip.active_transaction import ActiveClient
from bridge.sip.capabilities import capabilities
from bridge.sip.credentials import Attempts
from bridge.sip.dialog import Dialog
from bridge.sip.errors import SipError
from bridge.sip.message import Request, Response
from bridge.sip.requests import Fields, cancel_of, copy_credentials, repeated
from bridge.sip.timers import Timer
from bridge.sip.transaction import State

if TYPE_CHECKING:
    from bridge.sip.invite_usage import InviteUsage

REINVITE_LIMIT_S = 60.0
"""A re-INVITE that only ever got provisional responses is cancelled then: no timer of its transaction ends it."""

_TARGET_REFRESH = frozenset(("INVITE", "UPDATE"))

OnFinal = Callable[[int, Response | None, float], None]
"""Status, response and time; no response came for 408 and 503 of our own making (§8.1.3.1)."""


class Indifferent:
    """Sends requests whose outcome does not matter: CANCEL, and BYE to a fork that answered too late."""

    def response_received(self, client: ActiveClient, response: Response, now: float) -> None:
        return None

    def request_failed(self, client: ActiveClient, status: int, now: float) -> None:
        return None


INDIFFERENT = Indifferent()


def request_inside(usage: "InviteUsage", dialog: Dialog, method: str, *, cseq: int | None = None) -> Request:
    """A request inside the dialog that says who we are."""
    request = dialog.request(method, cseq=cseq)
    request.headers.add("User-Agent", usage.context.settings.user_agent)
    return request


def refresh_request(usage: "InviteUsage", dialog: Dialog, method: str) -> Request:
    """A target refresh request: it also says where and what we are now (§12.2.1.1, RFC 3311 §5.1, RFC 4028 §7.4)."""
    request = request_inside(usage, dialog, method)
    timer = usage.policy.request_fields(usage.interval) if usage.interval is not None else ()
    for name, value in (usage.contact(usage.flow_of(dialog)), *capabilities(usage.trunk.trunk, inside=True), *timer):
        request.headers.add(name, value)
    return request


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DialogRequestTimer:
    """A re-INVITE has waited long enough."""

    request: "DialogRequest"


@dataclass(slots=True, kw_only=True, eq=False)
class DialogRequest:
    """One request, repeated with credentials where the trunk may ask for them; it outlives the call if it has to."""

    usage: "InviteUsage"
    dialog: Dialog
    on_final: OnFinal
    client: ActiveClient | None = None
    attempts: Attempts = field(default_factory=Attempts)
    ack: tuple[Request, Flow] | None = None
    """What answers each repeated 2xx to a re-INVITE."""
    cancelled: bool = False
    overtaken: bool = False
    finished: bool = False
    timer: "Timer[object] | None" = None

    def send(self, request: Request, now: float) -> None:
        """Out with it."""
        self._send(request, self.usage.flow_of(self.dialog), now)
        if request.method == "INVITE":
            self._wait(now + REINVITE_LIMIT_S)

    def response_received(self, client: ActiveClient, response: Response, now: float) -> None:
        """Each 2xx to a re-INVITE is acknowledged, whatever has become of the call (§13.2.2.4)."""
        if client is not self.client or response.status < 200:
            return
        if response.status < 300:
            self._take_success(client, response, now)
        if self.finished or self._authenticates(client, response, now) or self._was_overtaken(client, response, now):
            return
        self._finish(response.status, response, now)

    def request_failed(self, client: ActiveClient, status: int, now: float) -> None:
        """No final response will come."""
        if client is self.client and not self.finished:
            self._finish(status, None, now)

    def fire(self, now: float) -> None:
        """Cancel a re-INVITE that rings for ever; one that even so gets no final response is given up (§9.1)."""
        self.timer = None
        if self.finished or self.client is None:
            return
        if self.client.machine.state is State.PROCEEDING and not self.cancelled:
            self._cancel(self.client, now)
        else:
            self.usage.context.layer.abandon(self.client)
            self._finish(408, None, now)

    def _send(self, request: Request, flow: Flow, now: float) -> None:
        self.client = self.usage.context.layer.send_request(request, flow, self, now)

    def _finish(self, status: int, response: Response | None, now: float) -> None:
        self.finished = True
        if self.timer is not None:
            self.usage.context.timers.cancel(self.timer)
            self.timer = None
        self.on_final(status, response, now)

    def _authenticates(self, client: ActiveClient, response: Response, now: float) -> bool:
        """Whether the request goes out again, with credentials (§22.2)."""
        if response.status not in (401, 407) or not self._may_authenticate(client):
            return False
        credentials = self.usage.trunk.credentials_for(client, response, self.attempts)
        if not credentials or not self.attempts.realms <= self.usage.attempts.realms:
            return False
        self._send_again(client, credentials, now)
        return True

    def _was_overtaken(self, client: ActiveClient, response: Response, now: float) -> bool:
        """Whether the request goes out again, because one that we sent later may have come first.

        That is a 500 (§12.2.2), and would leave a hang-up or a report without effect. Once is enough.
        """
        number = client.request.cseq.number
        if response.status != 500 or self.overtaken or client.request.method == "INVITE":
            return False
        if self.dialog.local_cseq == number:
            return False
        self.overtaken = True
        self._send_again(client, (), now)
        return True

    def _send_again(self, client: ActiveClient, credentials: Fields, now: float) -> None:
        self.dialog.local_cseq += 1
        self._send(repeated(client.request, cseq=self.dialog.local_cseq, credentials=credentials), client.flow, now)

    def _may_authenticate(self, client: ActiveClient) -> bool:
        """Only the trunk that authenticated our INVITE may ask again, and only on its own address.

        A callee who challenges our BYE would otherwise collect credentials (the digest leak).
        """
        return bool(self.usage.attempts.realms) and client.flow.address in self.usage.trunk.addresses

    def _take_success(self, client: ActiveClient, response: Response, now: float) -> None:
        """The peer is now where a 2xx to a target refresh request says, and the ACK goes there (§12.2.1.2)."""
        method = client.request.method
        if method in _TARGET_REFRESH and not self.finished:
            self._follow(response)
        if method == "INVITE":
            self.ack = self.ack or self._make_ack(client)
            self.usage.context.layer.send_ack(*self.ack, now)

    def _make_ack(self, client: ActiveClient) -> tuple[Request, Flow]:
        layer = self.usage.context.layer
        ack = request_inside(self.usage, self.dialog, "ACK", cseq=client.request.cseq.number)
        copy_credentials(client.request, ack)
        flow = self.usage.flow_of(self.dialog)
        layer.add_via(ack, flow, layer.new_branch())
        return ack, flow

    def _follow(self, response: Response) -> None:
        try:
            self.usage.follow(self.dialog, response)
        except SipError:
            self.usage.context.count("sip_parse_errors_total", kind="dialog")

    def _cancel(self, client: ActiveClient, now: float) -> None:
        self.cancelled = True
        layer = self.usage.context.layer
        layer.send_cancel(cancel_of(client.request), client, INDIFFERENT, now)
        self._wait(now + layer.timing.timeout_s)

    def _wait(self, deadline: float) -> None:
        self.timer = self.usage.context.timers.schedule(deadline, DialogRequestTimer(request=self))
