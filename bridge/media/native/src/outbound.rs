//! The RTP stream that we send on one leg: one SSRC, whose counters never jump, whatever feeds it.

use crate::rtp::{Packet, sequence_delta, timestamp_delta};

/// Packets that come out of order by more than this are of no use to anybody.
pub const WINDOW: i32 = 128;

/// Where a stream begins: all of it random (RFC 3550 §5.1).
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// Synchronisation source.
    pub ssrc: u32,
    /// Timestamp that the first packet follows.
    pub timestamp: u32,
    /// Sequence number before the first packet's.
    pub sequence: u16,
}

/// Numbers packets of one synchronisation source: one counter for all feeds.
///
/// No number is given twice: SRTP would encrypt both packets with the same key stream, and their difference be readable
/// by anyone (RFC 3711 §9.1).
pub struct OutboundStream {
    /// Synchronisation source.
    pub ssrc: u32,
    /// Packets sent.
    pub packets: u64,
    /// Octets of payload sent.
    pub octets: u64,
    /// Timestamp of the newest packet; with the moment it was sent it anchors every later one.
    pub timestamp: u32,
    /// When that was.
    pub sent_at: Option<f64>,
    sequence: u16,
    /// Bit n: the number n before the newest was given.
    used: u128,
}

/// What a packet is, apart from its number.
#[derive(Clone, Copy)]
pub struct Content<'a> {
    /// Payload.
    pub payload: &'a [u8],
    /// Payload type.
    pub payload_type: u8,
    /// Timestamp in our stream.
    pub timestamp: u32,
    /// Marker bit.
    pub marker: bool,
}

impl OutboundStream {
    /// A stream of which nothing was sent.
    pub fn new(start: Start) -> Self {
        Self {
            ssrc: start.ssrc,
            packets: 0,
            octets: 0,
            timestamp: start.timestamp,
            sent_at: None,
            sequence: start.sequence,
            used: 0,
        }
    }

    /// The number after the newest packet's.
    pub fn next_sequence(&self) -> u16 {
        self.sequence.wrapping_add(1)
    }

    /// Where the audio timeline stands at `now`.
    pub fn position(&self, now: f64, clock_rate: u32) -> u32 {
        let Some(sent_at) = self.sent_at else { return self.timestamp };
        let passed = ((now - sent_at).max(0.0) * f64::from(clock_rate)).round_ties_even();
        self.timestamp.wrapping_add(passed as u64 as u32)
    }

    /// The next packet of the stream.
    pub fn append<'a>(&mut self, content: Content<'a>, now: f64) -> Packet<'a> {
        let packet = self.packet(content, self.next_sequence());
        self.advance(&packet, 1, now);
        self.count(packet)
    }

    /// A packet with a number of its own: after a gap for a packet that was lost, or late.
    ///
    /// `None` when the number was given before, or lies so far back that nobody knows any more.
    pub fn place<'a>(&mut self, content: Content<'a>, sequence: u16, now: f64) -> Option<Packet<'a>> {
        let packet = self.packet(content, sequence);
        let step = sequence_delta(sequence, self.sequence);
        if step > 0 {
            self.advance(&packet, step, now);
        } else if step <= -WINDOW || self.used >> -step & 1 == 1 {
            return None;
        }
        self.used |= 1 << (-step).max(0);
        Some(self.count(packet))
    }

    /// Whether a number comes after all that were given.
    pub fn is_ahead(&self, sequence: u16) -> bool {
        sequence_delta(sequence, self.sequence) > 0
    }

    fn packet<'a>(&self, content: Content<'a>, sequence: u16) -> Packet<'a> {
        Packet {
            payload_type: content.payload_type,
            sequence,
            timestamp: content.timestamp,
            ssrc: self.ssrc,
            marker: content.marker,
            payload: content.payload,
        }
    }

    fn advance(&mut self, packet: &Packet, step: i32, now: f64) {
        self.sequence = packet.sequence;
        self.used = self.used.checked_shl(step as u32).unwrap_or(0) | 1;
        if self.sent_at.is_none() || timestamp_delta(packet.timestamp, self.timestamp) >= 0 {
            (self.timestamp, self.sent_at) = (packet.timestamp, Some(now));
        }
    }

    fn count<'a>(&mut self, packet: Packet<'a>) -> Packet<'a> {
        self.packets += 1;
        self.octets += packet.payload.len() as u64;
        packet
    }
}
