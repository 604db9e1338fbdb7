//! RTCP of one leg (RFC 3550 §6): what we tell the far end about its stream, and when it last spoke.
//!
//! Forged or broken packets are ignored: signalling decides over the call, never a BYE of RTCP.

use crate::outbound::OutboundStream;
use crate::rtp::{Packet, sequence_delta, timestamp_delta, word};

/// Seconds between two reports of ours.
pub const REPORT_INTERVAL_S: f64 = 5.0;
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
const NTP_EPOCH_S: f64 = 2_208_988_800.0;
const RESTART_STEP: i32 = 3000;
const MOST_PACKETS: usize = 32;

/// A compound packet whose lengths do not add up.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

/// Middle 32 bits of the NTP timestamp of a compound packet's last sender report, to be echoed as LSR.
pub fn read_sender_report(datagram: &[u8]) -> Result<Option<u32>, Malformed> {
    let (mut middle_ntp, mut rest) = (None, datagram);
    for _ in 0..MOST_PACKETS {
        if rest.is_empty() {
            break;
        }
        let head = rest.first_chunk::<4>().filter(|head| head[0] >> 6 == 2).ok_or(Malformed)?;
        let size = 4 + 4 * usize::from(u16::from_be_bytes([head[2], head[3]]));
        let body = rest.get(4..size).ok_or(Malformed)?;
        if head[1] == SENDER_REPORT && body.len() >= 24 {
            middle_ntp = Some(word(body, 6));
        }
        rest = &rest[size..];
    }
    Ok(middle_ntp)
}

/// Statistics of the stream that arrives on a leg (RFC 3550 appendices A.3 and A.8).
#[derive(Default)]
pub struct Reception {
    /// Packets received, of all sources.
    pub packets: u64,
    /// Interarrival jitter.
    pub jitter_s: f64,
    ssrc: Option<u32>,
    earlier_lost: i64,
    base: i64,
    highest: i64,
    received: i64,
    transit_s: Option<f64>,
    reported_expected: i64,
    reported_received: i64,
    sender_report: Option<(u32, f64)>,
}

impl Reception {
    /// Count a packet; without a clock rate it does not bear on the jitter (repeated event packets).
    pub fn receive(&mut self, packet: &Packet, now: f64, clock_rate: Option<u32>) {
        self.packets += 1;
        let step = sequence_delta(packet.sequence, self.highest as u16);
        if self.ssrc != Some(packet.ssrc) || step.abs() > RESTART_STEP {
            self.begin(packet);
        } else if step > 0 {
            self.highest += i64::from(step);
        }
        self.received += 1;
        if let Some(clock_rate) = clock_rate {
            self.measure(packet.timestamp, now, f64::from(clock_rate));
        }
    }

    fn begin(&mut self, packet: &Packet) {
        self.earlier_lost = self.lost();
        self.ssrc = Some(packet.ssrc);
        self.base = i64::from(packet.sequence);
        self.highest = self.base;
        (self.received, self.reported_expected, self.reported_received) = (0, 0, 0);
        self.transit_s = None;
    }

    /// Smoothed difference of transit times (RFC 3550 §6.4.1), immune to wrapping timestamps.
    fn measure(&mut self, timestamp: u32, now: f64, clock_rate: f64) {
        let arrival = (now * clock_rate) as u64 as u32;
        let transit_s = timestamp_delta(arrival, timestamp) as f64 / clock_rate;
        if let Some(before) = self.transit_s.filter(|before| (transit_s - before).abs() < 1.0) {
            self.jitter_s += ((transit_s - before).abs() - self.jitter_s) / 16.0;
        }
        self.transit_s = Some(transit_s);
    }

    /// Packets that never came, over all sources.
    pub fn lost(&self) -> i64 {
        if self.ssrc.is_some() { self.earlier_lost + (self.expected() - self.received).max(0) } else { 0 }
    }

    fn expected(&self) -> i64 {
        self.highest - self.base + 1
    }

    /// Remember a sender report, so that its sender can compute the round-trip time.
    pub fn heard_report(&mut self, middle_ntp: u32, now: f64) {
        self.sender_report = Some((middle_ntp, now));
    }

    /// Our report block about this stream; empty before its first packet.
    fn block(&mut self, now: f64, clock_rate: u32) -> Option<[u32; 6]> {
        let ssrc = self.ssrc?;
        let expected = self.expected() - self.reported_expected;
        let lost = expected - (self.received - self.reported_received);
        (self.reported_expected, self.reported_received) = (self.expected(), self.received);
        let fraction = if expected > 0 { (lost.max(0) * 256 / expected).min(255) } else { 0 } as u32;
        let total = (self.expected() - self.received).min(0x7F_FFFF) as u32 & 0xFF_FFFF;
        let (middle_ntp, heard_at) = self.sender_report.unwrap_or((0, now));
        Some([
            ssrc,
            fraction << 24 | total,
            self.highest as u32,
            (self.jitter_s * f64::from(clock_rate)) as u64 as u32,
            middle_ntp,
            ((now - heard_at) * 65536.0) as i64 as u32,
        ])
    }
}

/// When a report is written.
#[derive(Clone, Copy)]
pub struct Moment {
    /// On the monotonic clock.
    pub now: f64,
    /// On the wall clock.
    pub wall: f64,
}

/// Append a compound packet: sender report (receiver report before we sent anything) and source description.
pub fn write_report(
    outbound: &OutboundStream,
    reception: &mut Reception,
    cname: &str,
    clock_rate: u32,
    moment: Moment,
    out: &mut Vec<u8>,
) {
    let block = reception.block(moment.now, clock_rate);
    let mut body = vec![outbound.ssrc];
    if outbound.packets > 0 {
        let seconds = moment.wall + NTP_EPOCH_S;
        body.extend([
            seconds as u64 as u32,
            (seconds.fract() * 4_294_967_296.0) as u64 as u32,
            outbound.position(moment.now, clock_rate),
            outbound.packets as u32,
            outbound.octets as u32,
        ]);
    }
    body.extend(block.iter().flatten());
    let kind = if outbound.packets > 0 { SENDER_REPORT } else { RECEIVER_REPORT };
    packet(kind, block.is_some().into(), &octets(&body), out);
    source_description(outbound.ssrc, cname, out);
}

/// Append the end of a stream (RFC 3550 §6.6), as a compound packet.
pub fn write_bye(ssrc: u32, cname: &str, out: &mut Vec<u8>) {
    packet(RECEIVER_REPORT, 0, &ssrc.to_be_bytes(), out);
    source_description(ssrc, cname, out);
    packet(BYE, 1, &ssrc.to_be_bytes(), out);
}

fn source_description(ssrc: u32, cname: &str, out: &mut Vec<u8>) {
    let name = &cname.as_bytes()[..cname.len().min(255)];
    let mut item = ssrc.to_be_bytes().to_vec();
    item.extend([1, name.len() as u8]);
    item.extend(name);
    item.resize(item.len() + 4 - item.len() % 4, 0);
    packet(SOURCE_DESCRIPTION, 1, &item, out);
}

fn packet(kind: u8, count: u8, body: &[u8], out: &mut Vec<u8>) {
    out.extend([0x80 | count, kind]);
    out.extend(((body.len() / 4) as u16).to_be_bytes());
    out.extend(body);
}

fn octets(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}
