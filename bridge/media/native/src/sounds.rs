//! Sounds of our own, coded once for all calls: Python reads and encodes them.

use crate::formats::{Codec, FRAME_MS, OCTETS_PER_MS};
use crate::packing::silence;

/// One codec's form of a sound.
pub struct Coded {
    /// Whose.
    pub codec: Codec,
    /// The payload of each 20 ms.
    pub frames: Vec<Vec<u8>>,
}

/// Audio in frames of 20 ms, in the form of every codec.
pub struct Sound {
    coded: Vec<Coded>,
    frame_count: usize,
}

impl Sound {
    /// `None` when there is nothing in it, or the forms are not of one length.
    pub fn new(coded: Vec<Coded>) -> Option<Self> {
        let frame_count = coded.first().map_or(0, |form| form.frames.len());
        let even = coded.iter().all(|form| form.frames.len() == frame_count);
        (frame_count > 0 && even).then_some(Self { coded, frame_count })
    }

    /// How long it takes to play it once.
    pub fn duration_ms(&self) -> u64 {
        self.frame_count as u64 * FRAME_MS as u64
    }

    /// Write what is played from a moment on; beyond the end it begins anew, or is silent.
    ///
    /// An Opus frame can be neither cut nor joined: there, `length_ms` is 20.
    pub fn payload(&self, codec: Codec, start_ms: u64, length_ms: usize, repeats: bool, out: &mut Vec<u8>) {
        out.clear();
        let Some(form) = self.coded.iter().find(|form| form.codec == codec) else { return };
        let (count, frame_ms) = (self.frame_count, FRAME_MS as u64);
        let (first, end_ms) = ((start_ms / frame_ms) as usize, start_ms + length_ms as u64);
        if codec == Codec::Opus {
            out.extend_from_slice(&form.frames[first % count]);
            return;
        }
        for number in first..end_ms.div_ceil(frame_ms) as usize {
            if repeats || number < count {
                out.extend_from_slice(&form.frames[number % count]);
            } else {
                silence(codec, FRAME_MS, out);
            }
        }
        out.drain(..(start_ms % frame_ms) as usize * OCTETS_PER_MS);
        out.truncate(length_ms * OCTETS_PER_MS);
    }
}
