//! How long audio must be held back so that late packets are in time: from the spread of what the network takes.

use std::collections::VecDeque;

/// One frame.
pub const FRAME_S: f64 = 0.020;
const MIN_DELAY_S: f64 = 0.020;
const START_DELAY_S: f64 = 0.060;
/// Audio is never held back longer.
pub const MAX_DELAY_S: f64 = 0.200;
const WINDOW: usize = 256;
const STEP: u64 = 16;
const QUANTILE: f64 = 0.99;
const MARGIN_S: f64 = FRAME_S / 2.0;
const SLOWEST_SHRINK_S: f64 = 0.0025;
/// Packets after a loss in which another one is likely: 10 s.
const LOSS_MATTERS_FOR: u32 = 500;

/// The wanted delay after the fastest packet: up at once, down slowly, within its bounds.
///
/// Transit times are arrival minus timestamp, so only their differences mean something; a clock that drifts moves all.
pub struct PlayoutDelay {
    /// What the delay should be.
    pub wanted_s: f64,
    transits: VecDeque<f64>,
    fastest: f64,
    arrivals: u64,
    redundant: bool,
    waits_for_next: u32,
}

impl PlayoutDelay {
    /// `redundant`: what was lost may be in the next packet, which is worth waiting for on a network that loses.
    pub fn new(redundant: bool) -> Self {
        let (wanted_s, transits) = (START_DELAY_S, VecDeque::new());
        Self { wanted_s, transits, fastest: 0.0, arrivals: 0, redundant, waits_for_next: 0 }
    }

    /// Take the transit time of a packet.
    pub fn measure(&mut self, transit_s: f64) {
        if self.transits.is_empty() || transit_s < self.fastest {
            self.fastest = transit_s;
        }
        if self.transits.len() == WINDOW {
            self.transits.pop_front();
        }
        self.transits.push_back(transit_s);
        self.arrivals += 1;
        self.waits_for_next = self.waits_for_next.saturating_sub(1);
        if self.arrivals % STEP != 0 {
            return;
        }
        let mut ordered: Vec<f64> = self.transits.iter().copied().collect();
        ordered.sort_unstable_by(f64::total_cmp);
        self.fastest = ordered[0];
        let spread = ordered[(QUANTILE * (ordered.len() - 1) as f64) as usize] - ordered[0];
        let next_s = if self.waits_for_next > 0 { FRAME_S } else { 0.0 };
        let needed = ((spread + MARGIN_S).max(MIN_DELAY_S) + next_s).min(MAX_DELAY_S);
        self.wanted_s = needed.max(self.wanted_s - SLOWEST_SHRINK_S);
    }

    /// A packet never came.
    pub fn lost(&mut self) {
        self.waits_for_next = if self.redundant { LOSS_MATTERS_FOR } else { 0 };
    }

    /// The delay that audio has which is played this long after its timestamp.
    pub fn of(&self, transit_s: f64) -> f64 {
        if self.transits.is_empty() { 0.0 } else { transit_s - self.fastest }
    }

    /// Another source, on another clock; what the network is like stays known.
    pub fn forget(&mut self) {
        self.transits.clear();
    }
}
