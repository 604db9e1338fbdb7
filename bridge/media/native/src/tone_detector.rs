//! Keys as tones in the audio (ITU-T Q.23), recognised within the limits of ITU-T Q.24.
//!
//! In blocks of 12.75 ms, by the Goertzel algorithm: a key needs two in a row, which any 40 ms have; one block without it is
//! an interruption, two are its end. Of the limits of Q.24, which differ between networks, those of AT&T are kept: a
//! frequency may be 1.5 % off and not 3.5 %, the lower tone 8 dB louder than the other, the upper one 4 dB.

use std::f64::consts::PI;

const RATE: f64 = 8000.0;
const BLOCK: usize = 102;
const FREQUENCIES: [f64; 8] = [697.0, 770.0, 852.0, 941.0, 1209.0, 1336.0, 1477.0, 1633.0];
/// Event codes (RFC 4733 §3.2) by row and column.
const EVENTS: [u8; 16] = [1, 2, 3, 12, 4, 5, 6, 13, 7, 8, 9, 14, 10, 0, 11, 15];
/// Of both tones in all that is heard: speech has more beside them.
const SHARE: f64 = 0.66;
/// A tone that is nearer to this multiple of its frequency, or its inverse, is another one.
const TOO_FAR: f64 = 1.05;

/// Takes audio as it comes, gives keys as soon as they are sure.
pub struct ToneDetector {
    tones: [f64; 8],
    sharper: [f64; 8],
    flatter: [f64; 8],
    /// Of each tone: about -33 dBm0.
    least_power: f64,
    low_over_high: f64,
    high_over_low: f64,
    over_others: f64,
    samples: Vec<i16>,
    /// What the block before was.
    before: Option<u8>,
    /// The key that is being pressed.
    key: Option<u8>,
    missing: u32,
}

impl Default for ToneDetector {
    fn default() -> Self {
        let coefficients = |by: f64| FREQUENCIES.map(|frequency| 2.0 * (2.0 * PI * (frequency * by) / RATE).cos());
        Self {
            tones: coefficients(1.0),
            sharper: coefficients(TOO_FAR),
            flatter: FREQUENCIES.map(|frequency| 2.0 * (2.0 * PI * (frequency / TOO_FAR) / RATE).cos()),
            least_power: (32768.0 * 10f64.powf(-36.0 / 20.0)).powi(2) / 2.0,
            low_over_high: 10f64.powf(0.95),
            high_over_low: 10f64.powf(0.55),
            over_others: 10f64.powf(0.5),
            samples: Vec::new(),
            before: None,
            key: None,
            missing: 0,
        }
    }
}

impl ToneDetector {
    /// More audio; the event codes of the keys that became sure.
    pub fn hear(&mut self, samples: &[i16], out: &mut Vec<u8>) {
        self.samples.extend_from_slice(samples);
        let mut block = [0; BLOCK];
        while self.samples.len() >= BLOCK {
            block.copy_from_slice(&self.samples[..BLOCK]);
            self.samples.drain(..BLOCK);
            let found = self.find(&block);
            out.extend(self.take(found).map(|key| EVENTS[usize::from(key)]));
        }
    }

    /// What a block is; a key when it is new.
    fn take(&mut self, found: Option<u8>) -> Option<u8> {
        let sure = std::mem::replace(&mut self.before, found) == found;
        if found == self.key {
            self.missing = 0;
            return None;
        }
        self.missing += 1;
        if self.missing >= 2 {
            self.key = None;
        }
        if !sure || found.is_none() {
            return None;
        }
        (self.key, self.missing) = (found, 0);
        found
    }

    /// The key of a block, as four times its row and its column.
    fn find(&self, block: &[i16; BLOCK]) -> Option<u8> {
        let total = block.iter().map(|sample| i64::from(*sample) * i64::from(*sample)).sum::<i64>() as f64;
        let least = self.least_power * BLOCK as f64;
        if total < 2.0 * least {
            return None;
        }
        let powers = self.tones.map(|coefficient| power(block, coefficient));
        let (row, column) = (loudest(&powers, 0), loudest(&powers, 4));
        let (low, high) = (powers[row], powers[column]);
        if low.min(high) < least || low + high < SHARE * total {
            return None;
        }
        if low > high * self.low_over_high || high > low * self.high_over_low {
            return None;
        }
        let others = (0..8).filter(|n| *n != row && *n != column);
        if others.into_iter().any(|n| powers[n] / (if n < 4 { low } else { high }) * self.over_others > 1.0) {
            return None;
        }
        let off = |n: usize| power(block, self.sharper[n]).max(power(block, self.flatter[n])) > powers[n];
        (!off(row) && !off(column)).then(|| (4 * row + column - 4) as u8)
    }
}

/// The strongest of four frequencies.
fn loudest(powers: &[f64; 8], from: usize) -> usize {
    (from + 1..from + 4).fold(from, |best, n| if powers[n] > powers[best] { n } else { best })
}

/// What one frequency contributes to the sum of squares.
fn power(block: &[i16], coefficient: f64) -> f64 {
    let (mut last, mut before) = (0.0, 0.0);
    for sample in block {
        (last, before) = (f64::from(*sample) + coefficient * last - before, last);
    }
    (last * last + before * before - coefficient * last * before) * 2.0 / BLOCK as f64
}
