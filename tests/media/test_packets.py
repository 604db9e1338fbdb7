"""RTP and RTCP packets, and what is done with their numbers."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.entropy import SeededEntropy
from bridge.media.latch import LEARNING_S, SourceLatch
from bridge.media.outbound import OutboundStream
from bridge.media.rewriter import Rewriter
from bridge.media.rtcp import Reception, parse_rtcp, write_bye, write_report
from bridge.media.rtp import RtpError, RtpPacket, is_rtcp, sequence_delta, timestamp_delta


def packet(sequence: int, timestamp: int, *, ssrc: int = 1, payload: bytes = b"x" * 160) -> RtpPacket:
    return RtpPacket(
        payload_type=0, sequence=sequence & 0xFFFF, timestamp=timestamp & 0xFFFFFFFF, ssrc=ssrc, payload=payload
    )


@given(
    st.integers(0, 127),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.binary(max_size=400),
    st.booleans(),
)
def test_packets_survive_the_wire(kind: int, seq: int, ts: int, ssrc: int, payload: bytes, marker: bool) -> None:
    sent = RtpPacket(payload_type=kind, sequence=seq, timestamp=ts, ssrc=ssrc, payload=payload, marker=marker)
    assert RtpPacket.parse(bytes(sent)) == sent


def test_sources_extension_and_padding_are_stripped() -> None:
    head = struct.pack("!BBHII", 0xB2, 0x80, 5, 6, 7)
    extension = struct.pack("!HH", 0xBEDE, 1) + b"abcd"
    read = RtpPacket.parse(head + b"sour" + b"ces!" + extension + b"audio" + b"\0\0\x03")
    assert (read.payload, read.marker) == (b"audio", True)


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\x80\x00",
        struct.pack("!BBHII", 0x40, 0, 1, 2, 3) + b"old version",
        struct.pack("!BBHII", 0x8F, 0, 1, 2, 3) + b"fifteen sources?",
        struct.pack("!BBHII", 0x90, 0, 1, 2, 3) + b"\xbe\xde\xff\xff",
        struct.pack("!BBHII", 0x90, 0, 1, 2, 3) + b"\xbe",
        struct.pack("!BBHII", 0xA0, 0, 1, 2, 3) + b"\xff",
        struct.pack("!BBHII", 0xA0, 0, 1, 2, 3) + b"\x00",
        struct.pack("!BBHII", 0xBF, 0, 1, 2, 3) + bytes(58) + b"\xbe\xde\x00\x00\x06",
    ],
)
def test_packets_whose_lengths_lie_are_refused(datagram: bytes) -> None:
    with pytest.raises(RtpError):
        RtpPacket.parse(datagram)


@given(st.binary(max_size=300))
def test_nothing_else_than_a_packet_or_a_refusal_comes_of_any_bytes(datagram: bytes) -> None:
    for read in (RtpPacket.parse, parse_rtcp):
        try:
            read(datagram)
        except RtpError:
            continue


def test_counters_wrap() -> None:
    assert sequence_delta(2, 0xFFFF) == 3
    assert sequence_delta(0xFFFF, 2) == -3
    assert timestamp_delta(80, 0xFFFFFFFF - 79) == 160
    assert is_rtcp(bytes((0x80, 200)))
    assert not is_rtcp(bytes((0x80, 0x80 | 111)))


def relay(rewriter: Rewriter, source: RtpPacket, now: float) -> RtpPacket:
    return rewriter.rewrite(source, source.payload, payload_type=0, now=now)


def test_passthrough_keeps_gaps_and_order() -> None:
    rewriter = Rewriter(OutboundStream(SeededEntropy(1)), clock_rate=8000)
    order = [65534, 65535, 1, 0, 4]
    out = [relay(rewriter, packet(n if n > 60000 else n + 65536, 160 * n), 0.02 * i) for i, n in enumerate(order)]
    assert [sequence_delta(p.sequence, out[0].sequence) for p in out] == [0, 1, 3, 2, 6]
    assert len({p.ssrc for p in out}) == 1


def test_a_new_source_continues_without_a_jump() -> None:
    rewriter = Rewriter(OutboundStream(SeededEntropy(2)), clock_rate=8000)
    first = [relay(rewriter, packet(n, 160 * n, ssrc=1), 0.02 * n) for n in range(3)]
    second = [relay(rewriter, packet(900 + n, 77777 + 160 * n, ssrc=2), 0.14 + 0.02 * n) for n in range(2)]
    assert second[0].sequence == (first[-1].sequence + 1) & 0xFFFF
    assert timestamp_delta(second[0].timestamp, first[-1].timestamp) == 800
    assert second[0].marker
    assert not second[1].marker
    assert second[0].ssrc == first[0].ssrc


def test_what_is_left_out_leaves_no_gap() -> None:
    rewriter = Rewriter(OutboundStream(SeededEntropy(3)), clock_rate=8000)
    before = relay(rewriter, packet(10, 0), 0.0)
    rewriter.skip(packet(11, 160), 0.02)
    after = relay(rewriter, packet(12, 320), 0.04)
    assert sequence_delta(after.sequence, before.sequence) == 1
    assert timestamp_delta(after.timestamp, before.timestamp) == 320


@given(st.lists(st.integers(0, 400), min_size=2, max_size=60), st.integers(0, 0xFFFFFFFF))
def test_numbers_of_one_source_stay_in_step(offsets: list[int], start: int) -> None:
    rewriter = Rewriter(OutboundStream(SeededEntropy(4)), clock_rate=8000)
    out = [(n, relay(rewriter, packet(n, start + 160 * n), 0.02 * i)) for i, n in enumerate(offsets)]
    base, reference = out[0]
    for n, p in out:
        assert sequence_delta(p.sequence, reference.sequence) == n - base
        assert timestamp_delta(p.timestamp, reference.timestamp) == 160 * (n - base)


def test_losses_and_jitter_are_counted() -> None:
    reception = Reception()
    for n in [0, 1, 2, 4, 5, 8]:
        reception.receive(packet(65530 + n, 160 * n), 0.02 * n, 8000)
    assert (reception.packets, reception.lost) == (6, 3)
    assert reception.jitter_s == pytest.approx(0, abs=0.001)
    reception.receive(packet(5, 0, ssrc=9), 1.0, 8000)
    assert reception.lost == 3
    for n in range(1, 50):
        reception.receive(packet(5 + n, 160 * n, ssrc=9), 1 + 0.02 * n + (0.01 if n % 2 else 0), 8000)
    assert reception.jitter_s == pytest.approx(0.01, abs=0.001)


def test_reports_say_what_was_sent_and_heard() -> None:
    outbound, reception = OutboundStream(SeededEntropy(5)), Reception()
    outbound.append(b"x" * 160, payload_type=0, timestamp=1000, marker=False, now=1.0)
    for n in [0, 1, 3]:
        reception.receive(packet(n, 160 * n, ssrc=77), 1.0, 8000)
    report = write_report(outbound, reception, cname="name", clock_rate=8000, now=1.5, wall=1_700_000_000.25)
    assert report[1] == 200
    assert len(report) % 4 == 0
    ssrc, ntp_s, ntp_fraction, rtp_time, packets, octets = struct.unpack_from("!IIIIII", report, 4)
    assert (ssrc, packets, octets) == (outbound.ssrc, 1, 160)
    assert (ntp_s, ntp_fraction >> 30) == (1_700_000_000 + 2_208_988_800, 1)
    assert rtp_time == 1000 + 4000
    (block,) = parse_rtcp(report).reports
    assert (block.ssrc, block.packets_lost, block.fraction_lost) == (77, 1, 0.25)
    assert parse_rtcp(report).sender_report is not None
    assert parse_rtcp(write_bye(5, "name")).reports == ()


def test_a_receiver_report_comes_before_anything_was_sent() -> None:
    report = write_report(OutboundStream(SeededEntropy(6)), Reception(), cname="n", clock_rate=8000, now=0.0, wall=0.0)
    assert report[1] == 201
    assert parse_rtcp(report).sender_report is None


PHONE, NAT, STRANGER = ("192.0.2.1", 4000), ("192.0.2.1", 61000), ("198.51.100.9", 4000)


def test_only_the_signalled_host_is_heard() -> None:
    latch = SourceLatch()
    assert not latch.accept(PHONE, 0.0)
    latch.signal(PHONE)
    assert not latch.accept(STRANGER, 0.0)
    assert latch.accept(PHONE, 0.1)
    assert latch.target == PHONE


def test_the_port_is_learned_once_and_then_locked() -> None:
    latch = SourceLatch()
    latch.signal(PHONE)
    assert latch.accept(NAT, 10.0)
    assert latch.target == NAT
    assert not latch.accept(("192.0.2.1", 5), 10.5)
    assert latch.accept(PHONE, 10 + LEARNING_S), "the announced port wins while learning"
    assert not latch.accept(NAT, 10.1 + LEARNING_S)


def test_after_learning_even_the_announced_port_comes_too_late() -> None:
    latch = SourceLatch()
    latch.signal(PHONE)
    latch.accept(NAT, 0.0)
    assert not latch.accept(PHONE, LEARNING_S + 0.1)
    latch.signal(PHONE)
    assert latch.target == NAT, "the same address again opens nothing"
    latch.signal(("192.0.2.1", 4002))
    assert latch.target == ("192.0.2.1", 4002)
