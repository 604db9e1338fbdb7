"""A running bridge: starts its parts in the order of their needs, stops them in the reverse."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from bridge.app import wiring
from bridge.app.added_entries import AddedEntries
from bridge.app.address_book import AddressBookFile
from bridge.app.announcements import Announcements
from bridge.app.bot_room import BotRoom
from bridge.app.event_routes import route_matrix_event, route_sip_event
from bridge.app.forward_book import ForwardBook
from bridge.app.foundation import Foundation
from bridge.app.media_facts import feed_media
from bridge.app.memory import Memory
from bridge.app.message_desk import MessageDesk
from bridge.app.meter import Meter
from bridge.app.people import People
from bridge.app.phone_states import PhoneStates
from bridge.app.recovery import end_left_over_calls, recorded_calls, remember_ended_calls, withdraw_invites
from bridge.app.repertoire import rehearse
from bridge.app.running_bridge import RunningBridge
from bridge.app.state_report import StateReport
from bridge.app.switchboard import Switchboard
from bridge.app.text_desk import TextDesk
from bridge.app.trunk_service import TrunkService
from bridge.app.user_settings import Wishes
from bridge.config import Config
from bridge.core.ids import TrunkName
from bridge.core.turn import Turn
from bridge.matrix.service import MatrixService
from bridge.store import Store

FAREWELL_LIMIT_S = 5.0
"""Hanging up every call at the end may take this long."""


class Application:
    """All parts of one bridge. Nothing is global: two of them can live in one process."""

    def __init__(self, config: Config) -> None:
        self._base = Foundation.of(config)
        self.telemetry = self._base.telemetry

    @asynccontextmanager
    async def running(self) -> AsyncIterator[RunningBridge]:
        """Start everything, and stop everything at the end, also when something fails half way."""
        base = self._base
        async with AsyncExitStack() as stack:
            store = await Store.open(base.config.store.path, self.telemetry)
            stack.push_async_callback(store.close)
            turn = Turn()
            entries = AddedEntries(base.live, store.admin_entries, turn)
            await entries.load()
            background = await self._start_background(stack)
            base.sip.add_trunks(await base.self_calls.open(stack))
            address_book = AddressBookFile(base.config.numbers.address_book, base.live.default_region)
            address_book.reload()
            matrix = wiring.make_matrix(base, store, address_book)
            people = await People.load(
                store,
                history_days=base.config.calls.history_days,
                forwards=ForwardBook(base.live.forward_limits, store, base.clock, base.telemetry),
                clock=base.clock,
                name_of=address_book.name_of,
                turn=turn,
            )
            stack.push_async_callback(people.forwards.drain)
            memory = Memory(store, base.sip, base.clock, self.telemetry)
            # Read before anything can call: what is written from here on belongs to this process.
            left_over = await memory.left_over()
            meter = await wiring.open_meter(base, store, matrix)
            service = TrunkService(base.live.trunks, store.trunks_out, turn)
            await service.load()
            base.live.take(base.live.worked_out(base.config, await rehearse(base.config)))
            voice = Announcements(base.live.sounds, base.live.language_of, base.clock)
            messages = wiring.make_messages(base, store, matrix)
            switchboard = wiring.make_switchboard(base, memory, matrix, people, meter, messages, voice, service)
            await withdraw_invites(left_over, matrix)
            await remember_ended_calls(store, switchboard.directory, base.clock)
            phones = PhoneStates(matrix, base.live.caller_number)
            bot = wiring.make_bot(base, store, matrix, switchboard, people, meter)
            wishes = wiring.make_wishes(base, people, meter)
            texts = await wiring.open_texts(base, store, matrix, people, meter, wishes, service)
            await self._start_parts(
                stack, matrix, switchboard, people, phones, bot, texts, meter, wishes, messages, voice
            )
            await meter.cash_book.settle(left_over)
            recorded = await recorded_calls(left_over, base.config.ops.call_records)
            trunks = tuple(base.config.trunks)
            end_left_over_calls(left_over, switchboard, base.sip, base.clock, trunks, recorded)
            # Last, so that a bridge that answers there is a bridge that works.
            prober = wiring.prober_of(base, switchboard, meter)
            await wiring.make_ops_port(base, store, matrix, switchboard, meter, prober, entries, people).open(stack)
            chores = (
                address_book.keep_current(matrix.rename_ghosts),
                people.history.keep_short(),
                meter.cash_book.keep_short(),
                messages.run(),
                base.self_calls.run(prober, self.telemetry),
            )
            for work in (*chores, phones.run(), base.observers.tracing.measure_all(switchboard.directory)):
                stack.callback(background.create_task(work).cancel)
            yield RunningBridge(
                live=base.live,
                switchboard=switchboard,
                sip=base.sip,
                matrix=matrix,
                meter=meter,
                texts=texts,
                observers=base.observers,
                telemetry=self.telemetry,
                state=StateReport(
                    switchboard=switchboard,
                    sip=base.sip,
                    trunks=base.live.trunks,
                    store=store,
                    records=base.records,
                    telemetry=self.telemetry,
                ),
            )

    def _forget(self, trunk: TrunkName) -> None:
        """A trunk is gone, unless there is another one of its name."""
        if trunk not in self._base.live.trunks():
            self.telemetry.forget_trunk(trunk)

    async def _start_background(self, stack: AsyncExitStack) -> asyncio.TaskGroup:
        """Call records outlive the calls: the last ones are written when everything else has stopped."""
        background = await stack.enter_async_context(asyncio.TaskGroup())
        background.create_task(self._base.records.run())
        stack.callback(self._base.records.stop)
        self._base.observers.start(stack)
        return background

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
        base = self._base
        sip_intake = wiring.make_sip_intake(base, switchboard, people, meter, wishes, messages)
        matrix_intake = wiring.make_matrix_intake(base, switchboard, matrix, people, meter, voice)
        stack.push_async_callback(messages.drain)
        stack.push_async_callback(base.engine.stop)
        await base.engine.start(lambda event: feed_media(switchboard, messages, event))
        stack.push_async_callback(base.sip.stop)
        await base.sip.start(lambda event: route_sip_event(sip_intake, phones, texts, self._forget, event))
        stack.push_async_callback(texts.stop)
        stack.push_async_callback(matrix.stop)
        await matrix.start(lambda event: route_matrix_event(matrix_intake, bot, texts, event))
        stack.push_async_callback(meter.drain)
        stack.push_async_callback(switchboard.shut_down, FAREWELL_LIMIT_S)
