"""Talk nonsense to a user agent that has calls, registrations and transactions under way, by datagram and by stream.

`python -m tests.fuzz.sip_user_agent --count 20000 --seed 1`. The oracle: nothing is raised and no fault of our own is
reported, all that it sends is SIP, an OPTIONS is answered after every hundred messages, nothing takes long, nothing is
left when all is over, and memory does not grow.
"""

import argparse
import gc
import random
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from functools import _lru_cache_wrapper

from bridge.core.ids import DialogKey
from bridge.core.values import Kept
from bridge.sip import SipError, StreamFramer
from bridge.sip.actions import Action, Send
from bridge.sip.events import CallReoffered, IncomingCall, SipEvent
from bridge.sip.headers import CANONICAL
from bridge.sip.inputs import Stop
from bridge.sip.message import Request, Response
from bridge.sip.settings import Transport, TrunkAuth
from bridge.sip.usage_commands import (
    AcceptAsked,
    CancelAsked,
    HangUpAsked,
    RejectAsked,
    ReofferAsked,
    RingAsked,
    UsageCommand,
)
from tests.fuzz._damage import CORPUS, FIELDS, damage
from tests.sip.scripted_peer import CHALLENGE, SDP, Scripted, peer_request, trunk

ROUND = 500
"""Messages to one user agent, which then has to become empty."""
PROBE_EVERY = 100
SLOWEST_ALLOWED_S = 0.05
QUIET_S = 4_000.0
"""After a stop nothing waits for longer."""
WARM_UP_ROUNDS = 5
GROWTH_ALLOWED = 0.05
GROWTH_ALLOWED_BYTES = 64 << 10

COMMANDS: tuple[UsageCommand, ...] = (
    RingAsked(status=180, sdp=None),
    RingAsked(status=183, sdp=SDP),
    AcceptAsked(sdp=SDP),
    AcceptAsked(sdp=SDP),
    AcceptAsked(sdp=None),
    RejectAsked(status=486, q850=17),
    CancelAsked(q850=16),
    HangUpAsked(q850=16),
    ReofferAsked(sdp=SDP),
)
METHODS = (
    *(
        "INVITE",
        "INVITE",
        "INVITE",
        "ACK",
        "BYE",
        "CANCEL",
        "OPTIONS",
        "UPDATE",
        "INFO",
        "PRACK",
        "REFER",
        "NOTIFY",
        "REGISTER",
    ),
    *("SUBSCRIBE", "MESSAGE", "STRANGE"),
)
STATUSES = (
    100,
    180,
    183,
    183,
    200,
    200,
    202,
    300,
    302,
    401,
    407,
    415,
    420,
    422,
    423,
    481,
    486,
    487,
    491,
    500,
    503,
    603,
)
BODIES = (
    ("", ""),
    ("application/sdp", SDP),
    ("application/sdp", SDP.replace("4000", "0")),
    ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n"),
    ("application/dtmf", "5"),
    ("message/sipfrag;version=2.0", "SIP/2.0 200 OK\r\n"),
    ("multipart/mixed;boundary=x", f"--x\r\nContent-Type: application/sdp\r\n\r\n{SDP}\r\n--x--\r\n"),
    ("application/unknown", "x" * 100),
)


_NAMES = dict(CANONICAL)
"""Header names that were known before anybody made some up."""


class Talker(Scripted):
    """Also reads what we answer to a request that lacks half of its header: the answer repeats only what there was."""

    def _take(self, action: Action) -> None:
        if isinstance(action, Send) and action.transaction is None and _is_bare_refusal(action.payload):
            return
        super()._take(action)


def _is_bare_refusal(payload: bytes) -> bool:
    """A stateless answer of one of the statuses that the parser refuses with."""
    line, _, rest = payload.partition(b"\r\n")
    return line[8:11] in (b"400", b"416", b"505", b"513") and rest.endswith(b"\r\n\r\n") and b"\0" not in payload


