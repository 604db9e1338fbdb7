//! From 16 kHz to 8 kHz and back, for G.722 that meets G.711.
//!
//! The filter is that of G.722 itself: half of its band, -3 dB at 4 kHz, with whole numbers, so that both packet paths come
//! to the same samples.

use crate::g722::QMF;

const TAPS: usize = 2 * QMF.len();
const SCALE_BITS: u32 = 13;

fn sample(sum: i32, bits: u32) -> i16 {
    (sum >> bits).clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

/// Leaves every second sample out, and what 8 kHz cannot carry.
pub struct Halver {
    samples: Vec<i16>,
}

impl Default for Halver {
    fn default() -> Self {
        Self { samples: vec![0; TAPS - 2] }
    }
}

impl Halver {
    /// Append as many samples as there are pairs.
    pub fn halve(&mut self, wide: &[i16], out: &mut Vec<i16>) {
        self.samples.extend_from_slice(wide);
        out.extend(self.samples.windows(TAPS).step_by(2).map(|window| {
            let pairs = window.chunks_exact(2).zip(QMF).zip(QMF.iter().rev());
            let sum = pairs.map(|((pair, even), odd)| i32::from(pair[0]) * even + i32::from(pair[1]) * odd).sum();
            sample(sum, SCALE_BITS)
        }));
        self.samples.drain(..self.samples.len() - (TAPS - 2));
    }
}

/// Puts a sample between any two.
pub struct Doubler {
    samples: Vec<i16>,
}

impl Default for Doubler {
    fn default() -> Self {
        Self { samples: vec![0; QMF.len() - 1] }
    }
}

impl Doubler {
    /// Append two samples for each.
    pub fn double(&mut self, narrow: &[i16], out: &mut Vec<i16>) {
        self.samples.extend_from_slice(narrow);
        for window in self.samples.windows(QMF.len()) {
            let odd = window.iter().zip(QMF.iter().rev()).map(|(sample, tap)| i32::from(*sample) * tap).sum();
            let even = window.iter().zip(QMF).map(|(sample, tap)| i32::from(*sample) * tap).sum();
            out.extend([sample(odd, SCALE_BITS - 1), sample(even, SCALE_BITS - 1)]);
        }
        self.samples.drain(..self.samples.len() - (QMF.len() - 1));
    }
}
