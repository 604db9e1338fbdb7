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
/// How alike what is joined must be, as a correlation: of what is quiet nothing is heard.
pub const QUIET_ONLY: f64 = 2.0;
/// Of what is alike not much is heard.
pub const ALIKE: f64 = 0.8;
/// Whatever is heard.
pub const ANYWAY: f64 = -1.0;
/// Mean square, about -55 dBFS: nothing is heard of it anyway.
const QUIET: i64 = 3600;

/// 20 ms without one period of 5 to 15 ms; `None` when nothing is as alike as it must be.
pub fn shortened(samples: &[i16], rate: usize, alike: f64) -> Option<Vec<i16>> {
    let period = period(samples, rate, alike)?;
    let mut rest = samples[period..].to_vec();
    crossfade(&samples[..OVERLAP * rate / BASE_RATE], &mut rest);
    Some(rest)
}

/// 20 ms and one period more; `None` when nothing is as alike as it must be.
pub fn lengthened(samples: &[i16], rate: usize, alike: f64) -> Option<Vec<i16>> {
    let (period, overlap) = (period(samples, rate, alike)?, OVERLAP * rate / BASE_RATE);
    let mut longer = [&samples[..period], samples].concat();
    crossfade(&samples[period..period + overlap], &mut longer[period..]);
    Some(longer)
}

fn period(samples: &[i16], rate: usize, least_alike: f64) -> Option<usize> {
    let scale = rate / BASE_RATE;
    let overlap = OVERLAP * scale;
    if power(samples) <= QUIET {
        return Some(LONGEST * scale);
    }
    if least_alike >= 1.0 {
        return None;
    }
    let beginning = || samples[..overlap].iter().copied();
    let alike = |period: usize| likeness(beginning(), samples[period..period + overlap].iter().copied(), 1);
    let found = best((SHORTEST * scale..=LONGEST * scale).step_by(STEP * scale), alike)?;
    let strength = (dot(beginning(), beginning()).max(1) as f64).sqrt();
    (alike(found) >= least_alike * strength).then_some(found)
}
