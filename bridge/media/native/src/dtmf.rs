//! Digits as RTP events (RFC 4733): carried from one leg's clock to the other's, and keys that came by signalling.
//!
//! Digits are counted, never named: they are card numbers and PINs.

use std::collections::VecDeque;

use crate::rtp::{Packet, timestamp_delta};

/// 0 to 9, *, #, A to D, flash (RFC 4733 §3.2).
const LAST_DIGIT: u8 = 16;
const LONGEST_DURATION: u32 = 0xFFFF;
const END: u8 = 0x80;
const REMEMBERED_SEQUENCES: usize = 32;
/// Four packets of those who send the fewest: one every 50 ms.
const END_LOST_AFTER_S: f64 = 0.2;

/// The payload of one event packet (RFC 4733 §2.3).
#[derive(Clone, Copy)]
pub struct Event {
    /// Which key.
    pub event: u8,
    /// Whether it was let go.
    pub end: bool,
    /// Level below full scale.
    pub volume: u8,
    /// For how long it has been pressed, in the clock of the stream.
    pub duration: u16,
}

impl Event {
    /// Read a payload; `None` when it is too short.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let [event, flags, high, low] = *payload.first_chunk::<4>()?;
        let duration = u16::from_be_bytes([high, low]);
        Some(Self { event, end: flags & END != 0, volume: flags & 0x3F, duration })
    }

    /// The wire form.
    pub fn payload(&self) -> [u8; 4] {
        let [high, low] = self.duration.to_be_bytes();
        [self.event, if self.end { END } else { 0 } | self.volume, high, low]
    }
}

/// One event packet for the other leg.
pub struct Relayed {
    /// What it says.
    pub event: Event,
    /// The key's beginning on the target's timeline.
    pub timestamp: u32,
    /// The first packet of a digit: marked, and what is counted.
    pub first: bool,
}

/// The digit that is being passed on.
struct Current {
    ssrc: u32,
    source_timestamp: u32,
    timestamp: u32,
    event: u8,
    /// Duration, in the target's clock, of segments that are over (RFC 4733 §2.5.1.3).
    carried: u32,
    reached: u32,
    ended: bool,
}

/// Converts the events of one direction; every packet in, its end packets included, is one packet out.
///
/// An event keeps the timestamp of its beginning on the target's audio timeline, so that a receiver sees one digit
/// however often its packets are repeated (RFC 4733 §2.5.1.2).
#[derive(Default)]
pub struct DigitRelay {
    current: Option<Current>,
    seen: VecDeque<(u32, u16)>,
}

impl DigitRelay {
    /// The packet for the target; `position` is where its audio timeline stands. `None` drops the packet.
    pub fn convert(&mut self, packet: &Packet, source_rate: u32, target_rate: u32, position: u32) -> Option<Relayed> {
        let event = Event::parse(packet.payload)?;
        let number = (packet.ssrc, packet.sequence);
        if event.event > LAST_DIGIT || self.seen.contains(&number) {
            return None;
        }
        if self.seen.len() == REMEMBERED_SEQUENCES {
            self.seen.pop_front();
        }
        self.seen.push_back(number);
        let first = !self.continues(event, packet, source_rate);
        if first {
            if self.is_old(packet) {
                return None;
            }
            self.current = Some(Current {
                ssrc: packet.ssrc,
                source_timestamp: packet.timestamp,
                timestamp: position,
                event: event.event,
                carried: 0,
                reached: 0,
                ended: false,
            });
        }
        let current = self.current.as_mut()?;
        let scaled = u64::from(event.duration) * u64::from(target_rate) / u64::from(source_rate);
        let duration = (u64::from(current.carried) + scaled).min(u64::from(LONGEST_DURATION)) as u32;
        current.reached = current.reached.max(duration);
        current.ended |= event.end;
        let event = Event { duration: duration as u16, ..event };
        Some(Relayed { event, timestamp: current.timestamp, first })
    }

    /// Whether a packet belongs to the digit being passed on: same start, or the next segment of a long one.
    fn continues(&mut self, event: Event, packet: &Packet, source_rate: u32) -> bool {
        let Some(current) = self.current.as_mut().filter(|current| current.ssrc == packet.ssrc) else { return false };
        if current.source_timestamp == packet.timestamp {
            return true;
        }
        let advance = timestamp_delta(packet.timestamp, current.source_timestamp);
        let slack = i64::from(source_rate) * 60 / 1000;
        let segment =
            !current.ended && event.event == current.event && (advance - i64::from(LONGEST_DURATION)).abs() <= slack;
        if segment {
            (current.source_timestamp, current.carried) = (packet.timestamp, current.reached);
        }
        segment
    }

