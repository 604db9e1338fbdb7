"""How the parts of a bridge are given to each other; `app/application.py` says in which order they start."""

from bridge.app.added_entries import AddedEntries
from bridge.app.address_book import AddressBookFile
from bridge.app.announcements import Announcements
from bridge.app.bot_desk import BotDesk
from bridge.app.bot_room import BotRoom
from bridge.app.cash_book import CashBook
from bridge.app.console_desk import ConsoleDesk
from bridge.app.foundation import Foundation
from bridge.app.greetings import Greetings
from bridge.app.matrix_intake import MatrixIntake
from bridge.app.memory import Memory
from bridge.app.message_desk import MessageDesk
from bridge.app.meter import Meter
from bridge.app.ops_port import OpsPort
from bridge.app.people import People
from bridge.app.personal_data import message_folder
from bridge.app.plan import limits, message_box_rule, ring_rule, suspension_rule, thresholds
from bridge.app.probe.prober import Prober
from bridge.app.probe.wiring import make_prober
from bridge.app.prompts import Prompts
from bridge.app.reporting import Reporting
from bridge.app.sip_intake import SipIntake
from bridge.app.suspensions import Suspensions
from bridge.app.switchboard import Switchboard
from bridge.app.text_book import TextBook
from bridge.app.text_desk import TextDesk
from bridge.app.trunk_service import TrunkService
from bridge.app.user_settings import Wishes
from bridge.config import matrix_settings
from bridge.matrix.service import MatrixService
from bridge.numbers.abuse import Watch
from bridge.numbers.ledger import Ledger
from bridge.numbers.number import canonical
from bridge.store import Store


def make_matrix(base: Foundation, store: Store, address_book: AddressBookFile) -> MatrixService:
    """The Matrix side, with how numbers are read and shown there."""
    return MatrixService(
        matrix_settings(base.config),
        store=store,
        clock=base.clock,
        entropy=base.entropy,
        telemetry=base.telemetry,
        read_number=lambda typed: canonical(typed, base.live.default_region()),
        name_of=address_book.name_of,
        picture_of=address_book.picture_of,
        directory=base.live if base.config.appservice.sip_lookups else None,
    )


def make_sip_intake(
    base: Foundation, switchboard: Switchboard, people: People, meter: Meter, wishes: Wishes, messages: MessageDesk
) -> SipIntake:
    """What is done with what phones send."""
    live = base.live
    return SipIntake(
        switchboard=switchboard,
        plan=live.numbers,
        sides=live.sides,
        meter=meter,
        hides_number=people.settings.hides_number,
        ring_when=ring_rule(live.config, lambda user: people.settings.of(user).ring_when),
        message_box_of=message_box_rule(live.config, lambda: messages.greeting_s),
        menus=live.menus,
        telemetry=base.telemetry,
        rings_s=live.rings_s,
        groups=live.groups,
        wishes=wishes,
        call_waiting=live.call_waiting,
        times=live.times,
        clock=base.clock,
        entropy=base.entropy,
    )


def make_matrix_intake(
    base: Foundation,
    switchboard: Switchboard,
    matrix: MatrixService,
    people: People,
    meter: Meter,
    voice: Announcements,
) -> MatrixIntake:
    """What is done with what Matrix users send."""
    live = base.live
    return MatrixIntake(
        switchboard=switchboard,
        matrix=matrix,
        sip=base.sip,
        plan=live.numbers,
        sides=live.sides,
        meter=meter,
        announcements=voice,
        hides_number=people.settings.hides_number,
        call_waiting=live.call_waiting,
        times=live.times,
        clock=base.clock,
        entropy=base.entropy,
        telemetry=base.telemetry,
    )


async def open_meter(base: Foundation, store: Store, matrix: MatrixService) -> Meter:
    """What was used and who is suspended is known before anybody can call."""
    suspensions = Suspensions(
        suspension_rule(base.config), store=store, rooms=matrix, clock=base.clock, telemetry=base.telemetry
    )
    ledger = Ledger(limits=limits(base.config), warn_s=base.config.permissions.limit_warning_s)
    meter = Meter(
        ledger=ledger,
        cash_book=CashBook(ledger, base.live.numbers, store, base.clock, base.telemetry),
        watch=Watch(thresholds(base.config)),
        suspensions=suspensions,
        plan=base.live.numbers,
        clock=base.clock,
        telemetry=base.telemetry,
        forwarded_s=base.live.forwarded_s,
    )
    await meter.load()
    return meter


