"""The homeserver is slow, refuses, breaks off, goes away or repeats itself: calls go as they would have gone."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from bridge.sip.events import CallAnswered, CallCancelled, CallEnded, CallFailed, CallProgress, IncomingCall
from tests.clients.client import CallState
from tests.clients.descriptions import Style, describe
from tests.clients.house import GHOST, House, Person, open_house
from tests.clients.kinds import JsSdk
from tests.clients.test_calling import talk
from tests.clients.test_ringing import ring
from tests.homeserver_model import Event, Fault
from tests.sip.phone import Phone

_SOON_S = 8.0


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def troubled_house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """Not the house of the other tests, whose homeserver stays as it is."""
    async with open_house(tmp_path_factory.mktemp("trouble")) as house:
        yield house


@pytest_asyncio.fixture(loop_scope="module")
async def house(troubled_house: House) -> AsyncIterator[House]:
    """The house as if nothing had been asked yet, and a look at what the test has left in it."""
    troubled_house.homeserver.requests.clear()
    yield troubled_house
    assert await troubled_house.bridge.metric("internal_errors_total") == 0
    assert await troubled_house.bridge.metric("call_illegal_events_total") == 0


@pytest_asyncio.fixture(loop_scope="module")
async def phone(house: House) -> AsyncIterator[Phone]:
    async with house.phone() as phone:
        yield phone


def trouble() -> list[Fault]:
    """A bad day: what is sent first meets all of this."""
    return [
        Fault(path="/send/", status=504, after=True),
        Fault(path="/send/", status=429, retry_after_ms=100),
        Fault(path="/send/", cut=True, after=True),
    ]


async def test_a_call_to_a_phone_loses_and_doubles_nothing(house: House, phone: Phone) -> None:
    person = await house.person()
    async with house.client(JsSdk, person) as client:
        house.homeserver.faults += trouble()
        placed, dialog = await talk(client, person, phone)
        house.homeserver.faults += trouble()
        phone.endpoint.bye(dialog)
        await client.until_state(placed, CallState.ENDED)
    await house.told(person, "answer", "candidates", "hangup")


async def test_a_call_from_a_phone_loses_and_doubles_nothing(house: House, phone: Phone) -> None:
    person = await house.person()
    async with house.client(JsSdk, person) as client:
        house.homeserver.faults += trouble()
        ringing, dialog = await ring(client, person, phone)
        house.homeserver.faults += trouble()
        await client.accept(ringing)
        await phone.wait(CallAnswered)
        phone.endpoint.bye(dialog)
        await client.until_state(ringing, CallState.ENDED)
    await house.told(person, "invite", "candidates", "select_answer", "hangup")


async def test_a_slow_homeserver_makes_calls_slow_and_nothing_else(house: House, phone: Phone) -> None:
    person = await house.person()
    async with house.client(JsSdk, person) as client:
        house.homeserver.delay_s = 0.5
        ringing, dialog = await ring(client, person, phone)
        await client.accept(ringing)
        await phone.wait(CallAnswered)
        phone.endpoint.bye(dialog)
        await client.until_state(ringing, CallState.ENDED)
        placed, dialog = await talk(client, person, phone)
        phone.endpoint.bye(dialog)
        await client.until_state(placed, CallState.ENDED)
        house.homeserver.delay_s = 0.0
    kinds = ("invite", "candidates", "select_answer", "hangup", "answer", "candidates", "hangup")
    await house.told(person, *kinds)


async def test_a_hangup_while_the_homeserver_is_away_arrives_when_it_is_back(house: House, phone: Phone) -> None:
    homeserver, person = house.homeserver, await house.person()
    async with house.client(JsSdk, person) as client:
        placed, dialog = await talk(client, person, phone)
        port = homeserver.port
        await homeserver.stop()
        phone.endpoint.bye(dialog)
        await house.bridge.wait_metric("calls_active", 0)
        await homeserver.start(port)
        began = time.monotonic()
        await client.until_state(placed, CallState.ENDED)
        assert time.monotonic() - began < _SOON_S
    await house.told(person, "answer", "candidates", "hangup")


async def test_nobody_is_rung_for_a_call_that_is_over_when_the_homeserver_is_back(house: House, phone: Phone) -> None:
    person = await house.person()
    async with house.client(JsSdk, person) as client:
        house.homeserver.faults.append(Fault(path="/send/m.call.invite", status=502, times=1_000_000))
        dialog = phone.call(person.number, "+15550100")
        await house.homeserver.wait_until(lambda: _asked(house, "/send/m.call.invite"))
        phone.endpoint.cancel(dialog)
        await phone.wait(CallFailed)
        house.homeserver.faults.clear()
        await house.told(person, "hangup", "m.room.message")
        assert "missed a call" in house.said(person)[-1]["content"]["body"]
        assert client.calls == {} or all(call.state is CallState.ENDED for call in client.calls.values())


async def test_an_invite_on_its_way_is_followed_by_the_hangup(house: House, phone: Phone) -> None:
    person = await house.person()
    house.homeserver.delay_s = 0.5
    dialog = phone.call(person.number, "+15550100")
    await house.homeserver.wait_until(lambda: _asked(house, "/send/m.call.invite"))
    phone.endpoint.cancel(dialog)
    await phone.wait(CallFailed)
    house.homeserver.delay_s = 0.0
    await house.homeserver.wait_event(person.room_id, "m.call.hangup")
    kinds = [event["type"].removeprefix("m.call.") for event in house.said(person)]
    assert kinds[:2] == ["invite", "hangup"]
    assert kinds.count("hangup") == kinds.count("invite") == 1


async def test_a_phone_hears_ringing_and_then_a_failure_while_the_homeserver_is_away(house: House) -> None:
    """It must not wait in silence: some trunks give up after 5 s without a ringing tone."""
    person = await house.person()
    house.homeserver.faults.append(Fault(path="/send/m.call.invite", status=403, times=1_000_000))
    house.homeserver.delay_s = 5.0
    async with house.phone() as phone:
        phone.call(person.number, "+15550100")
        began = time.monotonic()
        await phone.wait(CallProgress)
        assert time.monotonic() - began < 5.0
        house.homeserver.delay_s = 0.0
        assert (await phone.wait(CallFailed)).status == 480
        house.homeserver.faults.clear()


def invite(person: Person, call_id: str, *, age_ms: int = 0) -> Event:
    """An invite as the homeserver pushes it."""
    content = {
        "call_id": call_id,
        "version": "1",
        "party_id": "LAPTOP",
        "lifetime": 60_000,
        "offer": {"type": "offer", "sdp": describe(Style(), setup="actpass", port=9, stream="stream")},
    }
    return {
        "event_id": f"${call_id} {person.user_id}",
        "room_id": person.room_id,
        "sender": person.user_id,
        "type": "m.call.invite",
        "content": content,
        "origin_server_ts": int(time.time() * 1000) - age_ms,
        "unsigned": {"age": age_ms},
    }


async def test_a_call_that_is_repeated_rings_once_also_after_a_restart(house: House, phone: Phone) -> None:
    person = await house.person()
    transaction = {"events": [invite(person, "again")]}
    push = house.homeserver.push_raw
    assert set(await asyncio.gather(*(push("77", transaction) for _ in range(10)))) == {200}
    dialog = (await phone.wait(IncomingCall)).dialog
    assert await push("77", transaction) == 200
    phone.endpoint.reject(dialog, 486)
    await house.homeserver.wait_event(person.room_id, "m.call.reject")
    await house.restart()
    for txn_id in ("77", "1", "another"):
        assert await push(txn_id, transaction) == 200
    # A call that does ring shows that the repetitions have been looked at.
    assert await push("1", {"events": [invite(person, "new")]}) == 200
    await phone.wait(IncomingCall, count=2)
    assert len(phone.of(IncomingCall)) == 2
    kinds = [event["type"] for event in house.said(person)]
    assert kinds.count("m.call.reject") == 1


async def test_calls_of_hours_ago_ring_nobody(house: House, phone: Phone) -> None:
    person = await house.person()
    old = [invite(person, f"old{number}", age_ms=3 * 3600 * 1000) for number in range(3)]
    del old[1]["unsigned"]
    assert await house.homeserver.push_raw("1", {"events": [*old, invite(person, "new")]}) == 200
    await phone.wait(IncomingCall)
    assert len(phone.of(IncomingCall)) == 1


async def test_a_poisoned_event_costs_nobody_a_call(house: House, phone: Phone) -> None:
    person = await house.person()
    poison: list[Any] = [None, {"type": []}, {**invite(person, "bad"), "content": {"call_id": {"a": 1}}}, "\ud800"]
    events = [*poison * 24, invite(person, "good")]
    body = json.dumps({"events": events}).encode()
    assert await house.homeserver.push_raw("1", body) == 200
    await phone.wait(IncomingCall)
    assert len(phone.of(IncomingCall)) == 1


async def test_a_push_that_breaks_off_is_taken_when_it_comes_again(house: House, phone: Phone) -> None:
    person = await house.person()
    body = json.dumps({"events": [invite(person, "cut")]}).encode()
    _, writer = await asyncio.open_connection("127.0.0.1", house.bridge.appservice_port)
    head = (
        "PUT /_matrix/app/v1/transactions/5 HTTP/1.1\r\nHost: bridge\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {house.homeserver.hs_token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body[: len(body) // 2])
    await writer.drain()
    writer.transport.abort()
    assert await house.homeserver.push_raw("5", body) == 200
    await phone.wait(IncomingCall)


async def test_a_homeserver_that_restarts_in_the_middle_of_calls_keeps_them(house: House, phone: Phone) -> None:
    homeserver, person = house.homeserver, await house.person()
    async with house.client(JsSdk, person) as client:
        ringing, _ = await ring(client, person, phone)
        port = homeserver.port
        await homeserver.stop()
        await homeserver.start(port)
        await client.accept(ringing)
        await phone.wait(CallAnswered)
        await homeserver.stop()
        await homeserver.start(port)
        await client.hang_up(ringing)
        await phone.wait(CallEnded)
    await house.told(person, "invite", "candidates", "select_answer")


async def test_a_caller_who_gave_up_while_we_were_away_is_not_dialled_for(house: House, phone: Phone) -> None:
    homeserver, person = house.homeserver, await house.person()
    url = homeserver.appservice_url
    homeserver.disconnect()
    async with house.client(JsSdk, person) as client:
        placed = await client.place_call(person.room_id, GHOST)
        await client.hang_up(placed)
        homeserver.connect(url)
        await homeserver.wait_idle()
        placed, dialog = await talk(client, person, phone)
        await client.hang_up(placed)
        await phone.wait(CallEnded)
    assert [event.dialog for event in phone.of(IncomingCall)] == [dialog]
    assert phone.of(CallCancelled) == []


def _asked(house: House, path: str) -> bool:
    return any(path in asked for _, asked, _ in house.homeserver.requests)
