//! A sound of our own in the stream that we send: packets by a clock, in the place of those of a source.

use std::sync::Arc;

use crate::formats::{Audio, Codec, FRAME_MS};
use crate::outbound::{Content, OutboundStream};
use crate::outbox::{Outbox, Target};
use crate::rtp::timestamp_delta;
use crate::sounds::Sound;

/// A sound as it is to be played.
#[derive(Clone)]
pub struct Playing {
    /// What is heard.
    pub sound: Arc<Sound>,
    /// Whether it begins anew at its end.
    pub repeats: bool,
    /// By which its end is told.
    pub number: u32,
}

/// Plays one sound at a time; asked every 20 ms while it can be heard.
#[derive(Default)]
pub struct Player {
    playing: Option<Playing>,
    played_ms: u64,
    due_ms: usize,
    timeline: u32,
    goes_on: bool,
    payload: Vec<u8>,
}

impl Player {
    /// Whether there is something to be heard.
    pub fn busy(&self) -> bool {
        self.playing.is_some()
    }

    /// Play this from its beginning, in the place of what is played; `None` is nothing.
    pub fn play(&mut self, playing: Option<Playing>) {
        self.playing = playing;
        (self.played_ms, self.due_ms, self.goes_on) = (0, 0, false);
    }

    /// Something else was sent, or nothing at all: go on from here, later.
    pub fn pause(&mut self) {
        self.goes_on = false;
    }

    /// Send the packets that are due.
    pub fn send(
        &mut self,
        audio: Audio,
        packet_ms: usize,
        outbound: &mut OutboundStream,
        to: Target,
        now: f64,
        out: &mut Outbox,
    ) {
        let Some(playing) = &self.playing else { return };
        let length_ms = if audio.codec == Codec::Opus { FRAME_MS } else { packet_ms };
        let ticks = audio.codec.clock_rate() * length_ms as u32 / 1000;
        self.due_ms += FRAME_MS;
        while self.due_ms >= length_ms {
            self.due_ms -= length_ms;
            let marker = !std::mem::replace(&mut self.goes_on, true);
            self.timeline = match marker {
                true => beginning(outbound, now, audio.codec, ticks),
                false => self.timeline.wrapping_add(ticks),
            };
            playing.sound.payload(audio.codec, self.played_ms, length_ms, playing.repeats, &mut self.payload);
            self.played_ms += length_ms as u64;
            let (payload, payload_type) = (&self.payload[..], audio.payload_type);
            let content = Content { payload, payload_type, timestamp: self.timeline, marker };
            out.packet(to, &outbound.append(content, now));
        }
    }

    /// The number of a sound whose last packet has been sent, told once.
    pub fn ended(&mut self) -> Option<u32> {
        let playing = self.playing.as_ref().filter(|playing| !playing.repeats)?;
        if self.played_ms < playing.sound.duration_ms() {
            return None;
        }
        let number = playing.number;
        self.play(None);
        Some(number)
    }
}

/// Where the timeline stands, and no sooner than a packet after the one before.
fn beginning(outbound: &OutboundStream, now: f64, codec: Codec, ticks: u32) -> u32 {
    let start = outbound.position(now, codec.clock_rate());
    if outbound.sent_at.is_some() && timestamp_delta(start, outbound.timestamp) < i64::from(ticks) {
        return outbound.timestamp.wrapping_add(ticks);
    }
    start
}
