"""The SIP user agent on real sockets: what the application places and takes calls with."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import structlog

from bridge.core.addresses import why_not_bound
from bridge.core.clock import Clock
from bridge.core.entropy import Entropy
from bridge.core.errors import TrunklineError
from bridge.core.floodgate import Floodgate
from bridge.core.ids import DialogKey, SipCallId, TextKey, TrunkName
from bridge.core.telemetry import Telemetry
from bridge.sip.actions import Flow
from bridge.sip.events import OutgoingCall, OutgoingText, SipEvent
from bridge.sip.inputs import DialogCommand, PlaceCall, Start, Steer, Stop
from bridge.sip.io.addresses import local_addresses
from bridge.sip.io.capture import Capture, nobody
from bridge.sip.io.certificates import CertificateError
from bridge.sip.io.driver import Driver
from bridge.sip.io.gate import Gate
from bridge.sip.io.network import Network
from bridge.sip.io.owned_tasks import OwnedTasks
from bridge.sip.io.resolver import Resolver
from bridge.sip.io.tls_contexts import TlsContexts
from bridge.sip.io.trunk_finder import TrunkFinder
from bridge.sip.keypad import DigitAsked
from bridge.sip.referral_commands import ReferAsked, ReferralAccepted, ReferralRefused, ReferralReported
from bridge.sip.revival import Revive
from bridge.sip.saved import SavedLeg
from bridge.sip.settings import Listener, SipSettings, Trunk
from bridge.sip.texts import AnswerText, SendText
from bridge.sip.trunk_changes import ChangeTrunks, is_another
from bridge.sip.uri import join_host_port
from bridge.sip.usage_commands import AcceptAsked, CancelAsked, HangUpAsked, RejectAsked, ReofferAsked, RingAsked
from bridge.sip.user_agent import TrunkStanding, UserAgent

STOP_LIMIT_S = 2.0
LOOK_AT_CERTIFICATES_S = 30.0

_log = structlog.get_logger()


class EndpointError(TrunklineError):
    """The endpoint cannot start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkChange:
    """Other trunks, ready to be used."""

    settings: SipSettings
    contexts: TlsContexts


