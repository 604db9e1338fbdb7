"""The inside of aioice and aiortc that the packet path stands on. When one of these fails, read `bridge/media/ice.py`
and `bridge/media/dtls.py` against the new version before raising the pinned one."""

import asyncio
import importlib
import inspect
import os
import re
from typing import Any

import aioice
import aiortc
from aioice import ice, stun, turn
from aioice.ice import CandidatePair, StunProtocol
from aiortc.rtcdtlstransport import SRTP_PROFILES, RTCCertificate, RTCDtlsTransport, State

from bridge.media import dtls
from bridge.media.dtls import Certificate, DtlsSession
from bridge.media.ice import IceAgent
from bridge.media.ice_socket import GuardedProtocol


def parameters(function: object) -> list[str]:
    """Names of a function's parameters."""
    assert callable(function)
    return list(inspect.signature(function).parameters)


def test_the_pinned_versions_are_installed() -> None:
    assert aiortc.__version__.startswith("1.16.")
    assert aioice.__version__.startswith("0.13.")


async def test_an_ice_connection_has_the_state_that_the_agent_uses() -> None:
    connection = aioice.Connection(ice_controlling=True)
    assert connection._local_candidates_start is False
    assert connection._local_candidates_end is False
    assert connection._local_candidates == []
    assert connection._protocols == []
    assert connection._nominated == {}
    assert (connection._closed, connection._closing) == (False, False)
    assert isinstance(connection._queue, asyncio.Queue)
    assert connection._early_checks.maxlen is not None
    await connection.close()
    assert (connection._closed, connection._closing) == (True, True)


def test_the_overridden_methods_are_still_called_the_same_way() -> None:
    assert parameters(StunProtocol.datagram_received) == ["self", "data", "addr"]
    assert parameters(aioice.Connection.request_received) == ["self", "message", "addr", "protocol"]
    assert parameters(aioice.Connection.check_incoming) == ["self", "message", "addr", "protocol"]
    assert parameters(aioice.Connection.check_complete) == ["self", "pair"]
    assert parameters(aioice.Connection.data_received) == ["self", "data", "component"]
    assert parameters(aioice.Connection.respond_error) == ["self", "request", "addr", "protocol", "error_code"]
    assert parameters(RTCDtlsTransport._recv_next) == ["self"]
    for name in ("_do_handshake", "_RTCDtlsTransport__run"):
        assert "await self._recv_next()" in inspect.getsource(getattr(RTCDtlsTransport, name))
    assert parameters(RTCCertificate._create_ssl_context) == ["self", "srtp_profiles"]
    for name in ("datagram_received",):
        assert getattr(GuardedProtocol, name) is not getattr(StunProtocol, name)
    for name in ("request_received", "check_incoming", "check_complete", "data_received"):
        assert getattr(IceAgent, name) is not getattr(aioice.Connection, name)


def test_checks_and_data_take_the_way_that_the_guard_watches() -> None:
    source = inspect.getsource(aioice.Connection)
    assert "self._early_checks.append((message, addr, protocol))" in source
    assert "self.check_incoming(message, addr, protocol)" in source
    assert "self.check_complete(pair)" in inspect.getsource(aioice.Connection.check_start)
    received = inspect.getsource(StunProtocol.datagram_received)
    assert "message = stun.parse_message(data)" in received
    assert "transaction = self.transactions[message.transaction_id]" in received
    assert "transaction.response_received(message, addr)" in received
    assert "self.receiver.request_received(message, addr, self)" in received
    assert {kind.name for kind in stun.Class} == {"REQUEST", "INDICATION", "RESPONSE", "ERROR"}
    assert "for early_check in self._early_checks" in source
    assert CandidatePair.State.SUCCEEDED in CandidatePair.State
    assert isinstance(CandidatePair.remote_addr, property)


