"""RTP and RTCP packets, and what is done with their numbers."""

import struct
from ipaddress import IPv4Network, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.entropy import SeededEntropy
from bridge.media.latch import LEARN_S, SourceLatch
from bridge.media.outbound import OutboundStream
from bridge.media.packet_rate import BURST, PacketRate
from bridge.media.reception import Reception
from bridge.media.rewriter import Rewriter
from bridge.media.rtcp import ReportBlock, Reports, read_reports, write_bye, write_report
from bridge.media.rtp import RtpError, RtpPacket, is_rtcp, sequence_delta, timestamp_delta
from bridge.media.sources import MAX_MISORDER


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


HEADERS = st.builds(
    struct.pack,
    st.just("!BBHII"),
    st.integers(0x80, 0xBF),
    st.integers(0, 0xFF),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 0xFFFFFFFF),
)
DATAGRAMS = st.one_of(st.binary(max_size=300), st.builds(bytes.__add__, HEADERS, st.binary(max_size=100)))


@given(DATAGRAMS)
def test_any_bytes_are_a_packet_that_survives_the_wire_or_are_refused(datagram: bytes) -> None:
    try:
        read = RtpPacket.parse(datagram)
    except RtpError:
        return
    assert read.payload in datagram
    assert len(bytes(read)) <= len(datagram)
    assert bytes(read)[1:12] == datagram[1:12]
    assert RtpPacket.parse(bytes(read)) == read


@given(DATAGRAMS, st.binary(max_size=40))
def test_any_bytes_are_a_report_or_are_refused(datagram: bytes, rest: bytes) -> None:
    for report in (datagram, write_bye(1, "name") + rest):
        try:
            reports = read_reports(report)
        except RtpError:
            continue
        assert len(report) % 4 == 0
        assert report[1] in (200, 201)
        assert all(bytes(block) in report for block in reports.blocks)
        assert all(ssrc.to_bytes(4, "big") in report for ssrc, _ in reports.senders)


def test_counters_wrap() -> None:
    assert sequence_delta(2, 0xFFFF) == 3
    assert sequence_delta(0xFFFF, 2) == -3
    assert timestamp_delta(80, 0xFFFFFFFF - 79) == 160
    assert is_rtcp(bytes((0x80, 200)))
    assert not is_rtcp(bytes((0x80, 0x80 | 111)))


def relay(rewriter: Rewriter, source: RtpPacket, now: float) -> RtpPacket:
    relayed = rewriter.rewrite(source, source.payload, payload_type=0, now=now)
    assert relayed is not None
    return relayed


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


@given(st.lists(st.integers(0, MAX_MISORDER), min_size=2, max_size=60), st.integers(0, 0xFFFFFFFF))
def test_numbers_of_one_source_stay_in_step(offsets: list[int], start: int) -> None:
    rewriter = Rewriter(OutboundStream(SeededEntropy(4)), clock_rate=8000)
    out = []
    for i, n in enumerate(offsets):
        relayed = rewriter.rewrite(packet(n, start + 160 * n), b"x", payload_type=0, now=0.02 * i)
        if relayed is not None:
            out.append((n, relayed))
    assert {n for n, _ in out} >= {n for i, n in enumerate(offsets) if n > max(offsets[:i], default=-1)}
    base, reference = out[0]
    for n, p in out:
        assert sequence_delta(p.sequence, reference.sequence) == n - base
        assert timestamp_delta(p.timestamp, reference.timestamp) == 160 * (n - base)
    assert len({p.sequence for _, p in out}) == len(out), "what comes again is not sent again"


def test_what_comes_before_something_left_out_keeps_its_place() -> None:
    rewriter = Rewriter(OutboundStream(SeededEntropy(8)), clock_rate=8000)
    first = relay(rewriter, packet(10, 0), 0.0)
    for _ in range(3):
        rewriter.skip(packet(12, 320), 0.02)
    late = relay(rewriter, packet(11, 160), 0.03)
    after = relay(rewriter, packet(13, 480), 0.04)
    assert [sequence_delta(p.sequence, first.sequence) for p in (late, after)] == [1, 2]
    assert rewriter.rewrite(packet(12, 320), b"other", payload_type=0, now=0.05) is None
    rewriter.skip(packet(13, 480), 0.05)
    assert sequence_delta(relay(rewriter, packet(14, 640), 0.06).sequence, first.sequence) == 3


@given(st.lists(st.integers(-200, 200), max_size=80), st.booleans())
def test_no_number_of_our_stream_is_given_twice(steps: list[int], fills: bool) -> None:
    outbound = OutboundStream(SeededEntropy(9))
    given_out, sequence = [], outbound.next_sequence
    for step in steps:
        sequence = (sequence + step) & 0xFFFF
        placed = outbound.place(b"x", payload_type=0, timestamp=0, marker=False, now=0.0, sequence=sequence)
        given_out += [placed.sequence] if placed is not None else []
        if fills:
            given_out.append(outbound.append(b"y", payload_type=0, timestamp=0, marker=False, now=0.0).sequence)
    assert len(set(given_out)) == len(given_out) == outbound.packets


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


