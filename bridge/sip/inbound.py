"""Messages that come in: to their transaction, to their dialog, or to a new call (RFC 3261 §8.2, §12.2.2)."""

from collections.abc import Mapping
from dataclasses import dataclass

from bridge.sip import phone_watch, transfers
from bridge.sip.actions import Flow, Send
from bridge.sip.active_transaction import ActiveServer
from bridge.sip.capabilities import ALLOW, capabilities, switched_off
from bridge.sip.checks import Refusal, refusal_of
from bridge.sip.context import Context
from bridge.sip.dialog_info import CONTENT_TYPE
from bridge.sip.dtmf_info import ACCEPTED
from bridge.sip.errors import SipError
from bridge.sip.incoming_call import open_call
from bridge.sip.inside_dialogs import InsideDialogs
from bridge.sip.invite_usage import InviteUsage
from bridge.sip.matching import dialog_id, reply_flow, stateless_tag
from bridge.sip.message import Request, Response
from bridge.sip.message_counts import request_count, response_count
from bridge.sip.requests import TEXT_TYPE, Fields
from bridge.sip.session_effects import refuses_interval
from bridge.sip.session_timer import Policy
from bridge.sip.sipfrag import SIPFRAG_TYPE
from bridge.sip.texts import Texts
from bridge.sip.usage_events import CancelReceived

MAX_TRANSACTIONS = 150_000
"""More than this is no load but an attack or a loop; new requests are turned away until it is over.

The two of a call that comes over UDP linger for 32 s, at 2.5 kB each: these are 2,000 calls a second, and 375 MB.
"""

MAX_CALLS = 5_000

MAX_IN_DIALOG = 500
"""Transactions of one dialog that linger: over UDP 32 s of somebody who types digits in INFO requests fast."""

_NEVER_ALONE = frozenset(("BYE", "PRACK"))
"""Without a tag in To these mean nothing, for no dialog is begun with them."""

_RETRY_AFTER_S = (5, 30)

REFUSAL_FIELDS: Mapping[tuple[str, int | None], Fields] = {
    ("INFO", 415): (("Accept", ACCEPTED),),
    ("MESSAGE", 405): (("Allow", ALLOW),),
    ("MESSAGE", 415): (("Accept", TEXT_TYPE),),
    ("INFO", 469): (("Recv-Info", ""),),
    ("NOTIFY", 415): (("Accept", f"{SIPFRAG_TYPE}, {CONTENT_TYPE}"),),
    ("NOTIFY", 489): (("Allow-Events", f"{transfers.EVENT_PACKAGE}, {phone_watch.EVENT_PACKAGE}"),),
}
"""What a refusal has to say besides its status (RFC 3261 §21.4.13, RFC 6086 §4.2.2, RFC 6665 §8.3.2)."""