def test_a_turn_client_has_what_the_relay_uses() -> None:
    for kind in (turn.TurnClientUdpProtocol, turn.TurnClientTcpProtocol):
        assert parameters(kind)[:3] == ["server", "username", "password"]
        assert parameters(kind)[3:] == ["lifetime", "channel_refresh_time"]
        client = kind(("192.0.2.1", 3478), "name", "password", 600, 240)
        assert (client.peer_to_channel, client.channel_to_peer, client.channel_refresh_at) == ({}, {}, {})
        assert (client.relayed_address, client.mapped_address, client.receiver) == (None, None, None)
        assert parameters(client.send_data) == ["data", "addr"]
        assert parameters(client._send) == ["data"]
    assert 'struct.pack("!HH", channel, len(data))' in inspect.getsource(turn.TurnClientMixin.send_data)
    assert "self.transport.close()" in inspect.getsource(turn.TurnClientMixin.delete)
    assert hasattr(importlib.import_module("asyncio.selector_events")._SelectorDatagramTransport, "_read_ready")


def test_candidates_may_come_after_the_agent_was_made() -> None:
    assert parameters(aioice.Connection._pair_remote_candidate) == ["self", "remote_candidate"]
    assert "self._find_pair(protocol, remote_candidate)" in inspect.getsource(aioice.Connection._pair_remote_candidate)
    assert "len(self._protocols)" not in inspect.getsource(aioice.Connection)


def test_a_client_without_a_network_has_half_a_minute_to_come_back() -> None:
    """matrix-js-sdk restarts ICE after 2 s and gives up after 30 s; consent that is lost ends the call here."""
    assert ice.CONSENT_FAILURES * ice.CONSENT_INTERVAL == 30


def test_dtls_uses_no_more_of_its_transport_than_the_pipe_has() -> None:
    used = set(re.findall(r"self\.(?:_transport|transport)\.(\w+)", inspect.getsource(RTCDtlsTransport)))
    assert used == {"_recv", "_send", "role"}


async def test_a_dtls_transport_has_the_state_that_the_session_uses() -> None:
    agent = IceAgent(controlling=False, on_srtp=lambda data: None, on_off_path=lambda: None, on_excess=lambda: None)
    session = DtlsSession(agent, Certificate.generateCertificate(), server=True)
    transport = session._transport
    assert transport._role == "server"
    assert transport._state is State.NEW
    assert not any((transport._task, transport._rx_srtp, transport._tx_srtp))
    assert {State.CONNECTED, State.FAILED, State.CLOSED} <= set(State)
    assert 'self.emit("statechange")' in inspect.getsource(RTCDtlsTransport._set_state)
    assert not session.connected
    await session.close()
    await agent.close()


async def test_a_socket_can_be_read_by_someone_else_while_its_transport_sends() -> None:
    """`IceAgent.hand_over`: the event loop stops reading, and nothing makes it begin again."""
    loop: Any = asyncio.get_running_loop()
    heard: list[bytes] = []

    class Listener(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            heard.append(data)

    transport, _ = await loop.create_datagram_endpoint(Listener, local_addr=("127.0.0.1", 0))
    descriptor = transport.get_extra_info("socket").fileno()
    assert loop._remove_reader(descriptor)
    with os.fdopen(os.dup(descriptor), "rb", buffering=0) as other:
        os.set_blocking(other.fileno(), True)
        transport.sendto(b"hello", transport.get_extra_info("sockname"))
        assert await asyncio.to_thread(other.read, 100) == b"hello"
        os.set_blocking(other.fileno(), False)
    await asyncio.sleep(0)
    assert heard == []
    transport.close()


def test_keys_are_exported_as_the_dtls_transport_exports_them() -> None:
    source = inspect.getsource(RTCDtlsTransport._setup_srtp)
    assert "self._ssl.get_selected_srtp_profile()" in source
    assert 'b"EXTRACTOR-dtls_srtp"' in source
    assert "2 * (srtp_profile.key_length + srtp_profile.salt_length)" in source
    assert [parameters(profile.get_key_and_salt) for profile in SRTP_PROFILES] == [["src", "idx"]] * len(SRTP_PROFILES)
    assert {profile.openssl_profile for profile in SRTP_PROFILES} <= set(dtls._SUITES)


def test_our_context_offers_suites_for_both_kinds_of_certificate() -> None:
    from OpenSSL import SSL

    context = Certificate.generateCertificate()._create_ssl_context(SRTP_PROFILES)
    names = SSL.Connection(context).get_cipher_list()
    assert any(name.startswith("ECDHE-RSA-") for name in names)
    assert any(name.startswith("ECDHE-ECDSA-") for name in names)
    assert not any("NULL" in name or name.startswith(("AES", "DHE")) for name in names if not name.startswith("TLS_"))
