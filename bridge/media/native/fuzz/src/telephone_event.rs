//! Digits: whatever the packets say, none is made up, and each has one beginning.

use crate::Input;
use trunkline_native::dtmf::{DigitRelay, Event};
use trunkline_native::rtp::Packet;

/// The oracle for one input.
pub fn check(octets: &[u8]) {
    let mut input = Input(octets);
    let (source_rate, target_rate) = match input.octet() % 4 {
        0 => (8000, 8000),
        1 => (48_000, 8000),
        2 => (8000, 48_000),
        _ => (48_000, 48_000),
    };
    let (mut relay, mut began) = (DigitRelay::default(), None);
    while !input.is_empty() {
        let (sequence, timestamp, ssrc) = (input.short(), input.word(), u32::from(input.octet() % 3));
        let payload = input.take(4);
        let packet = Packet { payload_type: 101, sequence, timestamp, ssrc, marker: false, payload };
        let Some(relayed) = relay.convert(&packet, source_rate, target_rate, timestamp.wrapping_mul(3)) else {
            continue;
        };
        let said = Event::parse(payload).expect("an event was passed on");
        assert_eq!((relayed.event.event, relayed.event.end), (said.event, said.end));
        assert_eq!(Event::parse(&relayed.event.payload()).map(|event| event.payload()), Some(relayed.event.payload()));
        assert!(relayed.event.event <= 16);
        if relayed.first {
            began = Some(relayed.timestamp);
        }
        assert_eq!(Some(relayed.timestamp), began, "one digit has one beginning");
    }
}
