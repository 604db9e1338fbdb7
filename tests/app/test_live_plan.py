"""What calls that are up go by when the configuration becomes another."""

from pathlib import Path

from bridge.app.live_plan import LivePlan
from bridge.core.ids import TrunkName
from bridge.media.policy import DEFAULT_POLICY, SrtpUse
from tests.config_files import MINIMAL, load

GONE = TrunkName("gone")


def test_calls_of_a_trunk_that_is_gone_keep_its_keys_and_its_encryption_until_they_are_over(tmp_path: Path) -> None:
    trunk = "trunks: {gone: {server: h.b, dtmf: info, srtp: required, srtp_without_tls: true}}\n"
    live = LivePlan(load(tmp_path, MINIMAL + trunk))
    without = load(tmp_path, MINIMAL)
    for _ in range(2):
        live.take(live.worked_out(without, live.sounds()), trunks_in_use={GONE})
        assert live.sides()[GONE].keys_by_signalling
        assert live.media_policy(GONE).srtp is SrtpUse.REQUIRED
        assert not live.trunks()
    live.take(live.worked_out(without, live.sounds()))
    assert GONE not in live.sides()
    assert live.media_policy(GONE) is DEFAULT_POLICY


def test_a_trunk_that_is_back_goes_by_what_it_is_now(tmp_path: Path) -> None:
    live = LivePlan(load(tmp_path, MINIMAL + "trunks: {gone: {server: h.b, dtmf: info}}\n"))
    live.take(live.worked_out(load(tmp_path, MINIMAL), live.sounds()), trunks_in_use={GONE})
    back = load(tmp_path, MINIMAL + "trunks: {gone: {server: h.b}}\n")
    live.take(live.worked_out(back, live.sounds()), trunks_in_use={GONE})
    assert not live.sides()[GONE].keys_by_signalling
