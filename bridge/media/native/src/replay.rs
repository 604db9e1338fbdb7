//! Packet indices that do not wrap, and which of them were seen (RFC 3711 §3.3.1, §3.3.2).

const WORDS: usize = 16;
const BITS: u64 = 64 * WORDS as u64;
const HALF: i64 = 1 << 15;

/// The newest indices of a stream; older ones than it knows count as seen.
#[derive(Default)]
pub struct Window {
    highest: Option<u64>,
    seen: [u64; WORDS],
}

impl Window {
    /// The highest index so far.
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// Whether an index was seen, or is too old to tell.
    pub fn has(&self, index: u64) -> bool {
        let Some(highest) = self.highest else { return false };
        index <= highest && (highest - index >= BITS || self.seen[word(index)] & bit(index) != 0)
    }

    /// Remember an index.
    pub fn keep(&mut self, index: u64) {
        let first = self.highest.map_or(index, |highest| highest + 1);
        if index >= first {
            if index - first >= BITS {
                self.seen = [0; WORDS];
            } else {
                (first..=index).for_each(|passed| self.seen[word(passed)] &= !bit(passed));
            }
            self.highest = Some(index);
        }
        self.seen[word(index)] |= bit(index);
    }
}

fn word(index: u64) -> usize {
    (index / 64 % WORDS as u64) as usize
}

fn bit(index: u64) -> u64 {
    1 << (index % 64)
}

/// The 48-bit index of a sequence number: the one that lies nearest to the highest (RFC 3711 appendix A).
pub fn estimate(highest: Option<u64>, sequence: u16) -> u64 {
    let Some(highest) = highest else { return u64::from(sequence) };
    let step = (i64::from(sequence) - (highest & 0xFFFF) as i64 + HALF).rem_euclid(1 << 16) - HALF;
    highest.checked_add_signed(step).unwrap_or(u64::from(sequence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_follows_the_sequence_number_around_its_end() {
        assert_eq!(estimate(None, 65530), 65530);
        assert_eq!(estimate(Some(65535), 0), 1 << 16);
        assert_eq!(estimate(Some(1 << 16), 65535), 65535);
        assert_eq!(estimate(Some(3), 65535), 65535, "there is nothing before the first index");
        assert_eq!(estimate(Some((7 << 16) + 40000), 100), (8 << 16) + 100);
    }

    #[test]
    fn a_window_knows_what_it_saw_and_takes_what_is_too_old_for_seen() {
        let mut window = Window::default();
        for index in [1000, 1002, 998] {
            assert!(!window.has(index));
            window.keep(index);
            assert!(window.has(index));
        }
        assert!(!window.has(1001));
        window.keep(1002 + BITS - 2);
        assert!(!window.has(1001) && window.has(1002) && window.has(1000));
        window.keep(10_000_000);
        assert!(!window.has(10_000_000 - 5) && window.has(1001));
    }
}
