//! Reports that come in never harm, and those that we write after any stream are short and well-formed.

use crate::{Input, begin};
use trunkline_native::outbox::Outbox;
use trunkline_native::rtcp::{Moment, read_reports};

/// The oracle for one input.
pub fn check(octets: &[u8]) {
    let _ = read_reports(octets);
    let (mut input, mut audio, mut out, mut now) = (Input(octets), begin(false), Outbox::default(), 1.0);
    while !input.is_empty() {
        let kind = input.octet();
        now += f64::from(input.octet()) / 16.0;
        let datagram = input.datagram();
        match kind % 4 {
            0 => {
                let _ = audio.sip_report(datagram, now);
            }
            1 => {
                let _ = audio.matrix_packet(datagram, now, &mut out);
            }
            2 => {
                let _ = audio.sip_packet(datagram, now, &mut out);
            }
            _ => audio.report(Moment { now, wall: now * 1000.0 }, &mut out),
        }
        out.clear();
    }
    audio.report(Moment { now: now + 10.0, wall: now }, &mut out);
    assert_eq!(out.parcels().count(), 2, "one report for each leg");
    for (_, report) in out.parcels() {
        assert!(report.len() <= 128);
        assert!(read_reports(report).is_ok());
    }
    let numbers = audio.numbers();
    for leg in [numbers.matrix, numbers.sip] {
        assert!(leg.lost >= 0 && leg.jitter_s.is_finite());
        assert!(leg.round_trip_s.is_none_or(|time_s| time_s >= 0.0 && time_s.is_finite()));
        assert!(leg.far_jitter_s.is_none_or(|jitter_s| jitter_s >= 0.0 && jitter_s.is_finite()));
    }
}
