//! A whole call: whatever both sides send, little leaves for each packet that comes, and all of it is well-formed.

use crate::{Input, begin, formats};
use trunkline_native::formats::{Codec, Formats};
use trunkline_native::outbox::{Outbox, Target};
use trunkline_native::rtcp::{Moment, read_reports};
use trunkline_native::rtp::{MAX_DATAGRAM, Packet, is_rtcp};

/// Packets that one event may bring about: audio or a digit each way, and reports.
const MOST_OUT: usize = 8;

/// The oracle for one input.
pub fn check(octets: &[u8]) {
    let (mut input, mut out, mut now) = (Input(octets), Outbox::default(), 1.0);
    let mut audio = begin(input.octet() & 1 == 1);
    while !input.is_empty() {
        let kind = input.octet();
        now += f64::from(kind >> 4) / 500.0;
        let largest = match kind & 0x0F {
            0..=4 => {
                let datagram = input.datagram();
                let _ = audio.sip_packet(datagram, now, &mut out);
                datagram.len()
            }
            5..=9 => {
                let datagram = input.datagram();
                let _ = audio.matrix_packet(datagram, now, &mut out);
                datagram.len()
            }
            10 => {
                let _ = audio.sip_report(input.datagram(), now);
                0
            }
            11 => {
                let flags = input.octet();
                audio.let_through(flags & 1 == 0, flags & 2 == 0, flags & 4 == 0);
                0
            }
            12 => {
                audio.to_matrix.keypad.press(input.take(3), u32::from(input.short()));
                0
            }
            13 => {
                let [client, phone] = [input.octet(), input.octet()].map(agreed);
                audio.configure(Some(client.clone()), Some(phone), Some(client));
                0
            }
            _ => {
                now += 0.020;
                audio.tick(now, &mut out);
                audio.report(Moment { now, wall: now }, &mut out);
                0
            }
        };
        judge(&out, largest);
        out.clear();
    }
    audio.close(&mut out);
    judge(&out, 0);
}

/// One of the codecs that need no library, in packets of 10 to 60 ms.
fn agreed(octet: u8) -> Formats {
    let codec = [Codec::Pcmu, Codec::Pcma, Codec::G722][usize::from(octet) % 3];
    formats(codec, [10, 20, 30, 40, 60][usize::from(octet >> 3) % 5])
}

fn judge(out: &Outbox, largest: usize) {
    assert!(out.parcels().count() <= MOST_OUT);
    for (target, parcel) in out.parcels() {
        assert!(parcel.len() <= largest.max(MAX_DATAGRAM));
        if target == Target::SipReports || is_rtcp(parcel) {
            assert!(read_reports(parcel).is_ok());
        } else {
            assert!(Packet::parse(parcel).is_some());
        }
    }
}
