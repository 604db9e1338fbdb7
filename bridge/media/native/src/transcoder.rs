//! One direction of audio between two codecs: playout, decoder and encoder in a row, driven by a 20 ms clock.

use std::sync::Arc;

use crate::comfort::ComfortNoise;
use crate::concealment::Concealer;
use crate::formats::Codec;
use crate::g711;
use crate::opus::{self, Library};
use crate::pcm::clipped;
use crate::playout::{Piece, PlayoutBuffer};
use crate::rtp::Packet;
use crate::timescale::{lengthened, shortened};

const RATE: usize = 8000;
const FRAME: usize = 160;
/// Pieces for one frame: the shortest Opus frame is 2.5 ms, the rest is room for frames that are left out.
const MOST_PIECES: usize = 16;
/// From which difference on the delay is mended: the longest period is left out or repeated without making the opposite
/// necessary.
const TOO_LATE_S: f64 = 0.015;
const TOO_EARLY_S: f64 = 0.005;
/// From which difference on it is mended at the price that it may be heard.
const FAR_OFF_S: f64 = 0.040;
/// Speech of which more than one period in 100 ms is gone, or doubled, sounds hurried.
const FRAMES_BETWEEN: u32 = 5;
/// Samples over which the noise of the line fades into a gap: 60 ms.
const FADING: usize = 3 * FRAME;

enum Decoder {
    Opus(opus::Decoder),
    /// With what stands in for lost payloads (ITU-T G.711 appendix I).
    G711(Codec, Concealer),
}

enum Encoder {
    Opus(opus::Encoder),
    G711(Codec),
}

impl Encoder {
    /// Append the payload of a frame; `false` when there is none.
    fn encode(&mut self, samples: &[i16], out: &mut Vec<u8>) -> bool {
        match self {
            Self::Opus(encoder) => encoder.encode(samples, out).is_ok(),
            Self::G711(law) => {
                g711::encode(*law, samples, out);
                true
            }
        }
    }
}

/// Takes packets of one codec whenever they come; gives one payload of the other every 20 ms.
pub struct Transcoder {
    /// What arrives.
    pub source: Codec,
    /// What leaves.
    pub target: Codec,
    /// Its packets that wait, and what had to be made up.
    pub playout: PlayoutBuffer,
    ticks_per_sample: i64,
    decoder: Decoder,
    encoder: Encoder,
    noise: ComfortNoise,
    ssrc: Option<u32>,
    /// Samples of the gap so far.
    made_up: usize,
    frames_left: u32,
    pcm: Vec<i16>,
    piece: Vec<i16>,
}

impl Transcoder {
    /// From one codec to another; `None` when libopus is missing.
    pub fn new(source: Codec, target: Codec, library: Option<&Arc<Library>>) -> Option<Self> {
        let decoder = match source {
            Codec::Opus => Decoder::Opus(opus::Decoder::new(library?.clone())?),
            law => Decoder::G711(law, Concealer::new(RATE)),
        };
        let encoder = match target {
            Codec::Opus => Encoder::Opus(opus::Encoder::new(library?.clone())?),
            law => Encoder::G711(law),
        };
        Some(Self {
            source,
            target,
            playout: PlayoutBuffer::new(source.clock_rate()),
            ticks_per_sample: i64::from(source.clock_rate()) / RATE as i64,
            decoder,
            encoder,
            noise: ComfortNoise::default(),
            ssrc: None,
            made_up: 0,
            frames_left: FRAMES_BETWEEN,
            pcm: Vec::new(),
            piece: Vec::new(),
        })
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

    /// Write the payload that is due; `false` while the source is silent.
    pub fn frame(&mut self, now: f64, out: &mut Vec<u8>) -> bool {
        out.clear();
        self.gather(now);
        if self.pcm.len() >= FRAME && self.mend_delay() {
            self.gather(now);
        }
        if self.pcm.is_empty() {
            return false;
        }
        let missing = FRAME.saturating_sub(self.pcm.len());
        self.pcm.extend(self.noise.samples().take(missing));
        let written = self.encoder.encode(&self.pcm[..FRAME], out);
        self.pcm.drain(..FRAME);
        written
    }

    /// Write the payload of a frame in which nobody speaks.
    pub fn background(&mut self, out: &mut Vec<u8>) {
        out.clear();
        self.piece.clear();
        self.piece.extend(self.noise.samples().take(FRAME));
        self.encoder.encode(&self.piece, out);
    }

    /// Add pieces until there is a frame, or none is due.
    fn gather(&mut self, now: f64) {
        for _ in 0..MOST_PIECES {
            if self.pcm.len() >= FRAME {
                return;
            }
            self.piece.clear();
            match self.playout.next(now, self.pcm.len() as f64 / RATE as f64) {
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
        let surplus_s = self.playout.surplus_s;
        self.frames_left = self.frames_left.saturating_sub(1);
        if self.frames_left > 0 || (-TOO_EARLY_S < surplus_s && surplus_s < TOO_LATE_S) {
            return false;
        }
        let (frame, anyway) = (&self.pcm[..FRAME], surplus_s.abs() >= FAR_OFF_S);
        let changed = if surplus_s > 0.0 { shortened(frame, RATE, anyway) } else { lengthened(frame, RATE, anyway) };
        let Some(changed) = changed else { return false };
        self.pcm.splice(..FRAME, changed);
        self.frames_left = FRAMES_BETWEEN;
        true
    }

    fn samples(&self, ticks: i64) -> usize {
        (ticks / self.ticks_per_sample).max(0) as usize
    }

    /// Decode; a payload that is no Opus counts as lost (anyone on the call can send one).
    fn decode(&mut self, payload: &[u8]) {
        let decoded = match &mut self.decoder {
            Decoder::Opus(decoder) => decoder.decode(payload, &mut self.piece).is_ok(),
            Decoder::G711(law, concealer) => {
                g711::decode(*law, payload, &mut self.piece);
                concealer.hear(&mut self.piece);
                true
            }
        };
        if decoded {
            self.made_up = 0;
            self.noise.hear(&self.piece);
        } else {
            self.conceal(FRAME);
        }
        self.playout.played(self.piece.len() as i64 * self.ticks_per_sample);
    }

    /// libopus recovers whole multiples of 2.5 ms.
    fn recover(&mut self, following: &[u8], samples: usize) {
        let recovered = match &mut self.decoder {
            Decoder::Opus(decoder) if samples * 400 % RATE == 0 => {
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
            Decoder::G711(_, concealer) => concealer.conceal(samples, &mut self.piece),
        }
        for ((sample, noise), position) in self.piece.iter_mut().zip(self.noise.samples()).zip(self.made_up..) {
            let noise = (i64::from(noise) * position.min(FADING) as i64).div_euclid(FADING as i64);
            *sample = clipped(i64::from(*sample) + noise);
        }
        self.made_up += self.piece.len();
    }
}
