//! Whose packets are believed on a leg (RFC 3550 appendix A.1): a stray one must not interrupt what is being heard.

use crate::rtp::sequence_delta;

/// Packets that may be missing from a source that goes on: a minute of speech.
const MAX_DROPOUT: i32 = 3000;
/// By how much a packet may be late.
const MAX_MISORDER: i32 = 100;
const MOST_KNOWN: usize = 4;

/// Whether a source whose number moves by this has started anew, rather than lost packets or mixed them up.
pub fn jumps(step: i32) -> bool {
    !(-MAX_MISORDER..MAX_DROPOUT).contains(&step)
}

struct Source {
    ssrc: u32,
    highest: u16,
    /// The number that proves a source, or that it has started anew: the one after its last packet.
    proof: u16,
    is_proven: bool,
}

/// Those of one leg; the one that was heard last stands at the end.
///
/// The first is believed at once, for it interrupts nothing. After that a source, or one whose numbers jump, has to send
/// two packets in order first; the first of them is lost. Several may be known at the same time: gateways send digits,
/// or music on hold, under a number of their own.
#[derive(Default)]
pub struct Sources {
    known: Vec<Source>,
}

impl Sources {
    /// The leg is another one, or elsewhere: whoever comes next is believed at once.
    pub fn expect_new(&mut self) {
        self.known.clear();
    }

    /// Whether a packet counts.
    pub fn believe(&mut self, ssrc: u32, sequence: u16) -> bool {
        let Some(place) = self.known.iter().position(|source| source.ssrc == ssrc) else {
            return self.meet(ssrc, sequence);
        };
        self.known[place..].rotate_left(1);
        let Some(source) = self.known.last_mut() else { return false };
        let step = sequence_delta(sequence, source.highest);
        if sequence != source.proof && (jumps(step) || !source.is_proven) {
            source.proof = sequence.wrapping_add(1);
            return false;
        }
        if step > 0 || jumps(step) {
            source.highest = sequence;
        }
        (source.is_proven, source.proof) = (true, source.highest.wrapping_add(1));
        true
    }

    /// One that is not known; it takes the place of another when there are too many, of an unproven one first.
    fn meet(&mut self, ssrc: u32, sequence: u16) -> bool {
        let is_first = !self.known.iter().any(|source| source.is_proven);
        if self.known.len() == MOST_KNOWN {
            self.known.remove(self.known.iter().position(|source| !source.is_proven).unwrap_or(0));
        }
        self.known.push(Source { ssrc, highest: sequence, proof: sequence.wrapping_add(1), is_proven: is_first });
        is_first
    }
}
