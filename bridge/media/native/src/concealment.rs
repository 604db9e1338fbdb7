//! What is heard in place of a lost stretch of speech: its last pitch periods again (ITU-T G.711 appendix I).
//!
//! For any codec without a concealment of its own. The output is 3.75 ms behind the input, so that the last quarter of a
//! period before a gap can be bent towards what will be repeated. Clause numbers are those of the appendix.

use crate::pcm::{UNITY, best, crossfade, likeness, scaled};

/// The rate for which lengths are given.
pub const BASE_RATE: usize = 8000;
/// Samples at 8 kHz: pitches of 200 down to 66 Hz (I.2.2).
const SHORTEST_PERIOD: usize = 40;
const LONGEST_PERIOD: usize = 120;
const COMPARED: usize = 160;
const COARSE_STEP: usize = 2;
const QUARTER: usize = LONGEST_PERIOD / 4;
const HISTORY: usize = 3 * LONGEST_PERIOD + QUARTER;
/// 10 ms: what is added, and faded, is counted in these (I.2.5, I.2.7).
const CHUNK: usize = 80;
const MOST_PERIODS: usize = 3;
/// After the first 10 ms a fifth of the level is lost every 10 ms; after 60 ms there is silence (I.2.7).
const FADE: i64 = UNITY / 5;
const LONGER_OVERLAP: usize = 32;
const LEAST_POWER: i64 = 250;

/// One stream's history, and the state of the gap that it is in.
pub struct Concealer {
    scale: usize,
    history: Vec<i16>,
    /// The history as it was when the gap began, its last quarter period bent towards the one before.
    source: Vec<i16>,
    unbent: Vec<i16>,
    period: usize,
    periods: usize,
    offset: usize,
    gone: usize,
}

impl Concealer {
    /// Of a stream of which nothing was heard.
    pub fn new(rate: usize) -> Self {
        let scale = rate / BASE_RATE;
        Self {
            scale,
            history: vec![0; HISTORY * scale],
            source: Vec::new(),
            unbent: Vec::new(),
            period: 0,
            periods: 0,
            offset: 0,
            gone: 0,
        }
    }

    fn chunk(&self) -> usize {
        CHUNK * self.scale
    }

    /// Turn audio that arrived into that of 3.75 ms before; after a gap it grows out of what was made up (I.2.8).
    pub fn hear(&mut self, heard: &mut [i16]) {
        if self.gone > 0 {
            let longer = LONGER_OVERLAP * self.scale * (self.gone.div_ceil(self.chunk()) - 1);
            let overlap = (self.period / 4 + longer).min(self.chunk()).min(heard.len());
            let going_on = self.faded(overlap);
            crossfade(&going_on, &mut heard[..overlap]);
            self.gone = 0;
        }
        self.pass_on(heard);
    }

    /// Append so many samples in place of lost ones.
    pub fn conceal(&mut self, mut count: usize, out: &mut Vec<i16>) {
        while count > 0 {
            let left = (self.chunk() - self.gone % self.chunk()).min(count);
            let mut made_up = self.one_chunk(left);
            self.pass_on(&mut made_up);
            out.append(&mut made_up);
            count -= left;
        }
    }

    fn one_chunk(&mut self, count: usize) -> Vec<i16> {
        let made_up = if self.gone == 0 {
            self.begin();
            self.faded(count)
        } else if self.gone % self.chunk() == 0 && self.periods < MOST_PERIODS {
            self.with_another_period(count)
        } else {
            self.faded(count)
        };
        self.gone += count;
        made_up
    }

    /// Remember samples, and put as many older ones in their place.
    fn pass_on(&mut self, samples: &mut [i16]) {
        let (count, held) = (samples.len(), QUARTER * self.scale);
        self.history.extend_from_slice(samples);
        let end = self.history.len() - held;
        samples.copy_from_slice(&self.history[end - count..end]);
        self.history.drain(..count);
    }

    // The gap

