"""One call: the INVITE, its dialogs and its session, as caller or as callee (RFC 3261 §13 to §15, RFC 5057)."""

from dataclasses import dataclass, field

from bridge.core.ids import DialogKey
from bridge.sip.actions import Flow
from bridge.sip.active_transaction import ActiveClient, ActiveServer
from bridge.sip.bodies import session_description
from bridge.sip.breakdown import break_off
from bridge.sip.caller_effects import end_late_answer
from bridge.sip.context import Context
from bridge.sip.credentials import Attempts
from bridge.sip.dialog import Dialog, DialogId
from bridge.sip.dialog_request import DialogRequest, OnFinal
from bridge.sip.early_effects import EarlyOffer
from bridge.sip.errors import SipError
from bridge.sip.failover import Hunt
from bridge.sip.identity import Caller
from bridge.sip.message import Message, Request, Response
from bridge.sip.offering import Offering
from bridge.sip.reliable import Provisionals
from bridge.sip.saved import Whereabouts, tell_moved
from bridge.sip.session_timer import MAX_LONGER, Policy, SessionInterval
from bridge.sip.timers import Timer
from bridge.sip.trunks import TrunkState
from bridge.sip.usage_commands import (
    UsageCommand,
)
from bridge.sip.usage_events import (
    AckReceived,
    ByeReceived,
    NoResponse,
    OfferDue,
    PrackReceived,
    ReinviteReceived,
    TargetChanged,
    UpdateReceived,
    UsageDeadline,
    UsageEvent,
)
from bridge.sip.usage_meanings import meaning_of_command, meaning_of_response
from bridge.sip.usage_states import OVER, UNANSWERED, UsageState
from bridge.sip.usage_table import TRANSITIONS

_EARLY = (UsageState.PROCEEDING, UsageState.RINGING)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UsageTimer:
    """A deadline of a usage has passed."""

    usage: "InviteUsage"
    event: UsageDeadline


