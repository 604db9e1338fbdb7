"""A switchboard whose three outsides note what they are asked to do: for what the application decides by itself.

The real outsides are tested in `tests/e2e`.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any

from bridge.app.announcements import Announcements
from bridge.app.cash_book import CashBook
from bridge.app.directory import MAX_ATTENDED_OF_A_TRUNK
from bridge.app.forward_book import ForwardBook
from bridge.app.greetings import Greetings
from bridge.app.matrix_intake import MatrixIntake
from bridge.app.memory import Memory
from bridge.app.message_desk import MessageDesk
from bridge.app.meter import Meter
from bridge.app.prompts import Prompts
from bridge.app.repertoire import Repertoire
from bridge.app.sayings import ANNOUNCEMENT, ANY
from bridge.app.sip_intake import SipIntake
from bridge.app.suspensions import BotVoice, SuspensionRule, Suspensions
from bridge.app.switchboard import Switchboard
from bridge.app.transfer_desk import TrunkSide
from bridge.app.trunk_service import TrunkService
from bridge.app.user_settings import UserSettings, Wishes
from bridge.calls.menu import MenuPlan
from bridge.calls.message import MessageBox
from bridge.calls.times import CallTimes
from bridge.core.clock import Clock, SystemClock
from bridge.core.entropy import SeededEntropy
from bridge.core.ids import DialogKey, EventId, GroupName, MenuName, SipCallId, TrunkName, UserId
from bridge.core.presence import RingWhen
from bridge.core.telemetry import NoTelemetry, Telemetry
from bridge.core.turn import Turn
from bridge.core.verdict import Verdict
from bridge.matrix.events import RoomEvent
from bridge.media.policy import SipMediaPolicy
from bridge.media.sounds import pause
from bridge.numbers.abuse import Thresholds, Watch
from bridge.numbers.dial_plan import DialRule
from bridge.numbers.forwards import ForwardLimits
from bridge.numbers.groups import Group
from bridge.numbers.ledger import Ledger
from bridge.numbers.limits import Limit
from bridge.numbers.money import Tariff
from bridge.numbers.permission import Permission
from bridge.numbers.policy import NumberPlan, TrunkChoice
from bridge.numbers.reach import Reach
from bridge.ops.metrics import PrometheusTelemetry
from bridge.sip.events import IncomingCall
from bridge.store import Store
from tests.app.outsides import ALICE, BOB, PBX, PHONE, ROOM, TRUNK, StageEngine, StageMatrix, StageSip

NOBODY_IS_SUSPECTED = Thresholds(countries=0, sequential=0, short_calls=0)


def meter_of(
    store: Store,
    plan: NumberPlan,
    rooms: BotVoice,
    *,
    limits: tuple[Limit, ...] = (),
    thresholds: Thresholds = NOBODY_IS_SUSPECTED,
    admins: tuple[UserId, ...] = (),
    clock: Clock | None = None,
    telemetry: Telemetry | None = None,
    forwarded_s: float = 0.0,
) -> Meter:
    """A meter that limits nothing unless it is told to."""
    clock, telemetry = clock or SystemClock(), telemetry or NoTelemetry()
    rule, ledger = SuspensionRule(admins=admins), Ledger(limits=limits)
    return Meter(
        ledger=ledger,
        cash_book=CashBook(ledger, lambda: plan, store, clock, telemetry),
        forwarded_s=lambda: forwarded_s,
        watch=Watch(thresholds),
        suspensions=Suspensions(rule, store=store, rooms=rooms, clock=clock, telemetry=telemetry),
        plan=lambda: plan,
        clock=clock,
        telemetry=telemetry,
    )


@dataclass(slots=True, kw_only=True)
class Stage:
    """Everything together, with a store on disk."""

    store: Store
    trunk: TrunkName = TRUNK
    ring_when: dict[UserId, RingWhen] = field(default_factory=dict)
    call_waiting: bool = True
    permissions: tuple[Permission, ...] = ()
    """What Alice may call; nothing given is the phone, over `trunk`."""
    inbound: Mapping[str, Reach] = field(
        default_factory=lambda: {"+15550199": Reach.of_user(ALICE), "+15550188": Reach.of_user(BOB)}
    )
    blocked: tuple[str, ...] = ()
    groups: dict[GroupName, Group] = field(default_factory=dict)
    menu_plans: dict[MenuName, MenuPlan] = field(default_factory=dict)
    boxes: dict[UserId, MessageBox] = field(default_factory=dict)
    """Who takes messages."""
    rules: tuple[DialRule, ...] = ()
    tariff: Tariff | None = None
    """What `TRUNK` charges."""
    limits: tuple[Limit, ...] = ()
    thresholds: Thresholds = NOBODY_IS_SUSPECTED
    admins: tuple[UserId, ...] = ()
    forwarded_s: float = 0.0
    clock: Clock = field(default_factory=SystemClock)
    answers_early: bool = False
    refers: bool = False
    """Whether calls of `TRUNK` are moved by REFER."""
    matrix: StageMatrix = field(default_factory=StageMatrix)
    sip: StageSip = field(default_factory=StageSip)
    engine: StageEngine = field(default_factory=StageEngine)
    finished: list[tuple[str, Verdict]] = field(default_factory=list)
    telemetry: PrometheusTelemetry = field(
        default_factory=lambda: PrometheusTelemetry(trunks=(TRUNK, PBX), version="test", strict=True)
    )
    switchboard: Switchboard = field(init=False)
    matrix_intake: MatrixIntake = field(init=False)
    sip_intake: SipIntake = field(init=False)
    memory: Memory = field(init=False)
    settings: UserSettings = field(init=False)
    forwards: ForwardBook = field(init=False)
    meter: Meter = field(init=False)
    plan: NumberPlan = field(init=False)
    messages: MessageDesk = field(init=False)
    announcements: Announcements = field(init=False)
    regions: Mapping[str, str] = field(default_factory=dict)
    """In which countries users are, where it is not the default one."""
    spoken: tuple[str, ...] = ()
    """The reasons that can be said aloud."""
    forward_limits: ForwardLimits = field(default_factory=ForwardLimits)
    max_attended: int = MAX_ATTENDED_OF_A_TRUNK
    folder: Path = Path("/dev/null/messages")
    """Where messages are recorded."""

    def __post_init__(self) -> None:
        clock, entropy = self.clock, SeededEntropy(1)
        self.plan = plan = NumberPlan(
            permissions=self.permissions or (Permission(who=(ALICE,), prefixes=("+1555",), trunk=self.trunk),),
            rules=self.rules,
            trunks=(
                TrunkChoice(
                    name=TRUNK,
                    caller_id="+15550199",
                    tariff=self.tariff,
                    answers_early=self.answers_early,
                    forwards=True,
                ),
                TrunkChoice(name=PBX, joins_crossing_calls=True),
            ),
            inbound=self.inbound,
            emergency=frozenset({"112"}),
            regions=self.regions,
        )
        self.settings = UserSettings(self.store, Turn())
        self.forwards = ForwardBook(lambda: self.forward_limits, self.store, clock, self.telemetry)
        self.memory = Memory(self.store, self.sip, clock, self.telemetry)
        self.meter = meter_of(
            self.store,
            plan,
            self.matrix,
            limits=self.limits,
            thresholds=self.thresholds,
            admins=self.admins,
            forwarded_s=self.forwarded_s,
            clock=clock,
            telemetry=self.telemetry,
        )
        self.messages = MessageDesk(
            folder=self.folder,
            greetings=Greetings(Repertoire),
            store=self.store,
            rooms=self.matrix,
            clock=clock,
            telemetry=self.telemetry,
        )
        said = Repertoire(sounds={(ANNOUNCEMENT, reason, ANY): pause(0.02) for reason in self.spoken})
        self.announcements = Announcements(lambda: said, lambda user: "en", clock)
        self.switchboard = Switchboard(
            engine=self.engine,
            policy_of=lambda trunk: SipMediaPolicy(ptime_ms=30) if trunk == PBX else SipMediaPolicy(),
            sip=self.sip,
            matrix=self.matrix,
            memory=self.memory,
            meter=self.meter,
            messages=self.messages,
            voice=self.announcements,
            prompts=Prompts(lambda edition: None),
            clock=clock,
            telemetry=self.telemetry,
            on_finished=self._on_finished,
            service=TrunkService(lambda: (TRUNK, PBX), self.store.trunks_out, self.settings.turn),
            max_attended=lambda trunk: self.max_attended,
        )
        sides = {
            TRUNK: TrunkSide(hosts=frozenset({"pbx.example"}), keys_by_signalling=True, refers=self.refers),
        }
        self.matrix_intake = MatrixIntake(
            switchboard=self.switchboard,
            matrix=self.matrix,
            sip=self.sip,
            plan=lambda: self.plan,
            sides=lambda: sides,
            meter=self.meter,
            announcements=self.announcements,
            hides_number=self.settings.hides_number,
            call_waiting=lambda: self.call_waiting,
            times=CallTimes,
            clock=clock,
            entropy=entropy,
            telemetry=self.telemetry,
        )
        self.sip_intake = SipIntake(
            switchboard=self.switchboard,
            plan=lambda: self.plan,
            ring_when=lambda user: self.ring_when.get(user, RingWhen.ALWAYS),
            sides=lambda: sides,
            meter=self.meter,
            hides_number=self.settings.hides_number,
            wishes=Wishes(
                self.settings,
                self.forwards,
                lambda: self.plan,
                clock,
                pays=self.meter.pay_for_forwarding,
                blocked=lambda: self.blocked,
                time_zone=lambda: UTC,
                telemetry=self.telemetry,
            ),
            message_box_of=self.boxes.get,
            groups=lambda: self.groups,
            menus=lambda: self.menu_plans,
            telemetry=self.telemetry,
            call_waiting=lambda: self.call_waiting,
            times=CallTimes,
            clock=clock,
            entropy=entropy,
        )

    async def _on_finished(self, live: Any, verdict: Verdict) -> None:
        self.finished.append((live.call.call_id, verdict))

    def reasons(self) -> list[str]:
        return [verdict.reason for _, verdict in self.finished]

    async def settle(self) -> None:
        """Let every queued operation of every call be done."""
        for _ in range(20):
            await self.meter.drain()
            await self.forwards.drain()
            for live in self.switchboard.lives():
                await live.drain()
            await asyncio.sleep(0)

    async def event(self, kind: str, content: Mapping[str, Any], **envelope: Any) -> None:
        """An event of the room, as the homeserver delivers it."""
        event = RoomEvent(
            event_id=EventId(f"${kind}{len(content)}"),
            room_id=envelope.pop("room_id", ROOM),
            sender=envelope.pop("sender", ALICE),
            type=kind,
            content=content,
            age_ms=envelope.pop("age_ms", 0),
            received_at=self.clock.monotonic() - envelope.pop("waited_s", 0),
            **envelope,
        )
        await self.matrix_intake.handle(event)
        await self.settle()

    async def invite(self, call_id: str = "call", **envelope: Any) -> None:
        """Alice calls the phone."""
        extra = envelope.pop("content", {})
        content = {
            "call_id": call_id,
            "version": "1",
            "party_id": "LAPTOP",
            "lifetime": 60_000,
            "offer": {"type": "offer", "sdp": "alice offer"},
            **extra,
        }
        await self.event("m.call.invite", content, **envelope)

    async def incoming(self, dialog: str = "in-1", *, trunk: TrunkName = TRUNK, **changes: Any) -> None:
        """The phone calls Alice."""
        call = {"called": "+15550199", "caller": PHONE, "sdp": "phone offer", **changes}
        self.sip_intake.handle(
            IncomingCall(dialog=DialogKey(dialog), trunk=trunk, sip_call_id=SipCallId("abc"), **call)
        )
        await self.settle()
