"""A little of what `make fuzz` does at length."""

from tests.fuzz import descriptions, webrtc_ports


def test_damaged_descriptions_are_refused_or_answered_soundly() -> None:
    outcomes = descriptions.run(2000, seed=7)
    assert min(outcomes["understood"], outcomes["refused"]) > 100


async def test_damaged_datagrams_at_a_webrtc_port_are_sorted_and_never_believed() -> None:
    outcomes = await webrtc_ports.run(3000, seed=7)
    assert min(outcomes["dropped"], outcomes["srtp"], outcomes["excess"]) > 10
