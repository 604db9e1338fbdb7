"""A phone that rings longer than any transaction lasts, in real time: the only test that takes its time."""

from pathlib import Path

from bridge.sip.events import CallAnswered
from tests.patience import PATIENCE_S
from tests.peers.sipp import SippUas
from tests.sip.phone import Phone
from tests.sip.test_peers import hang_up_when_answered
from tests.sip.test_usage_peers import scenario, trunk_to


async def test_sipp_answers_after_35_seconds_of_ringing(tmp_path: Path) -> None:
    uas = SippUas(tmp_path, scenario=scenario("ringing_for_long"), calls=1)
    async with uas, Phone(trunk_to(uas.port), on_event=hang_up_when_answered) as phone:
        phone.call("+15550100")
        await phone.wait(CallAnswered, limit_s=35 + PATIENCE_S)
        assert await uas.wait_exit(limit_s=PATIENCE_S) == 0, uas.log_tail()
