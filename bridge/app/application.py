"""A running bridge: starts its parts in the order of their needs, stops them in the reverse."""

import asyncio
import importlib.metadata
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from bridge.app.added_entries import AddedEntries
from bridge.app.address_book import AddressBookFile
from bridge.app.announcements import Announcements
from bridge.app.bot_desk import BotDesk
from bridge.app.bot_room import BotRoom
from bridge.app.cash_book import CashBook
from bridge.app.console_desk import ConsoleDesk
from bridge.app.event_routes import route_matrix_event, route_sip_event
from bridge.app.greetings import Greetings
from bridge.app.history import DAY_S
from bridge.app.live_plan import LivePlan
from bridge.app.matrix_intake import MatrixIntake
from bridge.app.media_facts import feed_media
from bridge.app.memory import Memory
from bridge.app.message_desk import MessageDesk
from bridge.app.meter import Meter
from bridge.app.observers import Observers
from bridge.app.ops_port import OpsPort
from bridge.app.people import People
from bridge.app.personal_data import message_folder
from bridge.app.phone_states import PhoneStates
from bridge.app.plan import (
    limits,
    message_box_rule,
    ring_rule,
    suspension_rule,
    thresholds,
)
from bridge.app.probe.prober import Prober
from bridge.app.probe.self_calls import SelfCalls
from bridge.app.probe.wiring import make_prober
from bridge.app.prompts import Prompts
from bridge.app.recovery import end_left_over_calls, recorded_calls, remember_ended_calls, withdraw_invites
from bridge.app.repertoire import rehearse
from bridge.app.reporting import Reporting
from bridge.app.running_bridge import RunningBridge
from bridge.app.sip_intake import SipIntake
from bridge.app.suspensions import Suspensions
from bridge.app.switchboard import Switchboard
from bridge.app.text_desk import TextDesk
from bridge.app.trunk_service import TrunkService
from bridge.app.user_settings import Wishes
from bridge.config import (
    Config,
    matrix_settings,
    media_settings,
    sip_settings,
)
from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.core.ids import TrunkName
from bridge.core.turn import Turn
from bridge.matrix.service import MatrixService
from bridge.media.engines import make_engine
from bridge.numbers.abuse import Watch
from bridge.numbers.ledger import Ledger
from bridge.numbers.number import canonical
from bridge.ops.metrics import PrometheusTelemetry
from bridge.ops.records import CallRecords
from bridge.sip.io.endpoint import SipEndpoint
from bridge.store import Store

VERSION = importlib.metadata.version("trunkline")

FAREWELL_LIMIT_S = 5.0
"""Hanging up every call at the end may take this long."""


