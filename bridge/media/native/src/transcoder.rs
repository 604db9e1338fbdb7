//! One direction of audio between two codecs: playout, decoder and encoder in a row, driven by a 20 ms clock.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::comfort::ComfortNoise;
use crate::concealment::Concealer;
use crate::formats::{Codec, FRAME_MS, Formats};
use crate::g711;
use crate::g722;
use crate::opus::{self, Library};
use crate::packing::Packer;
use crate::pcm::{clipped, power};
use crate::playout::{Piece, PlayoutBuffer};
use crate::rtp::Packet;
use crate::timescale::{ALIKE, ANYWAY, QUIET_ONLY, lengthened, shortened};

/// Pieces for one frame: the shortest Opus frame is 2.5 ms, the rest is room for frames that are left out.
const MOST_PIECES: usize = 16;
/// From which difference on the delay is mended, and at what price: there is time to wait for a pause when audio is late.
const TOO_LATE: [(f64, f64); 3] = [(0.060, ANYWAY), (0.030, ALIKE), (0.015, QUIET_ONLY)];
/// And little when it is early, for the next packet may be missing. The longest period, of 15 ms, is left out or repeated
/// without making the opposite necessary.
const TOO_EARLY: [(f64, f64); 2] = [(0.012, ANYWAY), (0.005, ALIKE)];
/// Speech of which more than one period in 200 ms is gone, or doubled, sounds hurried.
const FRAMES_BETWEEN: usize = 10;
/// Frames over which the noise of the line fades into a gap.
const FADING: usize = 3;

/// The rate between two codecs: that of the poorer one, for nothing is won by more. Opus takes any.
fn common_rate(source: Codec, target: Codec) -> usize {
    if source.is_g711() || target.is_g711() { 8000 } else { 16_000 }
}

enum Decoder {
    Opus(opus::Decoder),
    /// A codec that follows the wave and knows nothing of losses, with what stands in for them (ITU-T G.711 appendix I).
    Waveform(Waveform, Concealer),
}

enum Waveform {
    G711(Codec),
    G722(Box<g722::Decoder>),
}

impl Waveform {
    fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) {
        match self {
            Self::G711(law) => g711::decode(*law, payload, out),
            Self::G722(decoder) => decoder.decode(payload, out),
        }
    }
}

/// Takes packets of one codec whenever they come; gives payloads of the other by a 20 ms clock.
pub struct Transcoder {
    /// What arrives.
    pub source: Codec,
    /// What leaves.
    pub target: Codec,
    /// Its packets that wait, and what had to be made up.
    pub playout: PlayoutBuffer,
    rate: usize,
    /// Samples of 20 ms.
    frame: usize,
    decoder: Decoder,
    packer: Packer,
    /// The loudest that was heard, as a mean square.
    pub loudest: Option<i64>,
    noise: ComfortNoise,
    ssrc: Option<u32>,
    /// Samples of the gap so far.
    made_up: usize,
    /// Of the frames since the delay was mended last.
    surplus_s: VecDeque<f64>,
    pcm: Vec<i16>,
    piece: Vec<i16>,
}

impl Transcoder {
    /// From a codec to what a leg with these formats is sent; `None` when libopus is missing.
    pub fn new(source: Codec, formats: &Formats, library: Option<&Arc<Library>>) -> Option<Self> {
        let target = formats.send.codec;
        let rate = common_rate(source, target);
        let waveform = |decoder| Decoder::Waveform(decoder, Concealer::new(rate));
        let decoder = match source {
            Codec::Opus => Decoder::Opus(opus::Decoder::new(library?.clone(), rate)?),
            Codec::G722 => waveform(Waveform::G722(Box::new(g722::Decoder::new(rate)))),
            law => waveform(Waveform::G711(law)),
        };
        Some(Self {
            source,
            target,
            playout: PlayoutBuffer::new(source.clock_rate(), source == Codec::Opus),
            rate,
            frame: rate * FRAME_MS / 1000,
            decoder,
            packer: Packer::new(formats, rate, library)?,
            loudest: None,
            noise: ComfortNoise::default(),
            ssrc: None,
            made_up: 0,
            surplus_s: VecDeque::with_capacity(FRAMES_BETWEEN),
            pcm: Vec::new(),
            piece: Vec::new(),
        })
    }

    /// How much audio a packet has.
    pub fn packet_ms(&self) -> usize {
        self.packer.packet_ms
    }

    /// Take a packet of audio.
    pub fn push(&mut self, packet: &Packet, now: f64) {
        self.take(packet, Some(packet.payload), now);
    }

    /// Take the number of a packet that shares the stream but is not audio.
    pub fn account(&mut self, packet: &Packet, now: f64) {
        self.take(packet, None, now);
    }

    /// Take comfort noise (RFC 3389): the source pauses, and tells how loud the pause is.
    pub fn pause(&mut self, packet: &Packet, now: f64) {
        self.noise.told(packet.payload);
        self.account(packet, now);
    }

    fn take(&mut self, packet: &Packet, payload: Option<&[u8]>, now: f64) {
        if self.ssrc != Some(packet.ssrc) {
            self.playout.reset();
            self.ssrc = Some(packet.ssrc);
        }
        self.playout.push(packet.sequence, packet.timestamp, payload, now);
    }