class Victim:
    """One user agent and a peer that speaks nonsense."""

    def __init__(self, chance: random.Random) -> None:
        transport = chance.choice((Transport.UDP, Transport.TCP))
        settings = trunk(chance.choice(list(TrunkAuth)), transport=transport, options_interval_s=30.0)
        self.chance = chance
        self.peer = Talker(settings, transport=transport)
        self.peer.start()
        self.framer = StreamFramer() if transport is Transport.TCP else None
        self.requests: list[Request] = []
        self.responses: list[Response] = []
        self.numbers = iter(range(1, 1 << 30))
        self.outcomes: Counter[str] = Counter()

    def step(self) -> None:
        """One message, perhaps a command, and perhaps some time."""
        self._hear()
        wire = bytes(self._message())
        if self.chance.random() < 0.5:
            wire = damage(wire, self.chance, times=self.chance.choice((1, 1, 1, 2, 3)))
        for payload in self._cut(wire):
            self._feed(payload)
        self._react()
        if self.chance.random() < 0.2:
            self.peer.advance(self.chance.choice((0.1, 0.6, 2.0, 5.0, 33.0)))

    def probe(self) -> None:
        """Is anybody in?"""
        branch = f"probe{next(self.numbers)}"
        self.peer.sent.clear()
        self.peer.receive(peer_request("OPTIONS", branch=branch, call_id=branch))
        if "200 OPTIONS" not in self.peer.titles():
            raise AssertionError(f"OPTIONS was not answered: {self.peer.titles()}")

    def end(self) -> None:
        """Stop; nothing may be left."""
        self.peer.feed(Stop())
        self.peer.advance(QUIET_S)
        agent = self.peer.agent
        left = (agent.open_dialogs, agent.open_transactions, agent.next_deadline(), len(agent._context.dialogs))
        if left != (0, 0, None, 0) or agent._context.peers._met:
            raise AssertionError(f"left behind: {left}, {agent._context.peers._met}")

    # What the peer says.

    def _message(self) -> Request | Response | bytes:
        choice = self.chance.random()
        if choice < 0.1:
            return self.chance.choice(CORPUS)
        if choice < 0.5 and self.requests:
            return self._response(self.chance.choice(self.requests[-6:]))
        return self._request()

    def _response(self, request: Request) -> Response:
        headers = self._fields()
        status = self.chance.choice(STATUSES)
        if status in (401, 407):
            name = "Proxy-Authenticate" if status == 407 else "WWW-Authenticate"
            headers.append((name, CHALLENGE.format(realm="lab", nonce=f"n{self.chance.randrange(4)}", more="")))
        if status < 300 and self.chance.random() < 0.8:
            headers.append(("Contact", "<sip:peer@192.0.2.2:5060>"))
        kind, body = self.chance.choice(BODIES) if self.chance.random() < 0.5 else BODIES[1]
        if kind:
            headers.append(("Content-Type", kind))
        tag = self.chance.choice(("peer", "fork", None))
        return request.response(status, to_tag=tag, headers=headers, body=body.encode())

    def _request(self) -> Request:
        """Outside dialogs, or inside of one of ours, whichever side began it."""
        number = next(self.numbers)
        method, cseq = self.chance.choice(METHODS), self.chance.choice((1, 1, 2, number, number))
        call_id, from_, to = f"call{number}", "<sip:+15550123@example.org>;tag=peer", "<sip:+15550199@example.org>"
        choice = self.chance.random()
        if choice < 0.3 and self.requests:
            ours = self.chance.choice(self.requests[-6:])
            call_id, from_, to = ours.call_id, f"{ours.to}" if ours.to.tag else f"{ours.to};tag=peer", f"{ours.from_}"
        elif choice < 0.7 and self.responses:
            answer = self.chance.choice(self.responses[-2:])
            call_id, from_, to = answer.call_id, f"{answer.from_}", f"{answer.to}"
            if answer.status >= 200 and self.chance.random() < 0.4:
                method, cseq = "ACK", answer.cseq.number
        branch = self.chance.choice((f"b{number}", f"b{number}", f"b{number - 1}"))
        fields = self._fields()
        kind, body = self.chance.choice(BODIES) if self.chance.random() < 0.5 else BODIES[1]
        if kind:
            fields.append(("Content-Type", kind))
        names = {"call_id": call_id, "from_": from_, "to": to}
        return peer_request(method, cseq=cseq, branch=branch, sdp=body or None, fields=tuple(fields), **names)

    def _fields(self) -> list[tuple[str, str]]:
        """Headers of the extensions that we know."""
        lines = self.chance.sample(FIELDS, self.chance.choice((0, 0, 0, 1, 2)))
        return [(name, value) for name, _, value in (line.decode().partition(": ") for line in lines)]

    # How it arrives.

    def _cut(self, wire: bytes) -> Iterator[bytes]:
        """A datagram as it is; a stream in pieces, and a new connection after a fault."""
        if self.framer is None:
            yield wire
            return
        middle = self.chance.randrange(len(wire) + 1)
        try:
            for piece in (wire[:middle], wire[middle:]):
                yield from (frame for frame in self.framer.feed(piece) if isinstance(frame, bytes))
        except SipError:
            self.framer = StreamFramer()
        if self.framer.pending:
            self.framer = StreamFramer()  # It waits for more, and is cut off.

    def _feed(self, payload: bytes) -> None:
        start = time.process_time()
        self.peer.receive(payload)
        if time.process_time() - start > SLOWEST_ALLOWED_S:
            raise AssertionError(f"took too long: {payload[:500]!r}")

    # What our side does.

    def _hear(self) -> None:
        for message, _ in self.peer.sent:
            if isinstance(message, Request):
                self.requests.append(message)
            else:
                if message.to.tag and message.cseq.method == "INVITE" and message.status < 300:
                    self.responses.append(message)
                self.outcomes[f"{message.status // 100}xx"] += 1
        del self.requests[:-20], self.responses[:-20]
        self.peer.sent.clear()
        self.peer.counts.clear()
        self.peer.doubts.clear()
        self.peer.sought.clear()

    def _react(self) -> None:
        for event in self.peer.events:
            self._react_to(event)
        self.peer.events.clear()
        usages = list(self.peer.agent._context.usages)
        if usages and self.chance.random() < 0.2:
            self.peer.steer(self.chance.choice(usages), self.chance.choice(COMMANDS))
        if len(usages) < 3 and self.chance.random() < 0.2:
            self.peer.call(f"own{next(self.numbers)}", sdp=self.chance.choice((SDP, SDP, None)))

    def _react_to(self, event: SipEvent) -> None:
        self.outcomes[type(event).__name__] += 1
        if isinstance(event, IncomingCall | CallReoffered):
            for command in self.chance.sample(COMMANDS[:6], 2):
                self.peer.steer(DialogKey(event.dialog), command)


