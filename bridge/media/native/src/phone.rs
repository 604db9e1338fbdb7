//! The phone's leg: a pair of UDP sockets that speak with one host only.

use std::net::{SocketAddr, UdpSocket};

use crate::discards::Discard;
use crate::latch::{Network, SourceLatch};
use crate::rate::PacketRate;
use crate::rtp::MAX_DATAGRAM;
use crate::srtp::{Context, Profile, Refusal};

/// One direction's key as it was agreed.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// How it protects.
    pub profile: Profile,
    /// Master key and salt.
    pub key_and_salt: Vec<u8>,
}

/// What the audio is encrypted with, in both directions (RFC 4568).
struct Keys {
    ours: Key,
    theirs: Key,
    outbound: Context,
    inbound: Context,
}

/// RTP and RTCP towards one phone.
pub struct Phone {
    /// The socket of RTP.
    pub rtp: UdpSocket,
    /// The socket of RTCP.
    pub rtcp: UdpSocket,
    latch: SourceLatch,
    rtcp_latch: SourceLatch,
    rtcp_port: u16,
    rtp_rate: PacketRate,
    rtcp_rate: PacketRate,
    stranger_rate: PacketRate,
    keys: Option<Keys>,
    /// With whom alone the kernel lets us speak on RTP.
    connected: Option<SocketAddr>,
}

impl Phone {
    /// A leg that speaks with nobody yet.
    pub fn new(rtp: UdpSocket, rtcp: UdpSocket, trusted: Vec<Network>, now: f64) -> Self {
        Self {
            rtp,
            rtcp,
            latch: SourceLatch::new(trusted),
            rtcp_latch: SourceLatch::new(Vec::new()),
            rtcp_port: 0,
            rtp_rate: PacketRate::new(now),
            rtcp_rate: PacketRate::new(now),
            stranger_rate: PacketRate::new(now),
            keys: None,
            connected: None,
        }
    }

    /// Take the phone's address; `true` when it is a new one.
    pub fn direct(&mut self, address: SocketAddr, rtcp_port: u16) -> bool {
        let before = self.latch.target();
        self.latch.signal(address);
        self.rtcp_port = rtcp_port;
        if self.connected.is_some_and(|connected| self.latch.target() != Some(connected)) {
            self.disconnect();
        }
        before.is_none() || before != self.latch.target()
    }

    /// Encrypt with these keys from now on, ours and theirs, and take nothing else; none is audio in the clear.
    ///
    /// A direction begins anew, with the counter at 0, when its key changes and only then (RFC 4568 §6.4). `None` when a
    /// key is not as long as its profile wants.
    pub fn secure(&mut self, keys: Option<(Key, Key)>) -> Option<()> {
        let before = self.keys.take();
        let Some((ours, theirs)) = keys else { return Some(()) };
        self.disconnect();
        let (mut outbound, mut inbound) = (None, None);
        if let Some(before) = before {
            outbound = (before.ours == ours).then_some(before.outbound);
            inbound = (before.theirs == theirs).then_some(before.inbound);
        }
        let fresh = |key: &Key| Context::new(key.profile, &key.key_and_salt);
        let outbound = outbound.or_else(|| fresh(&ours))?;
        let inbound = inbound.or_else(|| fresh(&theirs))?;
        self.keys = Some(Keys { ours, theirs, outbound, inbound });
        Some(())
    }

    /// What the description said.
    pub fn announced(&self) -> Option<SocketAddr> {
        self.latch.announced()
    }

    /// Decide about a datagram on RTP, and decrypt it where it lies.
    pub fn take_rtp(&mut self, datagram: &mut Vec<u8>, source: SocketAddr, now: f64) -> Result<(), Discard> {
        if self.keys.is_some() {
            return self.take_secure_rtp(datagram, source, now);
        }
        if !self.latch.accept(source, now) {
            return Err(Discard::Source);
        }
        if self.connected.is_none() && self.latch.is_settled(now) {
            self.connect(source);
        }
        if !self.rtp_rate.admits(now) {
            Err(Discard::Rate)
        } else if datagram.len() > MAX_DATAGRAM {
            Err(Discard::Malformed)
        } else {
            Ok(())
        }
    }

    /// The key proves who sends: a phone may move without a new description, and nobody can take its place.
    fn take_secure_rtp(&mut self, datagram: &mut Vec<u8>, source: SocketAddr, now: f64) -> Result<(), Discard> {
        let (Some(_), Some(keys)) = (self.latch.announced(), self.keys.as_mut()) else { return Err(Discard::Source) };
        let rate = if self.latch.is_phone(source) { &mut self.rtp_rate } else { &mut self.stranger_rate };
        if !rate.admits(now) {
            return Err(Discard::Rate);
        }
        keys.inbound.unprotect(datagram).map_err(refused)?;
        self.latch.follow(source);
        Ok(())
    }

