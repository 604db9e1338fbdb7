//! Passthrough: the same coded audio on both legs, only the header changes.

use std::collections::VecDeque;

use crate::formats::FRAME_MS;
use crate::outbound::{Content, OutboundStream, WINDOW};
use crate::rtp::{Packet, sequence_delta, timestamp_delta};
use crate::sources::jumps;

/// Maps the numbers of whatever source is sending onto our stream.
///
/// Gaps and order are kept, so that the far end's jitter buffer and loss statistics see the network as it was; a change
/// of source (transfer, music on hold) goes on without a jump.
pub struct Rewriter {
    /// Of the stream; another one takes effect with the next source.
    pub clock_rate: u32,
    /// Of what may have been sent last.
    pub packet_ms: u32,
    ssrc: Option<u32>,
    highest: u16,
    sequence_offset: u16,
    timestamp_offset: u32,
    /// Numbers that were left out lately; what the source sent before them keeps the place that it had.
    skipped: VecDeque<u16>,
}

impl Default for Rewriter {
    fn default() -> Self {
        let skipped = VecDeque::new();
        Self {
            clock_rate: 8000,
            packet_ms: FRAME_MS as u32,
            ssrc: None,
            highest: 0,
            sequence_offset: 0,
            timestamp_offset: 0,
            skipped,
        }
    }
}

impl Rewriter {
    /// Learn where a packet's source stands; `true` when a new source begins.
    pub fn follow(&mut self, packet: &Packet, outbound: &OutboundStream, now: f64) -> bool {
        let step = sequence_delta(packet.sequence, self.highest);
        if self.ssrc != Some(packet.ssrc) || jumps(step) {
            self.anchor(packet, outbound, now);
            return true;
        }
        if step > 0 {
            self.highest = packet.sequence;
            while self.skipped.front().is_some_and(|skipped| sequence_delta(packet.sequence, *skipped) >= WINDOW) {
                self.skipped.pop_front();
            }
        }
        false
    }

    /// The packet for the other leg; `None` for one that comes again, or much too late.
    pub fn rewrite<'a>(
        &mut self,
        packet: &Packet,
        payload: &'a [u8],
        payload_type: u8,
        outbound: &mut OutboundStream,
        now: f64,
    ) -> Option<Packet<'a>> {
        let marker = self.follow(packet, outbound, now) || packet.marker;
        let timestamp = self.timestamp(packet.timestamp);
        self.place(packet, Content { payload, payload_type, timestamp, marker }, outbound, now)
    }

    /// Converted content under the number that a followed packet has in our stream, if that is still free.
    pub fn place<'a>(
        &self,
        packet: &Packet,
        content: Content<'a>,
        outbound: &mut OutboundStream,
        now: f64,
    ) -> Option<Packet<'a>> {
        if self.skipped.contains(&packet.sequence) {
            return None;
        }
        outbound.place(content, self.number(packet.sequence), now)
    }

    /// Leave a packet out without a hole that the far end would count as a loss.
    ///
    /// Only the newest one can be: a number after it may have been given already, and must not be given again.
    pub fn skip(&mut self, packet: &Packet, outbound: &OutboundStream, now: f64) {
        self.follow(packet, outbound, now);
        let sequence = packet.sequence;
        if sequence != self.highest || self.skipped.contains(&sequence) {
            return;
        }
        if outbound.is_ahead(self.number(sequence)) {
            if self.skipped.len() == WINDOW as usize {
                self.skipped.pop_front();
            }
            self.skipped.push_back(sequence);
            self.sequence_offset = self.sequence_offset.wrapping_sub(1);
        }
    }

    /// The number in our stream: those left out count for what came after them alone.
    fn number(&self, sequence: u16) -> u16 {
        let mut later = 0;
        if sequence != self.highest || self.skipped.contains(&sequence) {
            later = self.skipped.iter().filter(|skipped| sequence_delta(**skipped, sequence) >= 0).count() as u16;
        }
        sequence.wrapping_add(self.sequence_offset).wrapping_add(later)
    }

    /// The followed source's time in our stream.
    pub fn timestamp(&self, timestamp: u32) -> u32 {
        timestamp.wrapping_add(self.timestamp_offset)
    }

    /// Take the next packet as the first of a new source: something else was sent meanwhile.
    pub fn restart(&mut self) {
        self.ssrc = None;
    }

    /// Continue our stream with a new source: next number, and as much time as has passed (at least one packet).
    fn anchor(&mut self, packet: &Packet, outbound: &OutboundStream, now: f64) {
        let length = self.clock_rate * self.packet_ms / 1000;
        let mut start = outbound.position(now, self.clock_rate);
        if outbound.sent_at.is_some() && timestamp_delta(start, outbound.timestamp) < i64::from(length) {
            start = outbound.timestamp.wrapping_add(length);
        }
        (self.ssrc, self.highest) = (Some(packet.ssrc), packet.sequence);
        self.sequence_offset = outbound.next_sequence().wrapping_sub(packet.sequence);
        self.timestamp_offset = start.wrapping_sub(packet.timestamp);
        self.skipped.clear();
    }
}