def test_another_clock_in_a_stream_is_no_jitter() -> None:
    reception, timestamp = Reception(), 0
    for n in range(60):
        clock_rate = 48000 if n // 20 % 2 else 8000
        reception.receive(packet(n, timestamp), 1000.3 + 0.02 * n, clock_rate)
        timestamp += clock_rate // 50
    assert reception.jitter_s == pytest.approx(0, abs=0.0005)


def test_reports_say_what_was_sent_and_heard() -> None:
    outbound, reception = OutboundStream(SeededEntropy(5)), Reception()
    outbound.append(b"x" * 160, payload_type=0, timestamp=1000, marker=False, now=1.0)
    for n in [0, 1, 3]:
        reception.receive(packet(n, 160 * n, ssrc=77), 1.0, 8000)
    report = write_report(outbound, reception.block(1.5), cname="name", clock_rate=8000, now=1.5, wall=1_700_000_000.25)
    assert report[1] == 200
    assert len(report) % 4 == 0
    ssrc, ntp_s, ntp_fraction, rtp_time, packets, octets = struct.unpack_from("!IIIIII", report, 4)
    assert (ssrc, packets, octets) == (outbound.ssrc, 1, 160)
    assert (ntp_s, ntp_fraction >> 30) == (1_700_000_000 + 2_208_988_800, 1)
    assert rtp_time == 1000 + 4000
    source, lost = struct.unpack_from("!II", report, 28)
    assert (source, lost >> 24, lost & 0xFFFFFF) == (77, 64, 1), "a quarter is lost, one packet"
    middle = (ntp_s & 0xFFFF) << 16 | ntp_fraction >> 16
    block = ReportBlock(ssrc=77, fraction=64, lost=1, highest=3, jitter=round(reception.jitter_s * 8000))
    assert read_reports(report) == Reports(senders=((outbound.ssrc, middle),), blocks=(block,))
    assert read_reports(write_bye(5, "name")) == Reports()


def test_a_receiver_report_comes_before_anything_was_sent() -> None:
    report = write_report(OutboundStream(SeededEntropy(6)), None, cname="n", clock_rate=8000, now=0.0, wall=0.0)
    assert report[1] == 201
    assert read_reports(report) == Reports()


PHONE, NAT, STRANGER = ("192.0.2.1", 4000), ("192.0.2.1", 61000), ("198.51.100.9", 4000)


def test_only_the_signalled_host_is_heard() -> None:
    latch = SourceLatch()
    assert not latch.accept(PHONE, 5.0)
    latch.signal(PHONE)
    assert not latch.accept(STRANGER, 5.0)
    assert latch.accept(PHONE, 5.0)
    assert latch.target == PHONE


def test_the_port_is_learned_once_and_then_locked() -> None:
    latch = SourceLatch()
    latch.signal(PHONE)
    assert latch.accept(NAT, 5.0)
    assert latch.target == NAT
    assert not latch.accept(("192.0.2.1", 5), 5.0)
    assert latch.accept(PHONE, 5.0), "the announced port wins"
    assert not latch.accept(NAT, 5.0)


def test_somebody_beside_the_phone_who_is_quicker_does_not_keep_its_audio() -> None:
    latch = SourceLatch()
    latch.signal(PHONE)
    latch.accept(NAT, 5.0)
    assert latch.accept(PHONE, 5.0)
    assert latch.target == PHONE
    assert not latch.accept(NAT, 5.0)
    latch.signal(PHONE)
    assert not latch.accept(NAT, 5.0), "the same address again opens nothing"
    latch.signal(("192.0.2.1", 4002))
    assert latch.target == ("192.0.2.1", 4002)


def test_after_three_seconds_the_source_is_locked_even_against_the_announced_one() -> None:
    latch = SourceLatch()
    latch.signal(PHONE)
    assert latch.accept(NAT, 5.0)
    assert not latch.accept(PHONE, 5.0 + LEARN_S)
    assert latch.accept(NAT, 5.0 + LEARN_S)
    latch.signal(("192.0.2.1", 4002))
    assert latch.accept(PHONE, 5.0 + LEARN_S), "a new description opens it again"


def test_rtp_from_another_address_is_taken_from_trusted_networks_alone() -> None:
    inside, outside = ("198.51.100.9", 4000), ("203.0.113.9", 4000)
    latch = SourceLatch((IPv4Network("198.51.100.0/24"), IPv6Network("2001:db8::/32")))
    latch.signal(PHONE)
    assert not latch.accept(outside, 5.0)
    assert latch.accept(inside, 5.0)
    assert latch.target == inside
    assert not latch.accept(("198.51.100.10", 4000), 5.0), "the first source is kept"
    assert latch.accept(PHONE, 5.0), "the announced address wins"
    assert not latch.accept(inside, 5.0)


def test_a_source_may_send_so_many_packets_and_no_more() -> None:
    now = 5.0
    rate = PacketRate(now)
    assert sum(rate.admits(now) for _ in range(1000)) == BURST
    for _ in range(500):
        now += 0.01
        assert rate.admits(now), "a hundred packets a second are a call"
    assert sum(rate.admits(now) for _ in range(1000)) == BURST - 1
