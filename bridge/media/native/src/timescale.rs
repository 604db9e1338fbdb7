//! Speech made a little shorter or longer without a click: one pitch period is left out, or heard twice.
//!
//! So a playout delay is changed, and a sender's clock that is faster or slower than ours made up for.

use crate::concealment::BASE_RATE;
use crate::pcm::{best, crossfade, dot, likeness, power};

/// Samples at 8 kHz; the longest period and the overlap are 20 ms together.
const SHORTEST: usize = 40;
const LONGEST: usize = 120;
const OVERLAP: usize = 40;
const STEP: usize = 2;
/// Correlation above which leaving a period out is not heard.
const ALIKE: f64 = 0.8;
/// Mean square, about -55 dBFS: nothing is heard of it anyway.
const QUIET: i64 = 3600;

/// 20 ms without one period of 5 to 15 ms; `None` when that would be heard, unless it must be done `anyway`.
pub fn shortened(samples: &[i16], rate: usize, anyway: bool) -> Option<Vec<i16>> {
    let period = period(samples, rate, anyway)?;
    let mut rest = samples[period..].to_vec();
    crossfade(&samples[..OVERLAP * rate / BASE_RATE], &mut rest);
    Some(rest)
}

/// 20 ms and one period more; `None` when that would be heard, unless it must be done `anyway`.
pub fn lengthened(samples: &[i16], rate: usize, anyway: bool) -> Option<Vec<i16>> {
    let (period, overlap) = (period(samples, rate, anyway)?, OVERLAP * rate / BASE_RATE);
    let mut longer = [&samples[..period], samples].concat();
    crossfade(&samples[period..period + overlap], &mut longer[period..]);
    Some(longer)
}

fn period(samples: &[i16], rate: usize, anyway: bool) -> Option<usize> {
    let scale = rate / BASE_RATE;
    let overlap = OVERLAP * scale;
    if power(samples) <= QUIET {
        return Some(LONGEST * scale);
    }
    let beginning = || samples[..overlap].iter().copied();
    let alike = |period: usize| likeness(beginning(), samples[period..period + overlap].iter().copied(), 1);
    let found = best((SHORTEST * scale..=LONGEST * scale).step_by(STEP * scale), alike)?;
    let strength = (dot(beginning(), beginning()).max(1) as f64).sqrt();
    (anyway || alike(found) >= ALIKE * strength).then_some(found)
}
