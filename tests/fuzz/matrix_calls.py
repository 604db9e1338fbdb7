"""Send malformed `m.call.*` events through a whole bridge and see that nothing comes of it but silence and rejects.

`python -m tests.fuzz.matrix_calls --count 20000 --seed 1`. The oracle: every transaction is answered 200, no exception
anywhere, and when the users have left their rooms no call is left.
"""

import argparse
import asyncio
import logging
import random
import sys
import tempfile
import time
from collections import Counter, deque
from pathlib import Path

import structlog

from bridge.core.ids import DialogKey
from bridge.sip.events import CallReoffered, IncomingCall, SipEvent
from tests.clients.house import GHOST, PHONE, House, Person, open_house
from tests.fuzz._call_contents import damaged, made_up
from tests.sip.phone import Phone, sdp

EVENTS_IN_A_TRANSACTION = 100
EVENTS_IN_A_ROUND = 1_000
_PEOPLE = 8
_CALLS_REMEMBERED = 8
_CALLS_BY_THE_PHONE = 0.3
"""The share of transactions before which the phone calls somebody, so that there is a call of ours to spoil."""
_ROUND_LIMIT_S = 60.0


class Attack:
    """Some people with rooms of their own, and a phone that answers, rings or refuses as chance has it."""

    def __init__(self, house: House, chance: random.Random) -> None:
        self.house = house
        self.chance = chance
        self.people: list[Person] = []
        self.begun = deque(["c0"], maxlen=_CALLS_REMEMBERED)
        self.sent = 0

    async def run(self, count: int) -> Counter[str]:
        """Send `count` events in rounds; gives how often the ghosts said what.

        Raises `AssertionError` when the oracle does not hold.
        """
        said: Counter[str] = Counter()
        async with self.house.phone(on_event=self._react) as phone:
            while self.sent < count:
                self.people = [await self.house.person() for _ in range(_PEOPLE)]
                await self._round(phone, min(EVENTS_IN_A_ROUND, count - self.sent))
                said.update(event["type"] for person in self.people for event in self.house.said(person))
        return said

    async def _round(self, phone: Phone, count: int) -> None:
        """Some events, then everybody leaves; the ghosts follow them once everything before has been worked on."""
        homeserver, end = self.house.homeserver, self.sent + count
        placed: list[DialogKey] = []
        while self.sent < end:
            if self.chance.random() < _CALLS_BY_THE_PHONE:
                placed.append(phone.call(self.chance.choice(self.people).number, PHONE))
            await self._transaction(min(EVENTS_IN_A_TRANSACTION, end - self.sent))
        for dialog in placed:
            phone.endpoint.cancel(dialog)
        for person in self.people:
            await homeserver.leave_as(person.user_id, person.room_id)
        for person in self.people:
            await homeserver.wait_member(person.room_id, GHOST, "leave", timeout_s=_ROUND_LIMIT_S)
        for call in phone.of(IncomingCall):
            # Phones that a user has left to each other go on without the user.
            phone.endpoint.bye(call.dialog)
        await self.house.bridge.wait_metric("calls_active", 0, limit_s=_ROUND_LIMIT_S)
        if await self.house.bridge.metric("internal_errors_total"):
            raise AssertionError("an exception; the log says which")

    def _react(self, phone: Phone, event: SipEvent) -> None:
        match event:
            case IncomingCall(dialog=dialog):
                match self.chance.randrange(3):
                    case 0:
                        phone.endpoint.accept(dialog, sdp())
                    case 1:
                        phone.endpoint.reject(dialog, 486)
                    case _:
                        phone.endpoint.ring(dialog)
            case CallReoffered(dialog=dialog):
                phone.endpoint.accept(dialog, sdp())
            case _:
                pass

    async def _transaction(self, size: int) -> None:
        events = [self._event() for _ in range(size)]
        status = await self.house.homeserver.push_raw(f"fuzz{self.sent}", {"events": events})
        if status != 200:
            raise AssertionError(f"a transaction was answered {status}")

    def _event(self) -> dict[str, object]:
        self.sent += 1
        chance, person = self.chance, self.chance.choice(self.people)
        kind, content = damaged(chance) if chance.random() < 0.7 else made_up(chance)
        if chance.random() < 0.8:
            content["call_id"] = self._call_id(person, kind)
        if chance.random() < 0.8:
            content["party_id"] = chance.choice("AB")
        return {
            "event_id": f"$fuzz{self.sent}",
            "room_id": person.room_id if chance.random() < 0.9 else self.people[0].room_id,
            "sender": person.user_id if chance.random() < 0.9 else chance.choice((GHOST, "@mallory:example.org")),
            "type": kind,
            "content": content,
            "origin_server_ts": int(time.time() * 1000),
            "unsigned": {"age": chance.choice((0, 0, 0, 1_500, 3_000, 10**12))},
            **({"state_key": ""} if chance.random() < 0.02 else {}),
        }

    def _call_id(self, person: Person, kind: str) -> str:
        """A new one for an invite; other events are of one of the last calls, now and then of one of the phone's."""
        if kind == "m.call.invite":
            self.begun.append(f"c{self.sent}")
            return self.begun[-1]
        ours = self.house.homeserver.events(person.room_id, "m.call.invite")
        if ours and self.chance.random() < 0.4:
            return str(ours[-1]["content"]["call_id"])
        return self.chance.choice(self.begun)


async def attack(count: int, seed: int) -> Counter[str]:
    """One bridge for all of it; gives how often the ghosts said what."""
    with tempfile.TemporaryDirectory() as directory:
        async with open_house(Path(directory)) as house:
            return await Attack(house, random.Random(seed)).run(count)


def main() -> int:
    """Run the attack that the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    started = time.monotonic()
    said = asyncio.run(attack(arguments.count, arguments.seed))
    took_s = time.monotonic() - started
    sys.stdout.write(f"{arguments.count} events, seed {arguments.seed}: {took_s:.0f} s, answered with {dict(said)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