def make_switchboard(
    base: Foundation,
    memory: Memory,
    matrix: MatrixService,
    people: People,
    meter: Meter,
    messages: MessageDesk,
    voice: Announcements,
    service: TrunkService,
) -> Switchboard:
    """The live calls, and all that a call makes use of."""
    reporting = Reporting(
        records=base.records,
        history=people.history,
        clock=base.clock,
        telemetry=base.telemetry,
        currency=lambda: base.live.config().permissions.currency,
    )
    return Switchboard(
        engine=base.engine,
        policy_of=base.live.media_policy,
        sip=base.sip,
        matrix=matrix,
        memory=memory,
        meter=meter,
        messages=messages,
        voice=voice,
        prompts=Prompts(base.live.sounds_of, base.live.region_of),
        clock=base.clock,
        telemetry=base.telemetry,
        on_finished=reporting.finished,
        tracing=base.observers.tracing,
        service=service,
        max_attended=base.live.max_attended,
    )


def make_bot(
    base: Foundation, store: Store, matrix: MatrixService, switchboard: Switchboard, people: People, meter: Meter
) -> BotRoom:
    """The room of the bridge's own user."""
    desk = BotDesk(
        plan=base.live.numbers,
        trunk_up=base.sip.trunk_up,
        rooms=matrix,
        directory=switchboard.directory,
        people=people,
        meter=meter,
        admins=base.live.admins,
        knows_presence=base.live.knows_presence,
        groups=base.live.groups,
        message_reasons=base.live.message_reasons,
    )
    return BotRoom(desk=desk, matrix=matrix, store=store, clock=base.clock, telemetry=base.telemetry)


def make_messages(base: Foundation, store: Store, matrix: MatrixService) -> MessageDesk:
    """The messages that phones leave, in a folder beside the database."""
    return MessageDesk(
        folder=message_folder(base.config.store.path),
        greetings=Greetings(base.live.sounds),
        store=store,
        rooms=matrix,
        clock=base.clock,
        telemetry=base.telemetry,
    )


def make_wishes(base: Foundation, people: People, meter: Meter) -> Wishes:
    """What users have set for calls of phones."""
    live = base.live
    return Wishes(
        people.settings,
        people.forwards,
        live.numbers,
        base.clock,
        pays=meter.pay_for_forwarding,
        blocked=live.blocked,
        time_zone=live.time_zone,
        telemetry=base.telemetry,
    )


async def open_texts(
    base: Foundation,
    store: Store,
    matrix: MatrixService,
    people: People,
    meter: Meter,
    wishes: Wishes,
    service: TrunkService,
) -> TextDesk:
    """Text messages, both ways; how many were sent today is known before anybody can write."""
    book = TextBook(base.live.texts_per_day, store, base.clock, base.telemetry)
    await book.load()
    return TextDesk(
        sip=base.sip,
        rooms=matrix,
        plan=base.live.numbers,
        sides=base.live.texts,
        meter=meter,
        refuses=wishes.refuses,
        hides_number=people.settings.hides_number,
        carries=service.carries,
        book=book,
        clock=base.clock,
        entropy=base.entropy,
        telemetry=base.telemetry,
    )


def prober_of(base: Foundation, switchboard: Switchboard, meter: Meter) -> Prober:
    """What places a call to try whether calls work."""
    return make_prober(
        base.config,
        switchboard=switchboard,
        plan=base.live.numbers,
        times=base.live.times,
        meter=meter,
        trunk_up=base.sip.trunk_up,
        clock=base.clock,
        entropy=base.entropy,
        telemetry=base.telemetry,
    )


def make_ops_port(
    base: Foundation,
    store: Store,
    matrix: MatrixService,
    switchboard: Switchboard,
    meter: Meter,
    prober: Prober,
    entries: AddedEntries,
    people: People,
) -> OpsPort:
    """Metrics, health, console and admin API, on one port."""
    desk = ConsoleDesk(config=base.live.config, switchboard=switchboard, sip=base.sip, meter=meter, clock=base.clock)
    return OpsPort(
        config=base.config,
        desk=desk,
        live=base.live,
        entries=entries,
        settings=people.settings,
        store=store,
        matrix=matrix,
        media=base.engine,
        prober=prober,
        further_checks=base.self_calls.checks(),
        clock=base.clock,
        entropy=base.entropy,
        telemetry=base.telemetry,
    )
