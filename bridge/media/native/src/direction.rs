//! One direction of a call's audio: packets of one leg in, packets of the other out.
//!
//! Chooses between passing through and transcoding by what arrives and what was agreed, and carries digits either way.

use std::sync::Arc;

use crate::dtmf::{DigitRelay, Event, Keypad, Relayed, WholeKeys};
use crate::ears::Ears;
use crate::formats::{Audio, COMFORT_NOISE, Codec, Digits, FRAME_MS, Formats, PacketTimes};
use crate::g711;
use crate::opus::Library;
use crate::outbound::{Content, OutboundStream};
use crate::outbox::{Outbox, Pressed, Target};
use crate::packing::silence;
use crate::player::{Player, Playing};
use crate::playout::Played;
use crate::rewriter::Rewriter;
use crate::rtp::Packet;
use crate::transcoder::Transcoder;

/// Silence sent as soon as the far end's address is known, so that a NAT or a trunk behind it learns ours.
const PRIMING_PACKETS: u32 = 5;
const KEEP_ALIVE_AFTER_S: f64 = 0.5;
const DIGIT_HOLDS_AUDIO_S: f64 = 0.06;
const FRAME_S: f64 = 0.020;
/// Digits that leave by signalling are measured with this clock.
const SIGNALLED_RATE: u32 = 8000;

/// Packets of the source leg, changed into packets of the target leg.
pub struct Direction {
    /// The stream that leaves.
    pub outbound: OutboundStream,
    /// Whether a source that pauses is filled up.
    pub filling: bool,
    /// Digits passed on.
    pub digits: u64,
    /// Keys that came by signalling, to be sent as events.
    pub keypad: Keypad,
    /// Whether audio was ever decoded and encoded on its way.
    pub transcoded: bool,
    /// Whether digits go to signalling where the target has no events for them.
    signals: bool,
    enabled: bool,
    goes_to: Target,
    /// The target is a phone, which takes silence on the wire for a dead call; a browser that mutes sends nothing.
    fills_pauses: bool,
    source: Option<Formats>,
    target: Option<Formats>,
    library: Option<Arc<Library>>,
    transcoder: Option<Transcoder>,
    rewriter: Rewriter,
    relay: DigitRelay,
    whole_keys: WholeKeys,
    priming: u32,
    timeline: u32,
    key_began: u32,
    paused: bool,
    digit_until: f64,
    ears: Ears,
    played_before: Played,
    /// What is made of a packet, or of a frame, and where each payload in it ends.
    payload: Vec<u8>,
    ends: Vec<usize>,
    player: Player,
}

impl Direction {
    /// A direction in which nothing flows yet.
    pub fn new(outbound: OutboundStream, goes_to: Target, signals: bool, library: Option<Arc<Library>>) -> Self {
        Self {
            outbound,
            filling: false,
            digits: 0,
            keypad: Keypad::default(),
            transcoded: false,
            signals,
            enabled: false,
            goes_to,
            fills_pauses: goes_to == Target::Sip,
            source: None,
            target: None,
            library,
            transcoder: None,
            rewriter: Rewriter::default(),
            relay: DigitRelay::default(),
            whole_keys: WholeKeys::default(),
            priming: 0,
            timeline: 0,
            key_began: 0,
            paused: true,
            digit_until: 0.0,
            ears: Ears::default(),
            played_before: Played::default(),
            payload: Vec::new(),
            ends: Vec::new(),
            player: Player::default(),
        }
    }

    /// Take what the legs agreed on; called again after every negotiation.
    pub fn configure(&mut self, source: Option<Formats>, target: Option<Formats>) {
        if target != self.target {
            self.expect_new_source();
        }
        if let Some(target) = &target {
            self.rewriter.clock_rate = target.send.codec.clock_rate();
            self.rewriter.packet_ms = target.packets.made_ms as u32;
        }
        (self.source, self.target) = (source, target);
    }

    /// Let audio through or hold it back; what waits to be played is out of date afterwards.
    pub fn enable(&mut self, enabled: bool) {
        if !enabled {
            self.drop_transcoder();
            self.player.pause();
        }
        self.enabled = enabled;
    }

    /// The source moved: what comes next continues the stream, whatever its numbers.
    pub fn expect_new_source(&mut self) {
        self.drop_transcoder();
        self.rewriter.restart();
    }

    /// Play this in the place of the source, to its end or until told otherwise; `None` is the source again.
    pub fn play(&mut self, playing: Option<Playing>) {
        self.expect_new_source();
        self.player.play(playing);
    }

    /// Open the path to a new address with a little silence.
    pub fn prime(&mut self) {
        self.priming = PRIMING_PACKETS;
    }

    /// What became of the packets so far, where they were transcoded.
    pub fn played(&self) -> Played {
        let current = self.transcoder.as_ref().map(|current| current.playout.played_so_far());
        current.map_or(self.played_before, |current| self.played_before + current)
    }

    /// Whether there was ever more than silence; `None` while nobody knows.
    pub fn audible(&self) -> Option<bool> {
        self.ears.audible
    }