    /// Decide about a datagram on RTCP, and decrypt it where it lies.
    pub fn take_rtcp(&mut self, datagram: &mut Vec<u8>, source: SocketAddr, now: f64) -> Result<(), Discard> {
        let Some(target) = self.latch.target().filter(|target| target.ip() == source.ip()) else {
            return Err(Discard::Source);
        };
        self.expect_reports_of(target);
        if self.keys.is_none() && !self.rtcp_latch.accept(source, now) {
            return Err(Discard::Source);
        }
        if !self.rtcp_rate.admits(now) {
            return Err(Discard::Rate);
        }
        if let Some(keys) = self.keys.as_mut() {
            keys.inbound.unprotect_rtcp(datagram).map_err(refused)?;
        }
        self.rtcp_latch.follow(source);
        Ok(())
    }

    /// RTCP comes from the host that RTP comes from, and from a port of its own.
    fn expect_reports_of(&mut self, target: SocketAddr) {
        self.rtcp_latch.signal(SocketAddr::new(target.ip(), self.rtcp_port));
    }

    /// Encrypt and send RTP to where the phone sends from, or says that it listens.
    pub fn send_rtp(&mut self, packet: &mut Vec<u8>) {
        let Some(target) = self.latch.target() else { return };
        if self.keys.as_mut().is_some_and(|keys| !keys.outbound.protect(packet)) {
            return;
        }
        // A full buffer or an unreachable host loses packets, as any network does.
        let _ = if self.connected == Some(target) { self.rtp.send(packet) } else { self.rtp.send_to(packet, target) };
    }

    /// Encrypt and send RTCP.
    pub fn send_rtcp(&mut self, packet: &mut Vec<u8>) {
        let Some(rtp) = self.latch.target() else { return };
        self.expect_reports_of(rtp);
        let Some(target) = self.rtcp_latch.target() else { return };
        if self.keys.as_mut().is_some_and(|keys| !keys.outbound.protect_rtcp(packet)) {
            return;
        }
        let _ = self.rtcp.send_to(packet, target);
    }

    /// Let the kernel drop everybody else's packets: sooner, and for less, than we could.
    ///
    /// Another address than the announced one gives way to that for a while, and is not held on to like this before.
    fn connect(&mut self, address: SocketAddr) {
        if self.rtp.connect(address).is_ok() {
            self.connected = Some(address);
        }
    }

    fn disconnect(&mut self) {
        if self.connected.take().is_some() {
            let _ = rustix::net::connect_unspec(&self.rtp);
        }
    }
}

fn refused(refusal: Refusal) -> Discard {
    match refusal {
        Refusal::Forged => Discard::Srtp,
        Refusal::Replayed => Discard::Replay,
        Refusal::TooManyStreams => Discard::Streams,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn rtcp_comes_from_the_host_of_rtp_and_then_from_one_port_alone() {
        let socket = || UdpSocket::bind("127.0.0.1:0").unwrap();
        let network = Network::new("192.0.2.0".parse().unwrap(), 24);
        let mut phone = Phone::new(socket(), socket(), vec![network], 0.0);
        let (rtp, report) = (address("192.0.2.1:4000"), address("192.0.2.1:4001"));
        let take = |phone: &mut Phone, source, now| phone.take_rtcp(&mut vec![0x80, 201], source, now);
        assert_eq!(take(&mut phone, report, 0.0), Err(Discard::Source));
        phone.direct(rtp, report.port());
        assert_eq!(take(&mut phone, address("192.0.2.9:4001"), 0.0), Err(Discard::Source), "trusted for RTP alone");
        assert_eq!(take(&mut phone, address("192.0.2.1:61000"), 0.0), Ok(()), "a NAT chose the port");
        assert_eq!(take(&mut phone, report, 2.0), Ok(()), "the announced one wins");
        assert_eq!(take(&mut phone, address("192.0.2.1:61000"), 2.0), Err(Discard::Source));
        assert_eq!(phone.take_rtp(&mut vec![0x80; 50], address("192.0.2.7:5000"), 2.0), Ok(()));
        assert_eq!(take(&mut phone, report, 2.0), Err(Discard::Source), "RTP comes from another host now");
        assert_eq!(take(&mut phone, address("192.0.2.7:5001"), 2.0), Ok(()));
    }
}
