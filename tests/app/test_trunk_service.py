"""A trunk that an operator has taken out of service takes no new calls, and goes on with those that it has."""

from bridge.app.trunk_service import TrunkService
from bridge.core.ids import E164, TrunkName
from bridge.core.turn import Turn
from bridge.numbers.permission import Permission
from bridge.numbers.policy import Decision, Route
from tests.app.outsides import ALICE, PBX, PHONE, TRUNK
from tests.app.stage import Stage
from tests.app.test_trunk_failover import dialog_of, over_two_trunks, placed


async def out_of_service(stage: Stage, trunk: TrunkName) -> TrunkService:
    service = stage.switchboard.service
    assert await service.switch(trunk, on=False)
    return service


async def test_a_call_goes_over_another_trunk_and_never_over_that_one(stage: Stage) -> None:
    over_two_trunks(stage)
    await out_of_service(stage, TRUNK)
    await stage.invite()
    assert [(call.trunk, call.impatient) for call in placed(stage)] == [(PBX, False)]


async def test_without_another_trunk_a_call_is_refused_until_it_is_back(stage: Stage) -> None:
    service = await out_of_service(stage, TRUNK)
    await stage.invite("first")
    assert stage.reasons() == ["trunk_out_of_service"]
    assert placed(stage) == []
    await service.switch(TRUNK, on=True)
    await stage.invite("second")
    assert [call.trunk for call in placed(stage)] == [TRUNK]


async def test_a_phone_that_calls_in_is_told_to_try_elsewhere(stage: Stage) -> None:
    await out_of_service(stage, TRUNK)
    await stage.incoming()
    assert stage.reasons() == ["trunk_out_of_service"]
    assert [command[2] for command in stage.sip.commands if command[0] == "reject"] == [503]


async def test_a_call_that_is_up_goes_on(stage: Stage) -> None:
    await stage.invite()
    await out_of_service(stage, TRUNK)
    assert dialog_of(stage)
    assert stage.reasons() == []


async def test_it_is_out_of_service_after_a_restart_as_well(stage: Stage) -> None:
    before = TrunkService(lambda: (TRUNK, PBX), stage.store.trunks_out, Turn())
    await before.switch(TRUNK, on=False)
    await before.switch(PBX, on=False)
    await before.switch(PBX, on=True)
    assert not await before.switch(TrunkName("nowhere"), on=False)
    after = TrunkService(lambda: (TRUNK, PBX), stage.store.trunks_out, Turn())
    await after.load()
    assert (after.carries(TRUNK), after.carries(PBX)) == (False, True)


async def test_whoever_calls_for_help_may_use_it_when_nothing_else_helps(stage: Stage) -> None:
    service = await out_of_service(stage, TRUNK)
    routes = tuple(Route(trunk=trunk, number=E164(PHONE), caller="") for trunk in (TRUNK, PBX))
    permission = Permission(who=(ALICE,), prefixes=())
    decisions = (Decision(routes=routes), Decision(routes=routes, permission=permission))
    narrowed = [service.narrow(decision) for decision in decisions]
    assert [[route.trunk for route in d.routes] for d in narrowed if isinstance(d, Decision)] == [[PBX, TRUNK], [PBX]]
