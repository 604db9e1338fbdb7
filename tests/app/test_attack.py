"""A stolen account calls a thousand times, as it likes: the bill of the trunk stays within the cap."""

import asyncio
import random
import selectors
from dataclasses import dataclass, field
from pathlib import Path

from bridge.calls import media_events as medev
from bridge.core.ids import DialogKey, RoomId, UserId
from bridge.numbers.limits import Cap, Limit
from bridge.numbers.money import Price, Tariff
from bridge.numbers.permission import Permission
from bridge.sip.events import CallAnswered, CallEnded, CallFailed, CallProgress, OutgoingCall
from tests.app.outsides import ALICE, TRUNK, StageSip
from tests.app.stage import Stage
from tests.app.test_spending import CENT
from tests.stores import open_store

CALLS = 1_000
CAP = 505 * CENT
_REAL_PAUSE_S = 0.0005


class _NoWaiting(selectors.DefaultSelector):
    """What would be waited for passes at once, unless a thread has something to say first."""

    def __init__(self) -> None:
        super().__init__()
        self.passed_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(timeout if timeout is None else min(timeout, _REAL_PAUSE_S))
        if not ready and timeout:
            self.passed_s += timeout
        return ready


class HastyLoop(asyncio.SelectorEventLoop):
    """An event loop in whose time nobody has to wait."""

    def __init__(self) -> None:
        self._haste = _NoWaiting()
        super().__init__(self._haste)

    def time(self) -> float:
        return super().time() + self._haste.passed_s


class LoopClock:
    """The time of the loop, within one day."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        return 1_700_050_000.0 + self.monotonic() % 3_600


@dataclass(slots=True)
class BillingSip(StageSip):
    """A trunk that writes its own bill: by the minute that has begun, from the answer to the BYE."""

    price: Price = field(default_factory=lambda: Price(trunk=TRUNK, per_minute=10 * CENT))
    answered: dict[DialogKey, float] = field(default_factory=dict)
    bill: int = 0
    placed: list[DialogKey] = field(default_factory=list)
    """Those that may still be answered."""

    def invite(self, call: OutgoingCall) -> DialogKey:
        dialog = StageSip.invite(self, call)
        self.placed.append(dialog)
        return dialog

    def cancel(self, dialog: DialogKey) -> None:
        self.placed.remove(dialog)
        StageSip.cancel(self, dialog)

    def bye(self, dialog: DialogKey, *, q850: int | None = None) -> None:
        self.over(dialog)
        StageSip.bye(self, dialog, q850=q850)

    def over(self, dialog: DialogKey) -> None:
        begun = self.answered.pop(dialog, None)
        if begun is not None:
            self.bill += self.price.until(asyncio.get_running_loop().time() - begun)


async def attack(stage: Stage, trunk: BillingSip, chance: random.Random) -> None:
    """Dial, let phones answer, refuse or ring on, hang up on either side, and dial again."""
    for number in range(CALLS):
        room, ghost = RoomId(f"!{number}:example.org"), UserId(f"@_sip_+1555{chance.randrange(10**6):06}:example.org")
        stage.matrix.members[room] = frozenset({ALICE, ghost})
        before = set(trunk.placed)
        await stage.invite(f"call {number}", room_id=room)
        for dialog in [dialog for dialog in trunk.placed if dialog not in before]:
            happens(stage, trunk, dialog, chance.random())
        if trunk.answered and chance.random() < 0.4:
            dialog = chance.choice(sorted(trunk.answered))
            trunk.over(dialog)
            stage.sip_intake.handle(CallEnded(dialog=dialog))
        await asyncio.sleep(chance.choice((0.0, 0.0, 0.5, 7.0, 30.0)))
    await asyncio.sleep(5_000)


def happens(stage: Stage, trunk: BillingSip, dialog: DialogKey, fate: float) -> None:
    if fate < 0.1:
        trunk.placed.remove(dialog)
        stage.sip_intake.handle(CallFailed(dialog=dialog, status=486))
        return
    stage.sip_intake.handle(CallProgress(dialog=dialog, status=180))
    if fate < 0.9:
        trunk.placed.remove(dialog)
        trunk.answered[dialog] = asyncio.get_running_loop().time()
        stage.sip_intake.handle(CallAnswered(dialog=dialog, sdp="phone answer"))
        live = stage.switchboard.directory.by_dialog(dialog)
        if live is not None:
            stage.switchboard.feed(live, medev.MediaConnected())


async def robbed(tmp_path: Path) -> tuple[Stage, BillingSip]:
    trunk = BillingSip()
    limit = Limit(who=("example.org",), day=Cap(cost=CAP), call=Cap(seconds=95), calls_at_once=3)
    stage = Stage(
        store=await open_store(tmp_path / "store.sqlite3"),
        sip=trunk,
        clock=LoopClock(),
        limits=(limit,),
        tariff=Tariff(per_minute={"+1555": 10 * CENT}),
        permissions=(Permission(who=(ALICE,), prefixes=("+1555",), trunk=TRUNK),),
    )
    await attack(stage, trunk, random.Random(1))
    await stage.switchboard.shut_down(2.0)
    await stage.store.close()
    return stage, trunk


def test_a_thousand_calls_of_a_stolen_account_cost_no_more_than_the_cap(tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=HastyLoop) as runner:
        stage, trunk = runner.run(robbed(tmp_path))
    assert trunk.answered == {}, "every phone was let go"
    assert CAP * 0.9 < trunk.bill <= CAP
    assert len(stage.finished) == CALLS
    assert {"limit_reached", "calls_at_once", "completed"} <= set(stage.reasons())
