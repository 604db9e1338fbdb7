"""Damage session descriptions at random and see that each is either refused or understood, and answered soundly.

`python -m tests.fuzz.descriptions --count 20000 --seed 1`. The oracle: what cannot be used is an `SdpError` or
a `MediaError`; what is understood has sane numbers, names nobody who must not be sent to, and is answered with a
description that we read ourselves, section for section; nothing takes long.
"""

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from bridge.core.entropy import SeededEntropy
from bridge.media import negotiation, sdp_matrix, sdp_sip
from bridge.media.candidates import MAX_CANDIDATES, is_reachable
from bridge.media.engine import MediaError
from bridge.media.policy import SipMediaPolicy, SrtpUse
from bridge.media.sdp import MAX_SECTIONS, SdpError, SessionDescription, parse_sdp
from bridge.media.sdp_matrix import LocalStream, LocalTransport, RemoteMatrix, Setup
from bridge.media.sdp_sip import RemoteSip
from bridge.media.sip_side import SipSide
from tests.fuzz._damage import damage
from tests.media.descriptions import WEBRTC_OFFER

SLOWEST_ALLOWED_S = 0.05
LONGEST_ANSWER = 20_000
RECORDED = Path(__file__).resolve().parents[1] / "clients" / "recorded"
PHONE = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 40000 RTP/SAVP 0 8 9 101 13\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=rtcp:40001 IN IP4 192.0.2.7\r\n"
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40 + "|2^20|1:4\r\na=sendrecv\r\n"
    "m=video 0 RTP/AVP 31\r\nm=audio 40002 RTP/AVP 0\r\n"
)
STREAM = LocalStream(session=1, version=1, stream="s", track="t", ssrc=1, cname="c")
TRANSPORT = LocalTransport(
    ufrag="ufrag",
    password="p" * 22,
    fingerprint=":".join(["AB"] * 32),
    candidates=("candidate:1 1 udp 2130706431 192.0.2.1 20000 typ host",),
    host="192.0.2.1",
    port=20000,
)
POLICIES = [SipMediaPolicy(srtp=use) for use in SrtpUse]


def recorded() -> Iterator[str]:
    """Every description that a real client wrote in a recorded call."""
    for file in sorted(RECORDED.glob("*.json")):
        yield from _descriptions(json.loads(file.read_text()))


def _descriptions(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for name, value in part.items():
            if name == "sdp" and isinstance(value, str):
                yield value
            else:
                yield from _descriptions(value)
    elif isinstance(part, list):
        for entry in part:
            yield from _descriptions(entry)


def examine(text: str, chance: random.Random) -> str:
    """Check the oracle for one description, read as a client's or a phone's; returns what became of it."""
    try:
        if chance.random() < 0.5:
            _examine_client(sdp_matrix.read_remote(text, answer=chance.random() < 0.5, allow_loopback=False))
        else:
            policy = chance.choice(POLICIES)
            _examine_phone(sdp_sip.read_remote(text, allow_loopback=False, ip_version=4, policy=policy), policy)
    except (SdpError, MediaError):
        return "refused"
    return "understood"


def _examine_client(remote: RemoteMatrix) -> None:
    assert len(remote.candidates) <= MAX_CANDIDATES
    for candidate in remote.candidates:
        assert is_reachable(ip_address(candidate.host), allow_loopback=False)
        assert 1024 <= candidate.port <= 65535
    assert remote.audio
    assert remote.fingerprints
    formats = negotiation.matrix_answer_formats(remote, None, None, None)
    answer = sdp_matrix.write_answer(remote, TRANSPORT, STREAM, formats, Setup.PASSIVE)
    _examine_answer(answer, remote.description, remote.section_index)


def _examine_phone(remote: RemoteSip, policy: SipMediaPolicy) -> None:
    assert remote.host is None or is_reachable(ip_address(remote.host), allow_loopback=False)
    assert 1024 <= remote.port <= 65535
    assert 1024 <= remote.rtcp_port <= 65535
    side = SipSide(policy, SeededEntropy(1), host="192.0.2.1", session=1)
    side.port = 20000
    side.take_offer(remote)
    _examine_answer(side.answer(None), remote.description, remote.section_index)


def _examine_answer(text: str, offer: SessionDescription, index: int) -> None:
    assert len(text) <= LONGEST_ANSWER
    assert all(line and line.isprintable() for line in text.removesuffix("\r\n").split("\r\n"))
    answer = parse_sdp(text)
    assert len(answer.media) == len(offer.media) <= MAX_SECTIONS
    taken = [number for number, section in enumerate(answer.media) if section.port]
    assert taken == [index]


def run(count: int, seed: int) -> Counter[str]:
    """Examine `count` damaged descriptions; raises at the first that breaks the oracle."""
    chance, outcomes = random.Random(seed), Counter[str]()
    corpus = [text.encode() for text in (*recorded(), PHONE, WEBRTC_OFFER)]
    for number in range(count):
        wire = damage(chance.choice(corpus), chance, times=chance.choice((1, 1, 2, 3, 8)))
        text, start = wire.decode(errors="replace"), time.process_time()
        try:
            outcomes[examine(text, chance)] += 1
        except Exception as error:
            raise AssertionError(f"description {number} of seed {seed}: {text!r}") from error
        if time.process_time() - start > SLOWEST_ALLOWED_S:
            again = time.process_time()
            examine(text, chance)
            assert time.process_time() - again <= SLOWEST_ALLOWED_S, f"description {number} of seed {seed} took long"
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    outcomes = run(options.count, options.seed)
    told = ", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items()))
    print(f"descriptions: {options.count} with seed {options.seed}: {told}")


if __name__ == "__main__":
    main()
