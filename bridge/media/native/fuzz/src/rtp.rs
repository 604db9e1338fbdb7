//! RTP headers: no length is believed, and what was understood means the same when it is written and read again.

use trunkline_native::rtp::{HEADER, Packet, header_size};

/// The oracle for one input.
pub fn check(datagram: &[u8]) {
    let Some(packet) = Packet::parse(datagram) else { return };
    let begin = header_size(datagram).expect("a packet has a header");
    assert!(begin >= HEADER && begin + packet.payload.len() <= datagram.len());
    assert!(datagram[begin..].starts_with(packet.payload));
    assert!(packet.payload_type < 128);
    let mut written = Vec::new();
    packet.write(&mut written);
    assert_eq!(written.len(), HEADER + packet.payload.len());
    assert_eq!(Packet::parse(&written), Some(packet));
}