class SipEndpoint:
    """Listeners, trunks and calls. All methods belong to the event loop's thread; events come on it, never from inside
    a command.
    """

    def __init__(
        self,
        settings: SipSettings,
        *,
        entropy: Entropy,
        clock: Clock,
        telemetry: Telemetry,
        resolver: Resolver | None = None,
        capture: Capture = nobody,
    ) -> None:
        self._settings = settings
        self._entropy = entropy
        self._clock = clock
        self._telemetry = telemetry
        self._floodgate = Floodgate(clock)
        self._driver = Driver(clock=clock, telemetry=telemetry, floodgate=self._floodgate)
        self._contexts = TlsContexts(settings, telemetry)
        resolver = resolver or Resolver()
        self._network = Network(
            resolver=resolver,
            contexts=self._contexts,
            telemetry=telemetry,
            floodgate=self._floodgate,
            admits=self._admits,
            keeps=lambda flow: self._core is not None and self._core.is_next_hop(flow),
            on_message=self._take_message,
            on_input=self._driver.run,
            on_sending=self._driver.process,
            on_fault=self._report,
            capture=capture,
        )
        self._finder = TrunkFinder(
            resolver,
            entropy=entropy,
            transports=lambda: {listener.transport for listener in self.addresses},
            reaches=self._network.reaches,
            on_found=self._driver.run,
        )
        self._tasks = OwnedTasks(self._report)
        self._gate: Gate | None = None
        self._finding: dict[TrunkName, asyncio.Task[None]] = {}

    # Life.

    def add_trunks(self, trunks: Iterable[Trunk]) -> None:
        """Trunks that no configuration has, without TLS; before `start`."""
        self._settings = replace(self._settings, trunks=(*self._settings.trunks, *trunks))

    async def start(self, on_event: Callable[[SipEvent], None]) -> None:
        """Bind the listeners, find the trunks, register; raises `EndpointError` when a listener cannot be bound."""
        try:
            self._load_certificates()
            for listener in self._settings.listeners:
                await self._bind(listener)
        except EndpointError:
            await self._close()
            raise
        if not self.addresses:
            raise EndpointError("no listener is configured")
        found = local_addresses(self.addresses, self._settings)
        core = UserAgent(self._settings, entropy=self._entropy, local_addresses=found)
        self._driver.start(core, self._network, on_event)
        self._gate = Gate(
            core,
            requests_per_s=self._settings.max_requests_per_s,
            clock=self._clock,
            telemetry=self._telemetry,
            floodgate=self._floodgate,
        )
        trunks = self._settings.trunks
        waits_s = await asyncio.gather(*map(self._finder.find, trunks))
        self._driver.run(Start())
        for trunk, wait_s in zip(trunks, waits_s, strict=True):
            self._finding[trunk.name] = self._tasks.spawn(self._finder.keep_finding(trunk, wait_s))
        self._tasks.spawn(self._gate.watch())
        self._tasks.spawn(self._keep_certificates())

    async def stop(self) -> None:
        """Hang up, unregister, and close everything; bounded in time, and nothing is left afterwards."""
        if self._core is not None:
            self._driver.settled.clear()
            self._driver.run(Stop())
            try:
                await asyncio.wait_for(self._driver.settled.wait(), STOP_LIMIT_S)
            except TimeoutError:
                _log.warning("sip_stop_timed_out", dialogs=self.open_dialogs)
        await self._close()

    async def _close(self) -> None:
        self._driver.stop()
        self._gate = None
        await self._tasks.close()
        await self._network.close()
        self._driver.deliver()

    async def prepare(self, settings: SipSettings) -> TrunkChange:
        """Make ready what other trunks need; raises `CertificateError`, and changes nothing yet."""
        ours = tuple(trunk for trunk in self._settings.trunks if trunk.internal)
        wanted = replace(self._settings, trunks=(*settings.trunks, *ours), emergency=settings.emergency)
        left = (*self._settings.trunks, *(self._core.left_trunks if self._core is not None else ()))
        return TrunkChange(settings=wanted, contexts=await asyncio.to_thread(self._contexts.prepare, wanted, left))

    def change_trunks(self, ready: TrunkChange) -> None:
        """Go by other trunks. One that is gone, or is another now, takes no new calls; those that are up go on.

        `TrunkLeft` tells when nothing of it is left.
        """
        before = {trunk.name: trunk for trunk in self._settings.trunks}
        self._settings = ready.settings
        self._contexts.take(ready.contexts)
        trunks, emergency = ready.settings.trunks, ready.settings.emergency
        self._driver.command(ChangeTrunks(trunks=trunks, emergency=emergency))
        for name in before.keys() - {trunk.name for trunk in trunks}:
            self._finding.pop(name).cancel()
        for trunk in trunks:
            known = before.get(trunk.name)
            if known is None or is_another(known, trunk):
                if known is not None:
                    self._finding.pop(trunk.name).cancel()
                self._finding[trunk.name] = self._tasks.spawn(self._begin(trunk))

    async def _begin(self, trunk: Trunk) -> None:
        wait_s = await self._finder.find(trunk)
        self._driver.run(Start(trunk=trunk.name))
        await self._finder.keep_finding(trunk, wait_s)

    async def reload_tls(self) -> None:
        """Read certificates that have changed; new connections use them."""
        await self._contexts.refresh()

    def _load_certificates(self) -> None:
        try:
            self._contexts.load()
        except CertificateError as error:
            raise EndpointError(f"TLS cannot be used: {error}") from error

    async def _keep_certificates(self) -> None:
        """Certificates are renewed every few weeks, by programs that tell nobody."""
        while True:
            await asyncio.sleep(LOOK_AT_CERTIFICATES_S)
            await self.reload_tls()

    # What the application asks.

    @property
    def addresses(self) -> tuple[Listener, ...]:
        """The listeners, with the ports that they got."""
        return self._network.listeners

    @property
    def open_dialogs(self) -> int:
        """Calls that have not ended."""
        return self._core.open_dialogs if self._core is not None else 0

    @property
    def open_transactions(self) -> int:
        """Transactions that still wait or linger."""
        return self._core.open_transactions if self._core is not None else 0

    def sip_call_id(self, dialog: DialogKey) -> SipCallId | None:
        """The Call-ID header of a call, while it lasts."""
        return self._core.sip_call_id(dialog) if self._core is not None else None

    def takes_refer(self, dialog: DialogKey) -> bool:
        """Whether the peer of a call says that it takes REFER (Allow, RFC 3261 §20.5)."""
        return self._core is not None and self._core.takes_refer(dialog)

    def trunk_up(self, trunk: TrunkName) -> bool:
        """Whether calls through this trunk have a chance: registered, answering OPTIONS, or assumed so."""
        return self._core is not None and self._core.trunk_up(trunk)

    def trunk_standing(self, trunk: TrunkName) -> TrunkStanding:
        """What is known of a trunk, for people."""
        return self._core.trunk_standing(trunk) if self._core is not None else TrunkStanding()

    def saved_leg(self, dialog: DialogKey) -> SavedLeg | None:
        """What the next process needs to end a call; `None` when there is nothing to end."""
        return self._core.saved_leg(dialog) if self._core is not None else None

    # What the application wants.

    def revive(self, dialog: DialogKey, leg: SavedLeg) -> None:
        """Take up a call that an earlier process has left, so that it can be ended."""
        self._driver.command(Revive(dialog=dialog, leg=leg))

    def invite(self, call: OutgoingCall) -> DialogKey:
        """Place a call; whatever goes wrong comes as `CallFailed`."""
        dialog = DialogKey(self._entropy.token(24))
        self._driver.command(PlaceCall(dialog=dialog, call=call))
        return dialog

    def ring(self, dialog: DialogKey, *, status: int = 180, sdp: str | None = None) -> None:
        """Send a provisional response, with early media if there is any."""
        self._steer(dialog, RingAsked(status=status if 101 <= status <= 199 else 180, sdp=sdp))

    def accept(self, dialog: DialogKey, sdp: str | None) -> None:
        """200 to the INVITE, or to a re-INVITE or UPDATE that is pending."""
        self._steer(dialog, AcceptAsked(sdp=sdp))

    def reject(
        self,
        dialog: DialogKey,
        status: int,
        *,
        reason_phrase: str = "",
        q850: int | None = None,
        forward_to: str = "",
    ) -> None:
        """Refuse the INVITE, or a re-INVITE or UPDATE that is pending; a 3xx sends the caller to `forward_to`."""
        status = status if 300 <= status <= 699 else 480
        asked = RejectAsked(status=status, reason_phrase=reason_phrase, q850=q850, forward_to=forward_to)
        self._steer(dialog, asked)

    def cancel(self, dialog: DialogKey, *, q850: int | None = None) -> None:
        """Give up a call that was not answered; one that was meanwhile is hung up."""
        self._steer(dialog, CancelAsked(q850=q850))

    def bye(self, dialog: DialogKey, *, q850: int | None = None) -> None:
        """Hang up, whatever the state of the call."""
        self._steer(dialog, HangUpAsked(q850=q850))

    def refer(self, dialog: DialogKey, target_user: str, *, replaces: DialogKey | None = None) -> None:
        """Ask the peer of an established call to call somebody else, in place of another call of ours if given (REFER).

        What comes of it is told with `ReferralProgress`; hanging up remains to be done.
        """
        self._steer(dialog, ReferAsked(target_user=target_user, replaces=replaces))

    def accept_referral(self, dialog: DialogKey) -> None:
        """202 to the peer's REFER, after `CallReferred`; report with `notify_referral` what comes of it."""
        self._steer(dialog, ReferralAccepted())

    def refuse_referral(self, dialog: DialogKey, status: int) -> None:
        """Refuse the peer's REFER."""
        self._steer(dialog, ReferralRefused(status=status if 400 <= status <= 699 else 603))

    def notify_referral(self, dialog: DialogKey, status: int) -> None:
        """Tell the peer how the call that it asked for goes on; a final status is the last report.

        Works on after the call itself was hung up.
        """
        self._steer(dialog, ReferralReported(status=status if 100 <= status <= 699 else 500))

    def send_digit(self, dialog: DialogKey, digit: str, duration_ms: int) -> None:
        """Press a key of the call in an INFO; after those before it were answered."""
        self._steer(dialog, DigitAsked(digit=digit, duration_ms=duration_ms))

    def reoffer(self, dialog: DialogKey, sdp: str) -> None:
        """Offer another session in a call: hold, resume, a new address.

        `CallReofferAnswered` or `CallReofferRefused` tells what came of it. While another offer is under way this one
        waits; of several that wait the newest goes out.
        """
        self._steer(dialog, ReofferAsked(sdp=sdp))

    def send_text(self, message: OutgoingText) -> TextKey:
        """Send a text message; `TextDelivered` or `TextFailed` tells what came of it."""
        text = TextKey(self._entropy.token(24))
        self._driver.command(SendText(text=text, message=message))
        return text

    def answer_text(self, text: TextKey, status: int) -> None:
        """The final response to a text message of a trunk's; 202 when somebody will read it (RFC 3428 §7)."""
        self._driver.command(AnswerText(text=text, status=status if 200 <= status <= 699 else 480))

    def _steer(self, dialog: DialogKey, command: DialogCommand) -> None:
        self._driver.command(Steer(dialog=dialog, command=command))

    # The network.

    @property
    def _core(self) -> UserAgent | None:
        return self._driver.core

    def _admits(self, host: str) -> bool:
        return self._core is not None and self._core.admits(host)

    def _take_message(self, payload: bytes, flow: Flow) -> None:
        received = self._gate.screen(payload, flow) if self._gate is not None else None
        if received is not None:
            self._network.show_received(payload, flow)
            self._driver.run(received)

    async def _bind(self, listener: Listener) -> None:
        try:
            await self._network.listen(listener)
        except (OSError, ValueError) as error:
            address = f"{listener.transport}:{join_host_port(listener.host, listener.port)}"
            raise EndpointError(f"sip.listen: cannot listen on {address}: {why_not_bound(error)}") from error

    def _report(self, error: Exception) -> None:
        self._driver.report("sip_task_failed", error)