@dataclass(slots=True, kw_only=True, eq=False)
class InviteUsage:
    """The state of one call. What happens when is in `usage_table`, what is done then in the modules of effects."""

    key: DialogKey
    trunk: TrunkState
    context: Context
    flow: Flow
    """The way of the first INVITE."""
    state: UsageState
    local_tag: str
    secure: bool = False
    """Whether all of it is to be TLS: our contact is a `sips` URI (RFC 3261 §12.1.1)."""
    dialog: Dialog | None = None
    """The dialog that counts: the answered one."""
    early: dict[str, Dialog] = field(default_factory=dict)
    """Early dialogs of our INVITE by remote tag."""
    invite: ActiveClient | None = None
    """Our newest INVITE."""
    hunt: Hunt | None = None
    """Where else our first INVITE may be tried."""
    uris: set[str] = field(default_factory=set)
    """The Request-URIs that it had, once it was redirected."""
    attempts: Attempts = field(default_factory=Attempts)
    acks: dict[str, tuple[Request, Flow]] = field(default_factory=dict)
    """What answers each repeated 2xx, by remote tag."""
    cancel_q850: int | None = None
    incoming: ActiveServer | None = None
    """The peer's INVITE or UPDATE that we answer, or answered last."""
    answer: Response | None = None
    """Our 2xx while it is repeated, or our last provisional response while it rings."""
    answer_interval_s: float = 0.0
    timers: "dict[type[UsageDeadline], Timer[object]]" = field(default_factory=dict)
    names: set[DialogId] = field(default_factory=set)
    """Under which names requests find us."""
    peers: dict[DialogId, frozenset[str]] = field(default_factory=dict)
    """The hosts of each dialog, whose messages are read."""
    provisionals: Provisionals | None = None
    """Ours, if the peer acknowledges them."""
    accepted_sdp: str | None = None
    """Our answer while it waits for a PRACK."""
    kept_answer: str | None = None
    """The peer's answer to our offer, that came in a PRACK."""
    early_offer: EarlyOffer | None = None
    party: Caller = field(default_factory=Caller)
    """Who is at the other end, as far as we know."""
    from_changes: bool = False
    """Whether the peer's From may come to name somebody else (RFC 4916)."""
    interval: SessionInterval | None = None
    """How long the session lasts unless it is confirmed."""
    min_se_s: int = 0
    """What the newest 422 asked for."""
    longer_asked: int = 0
    pracks: int = 0
    """How many of ours wait for an answer."""
    refresh_retries: int = 0
    """How often the confirmation that is due met an offer of the peer."""
    offering: Offering = field(default_factory=Offering)
    whereabouts: Whereabouts | None = None
    """As our user last wrote them down."""
    cseq_gap: int = 0
    """Numbers that an earlier process may have used in dialogs of this INVITE."""

    def handle(self, event: UsageEvent, now: float) -> bool:
        """Take one step; false when the table has no such step."""
        event = meaning_of_command(self, event)
        row = TRANSITIONS.get((self.state, type(event)))
        if row is None:
            self._count_unexpected(event, now)
            return False
        before = self.state
        self.state, effects = row
        try:
            for effect in effects:
                effect(self, event, now)
        except Exception as error:  # Whatever goes wrong in a call ends it, and nothing else.
            break_off(self, before, event, error, now)
        tell_moved(self)
        if self.state is UsageState.ENDED:
            self._close(now)
        elif self._may_offer and OfferDue not in self.timers:
            self.set_timer(OfferDue(), now)
        return True

    @property
    def _may_offer(self) -> bool:
        """Whether an offer of ours that waits may go out."""
        if not self.offering.due:
            return False
        return self.state is UsageState.ESTABLISHED or (self.state in _EARLY and self.updatable is not None)

    @property
    def updatable(self) -> Dialog | None:
        """The early dialog in which we may make another offer: the first has its answer, and the peer takes UPDATE."""
        dialogs = [self.dialog] if self.dialog is not None else list(self.early.values())
        found = [dialog for dialog in dialogs if dialog.session.settled and "UPDATE" in dialog.allowed]
        return found[0] if len(found) == 1 and self.early_offer is None else None

    @property
    def offered_late(self) -> bool:
        """Whether the INVITE had no offer, so that the callee makes it (RFC 3261 §13.2.1)."""
        first = self.invite or self.incoming
        return first is not None and self.sdp_of(first.request) is None

    @property
    def talking(self) -> bool:
        """Whether the call is answered and not over: what goes on beside it in its dialog may begin."""
        return self.state not in UNANSWERED and self.state not in OVER

    @property
    def policy(self) -> Policy:
        """What we want of session timers in this call."""
        return Policy.of(self.trunk.trunk).at_least(self.min_se_s)

    def lengthen(self, min_se_s: int) -> bool:
        """Ask for a longer session interval from now on; false when that is none, or was done often enough."""
        if min_se_s <= self.policy.min_se_s or self.longer_asked >= MAX_LONGER:
            return False
        self.longer_asked += 1
        self.min_se_s = min_se_s
        return True

    # From the transactions.

    def response_received(self, client: ActiveClient, response: Response, now: float) -> None:
        """A response to our INVITE."""
        if client is self.invite:
            event = meaning_of_response(self, client, response, now)
            if event is not None:
                self.handle(event, now)
        elif self.hunt is not None and client.key in self.hunt.abandoned:
            end_late_answer(self, client, response, now)

    def moved(self, client: ActiveClient, now: float) -> None:
        """Our first INVITE goes on at another target, which knows nothing of what the last one asked."""
        self.invite = client
        self.flow = client.flow
        self.attempts = Attempts()
        self.handle(TargetChanged(), now)

    def request_failed(self, client: ActiveClient, status: int, now: float) -> None:
        """Our INVITE got no final response."""
        if client is self.invite:
            self.handle(NoResponse(status=status), now)

    def acknowledged(self, request: Request, now: float) -> None:
        """An ACK; only the one for our newest 2xx counts."""
        if self.incoming is not None and request.cseq.number == self.incoming.request.cseq.number:
            self.handle(AckReceived(request=request), now)

    # For the effects.

    def dialog_of(self, request: Request) -> Dialog | None:
        """The dialog that a request of the peer belongs to."""
        return self.dialog_with(request.from_.tag or "")

    def dialog_with(self, tag: str) -> Dialog | None:
        """The dialog whose other end has this tag."""
        if self.dialog is not None and (self.dialog.remote.tag or "") == tag:
            return self.dialog
        return self.early.get(tag)

    def ask(self, dialog: Dialog, request: Request, on_final: OnFinal, now: float) -> None:
        """Send a request inside a dialog; `on_final` learns once what came of it."""
        DialogRequest(usage=self, dialog=dialog, on_final=on_final).send(request, now)

    def sdp_of(self, message: Message) -> str | None:
        """The session description; a body of another kind counts as none, and is counted."""
        try:
            return session_description(message)
        except SipError:
            self.context.count("sip_parse_errors_total", kind="body")
            return None

    def flow_of(self, dialog: Dialog) -> Flow:
        """The way for requests inside a dialog; a target that we cannot reach is tried through the trunk."""
        try:
            return self.context.flow_to(dialog.next_hop, self.trunk, like=self.flow)
        except SipError:
            self.context.count("sip_parse_errors_total", kind="target")
            return self.trunk.flow() or self.flow

    def contact(self, flow: Flow) -> tuple[str, str]:
        """The header that says where the peer reaches us."""
        local = self.context.layer.local_address(flow)
        return ("Contact", f"<{self.trunk.contact(local, secure=self.secure)}>")

    def register(self, dialog: Dialog) -> None:
        """Let requests inside the dialog find this usage, whichever address of the peer they come from."""
        self._meet(dialog)
        self.names.add(dialog.name)
        self.context.dialogs[dialog.name] = self

    def unregister(self, dialog: Dialog) -> None:
        """The opposite."""
        self.names.discard(dialog.name)
        self.context.dialogs.pop(dialog.name, None)
        self._part(dialog.name)

    def follow(self, dialog: Dialog, message: Message) -> None:
        """The peer has moved with a target refresh request that was answered 2xx, or with its 2xx to ours (§12.2)."""
        dialog.refresh_target(message)
        self._meet(dialog)
        tell_moved(self)

    def _meet(self, dialog: Dialog) -> None:
        """Read messages from where the dialog's peer is now, and no longer from where it was."""
        hosts = dialog.hosts
        for host in hosts:
            self.context.peers.meet(host)
        self._part(dialog.name)
        self.peers[dialog.name] = hosts

    def _part(self, name: DialogId) -> None:
        for host in self.peers.pop(name, ()):
            self.context.peers.part(host)

    def set_timer(self, event: UsageDeadline, deadline: float) -> None:
        """Run a timer, replacing one of the same kind."""
        self.stop_timer(type(event))
        self.timers[type(event)] = self.context.timers.schedule(deadline, UsageTimer(usage=self, event=event))

    def stop_timer(self, kind: type[UsageDeadline]) -> None:
        """Stop a timer if it runs."""
        timer = self.timers.pop(kind, None)
        if timer is not None:
            self.context.timers.cancel(timer)

    def fire(self, event: UsageDeadline, now: float) -> None:
        """A deadline has passed."""
        self.timers.pop(type(event), None)
        self.handle(event, now)

    def stop_timers(self) -> None:
        """Wait for nothing any more."""
        for kind in list(self.timers):
            self.stop_timer(kind)

    def drop_early_offer(self, now: float) -> None:
        """Its dialog is over, or another one was answered: nobody waits for our user's answer any more."""
        offer, self.early_offer = self.early_offer, None
        if offer is not None and offer.server is not None and not offer.server.answered:
            self.context.layer.respond(offer.server, offer.server.request.response(487), now)

    def _close(self, now: float) -> None:
        self.stop_timers()
        if self.hunt is not None:
            self.hunt.settle()
        self.drop_early_offer(now)
        for name in self.names:
            self.context.dialogs.pop(name, None)
        for name in list(self.peers):
            self._part(name)
        self.names.clear()
        if self.incoming is not None:
            self.context.layer.settle(self.incoming)
        self.context.usages.pop(self.key, None)
        self.context.call_backs.ended(self.key, now)

    def _count_unexpected(self, event: UsageEvent, now: float) -> None:
        if isinstance(event, UsageCommand):
            self.context.count("sip_late_commands_total", command=type(event).__name__)
            return
        self.context.count_unexpected("invite_usage", event)
        if isinstance(event, ByeReceived | ReinviteReceived | UpdateReceived | PrackReceived):
            self.context.layer.respond(event.server, event.server.request.response(481), now)
