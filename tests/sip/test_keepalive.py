"""Line ends that keep a way open: how often, by which way, and for how long."""

import asyncio
import itertools

import pytest

from bridge.core.ids import TrunkName
from bridge.sip.actions import Flow
from bridge.sip.inputs import Stop
from bridge.sip.message import Request
from bridge.sip.settings import Transport, Trunk, TrunkAuth
from tests.patience import PATIENCE_S
from tests.sip.phone import LOOPBACK, Phone
from tests.sip.scripted_peer import PEER, Scripted, trunk


def registered(keep: str | None = None, *, transport: Transport = Transport.UDP, **more: object) -> Scripted:
    """A registration whose registrar answers our offer with `keep`, or other headers."""
    settings = {name: value for name, value in more.items() if name == "keep_alive_s"}
    fields = {name: str(value) for name, value in more.items() if name not in settings}
    peer = Scripted(trunk(TrunkAuth.REGISTER, transport=transport, **settings), transport=transport)
    peer.start()
    grant(peer, keep, **fields)
    return peer


def grant(peer: Scripted, keep: str | None, **fields: str) -> None:
    request = peer.last_request("REGISTER")
    if keep is not None:
        via = str(request.via).replace(";keep", f";keep={keep}")
        request = Request("REGISTER", request.uri_text, request.headers.copy(), b"")
        request.headers.set("Via", via)
    contact = f"<{request.contacts[0].uri}>;expires=3600"
    peer.answer(request, 200, Contact=contact, **fields)


def intervals(peer: Scripted) -> list[float]:
    return [later - earlier for (earlier, _), (later, _) in itertools.pairwise(peer.pings)]


def test_we_offer_to_keep_the_way_to_a_registrar_open() -> None:
    peer = Scripted(trunk(TrunkAuth.REGISTER))
    peer.start()
    assert "keep" in peer.last_request("REGISTER").via.params
    peer.call()
    assert "keep" not in peer.last_request("INVITE").via.params


@pytest.mark.parametrize(
    ("keep", "flow_timer", "seconds"), [("30", None, 30), (None, "120", 120), ("0", None, 30), ("1", None, 10)]
)
def test_a_registrar_is_pinged_as_often_as_it_wants(keep: str | None, flow_timer: str | None, seconds: float) -> None:
    peer = registered(keep) if flow_timer is None else registered(Flow_Timer=flow_timer)
    peer.advance(seconds * 10)
    assert len(peer.pings) >= 9
    assert all(0.8 * seconds <= interval <= seconds for interval in intervals(peer))
    assert all(ping.answered and ping.flow.address == (PEER, 5060) for _, ping in peer.pings)


@pytest.mark.parametrize("keep", [None, "", "-1", "abc", "1" * 11])
def test_without_an_agreement_nothing_is_sent(keep: str | None) -> None:
    peer = registered(keep)
    peer.advance(1000)
    assert peer.pings == []


def test_the_settings_may_ask_for_it_and_then_no_answer_is_owed() -> None:
    peer = registered(keep_alive_s=20.0)
    peer.advance(200)
    assert len(peer.pings) >= 9
    assert not any(ping.answered for _, ping in peer.pings)


def test_the_shorter_interval_counts() -> None:
    peer = registered("120", keep_alive_s=20.0)
    peer.advance(200)
    assert all(interval <= 20 for interval in intervals(peer))


def test_a_refreshed_registration_does_not_put_the_next_ping_off() -> None:
    peer = registered("1000")
    for _ in range(3):
        peer.answer(peer.last_request("REGISTER"), 200)
        peer.advance(400)
    assert peer.pings


def test_nothing_is_sent_while_we_are_not_registered_and_nothing_after_the_end() -> None:
    peer = registered("30")
    peer.advance(60)
    peer.advance(3600)  # The refresh is answered by nobody.
    before = len(peer.pings)
    peer.advance(300)
    assert len(peer.pings) == before
    peer.feed(Stop())
    peer.advance(300)
    assert len(peer.pings) == before


def test_a_trunk_that_knows_our_address_is_pinged_where_the_settings_say_so() -> None:
    peer = Scripted(trunk(keep_alive_s=25.0))
    peer.start()
    peer.advance(100)
    assert len(peer.pings) in (4, 5)
    peer.feed(Stop())
    peer.advance(100)
    assert len(peer.pings) in (4, 5)


# On sockets.


async def test_a_datagram_of_line_ends_is_sent() -> None:
    loop = asyncio.get_running_loop()
    received: asyncio.Future[bytes] = loop.create_future()

    class Peer(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            received.set_result(data)

    transport, _ = await loop.create_datagram_endpoint(Peer, local_addr=(LOOPBACK, 0))
    port = transport.get_extra_info("sockname")[1]
    async with Phone(Trunk(name=TrunkName("trunk"), host=LOOPBACK, port=port)) as phone:
        phone.endpoint._network.ping(Flow(transport=Transport.UDP, host=LOOPBACK, port=port), answered=False)
        assert await asyncio.wait_for(received, PATIENCE_S) == b"\r\n\r\n"
    transport.close()


async def test_a_ping_opens_no_connection() -> None:
    async with Phone(Trunk(name=TrunkName("trunk"), host=LOOPBACK, transport=Transport.TCP)) as phone:
        phone.endpoint._network.ping(Flow(transport=Transport.TCP, host=LOOPBACK, port=9), answered=True)
        assert len(phone.endpoint._network._pool) == 0
        assert not phone.endpoint._network._pool._dialling
