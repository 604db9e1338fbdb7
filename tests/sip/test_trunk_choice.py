"""Which trunk a call came by, where several send from the same address."""

import pytest

from bridge.core.entropy import SeededEntropy
from bridge.core.ids import TrunkName
from bridge.sip.actions import Flow
from bridge.sip.settings import Transport, Trunk, TrunkAuth
from bridge.sip.targets import server_at
from bridge.sip.trunks import Directory
from tests.sip.scripted_peer import PEER, STRANGER, US, peer_request

ACCOUNT = {"auth": TrunkAuth.REGISTER, "username": "alice", "password": "secret"}


def directory() -> Directory:
    trunks = (
        Trunk(name=TrunkName("first"), host=PEER),
        Trunk(name=TrunkName("domain"), host=PEER, domain="pbx.example"),
        Trunk(name=TrunkName("account"), host=PEER, **ACCOUNT),  # type: ignore[arg-type]
        Trunk(name=TrunkName("port"), host=PEER, port=5070),
        Trunk(name=TrunkName("stream"), host=PEER, port=5080, transport=Transport.TCP),
    )
    found = Directory(trunks, SeededEntropy(1))
    for state in found:
        state.resolve(server_at((PEER,), state.trunk.port or 5060, state.trunk.transport), 0.0)
    return found


@pytest.mark.parametrize(
    ("uri", "to", "port", "transport", "trunk"),
    [
        (f"sip:+15550199@{US}", "sip:+15550199@x", 5060, Transport.UDP, "first"),
        ("sip:+15550199@PBX.example", "sip:alice@x", 5060, Transport.UDP, "domain"),
        (f"sip:alice@{US}", "sip:+15550199@x", 5060, Transport.UDP, "account"),
        (f"sip:+15550199@{US}", "sip:alice@x", 5060, Transport.UDP, "account"),
        (f"sip:+15550177@{US}", "sip:x@x", 5070, Transport.UDP, "account"),
        (f"sip:+15550199@{US}", "sip:x@x", 5070, Transport.UDP, "port"),
        (f"sip:+15550199@{US}", "sip:x@x", 40000, Transport.TCP, "stream"),
        (f"sip:x@{US};line=unknown", "sip:x@x", 40000, Transport.UDP, "first"),
    ],
)
def test_the_call_names_its_trunk(uri: str, to: str, port: int, transport: Transport, trunk: str) -> None:
    trunks = directory()
    account = trunks.get(TrunkName("account"))
    assert account is not None
    account.associated = frozenset(("+15550177",))
    request = peer_request("INVITE", uri=uri, to=f"<{to}>")
    state = trunks.of_call(request, Flow(transport=transport, host=PEER, port=port))
    assert state is not None
    assert state.trunk.name == trunk


def test_the_line_of_our_contact_counts_before_everything_else() -> None:
    trunks = directory()
    account = trunks.get(TrunkName("account"))
    assert account is not None
    request = peer_request("INVITE", uri=f"sip:x@pbx.example;line={account.line}")
    assert trunks.of_call(request, Flow(transport=Transport.UDP, host=PEER, port=5070)) is account


def test_no_sign_makes_a_stranger_a_trunk() -> None:
    request = peer_request("INVITE", uri="sip:alice@pbx.example")
    assert directory().of_call(request, Flow(transport=Transport.UDP, host=STRANGER, port=5060)) is None
