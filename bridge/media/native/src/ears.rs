//! Whether a source ever makes a sound: one that sends nothing but silence is muted, or has no microphone.

use crate::formats::Codec;
use crate::g711;
use crate::pcm::power;

/// Mean square of a frame, about -50 dBFS: less is the noise of a line.
const AUDIBLE: i64 = 10_000;
const LISTENS_EVERY_S: f64 = 1.0;

/// Listens until something was heard.
#[derive(Default)]
pub struct Ears {
    /// `None` until a level is known: it is where audio is decoded, and of G.711.
    pub audible: Option<bool>,
    listens_at: f64,
    samples: Vec<i16>,
}

impl Ears {
    /// Decode a payload of G.711, once a second: whoever speaks does so for longer.
    pub fn hear(&mut self, codec: Codec, payload: &[u8], now: f64) {
        if self.audible == Some(true) || now < self.listens_at || !matches!(codec, Codec::Pcmu | Codec::Pcma) {
            return;
        }
        self.listens_at = now + LISTENS_EVERY_S;
        self.samples.clear();
        g711::decode(codec, payload, &mut self.samples);
        self.hear_power(power(&self.samples));
    }

    /// Take the mean square of a stretch of audio.
    pub fn hear_power(&mut self, heard: i64) {
        self.audible = Some(self.audible == Some(true) || heard > AUDIBLE);
    }
}