    /// A straggler of an earlier digit would be heard as that digit pressed again.
    fn is_old(&self, packet: &Packet) -> bool {
        self.current.as_ref().is_some_and(|current| {
            current.ssrc == packet.ssrc && timestamp_delta(packet.timestamp, current.source_timestamp) < 0
        })
    }
}

/// Relayed events as keys, each told once: when its end has come, or nothing of it for so long that the end is lost.
#[derive(Default)]
pub struct WholeKeys {
    /// What is known of a key that has not been told.
    key: Option<Event>,
    heard_at: f64,
    told: bool,
}

impl WholeKeys {
    /// Take an event; a key that was over before, and one that ends with it.
    pub fn take(&mut self, relayed: &Relayed, now: f64) -> [Option<Event>; 2] {
        let mut before = None;
        if relayed.first {
            (before, self.told) = (self.key.take(), false);
        }
        if self.told {
            return [before, None];
        }
        (self.key, self.heard_at) = (Some(relayed.event), now);
        self.told = relayed.event.end;
        [before, if self.told { self.key.take() } else { None }]
    }

    /// A key whose end is lost (RFC 4733 §2.5.1.4 sends it three times, and networks lose in bursts).
    pub fn overdue(&mut self, now: f64) -> Option<Event> {
        if self.key.is_none() || now - self.heard_at < END_LOST_AFTER_S {
            return None;
        }
        self.told = true;
        self.key.take()
    }
}

const MOST_WAITING: usize = 64;
const TICK_MS: u32 = 20;
const SHORTEST_MS: u32 = 60;
const LONGEST_MS: u32 = 6000;
const VOLUME: u8 = 10;
/// How often the end is sent, in case it is lost (RFC 4733 §2.5.1.4).
const ENDS: usize = 3;
/// Without a pause two equal keys would be one.
const GAP_TICKS: usize = 3;

/// One packet of a key that came by signalling; its time is that of the key's beginning.
#[derive(Clone, Copy)]
pub struct KeyPacket {
    event: u8,
    elapsed_ms: u32,
    /// Whether the key begins.
    pub first: bool,
    end: bool,
}

impl KeyPacket {
    /// The payload for a stream whose events have this clock.
    pub fn payload(&self, clock_rate: u32) -> [u8; 4] {
        let duration = u64::from(self.elapsed_ms) * u64::from(clock_rate) / 1000;
        let duration = duration.min(u64::from(LONGEST_DURATION)) as u16;
        Event { event: self.event, end: self.end, volume: VOLUME, duration }.payload()
    }
}

/// One key after the other, a packet every 20 ms.
#[derive(Default)]
pub struct Keypad {
    waiting: VecDeque<Option<KeyPacket>>,
}

impl Keypad {
    /// Whether a key is being pressed: audio waits meanwhile.
    pub fn busy(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Press keys, given as event codes, after those that wait. Too many, or what is no key, are left out.
    pub fn press(&mut self, events: &[u8], duration_ms: u32) {
        let duration_ms = duration_ms.clamp(SHORTEST_MS, LONGEST_MS);
        for event in events.iter().take(MOST_WAITING).filter(|event| **event <= LAST_DIGIT) {
            if self.waiting.len() < MOST_WAITING * (LONGEST_MS / TICK_MS) as usize {
                self.push(*event, duration_ms);
            }
        }
    }

    fn push(&mut self, event: u8, duration_ms: u32) {
        for elapsed_ms in (TICK_MS..duration_ms).step_by(TICK_MS as usize) {
            self.waiting.push_back(Some(KeyPacket { event, elapsed_ms, first: elapsed_ms == TICK_MS, end: false }));
        }
        let end = KeyPacket { event, elapsed_ms: duration_ms, first: false, end: true };
        self.waiting.extend([Some(end); ENDS]);
        self.waiting.extend([None; GAP_TICKS]);
    }

    /// What is due now; `None` in the pause after a key.
    pub fn due(&mut self) -> Option<KeyPacket> {
        self.waiting.pop_front().flatten()
    }
}
