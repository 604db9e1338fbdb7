"""Calls of clients that have a WebRTC stack of their own: the signalling is the client's, ICE and DTLS are real."""

import re
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from bridge.sip.events import CallEnded
from tests.clients.client import CallState, Client, ClientCall
from tests.clients.house import House, Person
from tests.clients.kinds import ElementWeb, Nheko
from tests.clients.test_calling import call
from tests.media.lossy_path import LossyPath
from tests.media.webrtc_stacks import STACKS, Stack
from tests.sip.phone import Phone, sdp

with_its_stack = pytest.mark.parametrize(
    ("kind", "name"),
    [
        (ElementWeb, "libwebrtc with ECDSA"),
        (ElementWeb, "libwebrtc with RSA"),
        (Nheko, "OpenSSL with RSA, like Nheko"),
    ],
)


async def fresh(name: str, peers: AsyncExitStack) -> Stack:
    """A stack of that name."""
    stack = await STACKS[name]()
    peers.push_async_callback(stack.close)
    return stack


def as_it_is(description: str) -> str:
    """No trouble."""
    return description


def with_another_certificate(description: str) -> str:
    """The fingerprint is not of the certificate that will be shown."""
    return re.sub(r"(a=fingerprint:\S+ )..:..", r"\g<1>00:00", description)


Spoil = Callable[[str], str]


async def place(client: Client, person: Person, phone: Phone, stack: Stack, spoil: Spoil = as_it_is) -> ClientCall:
    """The client calls and has the phone's answer, which its stack has not."""
    offer = spoil(LossyPath.hidden(await stack.offer()))
    placed, dialog = await call(client, person, phone, offer={"type": "offer", "sdp": offer})
    phone.endpoint.accept(dialog, sdp())
    await client.until_state(placed, CallState.CONNECTING)
    return placed


async def accept(client: Client, call: ClientCall, answer: str) -> None:
    """Take a call with what the client's stack says."""
    call.state = CallState.CONNECTING
    await client.send(call, "m.call.answer", {"answer": {"type": "answer", "sdp": answer}})


async def is_given_up(house: House, client: Client, call: ClientCall, phone: Phone, person: Person) -> None:
    """Both sides are told, each once, and the record says whose fault it was."""
    await phone.wait(CallEnded)
    await client.until_state(call, CallState.ENDED)
    assert (call.end, call.ended_by_peer) == ("ice_failed", True)
    await house.bridge.wait_metric("calls_active", 0)
    assert house.bridge.records()[-1]["reason"] == "ice_failed"