    // Packets

    /// Take a packet of the source leg; the answer is its clock rate when it was audio.
    pub fn receive(&mut self, packet: &Packet, now: f64, out: &mut Outbox) -> Option<u32> {
        let source = self.source.as_ref()?;
        let digits = source.received_digits(packet.payload_type);
        let codec = source.received_codec(packet.payload_type);
        let clock_rate = codec.map(Codec::clock_rate);
        let Some(target) = self.target.as_ref().filter(|_| self.enabled) else { return clock_rate };
        let (send, send_digits, packets) = (target.send, target.send_digits, target.packets);
        let plays = self.player.busy();
        if let Some(digits) = digits.filter(|_| !plays || send_digits.is_none()) {
            self.receive_digit(packet, digits, send_digits, now, out);
            return None;
        }
        if plays {
            return clock_rate;
        }
        match codec {
            Some(codec) => self.receive_audio(packet, codec, (send, packets), now, out),
            None => self.leave_out(packet, now),
        }
        clock_rate
    }

    fn receive_audio(
        &mut self,
        packet: &Packet,
        codec: Codec,
        (send, packets): (Audio, PacketTimes),
        now: f64,
        out: &mut Outbox,
    ) {
        if self.keypad.busy() {
            self.leave_out(packet, now);
        } else if !self.has_transcoder(codec, send.codec)
            && packets.fit(codec, packet.payload)
            && g711::translate(codec, send.codec, packet.payload, &mut self.payload).is_some()
        {
            self.drop_transcoder();
            self.ears.hear(codec, packet.payload, now);
            let (outbound, payload) = (&mut self.outbound, &self.payload);
            if let Some(packet) = self.rewriter.rewrite(packet, payload, send.payload_type, outbound, now) {
                out.packet(self.goes_to, &packet);
            }
        } else if let Some(transcoder) = self.transcoding(codec, now) {
            transcoder.push(packet, now);
        }
    }

    /// Whether this pair of codecs is decoded and encoded; of one that could pass through, because packets had another
    /// length than the target takes: from then on all are made anew.
    fn has_transcoder(&self, source: Codec, target: Codec) -> bool {
        self.transcoder.as_ref().is_some_and(|kept| (kept.source, kept.target) == (source, target))
    }

    /// The transcoder for a pair of codecs, kept while the pair stays.
    fn transcoding(&mut self, source: Codec, now: f64) -> Option<&mut Transcoder> {
        let target = self.target.as_ref()?.send.codec;
        if !self.has_transcoder(source, target) {
            self.drop_transcoder();
            self.transcoder = Transcoder::new(source, self.target.as_ref()?, self.library.as_ref());
            self.transcoded = true;
            self.timeline = self.outbound.position(now, target.clock_rate());
        }
        self.transcoder.as_mut()
    }

    fn drop_transcoder(&mut self) {
        if let Some(transcoder) = self.transcoder.take() {
            self.played_before = self.played_before + transcoder.playout.played_so_far();
            self.rewriter.restart();
        }
    }

    /// Comfort noise and unknown payload types: not passed on, and not taken for a loss.
    fn leave_out(&mut self, packet: &Packet, now: f64) {
        match self.transcoder.as_mut() {
            Some(transcoder) if packet.payload_type == COMFORT_NOISE => transcoder.pause(packet, now),
            Some(transcoder) => transcoder.account(packet, now),
            None => self.rewriter.skip(packet, &self.outbound, now),
        }
    }

    // Digits

    fn receive_digit(&mut self, packet: &Packet, from: Digits, to: Option<Digits>, now: f64, out: &mut Outbox) {
        let position = match self.transcoder.as_mut() {
            Some(transcoder) => {
                transcoder.account(packet, now);
                self.timeline
            }
            None => {
                self.rewriter.follow(packet, &self.outbound, now);
                self.rewriter.timestamp(packet.timestamp)
            }
        };
        let rate = to.map_or(SIGNALLED_RATE, |digits| digits.clock_rate);
        let relayed = self.relay.convert(packet, from.clock_rate, rate, position);
        let (Some(relayed), Some(to)) = (&relayed, to) else {
            if self.transcoder.is_none() {
                self.rewriter.skip(packet, &self.outbound, now);
            }
            if let Some(relayed) = relayed {
                for key in self.whole_keys.take(&relayed, now).into_iter().flatten() {
                    self.signal(key, out);
                }
            }
            return;
        };
        self.digits += u64::from(relayed.first);
        self.digit_until = now + if relayed.event.end { 0.0 } else { DIGIT_HOLDS_AUDIO_S };
        self.send_digit(packet, relayed, to.payload_type, now, out);
    }

    /// Hand over a digit that has ended: signalling tells it whole, with its length.
    fn signal(&mut self, key: Event, out: &mut Outbox) {
        if self.signals {
            self.digits += 1;
            let duration_ms = u32::from(key.duration) * 1000 / SIGNALLED_RATE;
            out.pressed.push(Pressed { event: key.event, duration_ms });
        }
    }

