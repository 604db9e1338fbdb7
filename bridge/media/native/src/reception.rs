//! Statistics of the stream that arrives on a leg (RFC 3550 appendices A.3 and A.8), for us and for its sender.

use crate::rtcp::ReportBlock;
use crate::rtp::{Packet, sequence_delta, timestamp_delta};
use crate::sources::jumps;

/// Statistics of the stream that arrives on a leg (RFC 3550 appendices A.3 and A.8).
#[derive(Default)]
pub struct Reception {
    /// Packets received, of all sources.
    pub packets: u64,
    /// Interarrival jitter.
    pub jitter_s: f64,
    ssrc: Option<u32>,
    clock_rate: f64,
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
        if self.ssrc != Some(packet.ssrc) || jumps(step) {
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
        (self.transit_s, self.sender_report) = (None, None);
    }

    /// Smoothed difference of transit times (RFC 3550 §6.4.1), immune to wrapping timestamps and another clock.
    fn measure(&mut self, timestamp: u32, now: f64, clock_rate: f64) {
        let arrival = (now * clock_rate) as u64 as u32;
        let transit_s = timestamp_delta(arrival, timestamp) as f64 / clock_rate;
        let before = self.transit_s.filter(|_| clock_rate == self.clock_rate);
        if let Some(before) = before.filter(|before| (transit_s - before).abs() < 1.0) {
            self.jitter_s += ((transit_s - before).abs() - self.jitter_s) / 16.0;
        }
        (self.transit_s, self.clock_rate) = (Some(transit_s), clock_rate);
    }

    /// Packets that never came, over all sources.
    pub fn lost(&self) -> i64 {
        if self.ssrc.is_some() { self.earlier_lost + (self.expected() - self.received).max(0) } else { 0 }
    }

    fn expected(&self) -> i64 {
        self.highest - self.base + 1
    }

    /// Remember a sender report of this stream, so that its sender can compute the round-trip time.
    pub fn heard_sender(&mut self, ssrc: u32, middle_ntp: u32, now: f64) {
        if self.ssrc == Some(ssrc) {
            self.sender_report = Some((middle_ntp, now));
        }
    }

    /// Our report about this stream; `None` before its first packet.
    pub fn block(&mut self, now: f64) -> Option<ReportBlock> {
        let ssrc = self.ssrc?;
        let expected = self.expected() - self.reported_expected;
        let lost = expected - (self.received - self.reported_received);
        (self.reported_expected, self.reported_received) = (self.expected(), self.received);
        let (last_report, heard_at) = self.sender_report.unwrap_or((0, now));
        Some(ReportBlock {
            ssrc,
            fraction: if expected > 0 { (lost.max(0) * 256 / expected).min(255) } else { 0 } as u8,
            lost: (self.expected() - self.received).clamp(-0x80_0000, 0x7F_FFFF) as i32,
            highest: self.highest as u32,
            jitter: (self.jitter_s * self.clock_rate) as u64 as u32,
            last_report,
            delay: ((now - heard_at) * 65536.0) as i64 as u32,
        })
    }
}
