"""Damage SIP messages at random and see that nothing but a `SipError` comes of it.

`python tests/fuzz/sip_messages.py --count 20000 --seed 1`. The oracle: a message is parsed or refused (`SipError`);
what is parsed reads the same after it was written; its answers are SIP; a stream gives the same message whatever pieces
it comes in; nothing takes long.
"""

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bridge.sip import Message, Request, Response, SipError, StreamFramer, parse_message
from tests.sip.samples import SDP, request, response
from tests.sip.torture_messages import ACCEPTED, LATE, REFUSED

SLOWEST_ALLOWED_S = 1.0

CORPUS = [
    *ACCEPTED.values(),
    *LATE.values(),
    *(case.wire for case in REFUSED.values()),
    request(body=SDP),
    response("SIP/2.0 401 Unauthorized", lines=('WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"',)),
]

MORSELS = (
    *(
        b"\r\n",
        b"\r",
        b"\n",
        b"\0",
        b"\r\n\r\n",
        b"\r\n ",
        b"\t",
        b" ",
        b":",
        b";",
        b",",
        b"<",
        b">",
        b'"',
        b"\\",
        b"=",
        b"@",
    ),
    *(
        b"%",
        b"%00",
        b"?",
        b"[",
        b"]",
        b"[::1]",
        b"SIP/2.0",
        b"SIP/7.0",
        b"sip:",
        b"tel:+15550100",
        b"urn:x",
        b"-1",
        b"99999",
    ),
    *(b"\xff", b"\xc3\xa9", b"\xef\xbf\xbd", b"\xed\xa0\x80", b"4294967296", b"Content-Length: 5\r\n", b"l:0\r\n"),
    *(
        b"Via: SIP/2.0/UDP a\r\n",
        b"To: <sip:x>\r\n",
        b"ACK ",
        b"CSeq: 1 ACK\r\n",
        b"Subject: x\r\n",
        b"Route: <sip:a;lr>\r\n",
    ),
)

VIEWS = [name for name, value in vars(Message).items() if isinstance(value, property) and name != "start_line"]


def damage(wire: bytes, chance: random.Random) -> bytes:
    """One of a handful of ways to spoil a message."""
    at = chance.randrange(len(wire) + 1)
    end = min(len(wire), at + chance.choice((1, 1, 2, 5, 40)))
    ways: tuple[Callable[[], bytes], ...] = (
        lambda: wire[:at] + chance.choice(MORSELS) + wire[at:],
        lambda: wire[:at] + chance.choice(MORSELS) + wire[end:],
        lambda: wire[:at] + wire[end:],
        lambda: wire[:at] + wire[at:end] * chance.choice((2, 3, 200)) + wire[end:],
        lambda: wire[:at] + bytes([chance.randrange(32, 127)]) + wire[at + 1 :],
        lambda: wire[:at] + bytes([chance.randrange(32, 127)]) + wire[at:],
        lambda: wire[:at] + chance.randbytes(chance.randrange(1, 5)) + wire[end:],
        lambda: wire[:at],
        lambda: wire[:at] + chance.choice(CORPUS)[at:],
        lambda: _swap_lines(wire, chance),
    )
    return chance.choice(ways)()[:70_000]


def _swap_lines(wire: bytes, chance: random.Random) -> bytes:
    lines = wire.split(b"\r\n")
    other = chance.choice(CORPUS).split(b"\r\n")
    lines[chance.randrange(len(lines))] = chance.choice(other)
    return b"\r\n".join(lines)


def examine(wire: bytes) -> str:
    """Check the oracle for one message; returns what became of it."""
    try:
        message = parse_message(wire)
    except SipError as error:
        _examine_answer(error)
        return "dropped" if error.status is None else "answered"
    _examine_message(message)
    return "accepted"


def _examine_answer(error: SipError) -> None:
    if error.status is None and error.response is not None:
        raise AssertionError("an answer to what is dropped")
    if error.response is not None and not bytes(error.response).startswith(f"SIP/2.0 {error.status} ".encode()):
        raise AssertionError("an answer with another status")


def _examine_message(message: Request | Response) -> None:
    written = bytes(message)
    again = parse_message(written)
    if again != message or bytes(again) != written:
        raise AssertionError("reads differently after it was written")
    _ = message.via, message.from_, message.to, message.cseq, message.call_id
    for view in VIEWS:
        try:
            getattr(message, view)
        except SipError:
            continue
    if isinstance(message, Request):
        parse_message(bytes(message.response(180, to_tag="t")))


def examine_stream(wire: bytes, chance: random.Random) -> None:
    """A stream gives the same messages, and the same end, in one piece and in several."""
    cuts = sorted(chance.randrange(len(wire) + 1) for _ in range(chance.randrange(1, 6)))
    pieces = [wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    if _frames([wire]) != _frames(pieces):
        raise AssertionError("frames depend on how the stream was cut")


def _frames(pieces: list[bytes]) -> list[object]:
    framer, frames = StreamFramer(), list[object]()
    try:
        for piece in pieces:
            frames.extend(framer.feed(piece))
    except SipError as error:
        frames.append((error.status, error.reason))
    return frames


def run(count: int, seed: int) -> Counter[str]:
    """Examine `count` damaged messages; raises at the first that breaks the oracle."""
    chance, outcomes = random.Random(seed), Counter[str]()
    for number in range(count):
        wire = chance.choice(CORPUS)
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            wire = damage(wire, chance)
        start = time.process_time()
        try:
            outcomes[examine(wire)] += 1
            examine_stream(wire, chance)
        except Exception as error:
            raise AssertionError(f"message {number} of seed {seed}: {wire!r}") from error
        if time.process_time() - start > SLOWEST_ALLOWED_S:
            raise AssertionError(f"message {number} of seed {seed} took too long: {wire[:500]!r}")
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    outcomes = run(options.count, options.seed)
    told = ", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items()))
    print(f"sip_messages: {options.count} messages with seed {options.seed}: {told}")


if __name__ == "__main__":
    main()
