//! RTCP of one leg: each has reports of its own, since the synchronisation sources change between the legs.

use std::collections::VecDeque;

use crate::outbound::OutboundStream;
use crate::reception::Reception;
use crate::rtcp::{Moment, ReportBlock, Said, read_reports, write_bye, write_report};

/// Seconds between two reports of ours, on average.
pub const INTERVAL_S: f64 = 5.0;
/// The same where the profile allows feedback (RFC 4585 §3.4): a client protects its audio once it knows of losses, and
/// of every report that tells it one may be lost.
pub const FEEDBACK_INTERVAL_S: f64 = 1.0;
/// Sender reports of ours to which a round trip can be measured.
const REMEMBERED: usize = 8;
const LONGEST_ROUND_TRIP_S: f64 = 20.0;
const MOST_JITTER_S: f64 = 10.0;

/// How the far end receives what we send, by its own reports.
#[derive(Default)]
pub struct FarReception {
    /// There and back.
    pub round_trip_s: Option<f64>,
    /// Packets of ours that never came.
    pub lost: Option<i32>,
    /// Interarrival jitter.
    pub jitter_s: Option<f64>,
    sent: VecDeque<(u32, f64)>,
}

impl FarReception {
    /// Remember when a sender report of ours left: round trips are measured by our own clock alone.
    fn sent_report(&mut self, moment: Moment) {
        if self.sent.len() == REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back((moment.middle_ntp(), moment.now));
    }

    /// Take what a report says of our stream, as far as it can be true.
    fn heard(&mut self, block: &ReportBlock, outbound: &OutboundStream, clock_rate: u32, now: f64) {
        let jitter_s = f64::from(block.jitter) / f64::from(clock_rate);
        if block.ssrc != outbound.ssrc || i64::from(block.lost) > outbound.packets as i64 || jitter_s > MOST_JITTER_S {
            return;
        }
        (self.lost, self.jitter_s) = (Some(block.lost.max(0)), Some(jitter_s));
        for (middle, sent_at) in &self.sent {
            let round_trip_s = now - sent_at - f64::from(block.delay) / 65536.0;
            if *middle == block.last_report && (0.0..=LONGEST_ROUND_TRIP_S).contains(&round_trip_s) {
                self.round_trip_s = Some(round_trip_s);
            }
        }
    }
}

/// What is told and heard in RTCP on a leg.
pub struct LegReports {
    /// The stream that arrives.
    pub reception: Reception,
    /// The stream that leaves.
    pub far: FarReception,
    /// When anything well-formed came last on this leg, RTP or RTCP.
    pub heard_at: Option<f64>,
    cname: String,
    interval_s: f64,
    chance: u32,
    due: f64,
    spoke: bool,
    gone: bool,
}

impl LegReports {
    /// Of a leg on which nothing was said; the first report is due after half an interval (RFC 3550 §6.2).
    pub fn new(ssrc: u32, cname: String, now: f64, interval_s: f64) -> Self {
        let mut new = Self {
            reception: Reception::default(),
            far: FarReception::default(),
            heard_at: None,
            cname,
            interval_s,
            chance: ssrc,
            due: now,
            spoke: false,
            gone: false,
        };
        new.due += new.interval() / 2.0;
        new
    }

    /// Between half and one and a half times the nominal one, so that reports do not fall into step (RFC 3550 §6.3.1).
    /// The source is random, so what is computed from it is for the far end too.
    fn interval(&mut self) -> f64 {
        self.chance = self.chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.interval_s * (0.5 + f64::from(self.chance) / 4_294_967_296.0)
    }

    /// Take RTCP; `true` when it was well-formed.
    pub fn hear(&mut self, datagram: &[u8], outbound: &OutboundStream, clock_rate: Option<u32>, now: f64) -> bool {
        let Ok(said) = read_reports(datagram) else { return false };
        self.heard_at = Some(now);
        for said in said {
            match (said, clock_rate) {
                (Said::Sender(ssrc, middle), _) => self.reception.heard_sender(ssrc, middle, now),
                (Said::Block(block), Some(clock_rate)) => self.far.heard(&block, outbound, clock_rate, now),
                (Said::Block(_), None) => {}
            }
        }
        true
    }

    /// Append the report that is due; `false` when none is.
    pub fn due(
        &mut self,
        outbound: &OutboundStream,
        clock_rate: Option<u32>,
        moment: Moment,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(clock_rate) = clock_rate.filter(|_| moment.now >= self.due) else { return false };
        self.due = moment.now + self.interval();
        self.spoke = true;
        if outbound.packets > 0 {
            self.far.sent_report(moment);
        }
        let block = self.reception.block(moment.now);
        write_report(outbound, block, &self.cname, clock_rate, moment, out);
        true
    }

    /// Append the end of our stream, once; `false` when nobody has ever heard of it (RFC 3550 §6.3.7).
    pub fn goodbye(&mut self, outbound: &OutboundStream, out: &mut Vec<u8>) -> bool {
        if self.gone || !(self.spoke || outbound.packets > 0) {
            return false;
        }
        self.gone = true;
        write_bye(outbound.ssrc, &self.cname, out);
        true
    }
}
