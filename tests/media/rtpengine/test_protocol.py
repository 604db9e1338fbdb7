"""The control protocol: its encoding, and a server that answers late, twice, wrongly or not at all."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.entropy import SeededEntropy
from bridge.media.rtpengine import ng
from bridge.media.rtpengine.bencode import BencodeError, Value, decode, encode
from bridge.media.rtpengine.ng import NgClient, ServerFullError, ServerRefusedError, ServerSilentError
from tests.patience import PATIENCE_S
from tests.peers.process import LOOPBACK, free_port

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.integers(-(10**18), 10**18) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_encoded_is_read_back(value: Value) -> None:
    assert decode(encode(value)) == value


@given(st.binary(max_size=200) | st.text(alphabet="dlie0123456789:-x", max_size=60).map(str.encode))
def test_whatever_comes_is_a_value_or_is_refused(data: bytes) -> None:
    try:
        value = decode(data)
    except BencodeError:
        return
    assert encode(value)


@pytest.mark.parametrize(
    "data", [b"", b"i1", b"i e", b"i--1e", b"5:abc", b"-1:a", b"l", b"d1:ae", b"di1ei1ee", b"i1ei2e", b"l" * 5000]
)
def test_what_is_no_value_is_refused(data: bytes) -> None:
    with pytest.raises(BencodeError):
        decode(data)


class FakeServer(asyncio.DatagramProtocol):
    """Answers what the test says."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.answers: list[bytes] = []
        """One for each request, in order; empty is no answer."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.requests.append(data)
        cookie = data.partition(b" ")[0]
        answer = self.answers.pop(0) if self.answers else b""
        if answer:
            self.transport.sendto(cookie + b" " + answer, addr)


@pytest.fixture
async def server() -> AsyncIterator[tuple[FakeServer, NgClient]]:
    port, loop = free_port(), asyncio.get_running_loop()
    transport, fake = await loop.create_datagram_endpoint(FakeServer, local_addr=(LOOPBACK, port))
    client = NgClient(LOOPBACK, port, SeededEntropy(1))
    await client.open()
    yield fake, client
    client.close()
    transport.close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ng, "RESENDS_S", (0.05, 0.05, 0.05))


PONG = encode({"result": "pong"})


async def test_a_request_that_is_not_answered_is_sent_again_under_the_same_cookie(
    server: tuple[FakeServer, NgClient],
) -> None:
    fake, client = server
    fake.answers = [b"", b"gibberish", PONG]
    assert await client.request("ping") == {"result": b"pong"}
    assert len(fake.requests) == 3
    assert len(set(fake.requests)) == 1
    assert client._waiting == {}


async def test_a_server_that_never_answers_is_given_up(server: tuple[FakeServer, NgClient]) -> None:
    fake, client = server
    with pytest.raises(ServerSilentError):
        await client.request("ping")
    assert len(fake.requests) == len(ng.RESENDS_S)


async def test_nobody_there_is_noticed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ng, "RESENDS_S", (30.0,))
    client = NgClient(LOOPBACK, free_port(), SeededEntropy(1))
    await client.open()
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(ServerSilentError):
            await client.request("ping")
    client.close()
    with pytest.raises(ServerSilentError):
        await client.request("ping")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"result": "error", "error-reason": "Unknown call-id"}, ServerRefusedError),
        ({"result": "load limit", "message": "Parallel session limit reached"}, ServerFullError),
        ({}, ServerRefusedError),
        ({"result": 1}, ServerRefusedError),
    ],
)
async def test_an_error_of_the_server_is_told_from_its_silence(
    server: tuple[FakeServer, NgClient], answer: dict[str, Value], error: type[Exception]
) -> None:
    fake, client = server
    fake.answers = [encode(answer)]
    with pytest.raises(error):
        await client.request("offer")


async def test_what_does_not_fit_into_a_datagram_is_not_sent(server: tuple[FakeServer, NgClient]) -> None:
    fake, client = server
    with pytest.raises(ServerRefusedError):
        await client.request("play media", blob=bytes(ng.MAX_REQUEST))
    assert fake.requests == []