    /// An event packet in the numbering of whatever feeds the stream.
    fn send_digit(&mut self, packet: &Packet, relayed: &Relayed, payload_type: u8, now: f64, out: &mut Outbox) {
        let payload = relayed.event.payload();
        let (timestamp, marker) = (relayed.timestamp, relayed.first);
        let content = Content { payload: &payload, payload_type, timestamp, marker };
        let sent = if self.transcoder.is_some() {
            Some(self.outbound.append(content, now))
        } else {
            self.rewriter.place(packet, content, &mut self.outbound, now)
        };
        if let Some(packet) = sent {
            out.packet(self.goes_to, &packet);
        }
    }

    // The clock

    /// What is due every 20 ms.
    pub fn tick(&mut self, now: f64, out: &mut Outbox) {
        let Some(target) = self.target.as_ref().filter(|_| self.enabled) else { return };
        let (send, send_digits, packet_ms) = (target.send, target.send_digits, target.packets.made_ms);
        if self.keypad.busy() {
            self.press(send.codec, send_digits, now, out);
        }
        if let Some(key) = self.whole_keys.overdue(now) {
            self.signal(key, out);
        }
        if self.player.busy() {
            self.play_sound(send, packet_ms, now, out);
        } else if self.transcoder.is_some() {
            self.play_source(send, now, out);
        } else if self.fills_pauses && self.needs_filling(packet_ms, now) {
            self.fill(send, packet_ms, now, out);
        }
    }

    /// The next packet of a key, in a stream whose audio waits.
    fn press(&mut self, codec: Codec, digits: Option<Digits>, now: f64, out: &mut Outbox) {
        let (Some(key), Some(digits)) = (self.keypad.due(), digits) else { return };
        self.digit_until = now + DIGIT_HOLDS_AUDIO_S;
        if key.first {
            self.digits += 1;
            self.key_began = self.outbound.position(now, codec.clock_rate());
        }
        self.rewriter.restart();
        let (payload, payload_type) = (key.payload(digits.clock_rate), digits.payload_type);
        let content = Content { payload: &payload, payload_type, timestamp: self.key_began, marker: key.first };
        out.packet(self.goes_to, &self.outbound.append(content, now));
    }

    fn play_sound(&mut self, send: Audio, packet_ms: usize, now: f64, out: &mut Outbox) {
        if now < self.digit_until {
            self.player.pause();
            return;
        }
        self.player.send(send, packet_ms, &mut self.outbound, self.goes_to, now, out);
        if let Some(number) = self.player.ended() {
            self.expect_new_source();
            out.played.push(number);
        }
    }

    fn play_source(&mut self, send: Audio, now: f64, out: &mut Outbox) {
        let Some(transcoder) = self.transcoder.as_mut() else { return };
        let ticks = |ms: usize| send.codec.clock_rate() * ms as u32 / 1000;
        self.payload.clear();
        self.ends.clear();
        let heard = transcoder.frame(now, &mut self.payload, &mut self.ends);
        if let Some(loudest) = transcoder.loudest.take() {
            self.ears.hear_power(loudest);
        }
        if !heard {
            if !self.fills_pauses {
                transcoder.break_off();
                self.timeline = self.timeline.wrapping_add(ticks(FRAME_MS));
                self.paused = true;
                return;
            }
            transcoder.background(&mut self.payload, &mut self.ends);
        }
        let (mut start, packet_ms) = (0, transcoder.packet_ms());
        for end in &self.ends {
            self.timeline = self.timeline.wrapping_add(ticks(packet_ms));
            if now >= self.digit_until {
                let (payload, marker) = (&self.payload[start..*end], std::mem::replace(&mut self.paused, false));
                let content = Content { payload, payload_type: send.payload_type, timestamp: self.timeline, marker };
                out.packet(self.goes_to, &self.outbound.append(content, now));
            }
            start = *end;
        }
    }

    fn needs_filling(&mut self, packet_ms: usize, now: f64) -> bool {
        let pause_s = self.outbound.sent_at.map_or(KEEP_ALIVE_AFTER_S, |sent_at| now - sent_at);
        if self.priming > 0 && pause_s > packet_ms as f64 / 1000.0 - FRAME_S / 2.0 {
            self.priming -= 1;
            return true;
        }
        self.filling && pause_s >= KEEP_ALIVE_AFTER_S
    }

    /// One frame of silence between the packets of a source that pauses.
    fn fill(&mut self, send: Audio, packet_ms: usize, now: f64, out: &mut Outbox) {
        self.rewriter.restart();
        self.payload.clear();
        silence(send.codec, packet_ms, &mut self.payload);
        let content = Content {
            payload: &self.payload,
            payload_type: send.payload_type,
            timestamp: self.outbound.position(now, send.codec.clock_rate()),
            marker: self.outbound.sent_at.is_none(),
        };
        out.packet(self.goes_to, &self.outbound.append(content, now));
    }
}
