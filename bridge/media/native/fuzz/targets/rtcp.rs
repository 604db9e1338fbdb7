//! Reports that come in never harm, and those that we write after any stream are short and well-formed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trunkline_native::outbox::Outbox;
use trunkline_native::reception::{Moment, read_sender_report};
use trunkline_native_fuzz::{Input, call};

fuzz_target!(|octets: &[u8]| {
    let _ = read_sender_report(octets);
    let (mut input, mut audio, mut out, mut now) = (Input(octets), call(false), Outbox::default(), 1.0);
    while !input.is_empty() {
        let kind = input.octet();
        now += f64::from(input.octet()) / 16.0;
        let datagram = input.datagram();
        match kind % 4 {
            0 => drop(audio.sip_report(datagram, now)),
            1 => drop(audio.matrix_packet(datagram, now, &mut out)),
            2 => drop(audio.sip_packet(datagram, now, &mut out)),
            _ => audio.report(Moment { now, wall: now * 1000.0 }, &mut out),
        }
        out.clear();
    }
    audio.report(Moment { now: now + 10.0, wall: now }, &mut out);
    assert_eq!(out.parcels().count(), 2, "one report for each leg");
    for (_, report) in out.parcels() {
        assert!(report.len() <= 128);
        assert!(read_sender_report(report).is_ok());
    }
    let (matrix, sip) = audio.numbers();
    assert!(matrix.lost >= 0 && sip.lost >= 0);
    assert!(matrix.jitter_s.is_finite() && sip.jitter_s.is_finite());
});
