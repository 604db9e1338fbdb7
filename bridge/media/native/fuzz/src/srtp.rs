//! SRTP: nothing that we did not protect is accepted, nothing twice, and what we did comes back as it was.

use std::net::SocketAddr;

use crate::Input;
use trunkline_native::srtp::{Context, Profile};
use trunkline_native::webrtc::{Sorted, WebRtc};

/// 32 bits of authentication can be guessed in this many attempts, so that profile is left out.
const PROFILES: [(Profile, usize); 3] = [(Profile::AesCm80, 30), (Profile::Gcm128, 28), (Profile::Gcm256, 44)];

/// The oracle for one input.
pub fn check(octets: &[u8]) {
    let mut input = Input(octets);
    let (profile, size) = PROFILES[usize::from(input.octet()) % PROFILES.len()];
    let key = vec![7; size];
    let context = || Context::new(profile, &key).expect("the key is as long as it must be");
    let (mut sender, mut receiver) = (context(), context());
    while !input.is_empty() {
        let (kind, flip) = (input.octet(), input.short());
        let packet = input.datagram().to_vec();
        let rtcp = kind & 1 == 1;
        assert!(!taken(&mut receiver, &mut packet.clone(), rtcp), "a stranger was believed");
        let mut protected = packet.clone();
        let done = if rtcp { sender.protect_rtcp(&mut protected) } else { sender.protect(&mut protected) };
        if !done {
            continue;
        }
        assert!(protected.len() <= packet.len() + 32);
        let mut changed = protected.clone();
        let at = usize::from(flip >> 3) % changed.len();
        changed[at] ^= 1 << (flip & 7);
        assert!(!taken(&mut receiver, &mut changed, rtcp), "a packet that was changed was believed");
        let mut arrived = protected.clone();
        if taken(&mut receiver, &mut arrived, rtcp) {
            assert_eq!(arrived, packet);
            assert!(!taken(&mut receiver, &mut protected, rtcp), "a packet was taken twice");
        }
    }
    strangers(octets, context(), context());
}

fn taken(receiver: &mut Context, packet: &mut Vec<u8>, rtcp: bool) -> bool {
    if rtcp { receiver.unprotect_rtcp(packet).is_ok() } else { receiver.unprotect(packet).is_ok() }
}

/// The Matrix leg: audio comes from nobody who has no key, and from a stranger nothing but connectivity checks.
fn strangers(octets: &[u8], ours: Context, theirs: Context) {
    let address = |port| SocketAddr::from(([192, 0, 2, 1], port));
    let mut leg = WebRtc::new(ours, theirs, 0.0);
    leg.validated.push(address(5000));
    assert_ne!(leg.take(0, &mut octets.to_vec(), address(5000), 0.0), Sorted::Audio);
    let sorted = leg.take(0, &mut octets.to_vec(), address(6000), 0.0);
    assert_ne!(sorted, Sorted::Audio);
    assert!(sorted != Sorted::Signalling || octets[0] <= 3, "a stranger's DTLS went on");
}
