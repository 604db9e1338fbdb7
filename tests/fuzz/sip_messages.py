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
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bridge.sip import Message, Request, Response, SipError, StreamFramer, parse_message
from tests.fuzz._damage import CORPUS, damage

SLOWEST_ALLOWED_S = 0.05

VIEWS = [name for name, value in vars(Message).items() if isinstance(value, property) and name != "start_line"]


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


def _examined_in(wire: bytes) -> float:
    start = time.process_time()
    examine(wire)
    return time.process_time() - start


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
        wire = damage(chance.choice(CORPUS), chance, times=chance.choice((1, 1, 1, 2, 3)))
        start = time.process_time()
        try:
            outcomes[examine(wire)] += 1
            examine_stream(wire, chance)
        except Exception as error:
            raise AssertionError(f"message {number} of seed {seed}: {wire!r}") from error
        if time.process_time() - start > SLOWEST_ALLOWED_S < _examined_in(wire):  # Not a garbage collection.
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