    /// Find the pitch, and make the end of the last period lead into its beginning (I.2.4).
    fn begin(&mut self) {
        (self.period, self.periods, self.offset) = (self.pitch(), 1, 0);
        let (end, quarter) = (self.history.len(), self.period / 4);
        self.unbent = self.history[end - quarter..].to_vec();
        self.source.clone_from(&self.history);
        self.bend(end - self.period);
        self.history.clone_from(&self.source);
    }

    /// Let the last quarter of a period become what comes before `start`, where the repetition begins.
    fn bend(&mut self, start: usize) {
        let (end, quarter) = (self.source.len(), self.period / 4);
        self.source.copy_within(start - quarter..start, end - quarter);
        crossfade(&self.unbent, &mut self.source[end - quarter..]);
    }

    /// Repeat one period more from here on, so that it does not buzz (I.2.5).
    fn with_another_period(&mut self, count: usize) -> Vec<i16> {
        let before = self.offset;
        let going_on = self.repeated(self.period / 4);
        self.offset = before % self.period;
        self.periods += 1;
        self.bend(self.source.len() - self.periods * self.period);
        let mut chunk = self.repeated(count);
        crossfade(&going_on, &mut chunk);
        self.fade(&mut chunk);
        chunk
    }

    fn faded(&mut self, count: usize) -> Vec<i16> {
        let mut samples = self.repeated(count);
        self.fade(&mut samples);
        samples
    }

    fn fade(&self, samples: &mut [i16]) {
        let chunk = self.chunk();
        for (sample, position) in samples.iter_mut().zip(self.gone..) {
            let faded = position.saturating_sub(chunk) as i64 * FADE / chunk as i64;
            *sample = scaled(*sample, (UNITY - faded).max(0));
        }
    }

    /// The last periods before the gap, over and over.
    fn repeated(&mut self, count: usize) -> Vec<i16> {
        let span = self.period * self.periods;
        let last = &self.source[self.source.len() - span..];
        let samples = last.iter().copied().cycle().skip(self.offset).take(count).collect();
        self.offset = (self.offset + count) % span;
        samples
    }

    /// By how much the last 20 ms resemble what was before: roughly first, then to the sample (I.2.2).
    fn pitch(&self) -> usize {
        let coarse = COARSE_STEP * self.scale;
        let (shortest, longest) = (SHORTEST_PERIOD * self.scale, LONGEST_PERIOD * self.scale);
        let rough = best((shortest..=longest).step_by(coarse), |lag| self.resemblance(lag, coarse)).unwrap_or(shortest);
        let (lowest, highest) = ((rough + 1 - coarse).max(shortest), (rough + coarse - 1).min(longest));
        best(lowest..=highest, |lag| self.resemblance(lag, 1)).unwrap_or(rough)
    }

    fn resemblance(&self, lag: usize, step: usize) -> f64 {
        let start = self.history.len() - COMPARED * self.scale;
        let now = self.history[start..].iter().copied().step_by(step);
        let then = self.history[start - lag..self.history.len() - lag].iter().copied().step_by(step);
        likeness(now, then, LEAST_POWER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_goes_on_and_fades() {
        let mut concealer = Concealer::new(BASE_RATE);
        let tone: Vec<i16> = (0..1600).map(|n| ((f64::from(n) * 0.314).sin() * 8000.0) as i16).collect();
        for frame in tone.chunks(160) {
            concealer.hear(&mut frame.to_vec());
        }
        let mut made_up = Vec::new();
        concealer.conceal(800, &mut made_up);
        let loudest = |samples: &[i16]| samples.iter().map(|sample| sample.abs()).max();
        assert!(loudest(&made_up[..80]) > Some(7000));
        assert_eq!(loudest(&made_up[600..]), Some(0));
        let steepest = made_up.windows(2).map(|pair| (pair[1] - pair[0]).abs()).max();
        assert!(steepest < Some(3000), "nothing clicks");
    }
}
