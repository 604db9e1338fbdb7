//! Comfort noise: what a line sounds like while nobody speaks, so that a pause is not taken for a dead call.
//!
//! Its level is what the source had between its words, or what it says of it (RFC 3389 §3.1). The spectrum is white:
//! that of RFC 3389 §3.2 is for the receiver to use or not, and of DTX nothing is known.

/// Mean square, about -55 dBFS: what is louder than this all the time is music, and no noise of a line.
const LOUDEST: i64 = 3300;
/// The estimate doubles in about a second of something louder, and falls at once.
const RISE: i64 = 64;
const DECIBEL: f64 = 0.891_250_938_133_745_6;
const LEVELS: u8 = 128;

/// The noise floor of one source.
pub struct ComfortNoise {
    power: i64,
    told: Option<i64>,
    state: u32,
}

impl Default for ComfortNoise {
    fn default() -> Self {
        Self { power: LOUDEST, told: None, state: 1 }
    }
}

impl ComfortNoise {
    /// Learn from the mean square of a stretch of audio.
    pub fn hear(&mut self, heard: i64) {
        self.power = heard.min(self.power + self.power / RISE + 1).min(LOUDEST);
    }

    /// Take the level of an RFC 3389 payload, in decibels below full scale; an empty one says nothing.
    ///
    /// The source knows its own noise better than we do: it is believed until it says something else.
    pub fn told(&mut self, payload: &[u8]) {
        let Some(level) = payload.first() else { return };
        let amplitude = (0..level % LEVELS).fold(32767.0, |amplitude, _| amplitude * DECIBEL);
        self.told = Some((amplitude * amplitude) as i64);
    }

    /// The next samples of noise.
    pub fn samples(&mut self) -> impl Iterator<Item = i16> {
        // Between its bounds, whose mean square is a third of their square.
        let amplitude = (3 * self.told.unwrap_or(self.power).min(LOUDEST)).isqrt();
        std::iter::repeat_with(move || {
            if amplitude == 0 {
                return 0;
            }
            self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (((i64::from(self.state >> 16) - 32768) * amplitude + 16384) >> 15) as i16
        })
    }
}
