//! One direction of audio between two codecs: playout, decoder and encoder in a row, driven by a 20 ms clock.

use std::sync::Arc;

use crate::formats::Codec;
use crate::g711;
use crate::opus::{self, Library};
use crate::playout::{Piece, PlayoutBuffer};
use crate::rtp::Packet;

const RATE: usize = 8000;
const FRAME: usize = 160;
/// Pieces for one frame: the shortest Opus frame is 2.5 ms, the rest is room for frames that are left out.
const MOST_PIECES: usize = 16;
const CONCEALMENT_GAIN: f64 = 0.7;
/// About -44 dBFS: leaving such a frame out is not heard.
const QUIET: i16 = 200;

enum Decoder {
    Opus(opus::Decoder),
    /// A lost frame repeats the last one, fading (in the spirit of G.711 appendix I).
    G711(Codec, Vec<i16>),
}

enum Encoder {
    Opus(opus::Encoder),
    G711(Codec),
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
    ssrc: Option<u32>,
    pcm: Vec<i16>,
    piece: Vec<i16>,
}

impl Transcoder {
    /// From one codec to another; `None` when libopus is missing.
    pub fn new(source: Codec, target: Codec, library: Option<&Arc<Library>>) -> Option<Self> {
        let decoder = match source {
            Codec::Opus => Decoder::Opus(opus::Decoder::new(library?.clone())?),
            law => Decoder::G711(law, Vec::new()),
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
            ssrc: None,
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
        for _ in 0..MOST_PIECES {
            if self.pcm.len() >= FRAME || !self.fill(now) {
                break;
            }
        }
        if self.pcm.is_empty() {
            return false;
        }
        let mut frame = [0; FRAME];
        let ready = self.pcm.len().min(FRAME);
        frame[..ready].copy_from_slice(&self.pcm[..ready]);
        self.pcm.drain(..ready);
        match &mut self.encoder {
            Encoder::Opus(encoder) => encoder.encode(&frame, out).is_ok(),
            Encoder::G711(law) => {
                g711::encode(*law, &frame, out);
                true
            }
        }
    }

    /// Add the next piece to the PCM; `false` when none is due.
    fn fill(&mut self, now: f64) -> bool {
        let piece = self.playout.next(now);
        self.piece.clear();
        match piece {
            Piece::Idle => return false,
            Piece::Audio(payload) => self.decode(&payload),
            Piece::Recover(ticks, following) => self.recover(&following, self.samples(ticks)),
            Piece::Conceal(ticks) => self.conceal(self.samples(ticks)),
            Piece::Silence(ticks) => self.piece.resize(self.samples(ticks), 0),
        }
        if self.playout.excess_frames > 0 && self.piece.iter().all(|sample| (-QUIET < *sample) && (*sample < QUIET)) {
            self.playout.excess_frames -= 1;
        } else {
            self.pcm.append(&mut self.piece);
        }
        true
    }

    fn samples(&self, ticks: i64) -> usize {
        (ticks / self.ticks_per_sample).max(0) as usize
    }

    /// Decode; a payload that is no Opus counts as lost (anyone on the call can send one).
    fn decode(&mut self, payload: &[u8]) {
        let decoded = match &mut self.decoder {
            Decoder::Opus(decoder) => decoder.decode(payload, &mut self.piece).is_ok(),
            Decoder::G711(law, last) => {
                g711::decode(*law, payload, &mut self.piece);
                last.clear();
                last.extend_from_slice(&self.piece[self.piece.len().saturating_sub(FRAME)..]);
                true
            }
        };
        if !decoded {
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

    fn conceal(&mut self, samples: usize) {
        match &mut self.decoder {
            Decoder::Opus(decoder) => {
                if decoder.conceal(samples, &mut self.piece).is_err() {
                    self.piece.resize(samples, 0);
                }
            }
            Decoder::G711(_, last) => {
                last.iter_mut().for_each(|sample| *sample = (f64::from(*sample) * CONCEALMENT_GAIN) as i16);
                if last.is_empty() {
                    self.piece.resize(samples, 0);
                } else {
                    self.piece.extend(last.iter().cycle().take(samples));
                }
            }
        }
    }
}
