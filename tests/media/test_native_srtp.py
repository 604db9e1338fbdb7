"""The native SRTP against libsrtp: what one encrypts the other reads, packet for packet (RFC 3711, RFC 7714)."""

import os
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pylibsrtp
import pytest

from bridge.media.rtp import RtpPacket

if TYPE_CHECKING:
    import trunkline_native as native
else:
    native = pytest.importorskip("trunkline_native", reason="the native packet path was not built: no Rust here")

Policy = pylibsrtp.Policy
PROFILES = {
    "AES_CM_128_HMAC_SHA1_80": (30, Policy.SRTP_PROFILE_AES128_CM_SHA1_80),
    "AES_CM_128_HMAC_SHA1_32": (30, Policy.SRTP_PROFILE_AES128_CM_SHA1_32),
    "AEAD_AES_128_GCM": (28, Policy.SRTP_PROFILE_AEAD_AES_128_GCM),
    "AEAD_AES_256_GCM": (44, Policy.SRTP_PROFILE_AEAD_AES_256_GCM),
}
COUNT = 3000


def sessions(profile: str) -> tuple["native.Srtp", "native.Srtp", Any, Any]:
    """Ours that sends and receives, libsrtp's that sends and receives, all under one key."""
    size, number = PROFILES[profile]
    key = os.urandom(size)
    theirs: list[Any] = []
    for direction in (Policy.SSRC_ANY_OUTBOUND, Policy.SSRC_ANY_INBOUND):
        policy = Policy(key=key, ssrc_type=direction, srtp_profile=number)
        policy.window_size = 1024
        theirs.append(pylibsrtp.Session(policy=policy))
    return native.Srtp(profile, key), native.Srtp(profile, key), theirs[0], theirs[1]


def packets(seed: int) -> list[bytes]:
    """A stream that wraps, of all lengths, with extension headers here and there."""
    chance = random.Random(seed)
    made = []
    for number in range(COUNT):
        packet = bytes(
            RtpPacket(
                payload_type=chance.choice((0, 8, 111)),
                sequence=(64000 + number) & 0xFFFF,
                timestamp=160 * number,
                ssrc=0xCAFE0001,
                payload=chance.randbytes(chance.randrange(400)),
                marker=number == 0,
            )
        )
        if number % 7 == 0:
            packet = bytes((packet[0] | 0x10,)) + packet[1:12] + b"\xbe\xde\0\1\x10\xaa\0\0" + packet[12:]
        made.append(packet)
    return made


def tried(step: Callable[[bytes], bytes], packet: bytes) -> bytes | None:
    """libsrtp's answer; `None` where it raises."""
    try:
        return step(packet)
    except pylibsrtp.Error:
        return None


@pytest.mark.parametrize("profile", PROFILES)
def test_both_make_the_same_of_every_packet(profile: str) -> None:
    our_sender, our_receiver, their_sender, their_receiver = sessions(profile)
    for packet in packets(1):
        ours = our_sender.protect(packet, rtcp=False)
        assert ours is not None
        assert ours == their_sender.protect(packet)
        assert their_receiver.unprotect(ours) == packet
        assert our_receiver.unprotect(ours, rtcp=False) == packet


@pytest.mark.parametrize("profile", PROFILES)
def test_both_take_and_refuse_the_same_on_a_bad_network(profile: str) -> None:
    our_sender, our_receiver, _, their_receiver = sessions(profile)
    chance = random.Random(2)
    wire = [sent for packet in packets(3) if (sent := our_sender.protect(packet, rtcp=False)) is not None]
    on_its_way: list[bytes] = []
    for sent in wire:
        on_its_way.append(sent)
        if chance.random() < 0.1:
            on_its_way.append(sent)
        chance.shuffle(on_its_way)
        while len(on_its_way) > 20:
            arrived = on_its_way.pop()
            if chance.random() < 0.1:
                position = chance.randrange(len(arrived))
                arrived = arrived[:position] + bytes((arrived[position] ^ 1,)) + arrived[position + 1 :]
            assert our_receiver.unprotect(arrived, rtcp=False) == tried(their_receiver.unprotect, arrived)


@pytest.mark.parametrize("profile", PROFILES)
def test_both_make_the_same_of_reports(profile: str) -> None:
    our_sender, our_receiver, their_sender, their_receiver = sessions(profile)
    for number in range(50):
        report = b"\x80\xc8\0\x06" + bytes(4) + os.urandom(20) + bytes(4 * number)
        ours, theirs = our_sender.protect(report, rtcp=True), their_sender.protect_rtcp(report)
        assert ours == theirs
        assert their_receiver.unprotect_rtcp(ours) == report
        assert our_receiver.unprotect(theirs, rtcp=True) == report
        assert our_receiver.unprotect(theirs, rtcp=True) is None


def test_nothing_that_a_stranger_sends_is_taken() -> None:
    _, receiver, _, _ = sessions("AES_CM_128_HMAC_SHA1_80")
    chance = random.Random(4)
    for _ in range(20000):
        junk = chance.randbytes(chance.randrange(1400))
        assert receiver.unprotect(junk, rtcp=chance.random() < 0.5) is None
