//! Arithmetic on samples, in whole numbers: the same in both packet paths.

/// 1.0 of the fixed-point gains.
pub const UNITY: i64 = 1 << 15;

/// The sum of products, of as many samples as the shorter one has.
pub fn dot(left: impl Iterator<Item = i16>, right: impl Iterator<Item = i16>) -> i64 {
    left.zip(right).map(|(left, right)| i64::from(left) * i64::from(right)).sum()
}

/// Their correlation over the amplitude of `right`: the greater, the better `right` continues as `left` does.
pub fn likeness(left: impl Iterator<Item = i16>, right: impl Iterator<Item = i16> + Clone, least_power: i64) -> f64 {
    let strength = dot(right.clone(), right.clone()).max(least_power) as f64;
    dot(left, right) as f64 / strength.sqrt()
}

/// The mean square.
pub fn power(samples: &[i16]) -> i64 {
    let sum = dot(samples.iter().copied(), samples.iter().copied());
    if samples.is_empty() { 0 } else { sum / samples.len() as i64 }
}

/// A sample at a gain.
pub fn scaled(sample: i16, gain: i64) -> i16 {
    clipped((i64::from(sample) * gain) >> 15)
}

/// The nearest sample.
pub fn clipped(value: i64) -> i16 {
    value.clamp(-UNITY, UNITY - 1) as i16
}

/// Turn the beginning of `new` into a way there from `old`, in a straight line over their common length.
pub fn crossfade(old: &[i16], new: &mut [i16]) {
    let steps = old.len().min(new.len()) as i64 + 1;
    for ((old, new), step) in old.iter().zip(new).zip(1..) {
        let weight = UNITY * step / steps;
        *new = clipped((i64::from(*old) * (UNITY - weight) + i64::from(*new) * weight) >> 15);
    }
}

/// The first of those with the greatest score; `None` of none.
pub fn best(candidates: impl Iterator<Item = usize>, score: impl Fn(usize) -> f64) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for candidate in candidates {
        let reached = score(candidate);
        if best.is_none_or(|(_, highest)| reached > highest) {
            best = Some((candidate, reached));
        }
    }
    best.map(|(candidate, _)| candidate)
}