class Application:
    """All parts of one bridge. Nothing is global: two of them can live in one process."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._live = LivePlan(config)
        self._clock = SystemClock()
        self._entropy = SystemEntropy()
        self._self_calls = SelfCalls(config, clock=self._clock, entropy=self._entropy)
        trunks = (*config.trunks, *self._self_calls.trunks)
        self.telemetry = PrometheusTelemetry(trunks=trunks, version=VERSION)
        self._records = CallRecords(
            config.ops.call_records,
            telemetry=self.telemetry,
            record_numbers=config.ops.record_numbers,
            keep_s=config.ops.record_days * DAY_S,
            clock=self._clock,
        )
        self._observers = Observers(config, clock=self._clock, telemetry=self.telemetry, version=VERSION)
        self._tracing = self._observers.tracing
        self._engine = make_engine(
            media_settings(config), entropy=self._entropy, clock=self._clock, telemetry=self.telemetry
        )
        self._sip = SipEndpoint(
            sip_settings(config),
            entropy=self._entropy,
            clock=self._clock,
            telemetry=self.telemetry,
            capture=self._tracing.capture,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[RunningBridge]:
        """Start everything, and stop everything at the end, also when something fails half way."""
        async with AsyncExitStack() as stack:
            store = await Store.open(self._config.store.path, self.telemetry)
            stack.push_async_callback(store.close)
            turn = Turn()
            entries = AddedEntries(self._live, store.admin_entries, turn)
            await entries.load()
            background = await self._start_background(stack)
            self._sip.add_trunks(await self._self_calls.open(stack))
            address_book = AddressBookFile(self._config.numbers.address_book, self._live.default_region)
            address_book.reload()
            matrix = MatrixService(
                matrix_settings(self._config),
                store=store,
                clock=self._clock,
                entropy=self._entropy,
                telemetry=self.telemetry,
                read_number=lambda typed: canonical(typed, self._live.default_region()),
                name_of=address_book.name_of,
                picture_of=address_book.picture_of,
                directory=self._live if self._config.appservice.sip_lookups else None,
            )
            people = await People.load(
                store,
                history_days=self._config.calls.history_days,
                clock=self._clock,
                name_of=address_book.name_of,
                turn=turn,
            )
            memory = Memory(store, self._sip, self._clock, self.telemetry)
            # Read before anything can call: what is written from here on belongs to this process.
            left_over = await memory.left_over()
            meter = await self._meter(store, matrix)
            service = TrunkService(self._live.trunks, store.trunks_out, turn)
            await service.load()
            self._live.take(self._live.worked_out(self._config, await rehearse(self._config)))
            voice = Announcements(self._live.sounds, self._live.language_of, self._clock)
            messages = self._messages(store, matrix)
            switchboard = self._switchboard(memory, matrix, people, meter, messages, voice, service)
            await withdraw_invites(left_over, matrix)
            await remember_ended_calls(store, switchboard.directory, self._clock)
            phones = PhoneStates(matrix, self._live.caller_number)
            bot = self._bot(store, matrix, switchboard, people, meter)
            wishes = self._wishes(people, meter)
            texts = self._texts(matrix, meter, wishes, service)
            await self._start_parts(
                stack, matrix, switchboard, people, phones, bot, texts, meter, wishes, messages, voice
            )
            await meter.cash_book.settle(left_over)
            recorded = await recorded_calls(left_over, self._config.ops.call_records)
            trunks = tuple(self._config.trunks)
            end_left_over_calls(left_over, switchboard, self._sip, self._clock, trunks, recorded)
            # Last, so that a bridge that answers there is a bridge that works.
            prober = self._prober(switchboard, meter)
            await self._ops_port(store, matrix, switchboard, meter, prober, entries, people).open(stack)
            chores = (
                address_book.keep_current(matrix.rename_ghosts),
                people.history.keep_short(),
                meter.cash_book.keep_short(),
                messages.run(),
                self._self_calls.run(prober, self.telemetry),
            )
            for work in (*chores, phones.run(), self._tracing.measure_all(switchboard.directory)):
                stack.callback(background.create_task(work).cancel)
            yield RunningBridge(
                live=self._live,
                switchboard=switchboard,
                sip=self._sip,
                matrix=matrix,
                meter=meter,
                texts=texts,
                observers=self._observers,
                telemetry=self.telemetry,
            )

    def _forget(self, trunk: TrunkName) -> None:
        """A trunk is gone, unless there is another one of its name."""
        if trunk not in self._live.trunks():
            self.telemetry.forget_trunk(trunk)

    def _prober(self, switchboard: Switchboard, meter: Meter) -> Prober:
        return make_prober(
            self._config,
            switchboard=switchboard,
            plan=self._live.numbers,
            times=self._live.times,
            meter=meter,
            trunk_up=self._sip.trunk_up,
            clock=self._clock,
            entropy=self._entropy,
            telemetry=self.telemetry,
        )

    def _ops_port(
        self,
        store: Store,
        matrix: MatrixService,
        switchboard: Switchboard,
        meter: Meter,
        prober: Prober,
        entries: AddedEntries,
        people: People,
    ) -> OpsPort:
        desk = ConsoleDesk(
            config=self._live.config, switchboard=switchboard, sip=self._sip, meter=meter, clock=self._clock
        )
        return OpsPort(
            config=self._config,
            desk=desk,
            live=self._live,
            entries=entries,
            settings=people.settings,
            store=store,
            matrix=matrix,
            media=self._engine,
            prober=prober,
            further_checks=self._self_calls.checks(),
            clock=self._clock,
            entropy=self._entropy,
            telemetry=self.telemetry,
        )

    async def _start_background(self, stack: AsyncExitStack) -> asyncio.TaskGroup:
        """Call records outlive the calls: the last ones are written when everything else has stopped."""
        background = await stack.enter_async_context(asyncio.TaskGroup())
        background.create_task(self._records.run())
        stack.callback(self._records.stop)
        self._observers.start(stack)
        return background

    async def _meter(self, store: Store, matrix: MatrixService) -> Meter:
        """What was used and who is suspended is known before anybody can call."""
        suspensions = Suspensions(
            suspension_rule(self._config), store=store, rooms=matrix, clock=self._clock, telemetry=self.telemetry
        )
        ledger = Ledger(limits=limits(self._config), warn_s=self._config.permissions.limit_warning_s)
        meter = Meter(
            ledger=ledger,
            cash_book=CashBook(ledger, self._live.numbers, store, self._clock, self.telemetry),
            watch=Watch(thresholds(self._config)),
            suspensions=suspensions,
            plan=self._live.numbers,
            clock=self._clock,
            telemetry=self.telemetry,
            forwarded_s=self._live.forwarded_s,
        )
        await meter.load()
        return meter

    def _switchboard(
        self,
        memory: Memory,
        matrix: MatrixService,
        people: People,
        meter: Meter,
        messages: MessageDesk,
        voice: Announcements,
        service: TrunkService,
    ) -> Switchboard:
        reporting = Reporting(
            records=self._records, history=people.history, clock=self._clock, telemetry=self.telemetry
        )
        return Switchboard(
            engine=self._engine,
            policy_of=self._live.media_policy,
            sip=self._sip,
            matrix=matrix,
            memory=memory,
            meter=meter,
            messages=messages,
            voice=voice,
            prompts=Prompts(self._live.sounds_of, self._live.region_of),
            clock=self._clock,
            telemetry=self.telemetry,
            on_finished=reporting.finished,
            tracing=self._tracing,
            service=service,
            max_attended=self._live.max_attended,
        )

    def _bot(
        self, store: Store, matrix: MatrixService, switchboard: Switchboard, people: People, meter: Meter
    ) -> BotRoom:
        desk = BotDesk(
            plan=self._live.numbers,
            trunk_up=self._sip.trunk_up,
            rooms=matrix,
            directory=switchboard.directory,
            people=people,
            meter=meter,
            admins=self._live.admins,
            knows_presence=self._live.knows_presence,
            groups=self._live.groups,
        )
        return BotRoom(desk=desk, matrix=matrix, store=store, clock=self._clock, telemetry=self.telemetry)

    def _messages(self, store: Store, matrix: MatrixService) -> MessageDesk:
        return MessageDesk(
            folder=message_folder(self._config.store.path),
            greetings=Greetings(self._live.sounds),
            store=store,
            rooms=matrix,
            clock=self._clock,
            telemetry=self.telemetry,
        )

    def _wishes(self, people: People, meter: Meter) -> Wishes:
        live = self._live
        return Wishes(
            people.settings,
            live.numbers,
            self._clock,
            pays=meter.pay_for_forwarding,
            blocked=live.blocked,
            time_zone=live.time_zone,
            forward_limits=live.forward_limits,
            telemetry=self.telemetry,
        )

    def _texts(self, matrix: MatrixService, meter: Meter, wishes: Wishes, service: TrunkService) -> TextDesk:
        return TextDesk(
            sip=self._sip,
            rooms=matrix,
            plan=self._live.numbers,
            sides=self._live.texts,
            meter=meter,
            refuses=wishes.refuses,
            carries=service.carries,
            per_day=self._config.permissions.texts_per_day,
            clock=self._clock,
            entropy=self._entropy,
            telemetry=self.telemetry,
        )

    async def _start_parts(
        self,
        stack: AsyncExitStack,
        matrix: MatrixService,
        switchboard: Switchboard,
        people: People,
        phones: PhoneStates,
        bot: BotRoom,
        texts: TextDesk,
        meter: Meter,
        wishes: Wishes,
        messages: MessageDesk,
        voice: Announcements,
    ) -> None:
        """Audio first, then the telephone side, then Matrix: nobody can call before a call can be carried."""
        live = self._live
        sip_intake = SipIntake(
            switchboard=switchboard,
            plan=live.numbers,
            sides=live.sides,
            meter=meter,
            ring_when=ring_rule(live.config, lambda user: people.settings.of(user).ring_when),
            message_box_of=message_box_rule(live.config, lambda: messages.greeting_s),
            menus=live.menus,
            telemetry=self.telemetry,
            rings_s=live.rings_s,
            groups=live.groups,
            wishes=wishes,
            call_waiting=live.call_waiting,
            times=live.times,
            clock=self._clock,
            entropy=self._entropy,
        )
        matrix_intake = MatrixIntake(
            switchboard=switchboard,
            matrix=matrix,
            sip=self._sip,
            plan=live.numbers,
            sides=live.sides,
            meter=meter,
            announcements=voice,
            hides_number=lambda user: people.settings.of(user).withheld,
            call_waiting=live.call_waiting,
            times=live.times,
            clock=self._clock,
            entropy=self._entropy,
            telemetry=self.telemetry,
        )
        stack.push_async_callback(messages.drain)
        stack.push_async_callback(self._engine.stop)
        await self._engine.start(lambda event: feed_media(switchboard, messages, event))
        stack.push_async_callback(self._sip.stop)
        await self._sip.start(lambda event: route_sip_event(sip_intake, phones, texts, self._forget, event))
        stack.push_async_callback(texts.stop)
        stack.push_async_callback(matrix.stop)
        await matrix.start(lambda event: route_matrix_event(matrix_intake, bot, texts, event))
        stack.push_async_callback(switchboard.shut_down, FAREWELL_LIMIT_S)
