//! G.722: seven kilohertz of audio in 64 kbit/s (ITU-T G.722). Two samples at 16 kHz are one octet.
//!
//! Names are those of the recommendation, clause 6: `nb`, `det`, `s`, `sp`, `sz`, `a`, `b`, `p`, `r`, `d`.

use crate::resampling::{Doubler, Halver};

/// The filter that parts the bands, and joins them (table 11): the taps of even number. It is symmetrical, so that those
/// of odd number are the same the other way round. The sum of all is 2 ** 13.
pub const QMF: [i32; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];
const WL: [i32; 8] = [-60, -30, 58, 172, 334, 538, 1198, 3042];
const RL42: [usize; 16] = [0, 7, 6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1, 0];
const ILB: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834, 2896, 2960, 3025,
    3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];
const QM4: [i32; 16] =
    [0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584, 1200, 0];
const QM6: [i32; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232, -9360, -8576,
    -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776, -2400, -2032, -1688, -1360, -1040,
    -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456,
    4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
];
/// Where one step of the lower band's quantizer ends and the next begins.
const Q6: [i32; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023, 1121, 1219, 1339,
    1458, 1612, 1765, 1980, 2195, 2557, 2919,
];
const QM2: [i32; 4] = [-7408, -1616, 7408, 1616];
const WH: [i32; 2] = [798, -214];
const HIGH_STEP: i32 = 564;

fn saturated(value: i32) -> i32 {
    value.clamp(i32::from(i16::MIN), i32::from(i16::MAX))
}

/// How far apart the steps of a quantizer are, and how that follows the signal (LOGSCL, SCALEL, LOGSCH, SCALEH).
struct Scale {
    nb: i32,
    det: i32,
    largest: i32,
    shift: i32,
}

impl Scale {
    fn adapt(&mut self, weight: i32) {
        self.nb = (((self.nb * 127) >> 7) + weight).clamp(0, self.largest);
        let (fraction, shift) = (ILB[(self.nb >> 6 & 31) as usize], self.shift - (self.nb >> 11));
        self.det = if shift < 0 { fraction << -shift } else { fraction >> shift } << 2;
    }
}

/// What the next sample of a band is expected to be: two poles, six zeros (block 4).
#[derive(Default)]
struct Predictor {
    s: i32,
    sz: i32,
    a: [i32; 2],
    p: [i32; 2],
    r: [i32; 2],
    b: [i32; 6],
    d: [i32; 6],
}

impl Predictor {
    fn adapt(&mut self, d: i32) {
        let (p, r) = (saturated(self.sz + d), saturated(self.s + d));
        self.move_poles(p);
        self.move_zeros(d);
        self.d.rotate_right(1);
        self.d[0] = d;
        (self.r, self.p) = ([r, self.r[0]], [p, self.p[0]]);
        let poles = self.a.iter().zip(self.r).map(|(a, r)| (a * saturated(r + r)) >> 15);
        let zeros = self.b.iter().zip(self.d).map(|(b, d)| (b * saturated(d + d)) >> 15);
        let sp = saturated(poles.sum());
        self.sz = saturated(zeros.sum());
        self.s = saturated(sp + self.sz);
    }

    /// UPPOL2 and UPPOL1.
    fn move_poles(&mut self, p: i32) {
        let alike = |before: i32| (before < 0) == (p < 0);
        let wd = saturated(self.a[0] << 2);
        let wd = if alike(self.p[0]) { -wd } else { wd }.min(32767);
        let second = (wd >> 7) + if alike(self.p[1]) { 128 } else { -128 } + ((self.a[1] * 32512) >> 15);
        let second = second.clamp(-12288, 12288);
        let first = saturated(if alike(self.p[0]) { 192 } else { -192 } + ((self.a[0] * 32640) >> 15));
        let limit = saturated(15360 - second);
        self.a = [first.clamp(-limit, limit), second];
    }

    /// UPZERO.
    fn move_zeros(&mut self, d: i32) {
        for (b, before) in self.b.iter_mut().zip(self.d) {
            let step = if d == 0 { 0 } else { 128 };
            let step = if (before < 0) == (d < 0) { step } else { -step };
            *b = saturated(step + ((*b * 32640) >> 15));
        }
    }
}

/// One of the two halves of the spectrum.
struct Band {
    scale: Scale,
    predictor: Predictor,
}

impl Band {
    fn lower() -> Self {
        Self { scale: Scale { nb: 0, det: 32, largest: 18432, shift: 8 }, predictor: Predictor::default() }
    }

    fn upper() -> Self {
        Self { scale: Scale { nb: 0, det: 8, largest: 22528, shift: 10 }, predictor: Predictor::default() }
    }

    /// What the predictor did not know, as far as a code tells it.
    fn scaled(&self, quantum: i32) -> i32 {
        (self.scale.det * quantum) >> 15
    }

