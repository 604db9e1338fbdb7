//! One way of the Matrix leg through the network: a socket of our own, or an allocation at a TURN server.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

/// Source of what came from a TURN server and is not a peer's: it is for Python's TURN client.
pub const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
/// Channel number and length (RFC 8656 §12.4).
const CHANNEL_HEADER: usize = 4;

/// Where datagrams come and go.
pub struct Path {
    /// How Python and the thread name it.
    pub number: u32,
    /// For a relay it is connected with the server, or with whoever speaks with that over a connection.
    pub socket: UdpSocket,
    /// What every connectivity check for us has in its user name (RFC 8445 §7.2.2).
    named: Vec<u8>,
    /// For a relay: what its channels stand for.
    channels: Option<Vec<(u16, SocketAddr)>>,
}

impl Path {
    /// A path on a socket; `relayed` says that it carries channel data.
    pub fn new(number: u32, socket: UdpSocket, named: Vec<u8>, relayed: bool) -> Self {
        Self { number, socket, named, channels: relayed.then(Vec::new) }
    }

    /// Take what the channels of a relay stand for.
    pub fn bind(&mut self, channels: Vec<(u16, SocketAddr)>) {
        self.channels = Some(channels);
    }

    /// Read one datagram into all the room that is there; where it came from.
    pub fn receive(&self, datagram: &mut Vec<u8>) -> io::Result<SocketAddr> {
        let Some(channels) = &self.channels else {
            return receive(&self.socket, datagram);
        };
        let size = self.socket.recv(datagram)?;
        datagram.truncate(size);
        Ok(unwrap(channels, datagram).unwrap_or(NOBODY))
    }

    /// Send to a peer; nothing that fails is told, for a full buffer or an unreachable host loses packets as any network.
    pub fn send(&self, datagram: &mut Vec<u8>, peer: SocketAddr) {
        let Some(channels) = &self.channels else {
            let _ = self.socket.send_to(datagram, peer);
            return;
        };
        let channel = channels.iter().find(|(_, known)| *known == peer);
        if let (Some((channel, _)), Ok(length)) = (channel, u16::try_from(datagram.len())) {
            let [[a, b], [c, d]] = [channel.to_be_bytes(), length.to_be_bytes()];
            datagram.splice(..0, [a, b, c, d]);
            let _ = self.socket.send(datagram);
        }
    }

    /// Whether something that begins like STUN is worth Python's time: a request has to name us (RFC 8489 §5).
    pub fn wants(&self, datagram: &[u8]) -> bool {
        let [first, second, ..] = *datagram else { return false };
        let is_request = first & 0x01 == 0 && second & 0x10 == 0;
        !is_request || datagram.windows(self.named.len().max(1)).any(|part| part == self.named)
    }
}

/// Read one datagram into all the room that is there; where it came from.
pub fn receive(socket: &UdpSocket, datagram: &mut Vec<u8>) -> io::Result<SocketAddr> {
    let (size, source) = socket.recv_from(datagram)?;
    datagram.truncate(size);
    Ok(source)
}

/// Leave of channel data what a peer sent, and say who; `None` for anything else, which stays as it is.
fn unwrap(channels: &[(u16, SocketAddr)], datagram: &mut Vec<u8>) -> Option<SocketAddr> {
    let [a, b, c, d] = *datagram.first_chunk::<CHANNEL_HEADER>()?;
    let (number, length) = (u16::from_be_bytes([a, b]), usize::from(u16::from_be_bytes([c, d])));
    let (_, peer) = channels.iter().find(|(known, _)| *known == number)?;
    let end = CHANNEL_HEADER + length;
    if end > datagram.len() {
        return None;
    }
    datagram.truncate(end);
    datagram.drain(..CHANNEL_HEADER);
    Some(*peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> SocketAddr {
        "192.0.2.1:5000".parse().unwrap()
    }

    fn pair() -> (Path, UdpSocket) {
        let (near, server) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        near.connect(server.local_addr().unwrap()).unwrap();
        server.connect(near.local_addr().unwrap()).unwrap();
        let mut path = Path::new(1, near, b"ufrag:".to_vec(), true);
        path.bind(vec![(0x4000, peer())]);
        (path, server)
    }

    #[test]
    fn a_relay_carries_channel_data_both_ways() {
        let (path, server) = pair();
        path.send(&mut b"audio".to_vec(), peer());
        let mut room = [0; 100];
        let size = server.recv(&mut room).unwrap();
        assert_eq!(&room[..size], b"\x40\x00\x00\x05audio");
        path.send(&mut b"nobody knows".to_vec(), "192.0.2.2:1".parse().unwrap());
        for (sent, received, source) in [
            (&b"\x40\x00\x00\x05voice\0\0\0"[..], &b"voice"[..], peer()),
            (b"\x40\x00\x00\x09voice", b"\x40\x00\x00\x09voice", NOBODY),
            (b"\x40\x01\x00\x05voice", b"\x40\x01\x00\x05voice", NOBODY),
            (b"\x01\x01", b"\x01\x01", NOBODY),
        ] {
            server.send(sent).unwrap();
            let mut datagram = vec![0; 100];
            assert_eq!(path.receive(&mut datagram).unwrap(), source);
            assert_eq!(datagram, received);
        }
    }

    #[test]
    fn a_request_has_to_name_us() {
        let (path, _) = pair();
        assert!(path.wants(b"\x00\x01....ufrag:them...."));
        assert!(!path.wants(b"\x00\x01....other:them....") && !path.wants(b"\x00"));
        assert!(path.wants(b"\x01\x01an answer"));
    }
}