@dataclass(slots=True, kw_only=True, eq=False)
class Inbound:
    """The server half of the user agent."""

    context: Context
    inside: InsideDialogs
    texts: Texts

    def take_response(self, response: Response, flow: Flow, now: float) -> None:
        """Responses have one Via, ours; all others are not for us (§18.1.2)."""
        self.context.actions.append(response_count(response, response.cseq.method, "in"))
        if len(response.vias) != 1 or not self.context.layer.receive_response(response, flow, now):
            self.context.count("sip_dropped_total", reason="unmatched")

    def take_request(self, request: Request, flow: Flow, now: float, *, refused: str = "") -> None:
        """A request: an ACK to whom it acknowledges, others through their transaction.

        `refused` names the limit that it exceeds, unless it belongs to something begun.
        """
        self.context.actions.append(request_count(request, flow, "in"))
        if request.method == "ACK":
            self._take_ack(request, now)
        elif self.context.layer.absorb_retransmission(request, now):
            return
        elif self._is_too_much(request, refused=bool(refused)):
            self._shed(request, flow, refused or "overload")
        elif self._is_stray(request):
            self._refuse(request, flow, 481)
        elif self._is_storm(request):
            self.context.count("sip_dropped_total", reason="overload")
            self._refuse(request, flow, 500)
        else:
            self._take_safely(self.context.layer.receive_request(request, flow), now)

    def _take_ack(self, request: Request, now: float) -> None:
        """An ACK that nobody waits for is dropped: it must never be answered (§17)."""
        if self.context.layer.absorb_ack(request, now):
            return
        usage = self.context.dialogs.get(dialog_id(request))
        if usage is not None:
            usage.acknowledged(request, now)

    def _is_too_much(self, request: Request, *, refused: bool) -> bool:
        """Requests inside dialogs, and CANCEL, are never shed: they end load. Nor is what was taken up already."""
        if request.to.tag is not None or request.method == "CANCEL":
            return False
        return refused or len(self.context.layer) >= MAX_TRANSACTIONS or len(self.context.usages) >= MAX_CALLS

    def _shed(self, request: Request, flow: Flow, reason: str) -> None:
        """503, and when to come again."""
        self.context.count("sip_dropped_total", reason=reason)
        self._refuse(request, flow, 503)

    def _is_stray(self, request: Request) -> bool:
        """Whether a request belongs to a dialog, or a CANCEL to a transaction, that we do not have."""
        if request.method == "CANCEL":
            return self.context.layer.cancelled_by(request) is None
        if request.to.tag is None:
            return request.method in _NEVER_ALONE
        return dialog_id(request) not in self.inside

    def _is_storm(self, request: Request) -> bool:
        """Whether one dialog asks more than any call has to; BYE, which ends it, is always heard."""
        if request.to.tag is None or request.method == "BYE":
            return False
        return self.context.layer.open_inside(dialog_id(request)) >= MAX_IN_DIALOG

    def _refuse(self, request: Request, flow: Flow, status: int) -> None:
        """Answer without a transaction, each copy in the same way (§8.2.7).

        What a flood pretends to belong to a dialog must not fill the table that calls need.
        """
        request.stamp_source(flow.host, flow.port)
        fields: Fields = ()
        if status >= 500:
            fields = (("Retry-After", str(self.context.entropy.integer(*_RETRY_AFTER_S))),)
        response = request.response(status, to_tag=stateless_tag(request), headers=fields)
        self.context.actions.append(Send(payload=bytes(response), flow=reply_flow(request.via, flow)))

    def _take_safely(self, server: ActiveServer, now: float) -> None:
        """A header that turns out malformed only when it is needed must not leave the request without an answer."""
        try:
            self._take_new(server, now)
        except SipError as error:
            if not server.answered:
                fields = REFUSAL_FIELDS.get((server.request.method, error.status), ())
                response = server.request.response(
                    error.status or 400, error.reason, to_tag=self.context.tag(), headers=fields
                )
                self.context.layer.respond(server, response, now)
        if server.user is None:
            self.context.layer.settle(server)

    def _take_new(self, server: ActiveServer, now: float) -> None:
        request = server.request
        if request.method == "CANCEL":
            self._take_cancel(server, now)
            return
        merged = self.context.layer.merged_with(server)
        refusal = Refusal(status=482) if merged else refusal_of(request)
        if refusal is not None:
            self.context.layer.respond(server, refusal.response(request, self.context.tag()), now)
        elif request.to.tag is not None:
            self.inside.take(server, now)
        else:
            self._take_outside(server, now)

    def _take_cancel(self, server: ActiveServer, now: float) -> None:
        """200 if the INVITE is known, whether or not it can still be stopped (§9.2)."""
        request = server.request
        invite = self.context.layer.cancelled_by(request)
        usage = invite.user if invite is not None else None
        tag = usage.local_tag if isinstance(usage, InviteUsage) else self.context.tag()
        self.context.layer.respond(server, request.response(200 if invite else 481, to_tag=tag), now)
        if invite is not None and not invite.answered and isinstance(usage, InviteUsage):
            usage.handle(CancelReceived(request=request), now)

    def _take_outside(self, server: ActiveServer, now: float) -> None:
        match server.request.method:
            case "INVITE":
                self._take_invite(server, now)
            case "OPTIONS":
                self.context.answer(server, 200, now, self._capabilities_towards(server))
            case "MESSAGE":
                self.texts.take(server, now)
            case "REFER":
                self.context.answer(server, 403, now)  # A call of a stranger's making, to nobody's call: not for us.
            case _:
                self.context.answer(server, 481, now)

    def _capabilities_towards(self, server: ActiveServer) -> Fields:
        state = self.context.trunks.of_call(server.request, server.source)
        return capabilities(state.trunk) if state is not None else ()

    def _take_invite(self, server: ActiveServer, now: float) -> None:
        """100 at once, then it is our user's turn (§8.2.6.1, §13.3.1)."""
        request = server.request
        state = self.context.trunks.of_call(request, server.source)
        if state is None:
            self.context.count("sip_dropped_total", reason="acl")
            self.context.layer.drop(server)
            return
        unsupported = switched_off(request, state.trunk)
        if unsupported:
            self.context.answer(server, 420, now, (("Unsupported", ", ".join(unsupported)),))
            return
        if refuses_interval(self.context, Policy.of(state.trunk), server, now):
            return
        if self.context.limits[state.trunk.name].turns_away(server, now):
            return
        self.context.layer.respond(server, request.response(100), now)
        open_call(self.context, state, server)