    /// Append the payloads that are due, and where each ends; `false` while the source is silent.
    pub fn frame(&mut self, now: f64, out: &mut Vec<u8>, ends: &mut Vec<usize>) -> bool {
        self.gather(now);
        if self.pcm.len() >= self.frame && self.mend_delay() {
            self.gather(now);
        }
        if self.pcm.is_empty() {
            return false;
        }
        let missing = self.frame.saturating_sub(self.pcm.len());
        self.pcm.extend(self.noise.samples().take(missing));
        self.packer.pack(&self.pcm[..self.frame], out, ends);
        self.pcm.drain(..self.frame);
        true
    }

    /// Append the payloads of a frame in which nobody speaks.
    pub fn background(&mut self, out: &mut Vec<u8>, ends: &mut Vec<usize>) {
        self.piece.clear();
        self.piece.extend(self.noise.samples().take(self.frame));
        self.packer.pack(&self.piece, out, ends);
    }

    /// Nothing is sent while nobody speaks: what comes next begins a packet.
    pub fn break_off(&mut self) {
        self.packer.forget();
    }

    /// Add pieces until there is a frame, or none is due.
    fn gather(&mut self, now: f64) {
        for _ in 0..MOST_PIECES {
            if self.pcm.len() >= self.frame {
                return;
            }
            self.piece.clear();
            match self.playout.next(now, self.pcm.len() as f64 / self.rate as f64) {
                Piece::Idle => return,
                Piece::Audio(payload) => self.decode(&payload),
                Piece::Recover(ticks, following) => self.recover(&following, self.samples(ticks)),
                Piece::Conceal(ticks) => self.conceal(self.samples(ticks)),
                Piece::Silence(ticks) => {
                    let count = self.samples(ticks);
                    self.piece.extend(self.noise.samples().take(count));
                }
            }
            self.pcm.append(&mut self.piece);
        }
    }

    /// Make the frame shorter or longer when the audio is played too late or too early; `true` when it was done.
    fn mend_delay(&mut self) -> bool {
        let surplus_s = self.steady_surplus_s();
        let prices: &[(f64, f64)] = if surplus_s > 0.0 { &TOO_LATE } else { &TOO_EARLY };
        let price = prices.iter().find(|(difference_s, _)| surplus_s.abs() >= *difference_s);
        let Some((_, alike)) = price else { return false };
        let frame = &self.pcm[..self.frame];
        let change = if surplus_s > 0.0 { shortened } else { lengthened };
        let changed = change(frame, self.rate, *alike);
        let Some(changed) = changed else { return false };
        self.pcm.splice(..self.frame, changed);
        self.surplus_s.clear();
        true
    }

    /// What was too much, or too little, in each of the last frames: a clock that ticks unevenly is no delay.
    fn steady_surplus_s(&mut self) -> f64 {
        if self.surplus_s.len() == FRAMES_BETWEEN {
            self.surplus_s.pop_front();
        }
        self.surplus_s.push_back(self.playout.surplus_s);
        let least = self.surplus_s.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.surplus_s.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if self.surplus_s.len() < FRAMES_BETWEEN || (least < 0.0 && most > 0.0) {
            0.0
        } else if least > 0.0 {
            least
        } else {
            most
        }
    }

    /// How many samples a stretch has: those of G.722 are twice its ticks, those of Opus a third or less.
    fn samples(&self, ticks: i64) -> usize {
        ticks.max(0) as usize * self.rate / self.source.clock_rate() as usize
    }

    /// Decode; a payload that is no Opus counts as lost (anyone on the call can send one).
    fn decode(&mut self, payload: &[u8]) {
        let decoded = match &mut self.decoder {
            Decoder::Opus(decoder) => decoder.decode(payload, &mut self.piece).is_ok(),
            Decoder::Waveform(decoder, concealer) => {
                decoder.decode(payload, &mut self.piece);
                concealer.hear(&mut self.piece);
                true
            }
        };
        if decoded {
            self.made_up = 0;
            let heard = power(&self.piece);
            self.noise.hear(heard);
            self.loudest = self.loudest.max(Some(heard));
        } else {
            self.conceal(self.frame);
        }
        self.playout.played((self.piece.len() * self.source.clock_rate() as usize / self.rate) as i64);
    }

    /// libopus recovers whole multiples of 2.5 ms.
    fn recover(&mut self, following: &[u8], samples: usize) {
        let recovered = match &mut self.decoder {
            Decoder::Opus(decoder) if samples * 400 % self.rate == 0 => {
                decoder.recover(following, samples, &mut self.piece).is_ok()
            }
            _ => false,
        };
        if !recovered {
            self.conceal(samples);
        }
    }

    /// Audio that goes on and fades out, while the noise of the line fades in.
    fn conceal(&mut self, samples: usize) {
        match &mut self.decoder {
            Decoder::Opus(decoder) => {
                if decoder.conceal(samples, &mut self.piece).is_err() {
                    self.piece.resize(samples, 0);
                }
            }
            Decoder::Waveform(_, concealer) => concealer.conceal(samples, &mut self.piece),
        }
        let fading = FADING * self.frame;
        for ((sample, noise), position) in self.piece.iter_mut().zip(self.noise.samples()).zip(self.made_up..) {
            let noise = (i64::from(noise) * position.min(fading) as i64).div_euclid(fading as i64);
            *sample = clipped(i64::from(*sample) + noise);
        }
        self.made_up += self.piece.len();
    }
}
