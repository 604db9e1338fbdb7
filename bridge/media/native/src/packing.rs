//! Coded audio in packets of the length that the far end wants, whatever the length of what is heard at a time.

use std::sync::Arc;

use crate::formats::{Codec, Formats, OCTETS_PER_MS};
use crate::g711;
use crate::g722;
use crate::opus::{self, Library};

enum Encoder {
    /// A packet is encoded whole: so many samples, and those that it has begun with.
    Opus(opus::Encoder, usize, Vec<i16>),
    G722(Box<g722::Encoder>),
    G711(Codec),
}

/// Takes PCM, gives packets: none, one or more at a time.
pub struct Packer {
    /// How much audio a packet has.
    pub packet_ms: usize,
    encoder: Encoder,
    /// Of codecs whose octets stand for themselves, so that a packet may end anywhere: what waits for more.
    begun: Vec<u8>,
}

impl Packer {
    /// For PCM of this rate, to a leg with these formats; `None` when libopus is missing.
    pub fn new(formats: &Formats, rate: usize, library: Option<&Arc<Library>>) -> Option<Self> {
        let packet_ms = formats.packets.made_ms;
        let encoder = match formats.send.codec {
            Codec::Opus => Encoder::Opus(
                opus::Encoder::new(library?.clone(), rate, formats.opus)?,
                rate * packet_ms / 1000,
                Vec::new(),
            ),
            Codec::G722 => Encoder::G722(Box::new(g722::Encoder::new(rate))),
            law => Encoder::G711(law),
        };
        Some(Self { packet_ms, encoder, begun: Vec::new() })
    }

    /// Append the packets that are full to `out`, and where each ends to `ends`.
    pub fn pack(&mut self, pcm: &[i16], out: &mut Vec<u8>, ends: &mut Vec<usize>) {
        match &mut self.encoder {
            Encoder::Opus(encoder, size, waiting) => {
                waiting.extend_from_slice(pcm);
                while waiting.len() >= *size {
                    if encoder.encode(&waiting[..*size], out).is_ok() {
                        ends.push(out.len());
                    }
                    waiting.drain(..*size);
                }
                return;
            }
            Encoder::G722(encoder) => encoder.encode(pcm, &mut self.begun),
            Encoder::G711(law) => g711::encode(*law, pcm, &mut self.begun),
        }
        let size = OCTETS_PER_MS * self.packet_ms;
        while self.begun.len() >= size {
            out.extend(self.begun.drain(..size));
            ends.push(out.len());
        }
    }

    /// Drop what a packet has begun with: the source pauses, and goes on with something else.
    pub fn forget(&mut self) {
        self.begun.clear();
        if let Encoder::Opus(_, _, waiting) = &mut self.encoder {
            waiting.clear();
        }
    }
}

/// Append a payload of silence that needs no encoder: one octet for all samples, or 20 ms of Opus without anything in it.
pub fn silence(codec: Codec, packet_ms: usize, out: &mut Vec<u8>) {
    let octet = match codec {
        // Configuration 31, one frame of 20 ms, mono (RFC 6716 §3.1).
        Codec::Opus => return out.extend([0xF8, 0xFF, 0xFE]),
        Codec::G722 => 0xFE,
        Codec::Pcma => 0xD5,
        Codec::Pcmu => 0xFF,
    };
    out.resize(out.len() + OCTETS_PER_MS * packet_ms, octet);
}
