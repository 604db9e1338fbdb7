//! The Matrix leg after ICE has nominated a pair and DTLS has made keys: SRTP here, everything else for Python.

use std::net::SocketAddr;

use crate::discards::Discard;
use crate::path::{NOBODY, Path};
use crate::rate::PacketRate;
use crate::rtp::is_rtcp;
use crate::srtp::Context;

/// What a datagram is, by its first byte (RFC 7983) and by whether its source is known.
#[derive(Debug, PartialEq, Eq)]
pub enum Sorted {
    /// RTP or RTCP, decrypted where it lies.
    Audio,
    /// A connectivity check or DTLS: ICE and DTLS live in Python.
    Signalling,
    /// Of no use to anybody.
    Nothing,
    /// Thrown away, and counted.
    Discarded(Discard),
}

/// One DTLS association: its keys, and the sockets of the paths over which it may be reached.
pub struct WebRtc {
    /// The local sockets.
    pub paths: Vec<Path>,
    /// Addresses that proved themselves with a connectivity check.
    pub validated: Vec<SocketAddr>,
    /// Where to send: a local socket and a remote address.
    pub nominated: Option<(u32, SocketAddr)>,
    /// Whether it was ever heard.
    pub heard: bool,
    inbound: Context,
    outbound: Context,
    rate: PacketRate,
    stranger_rate: PacketRate,
}

impl WebRtc {
    /// A leg whose DTLS is up.
    pub fn new(outbound: Context, inbound: Context, now: f64) -> Self {
        Self {
            paths: Vec::new(),
            validated: Vec::new(),
            nominated: None,
            heard: false,
            inbound,
            outbound,
            rate: PacketRate::new(now),
            stranger_rate: PacketRate::new(now),
        }
    }

    /// The path with this number.
    pub fn path(&self, number: u32) -> Option<&Path> {
        self.paths.iter().find(|path| path.number == number)
    }

    /// Decide about a datagram of a path, and decrypt it where it lies when it is SRTP.
    pub fn take(&mut self, path: u32, datagram: &mut Vec<u8>, source: SocketAddr, now: f64) -> Sorted {
        match datagram.first() {
            None => Sorted::Nothing,
            Some(_) if source == NOBODY => Sorted::Signalling,
            Some(0..=3) => self.take_stun(path, datagram, source, now),
            Some(_) if !self.validated.contains(&source) => Sorted::Discarded(Discard::OffPath),
            Some(128..=191) => self.take_srtp(datagram, now),
            Some(20..=63) => Sorted::Signalling,
            Some(_) => Sorted::Nothing,
        }
    }

    /// Connectivity checks of anybody who names us, and answers to ours; of strangers not so many that Python is kept busy.
    fn take_stun(&mut self, path: u32, datagram: &[u8], source: SocketAddr, now: f64) -> Sorted {
        let known = self.validated.contains(&source);
        let wanted = self.path(path).is_some_and(|path| path.wants(datagram));
        if wanted && (known || self.stranger_rate.admits(now)) {
            Sorted::Signalling
        } else if known {
            Sorted::Nothing
        } else {
            Sorted::Discarded(Discard::OffPath)
        }
    }

    fn take_srtp(&mut self, datagram: &mut Vec<u8>, now: f64) -> Sorted {
        if !self.rate.admits(now) {
            return Sorted::Discarded(Discard::Rate);
        }
        let taken =
            if is_rtcp(datagram) { self.inbound.unprotect_rtcp(datagram) } else { self.inbound.unprotect(datagram) };
        if taken.is_ok() { Sorted::Audio } else { Sorted::Discarded(Discard::Srtp) }
    }

    /// Encrypt and send RTP or RTCP on the nominated pair.
    pub fn send(&mut self, packet: &mut Vec<u8>) {
        let Some((number, remote)) = self.nominated else { return };
        let protected =
            if is_rtcp(packet) { self.outbound.protect_rtcp(packet) } else { self.outbound.protect(packet) };
        if let Some(path) = self.path(number).filter(|_| protected) {
            path.send(packet, remote);
        }
    }
}
