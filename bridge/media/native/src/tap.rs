//! Packets of a call set aside for whoever records it: its thread fills, Python empties.

use std::collections::VecDeque;

use crate::formats::{Codec, Formats};
use crate::rtp::Packet;

/// Ten seconds of both sides.
const MOST_WAITING: usize = 1000;

/// A packet that was set aside.
pub struct Tapped {
    /// Whether the phone sent it.
    pub from_phone: bool,
    /// When it came.
    pub arrived: f64,
    /// Its codec; none is no audio, a key, say, of which only the header is here.
    pub codec: Option<Codec>,
    /// The packet.
    pub octets: Vec<u8>,
}

/// What waits.
#[derive(Default)]
pub struct Tap {
    /// Whether packets are set aside.
    pub wanted: bool,
    /// Whether it ever ran over: then audio is missing.
    pub overflowed: bool,
    waiting: VecDeque<Tapped>,
}

impl Tap {
    /// Set a packet aside.
    pub fn take(&mut self, packet: &Packet, formats: Option<&Formats>, now: f64, from_phone: bool) {
        let Some(formats) = formats.filter(|_| self.wanted) else { return };
        if self.waiting.len() >= MOST_WAITING {
            self.overflowed = true;
            return;
        }
        let codec = formats.received_codec(packet.payload_type);
        let mut octets = Vec::new();
        match codec {
            Some(_) => packet.write(&mut octets),
            None => Packet { payload: &[], marker: false, ..*packet }.write(&mut octets),
        }
        self.waiting.push_back(Tapped { from_phone, arrived: now, codec, octets });
    }

    /// Everything that waits, in the order in which it came.
    pub fn empty(&mut self) -> VecDeque<Tapped> {
        std::mem::take(&mut self.waiting)
    }
}
