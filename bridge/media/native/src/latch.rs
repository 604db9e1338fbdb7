//! Symmetric RTP (RFC 4961): where a phone really sends from, and who else is kept out.

use std::net::{IpAddr, SocketAddr};

/// A network from which a phone's RTP may come although its description names another address.
#[derive(Clone, Copy)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    /// The network with this address and length of prefix.
    pub fn new(address: IpAddr, prefix: u32) -> Self {
        Self { address, prefix }
    }

    fn contains(&self, host: IpAddr) -> bool {
        let (network, host, width) = match (self.address, host) {
            (IpAddr::V4(network), IpAddr::V4(host)) => {
                (u128::from(u32::from(network)), u128::from(u32::from(host)), 32)
            }
            (IpAddr::V6(network), IpAddr::V6(host)) => (u128::from(network), u128::from(host), 128),
            _ => return false,
        };
        let beyond = width - self.prefix.min(width);
        beyond == 128 || (network ^ host) >> beyond == 0
    }
}

/// How long after the first packet a phone may still turn out to send from elsewhere.
const LEARN_S: f64 = 3.0;

/// Accepts packets from the signalled host and from trusted networks, then from the first source alone.
///
/// The announced address itself wins over another one that was first, when it speaks within `LEARN_S`: somebody beside the
/// phone who is quicker than it must not keep its audio. Then the source is locked, and only a new description opens the
/// latch again.
pub struct SourceLatch {
    trusted: Vec<Network>,
    announced: Option<SocketAddr>,
    latched: Option<SocketAddr>,
    since: f64,
}

impl SourceLatch {
    /// A latch that nobody may pass yet.
    pub fn new(trusted: Vec<Network>) -> Self {
        Self { trusted, announced: None, latched: None, since: 0.0 }
    }

    /// Take the address of a description; an unchanged one leaves the latch as it is.
    pub fn signal(&mut self, address: SocketAddr) {
        if self.announced != Some(address) {
            (self.announced, self.latched) = (Some(address), None);
        }
    }

    /// What the description said.
    pub fn announced(&self) -> Option<SocketAddr> {
        self.announced
    }

    /// Where to send.
    pub fn target(&self) -> Option<SocketAddr> {
        self.latched.or(self.announced)
    }

    /// Whether a packet comes from the phone.
    pub fn accept(&mut self, source: SocketAddr, now: f64) -> bool {
        if self.latched == Some(source) {
            return true;
        }
        let Some(announced) = self.announced else { return false };
        let accepted = if self.latched.is_none() {
            self.since = now;
            self.may_send(source.ip(), announced.ip())
        } else {
            source == announced && now < self.since + LEARN_S
        };
        if accepted {
            self.latched = Some(source);
        }
        accepted
    }

    /// Whether nobody can take the place of the source that is known.
    pub fn is_settled(&self, now: f64) -> bool {
        self.latched.is_some() && (self.latched == self.announced || now >= self.since + LEARN_S)
    }

    /// Whether a source is the one that is known, or announced.
    pub fn is_phone(&self, source: SocketAddr) -> bool {
        self.latched == Some(source) || self.announced == Some(source)
    }

    /// Take the source of a packet that only the phone can have written (SRTP): it may move as it likes.
    pub fn follow(&mut self, source: SocketAddr) {
        self.latched = Some(source);
    }

    fn may_send(&self, host: IpAddr, announced: IpAddr) -> bool {
        host == announced || self.trusted.iter().any(|network| network.contains(host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_source_of_the_announced_host_is_kept_until_the_announced_one_speaks() {
        let mut latch = SourceLatch::new(vec![Network::new("192.0.2.0".parse().unwrap(), 24)]);
        assert!(!latch.accept(address("203.0.113.1:4000"), 0.0), "nothing was announced");
        latch.signal(address("203.0.113.1:4000"));
        assert!(!latch.accept(address("198.51.100.1:4000"), 0.0));
        assert!(latch.accept(address("192.0.2.77:5000"), 0.0));
        assert!(!latch.is_settled(2.9));
        assert!(!latch.accept(address("203.0.113.1:4001"), 1.0));
        assert!(latch.accept(address("203.0.113.1:4000"), 2.9));
        assert!(latch.is_settled(2.9));
        assert!(!latch.accept(address("192.0.2.77:5000"), 2.9));
        latch.signal(address("203.0.113.1:4000"));
        assert_eq!(latch.target(), Some(address("203.0.113.1:4000")));
        latch.signal(address("203.0.113.1:6000"));
        assert!(latch.accept(address("192.0.2.77:5000"), 5.0));
    }

    #[test]
    fn after_three_seconds_the_source_is_locked_even_against_the_announced_one() {
        let mut latch = SourceLatch::new(Vec::new());
        latch.signal(address("203.0.113.1:4000"));
        assert!(latch.accept(address("203.0.113.1:5000"), 10.0));
        assert!(latch.is_settled(13.0));
        assert!(!latch.accept(address("203.0.113.1:4000"), 13.0));
        assert!(latch.accept(address("203.0.113.1:5000"), 13.0));
    }

    #[test]
    fn networks_of_both_families() {
        let all = Network::new("::".parse().unwrap(), 0);
        assert!(all.contains("2001:db8::1".parse().unwrap()) && !all.contains("192.0.2.1".parse().unwrap()));
        let one = Network::new("192.0.2.1".parse().unwrap(), 32);
        assert!(one.contains("192.0.2.1".parse().unwrap()) && !one.contains("192.0.2.0".parse().unwrap()));
        assert!(Network::new("0.0.0.0".parse().unwrap(), 0).contains("8.8.8.8".parse().unwrap()));
    }
}
