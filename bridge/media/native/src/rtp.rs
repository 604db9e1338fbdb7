//! RTP packets (RFC 3550 §5.1) and the arithmetic of their wrapping counters.

/// Length of a header without CSRCs and extension.
pub const HEADER: usize = 12;
/// Length of what every RTCP packet begins with, its source included.
pub const RTCP_HEADER: usize = 8;
/// Longer datagrams are not audio: 60 ms of G.711 is 492 bytes.
pub const MAX_DATAGRAM: usize = 1300;

/// One packet without what does not cross a bridge: CSRCs, header extension and padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Payload type.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Marker bit.
    pub marker: bool,
    /// Payload without padding.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Read a datagram; `None` when a length in it points outside of it.
    pub fn parse(datagram: &'a [u8]) -> Option<Self> {
        let start = header_size(datagram)?;
        let end = payload_end(datagram)?;
        Some(Self {
            payload_type: datagram[1] & 0x7F,
            sequence: sequence(datagram),
            timestamp: word(datagram, 4),
            ssrc: ssrc(datagram),
            marker: datagram[1] & 0x80 != 0,
            payload: datagram.get(start..end)?,
        })
    }

    /// Append the wire form.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0x80, self.payload_type | if self.marker { 0x80 } else { 0 }]);
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.ssrc.to_be_bytes());
        out.extend_from_slice(self.payload);
    }
}

/// Where the payload begins, after the CSRC list and the header extension (RFC 3550 §5.3.1).
pub fn header_size(datagram: &[u8]) -> Option<usize> {
    if datagram.len() < HEADER || datagram[0] >> 6 != 2 {
        return None;
    }
    let mut start = HEADER + 4 * usize::from(datagram[0] & 0x0F);
    if datagram[0] & 0x10 != 0 {
        let words = datagram.get(start + 2..start + 4)?;
        start += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
    }
    (start <= datagram.len()).then_some(start)
}

/// Where padding begins: its last octet says how long it is, itself included.
fn payload_end(datagram: &[u8]) -> Option<usize> {
    if datagram[0] & 0x20 == 0 {
        return Some(datagram.len());
    }
    let padding = usize::from(*datagram.last()?);
    (padding != 0 && padding <= datagram.len() - HEADER).then(|| datagram.len() - padding)
}

/// Whether a packet on a shared port is RTCP: packet types 64 to 95 with the marker bit (RFC 5761 §4).
pub fn is_rtcp(datagram: &[u8]) -> bool {
    datagram.len() >= 2 && (192..=223).contains(&datagram[1])
}

/// The sequence number of something that is as long as a header.
pub fn sequence(datagram: &[u8]) -> u16 {
    u16::from_be_bytes([datagram[2], datagram[3]])
}

/// The source of something that is as long as a header.
pub fn ssrc(datagram: &[u8]) -> u32 {
    word(datagram, 8)
}

/// The source of an RTCP packet.
pub fn rtcp_ssrc(datagram: &[u8]) -> u32 {
    word(datagram, 4)
}

/// Four octets as a number.
pub fn word(datagram: &[u8], offset: usize) -> u32 {
    u32::from_be_bytes([datagram[offset], datagram[offset + 1], datagram[offset + 2], datagram[offset + 3]])
}

/// How many packets `later` lies after `earlier`, negative when it lies before.
pub fn sequence_delta(later: u16, earlier: u16) -> i32 {
    i32::from(later.wrapping_sub(earlier) as i16)
}

/// How many clock ticks `later` lies after `earlier`, negative when it lies before.
pub fn timestamp_delta(later: u32, earlier: u32) -> i64 {
    i64::from(later.wrapping_sub(earlier) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_cross_a_bridge_is_left_out() {
        let mut datagram = vec![0xB1, 0x80 | 111, 0, 7, 0, 0, 0, 9, 0, 0, 0, 5];
        datagram.extend([1, 2, 3, 4, 0xBE, 0xDE, 0, 1, 9, 9, 9, 9]);
        datagram.extend(b"audio\0\0\x03");
        let packet = Packet::parse(&datagram).unwrap();
        assert_eq!((packet.payload, packet.payload_type, packet.marker), (&b"audio"[..], 111, true));
        let mut out = Vec::new();
        packet.write(&mut out);
        assert_eq!(out, [&[0x80, 0xEF, 0, 7, 0, 0, 0, 9, 0, 0, 0, 5][..], b"audio"].concat());
    }

    #[test]
    fn a_length_that_points_outside_is_refused() {
        let header = |first: u8| [&[first, 0][..], &[0; 10]].concat();
        assert!(Packet::parse(&header(0x8F)).is_none());
        assert!(Packet::parse(&header(0x90)).is_none());
        assert!(Packet::parse(&header(0xA0)).is_none());
        assert!(Packet::parse(&header(0x40)).is_none());
        assert!(Packet::parse(&header(0x80)[..11]).is_none());
        assert!(Packet::parse(&[&header(0x90)[..], &[0, 0, 0xFF, 0xFF]].concat()).is_none());
        assert!(Packet::parse(&header(0x80)).is_some());
    }
}
