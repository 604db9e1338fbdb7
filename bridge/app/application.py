"""A running bridge: starts its parts in the order of their needs, stops them in the reverse."""

import asyncio
import gc
import importlib.metadata
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import structlog

from bridge.app.address_book import AddressBookFile
from bridge.app.bot_desk import BotDesk
from bridge.app.bot_room import BotRoom
from bridge.app.matrix_intake import MatrixIntake
from bridge.app.memory import Memory
from bridge.app.people import People
from bridge.app.phone_states import PhoneStates
from bridge.app.plan import call_times, number_plan, ring_rule, trunk_sides
from bridge.app.recovery import end_left_over_calls, remember_ended_calls
from bridge.app.reporting import Reporting
from bridge.app.sip_intake import SipIntake
from bridge.app.switchboard import Switchboard
from bridge.app.user_settings import Wishes
from bridge.calls import events as ev
from bridge.config import Config, matrix_settings, media_policies, media_settings, sip_settings
from bridge.core.clock import SystemClock
from bridge.core.descriptors import raise_descriptor_limit
from bridge.core.entropy import SystemEntropy
from bridge.core.errors import TrunklineError
from bridge.core.verdict import MatrixReason
from bridge.matrix.service import MatrixService
from bridge.media.embedded import EmbeddedEngine
from bridge.media.engine import DigitPressed, MediaConnected, MediaEnded, MediaEvent, MediaFailure
from bridge.numbers.number import canonical
from bridge.ops.metrics import PrometheusTelemetry
from bridge.ops.records import CallRecords
from bridge.ops.server import Heartbeat, OpsServer
from bridge.sip.events import PhoneStateChanged, SipEvent
from bridge.sip.io.endpoint import SipEndpoint
from bridge.store import Store

VERSION = importlib.metadata.version("trunkline")

log = structlog.get_logger(__name__)

FAREWELL_LIMIT_S = 5.0
"""Hanging up every call at the end may take this long."""

Failure = Callable[[], Coroutine[Any, Any, None]]

_MEDIA_REASONS = {
    MediaFailure.ICE_FAILED: MatrixReason.ICE_FAILED,
    MediaFailure.ICE_TIMEOUT: MatrixReason.ICE_TIMEOUT,
    MediaFailure.RTP_TIMEOUT: MatrixReason.ICE_TIMEOUT,
}


class BridgeFailedError(TrunklineError):
    """A part of the bridge died of a bug; the process must end, so that whoever watches it starts a new one."""