def run(count: int, seed: int) -> tuple[Counter[str], list[int]]:
    """Send `count` messages; what happened, and the bytes in use after each round."""
    outcomes, sizes = Counter[str](), list[int]()
    tracemalloc.start()
    gc.disable()  # Between rounds it runs, and no message is blamed for it.
    try:
        for number in range(max(1, count // ROUND)):
            outcomes += _run_round(seed + number, min(count, ROUND))
            _empty_caches()
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        gc.enable()
        tracemalloc.stop()
    _check_memory(sizes)
    return outcomes, sizes


def _run_round(seed: int, messages: int) -> Counter[str]:
    victim = Victim(random.Random(seed))
    try:
        for number in range(messages):
            victim.step()
            if number % PROBE_EVERY == PROBE_EVERY - 1:
                victim.probe()
        victim.end()
    except Exception as error:
        raise AssertionError(f"in the round of seed {seed}") from error
    return victim.outcomes


def _empty_caches() -> None:
    """What they hold is bounded, and takes many rounds to fill; what is looked for is what nobody bounds."""
    gc.collect()
    CANONICAL.clear()
    CANONICAL.update(_NAMES)
    for cache in gc.get_objects():
        if isinstance(cache, Kept):
            cache.clear()
        elif isinstance(cache, _lru_cache_wrapper) and (cache.__module__ or "").startswith("bridge.sip"):
            cache.cache_clear()


def _check_memory(sizes: list[int]) -> None:
    """Flat: what the first rounds needed is enough for all."""
    if len(sizes) <= 2 * WARM_UP_ROUNDS:
        return
    before, after = max(sizes[: 2 * WARM_UP_ROUNDS]), max(sizes[2 * WARM_UP_ROUNDS :])
    if after > before * (1 + GROWTH_ALLOWED) + GROWTH_ALLOWED_BYTES:
        raise AssertionError(f"memory grew from {before} to {after} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    outcomes, sizes = run(options.count, options.seed)
    told = ", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items()))
    print(f"sip_user_agent: {options.count} messages with seed {options.seed}: {told}")
    print(
        f"memory in use after the first, middle and last round: {sizes[0]}, {sizes[len(sizes) // 2]}, {sizes[-1]} bytes"
    )


if __name__ == "__main__":
    main()