    fn follow_lower(&mut self, code: usize) {
        let d = self.scaled(QM4[code >> 2]);
        self.scale.adapt(WL[RL42[code >> 2]]);
        self.predictor.adapt(d);
    }

    fn follow_upper(&mut self, code: usize) {
        let d = self.scaled(QM2[code]);
        self.scale.adapt(WH[code & 1]);
        self.predictor.adapt(d);
    }
}

/// Two bands that move together.
struct Bands {
    lower: Band,
    upper: Band,
    /// The last 24 samples, or sums and differences of the bands.
    history: [i32; 24],
}

impl Bands {
    fn new() -> Self {
        Self { lower: Band::lower(), upper: Band::upper(), history: [0; 24] }
    }

    fn remember(&mut self, pair: [i32; 2]) {
        self.history.copy_within(2.., 0);
        self.history[22..].copy_from_slice(&pair);
    }

    /// The two halves of the filter over what is remembered.
    fn filtered(&self) -> [i32; 2] {
        let sums = self.history.chunks_exact(2).zip(QMF).zip(QMF.iter().rev());
        sums.fold([0, 0], |[first, second], ((pair, up), down)| [first + pair[0] * up, second + pair[1] * down])
    }
}

/// PCM at 16 kHz, or at 8 kHz, to octets.
pub struct Encoder {
    bands: Bands,
    doubler: Option<Doubler>,
    wide: Vec<i16>,
}

impl Encoder {
    /// A fresh encoder for PCM of this rate.
    pub fn new(rate: usize) -> Self {
        Self { bands: Bands::new(), doubler: (rate < 16_000).then(Doubler::default), wide: Vec::new() }
    }

    /// Append an octet for each two samples at 16 kHz.
    pub fn encode(&mut self, samples: &[i16], out: &mut Vec<u8>) {
        self.wide.clear();
        match &mut self.doubler {
            Some(doubler) => doubler.double(samples, &mut self.wide),
            None => self.wide.extend_from_slice(samples),
        }
        let (bands, wide) = (&mut self.bands, &self.wide);
        out.extend(wide.chunks_exact(2).map(|pair| bands.octet([pair[0].into(), pair[1].into()])));
    }
}

impl Bands {
    fn octet(&mut self, pair: [i32; 2]) -> u8 {
        self.remember(pair);
        let [odd, even] = self.filtered();
        let lower = self.lower_code((even + odd) >> 14);
        let upper = self.upper_code((even - odd) >> 14);
        self.lower.follow_lower(lower);
        self.upper.follow_upper(upper);
        (upper << 6 | lower) as u8
    }

    /// QUANTL, with six bits.
    fn lower_code(&self, sample: i32) -> usize {
        let error = saturated(sample - self.lower.predictor.s);
        let size = if error < 0 { -(error + 1) } else { error };
        let step = Q6.partition_point(|bound| (bound * self.lower.scale.det) >> 12 <= size);
        match (error < 0, step) {
            (true, 0..=1) => 63 - step,
            (true, _) => 33 - step,
            (false, _) => 61 - step,
        }
    }

    /// QUANTH.
    fn upper_code(&self, sample: i32) -> usize {
        let error = saturated(sample - self.upper.predictor.s);
        let size = if error < 0 { -(error + 1) } else { error };
        let large = size >= (HIGH_STEP * self.upper.scale.det) >> 12;
        usize::from(!large) + if error < 0 { 0 } else { 2 }
    }

    /// Two samples.
    fn samples(&mut self, octet: u8) -> [i16; 2] {
        let (lower, upper) = (usize::from(octet & 0x3F), usize::from(octet >> 6));
        let low = self.lower.predictor.s + self.lower.scaled(QM6[lower]);
        let high = self.upper.predictor.s + self.upper.scaled(QM2[upper]);
        let (low, high) = (low.clamp(-16384, 16383), high.clamp(-16384, 16383));
        self.lower.follow_lower(lower);
        self.upper.follow_upper(upper);
        self.remember([low + high, low - high]);
        let [first, second] = self.filtered();
        [saturated(second >> 11) as i16, saturated(first >> 11) as i16]
    }
}

/// Octets to PCM at 16 kHz, or at 8 kHz.
pub struct Decoder {
    bands: Bands,
    halver: Option<Halver>,
    wide: Vec<i16>,
}

impl Decoder {
    /// A fresh decoder that makes PCM of this rate.
    pub fn new(rate: usize) -> Self {
        Self { bands: Bands::new(), halver: (rate < 16_000).then(Halver::default), wide: Vec::new() }
    }

    /// Append the audio of a payload: every octet means something.
    pub fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) {
        self.wide.clear();
        self.wide.extend(payload.iter().flat_map(|octet| self.bands.samples(*octet)));
        match &mut self.halver {
            Some(halver) => halver.halve(&self.wide, out),
            None => out.extend_from_slice(&self.wide),
        }
    }
}