async def run(config: Config) -> None:
    """Run the bridge until SIGINT or SIGTERM. Raises `TrunklineError` or `OSError` when it cannot start or go on."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    raise_descriptor_limit()
    async with Application(config).running() as failure:
        # What was made so far stays: the collector need not walk through it in the middle of a call.
        gc.collect()
        gc.freeze()
        log.info("bridge_started", version=VERSION)
        stopped, failed = asyncio.create_task(stop.wait()), asyncio.create_task(failure())
        done, waiting = await asyncio.wait((stopped, failed), return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        log.info("bridge_stopping")
    log.info("bridge_stopped")
    if failed in done:
        raise BridgeFailedError("the Matrix side has failed; the log says why")


class Application:
    """All parts of one bridge. Nothing is global: two of them can live in one process."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._clock = SystemClock()
        self._entropy = SystemEntropy()
        self._telemetry = PrometheusTelemetry(trunks=tuple(config.trunks), version=VERSION)
        self._records = CallRecords(
            config.ops.call_records, telemetry=self._telemetry, record_numbers=config.ops.record_numbers
        )
        self._engine = EmbeddedEngine(
            media_settings(config), entropy=self._entropy, clock=self._clock, telemetry=self._telemetry
        )
        self._sip = SipEndpoint(
            sip_settings(config), entropy=self._entropy, clock=self._clock, telemetry=self._telemetry
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Failure]:
        """Start everything, and stop everything at the end, also when something fails half way.

        Gives what returns only if the bridge cannot go on.
        """
        async with AsyncExitStack() as stack:
            store = await Store.open(self._config.store.path)
            stack.push_async_callback(store.close)
            background = await self._start_background(stack)
            address_book = AddressBookFile(self._config.numbers.address_book, self._config.numbers.default_region)
            address_book.reload()
            matrix = MatrixService(
                matrix_settings(self._config),
                store=store,
                clock=self._clock,
                entropy=self._entropy,
                telemetry=self._telemetry,
                read_number=lambda typed: canonical(typed, self._config.numbers.default_region),
                name_of=address_book.name_of,
                picture_of=address_book.picture_of,
                directory=number_plan(self._config) if self._config.appservice.sip_lookups else None,
            )
            people = await People.load(
                store,
                history_days=self._config.calls.history_days,
                clock=self._clock,
                name_of=address_book.name_of,
            )
            memory = Memory(store, self._sip, self._clock, self._telemetry)
            # Read before anything can call: what is written from here on belongs to this process.
            left_over = await memory.left_over()
            switchboard = self._switchboard(memory, matrix, people)
            await remember_ended_calls(store, switchboard.directory, self._clock)
            phones = PhoneStates(matrix, number_plan(self._config).caller_number)
            bot = self._bot(store, matrix, switchboard, people)
            await self._start_parts(stack, matrix, switchboard, people, phones, bot)
            end_left_over_calls(left_over, switchboard, self._sip, self._clock)
            await self._start_ops(stack, store, matrix)
            for work in (address_book.keep_current(matrix.rename_ghosts), people.history.keep_short(), phones.run()):
                stack.callback(background.create_task(work).cancel)
            yield matrix.wait_failed

    async def _start_background(self, stack: AsyncExitStack) -> asyncio.TaskGroup:
        """Call records outlive the calls: the last ones are written when everything else has stopped."""
        background = await stack.enter_async_context(asyncio.TaskGroup())
        background.create_task(self._records.run())
        stack.callback(self._records.stop)
        return background

    def _switchboard(self, memory: Memory, matrix: MatrixService, people: People) -> Switchboard:
        reporting = Reporting(
            records=self._records, history=people.history, clock=self._clock, telemetry=self._telemetry
        )
        return Switchboard(
            engine=self._engine,
            policies=media_policies(self._config),
            sip=self._sip,
            matrix=matrix,
            memory=memory,
            clock=self._clock,
            telemetry=self._telemetry,
            on_finished=reporting.finished,
        )

    def _bot(self, store: Store, matrix: MatrixService, switchboard: Switchboard, people: People) -> BotRoom:
        desk = BotDesk(
            plan=number_plan(self._config),
            trunk_up=self._sip.trunk_up,
            rooms=matrix,
            directory=switchboard.directory,
            people=people,
            knows_presence=bool(self._config.calls.ring_when),
        )
        return BotRoom(desk=desk, matrix=matrix, store=store, clock=self._clock, telemetry=self._telemetry)

    async def _start_parts(
        self,
        stack: AsyncExitStack,
        matrix: MatrixService,
        switchboard: Switchboard,
        people: People,
        phones: PhoneStates,
        bot: BotRoom,
    ) -> None:
        """Audio first, then the telephone side, then Matrix: nobody can call before a call can be carried."""
        plan, times, call_waiting = number_plan(self._config), call_times(self._config), self._config.calls.call_waiting
        sip_intake = SipIntake(
            switchboard=switchboard,
            plan=plan,
            sides=trunk_sides(self._config),
            ring_when=ring_rule(self._config, lambda user: people.settings.of(user).ring_when),
            wishes=Wishes(people.settings, plan, self._clock),
            call_waiting=call_waiting,
            times=times,
            clock=self._clock,
            entropy=self._entropy,
        )
        matrix_intake = MatrixIntake(
            switchboard=switchboard,
            matrix=matrix,
            sip=self._sip,
            plan=plan,
            call_waiting=call_waiting,
            times=times,
            clock=self._clock,
            entropy=self._entropy,
            telemetry=self._telemetry,
        )
        stack.push_async_callback(self._engine.stop)
        await self._engine.start(lambda event: _media_event(switchboard, event))
        stack.push_async_callback(self._sip.stop)
        await self._sip.start(lambda event: _sip_event(sip_intake, phones, event))
        stack.push_async_callback(matrix.stop)
        await matrix.start(lambda event: (bot if bot.concerns(event) else matrix_intake).handle(event))
        stack.push_async_callback(switchboard.shut_down, FAREWELL_LIMIT_S)

    async def _start_ops(self, stack: AsyncExitStack, store: Store, matrix: MatrixService) -> None:
        """The ops port comes last, so that a bridge that answers there is a bridge that works."""
        heartbeat = Heartbeat(clock=self._clock, telemetry=self._telemetry)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        beating = group.create_task(heartbeat.run())
        stack.callback(beating.cancel)
        checks = {
            "homeserver": lambda: matrix.healthy,
            "store": lambda: store.healthy,
            "trunks": self._any_trunk_up,
        }
        server = OpsServer(telemetry=self._telemetry, heartbeat=heartbeat, checks=checks)
        stack.push_async_callback(server.stop)
        listen = self._config.ops.listen
        port = await server.start(listen.host, listen.port)
        log.info("ops_port_opened", host=listen.host, port=port)

    def _any_trunk_up(self) -> bool:
        return any(self._sip.trunk_up(trunk) for trunk in self._config.trunks)


def _sip_event(intake: SipIntake, phones: PhoneStates, event: SipEvent) -> None:
    """What a phone does by itself, or what it does in a call with us."""
    if isinstance(event, PhoneStateChanged):
        phones.note(event)
    else:
        intake.handle(event)


def _media_event(switchboard: Switchboard, event: MediaEvent) -> None:
    """The same fact in the language of calls."""
    live = switchboard.directory.by_call_id(event.call_id)
    if live is None:
        return
    match event:
        case MediaConnected():
            switchboard.feed(live, ev.MediaConnected())
        case DigitPressed():
            switchboard.feed(live, ev.ClientKeyPressed(digit=event.digit, duration_ms=event.duration_ms))
        case MediaEnded():
            switchboard.feed(live, ev.MediaLost(reason=_MEDIA_REASONS[event.failure]))
