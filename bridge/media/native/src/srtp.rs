//! SRTP and SRTCP of one direction (RFC 3711, RFC 7714): a master key, and what is known of each stream under it.

use crate::cipher::Keys;
pub use crate::cipher::Profile;
use crate::replay::{Window, estimate};
use crate::rtp::{self, MAX_DATAGRAM};

/// SSRCs of one key: a phone takes a new one when it moves or is put through, not with every packet.
const MAX_STREAMS: usize = 64;
/// Room for the longest tag and the index of SRTCP.
const LONGEST_TRAILER: usize = 32;
/// The flag that says "encrypted" in front of the index of SRTCP (RFC 3711 §3.4).
const ENCRYPTED: u32 = 1 << 31;

/// Why a datagram was not decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its tag is wrong: another key, a changed packet, or no SRTP at all.
    Forged,
    /// It came before, or so late that nobody knows (RFC 3711 §3.3.2).
    Replayed,
    /// One stream too many.
    TooManyStreams,
}

/// What is remembered of one synchronisation source.
#[derive(Default)]
struct Stream {
    ssrc: u32,
    rtp: Window,
    rtcp: Window,
}

/// One direction: everything that one master key protects.
pub struct Context {
    keys: Keys,
    streams: Vec<Stream>,
    rtcp_sent: u32,
}

impl Context {
    /// A direction under a master key and salt; `None` when their length is not the profile's.
    pub fn new(profile: Profile, key_and_salt: &[u8]) -> Option<Self> {
        Some(Self { keys: Keys::derive(profile, key_and_salt)?, streams: Vec::new(), rtcp_sent: 0 })
    }

    /// Encrypt an RTP packet where it lies; `false` leaves it useless: no RTP, or a stream too many.
    pub fn protect(&mut self, packet: &mut Vec<u8>) -> bool {
        let Some(header) = rtp::header_size(packet) else { return false };
        let (ssrc, sequence) = (rtp::ssrc(packet), rtp::sequence(packet));
        let Some(position) = self.find(ssrc).or_else(|| self.add(ssrc)) else { return false };
        let window = &mut self.streams[position].rtp;
        let index = estimate(window.highest(), sequence);
        window.keep(index);
        self.keys.protect_rtp(packet, header, ssrc, index).is_some()
    }

    /// Check and decrypt an RTP packet where it lies.
    pub fn unprotect(&mut self, packet: &mut Vec<u8>) -> Result<(), Refusal> {
        let header = rtp::header_size(packet).ok_or(Refusal::Forged)?;
        if packet.len() > MAX_DATAGRAM + LONGEST_TRAILER {
            return Err(Refusal::Forged);
        }
        let (ssrc, sequence) = (rtp::ssrc(packet), rtp::sequence(packet));
        let known = self.admitted(ssrc)?;
        let highest = known.and_then(|position| self.streams[position].rtp.highest());
        let index = estimate(highest, sequence);
        if known.is_some_and(|position| self.streams[position].rtp.has(index)) {
            return Err(Refusal::Replayed);
        }
        self.keys.unprotect_rtp(packet, header, ssrc, index).ok_or(Refusal::Forged)?;
        self.genuine(known, ssrc).rtp.keep(index);
        Ok(())
    }

    /// Encrypt an RTCP packet where it lies; `false` when the key is used up, or it is no RTCP.
    pub fn protect_rtcp(&mut self, packet: &mut Vec<u8>) -> bool {
        if packet.len() < rtp::RTCP_HEADER || self.rtcp_sent >= ENCRYPTED - 1 {
            return false;
        }
        self.rtcp_sent += 1;
        self.keys.protect_rtcp(packet, rtp::rtcp_ssrc(packet), ENCRYPTED | self.rtcp_sent).is_some()
    }

    /// Check and decrypt an RTCP packet where it lies.
    pub fn unprotect_rtcp(&mut self, packet: &mut Vec<u8>) -> Result<(), Refusal> {
        if packet.len() > MAX_DATAGRAM + LONGEST_TRAILER || packet.len() < rtp::RTCP_HEADER {
            return Err(Refusal::Forged);
        }
        let ssrc = rtp::rtcp_ssrc(packet);
        let known = self.admitted(ssrc)?;
        let word = self.keys.rtcp_index(packet).ok_or(Refusal::Forged)?;
        let index = u64::from(word & !ENCRYPTED);
        if known.is_some_and(|position| self.streams[position].rtcp.has(index)) {
            return Err(Refusal::Replayed);
        }
        self.keys.unprotect_rtcp(packet, ssrc, word).ok_or(Refusal::Forged)?;
        self.genuine(known, ssrc).rtcp.keep(index);
        Ok(())
    }

    /// Where a stream is known, `None` for a new one; an error when there may be no new one.
    fn admitted(&self, ssrc: u32) -> Result<Option<usize>, Refusal> {
        let known = self.find(ssrc);
        if known.is_none() && self.streams.len() >= MAX_STREAMS { Err(Refusal::TooManyStreams) } else { Ok(known) }
    }

    fn find(&self, ssrc: u32) -> Option<usize> {
        self.streams.iter().position(|stream| stream.ssrc == ssrc)
    }

    fn add(&mut self, ssrc: u32) -> Option<usize> {
        if self.streams.len() >= MAX_STREAMS {
            return None;
        }
        self.streams.push(Stream { ssrc, ..Stream::default() });
        Some(self.streams.len() - 1)
    }

    /// The stream of a packet that proved genuine: only such a one is remembered.
    fn genuine(&mut self, known: Option<usize>, ssrc: u32) -> &mut Stream {
        let position = known.unwrap_or_else(|| {
            self.streams.push(Stream { ssrc, ..Stream::default() });
            self.streams.len() - 1
        });
        &mut self.streams[position]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 30] = [
        0xe1, 0xf9, 0x7a, 0x0d, 0x3e, 0x01, 0x8b, 0xe0, 0xd6, 0x4f, 0xa3, 0x2c, 0x06, 0xde, 0x41, 0x39, 0x0e, 0xc6,
        0x75, 0xad, 0x49, 0x8a, 0xfe, 0xeb, 0xb6, 0x96, 0x0b, 0x3a, 0xab, 0xe6,
    ];

    fn packet(sequence: u16) -> Vec<u8> {
        let [high, low] = sequence.to_be_bytes();
        let header = [0x80, 0x0f, high, low, 0xde, 0xca, 0xfb, 0xad, 0xca, 0xfe, 0xba, 0xbe];
        [&header[..], &[0xab; 16]].concat()
    }

    fn both(profile: Profile, key: &[u8]) -> (Context, Context) {
        (Context::new(profile, key).unwrap(), Context::new(profile, key).unwrap())
    }

    /// The reference packet of libsrtp's own validation.
    #[test]
    fn a_packet_is_what_other_implementations_make_of_it() {
        let (mut sender, mut receiver) = both(Profile::AesCm80, &KEY);
        let mut sent = packet(0x1234);
        assert!(sender.protect(&mut sent));
        let expected = [
            0x4e, 0x55, 0xdc, 0x4c, 0xe7, 0x99, 0x78, 0xd8, 0x8c, 0xa4, 0xd2, 0x15, 0x94, 0x9d, 0x24, 0x02, 0xb7, 0x8d,
            0x6a, 0xcc, 0x99, 0xea, 0x17, 0x9b, 0x8d, 0xbb,
        ];
        assert_eq!(sent[12..], expected);
        receiver.unprotect(&mut sent).unwrap();
        assert_eq!(sent, packet(0x1234));
    }

    #[test]
    fn every_packet_is_taken_once_and_none_that_was_changed() {
        for (profile, size) in
            [(Profile::AesCm80, 30), (Profile::AesCm32, 30), (Profile::Gcm128, 28), (Profile::Gcm256, 44)]
        {
            let (mut sender, mut receiver) = both(profile, &vec![7; size]);
            let mut sent = packet(65535);
            assert!(sender.protect(&mut sent));
            for position in 0..sent.len() {
                let mut forged = sent.clone();
                forged[position] ^= 4;
                assert!(receiver.unprotect(&mut forged).is_err());
            }
            let again = sent.clone();
            assert_eq!(receiver.unprotect(&mut sent), Ok(()));
            assert_eq!(receiver.unprotect(&mut again.clone()), Err(Refusal::Replayed));
        }
    }

    #[test]
    fn the_rollover_counter_goes_on_around_lost_and_late_packets() {
        let (mut sender, mut receiver) = both(Profile::Gcm128, &[3; 28]);
        let mut waiting = Vec::new();
        for number in 65_000u32..200_000 {
            let mut sent = packet(number as u16);
            assert!(sender.protect(&mut sent));
            match number % 100 {
                7 => waiting.push(sent),
                8 => continue,
                9 => assert_eq!(receiver.unprotect(&mut waiting.pop().unwrap()), Ok(())),
                _ => assert_eq!(receiver.unprotect(&mut sent), Ok(())),
            }
        }
    }

    #[test]
    fn rtcp_is_encrypted_and_taken_once() {
        for (profile, size) in [(Profile::AesCm80, 30), (Profile::AesCm32, 30), (Profile::Gcm256, 44)] {
            let (mut sender, mut receiver) = both(profile, &vec![9; size]);
            let plain = [&[0x80, 201, 0, 2][..], &[1, 2, 3, 4, 5, 6, 7, 8]].concat();
            let mut sent = plain.clone();
            assert!(sender.protect_rtcp(&mut sent));
            assert_ne!(sent[8..12], plain[8..12]);
            let again = sent.clone();
            assert_eq!(receiver.unprotect_rtcp(&mut sent), Ok(()));
            assert_eq!(sent, plain);
            assert_eq!(receiver.unprotect_rtcp(&mut again.clone()), Err(Refusal::Replayed));
            assert_eq!(receiver.unprotect_rtcp(&mut again[..13].to_vec()), Err(Refusal::Forged));
        }
    }

    #[test]
    fn a_key_has_a_limited_number_of_streams() {
        let (mut sender, mut receiver) = both(Profile::AesCm80, &KEY);
        for stream in 0..=MAX_STREAMS {
            let mut sent = packet(1);
            sent[11] = stream as u8;
            let known = stream < MAX_STREAMS;
            assert_eq!(sender.protect(&mut sent), known);
            assert_eq!(receiver.unprotect(&mut sent).is_ok(), known);
        }
        assert_eq!(receiver.unprotect(&mut packet(1)), Err(Refusal::TooManyStreams));
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        assert!(Context::new(Profile::Gcm128, &KEY).is_none());
        assert!(Context::new(Profile::AesCm80, &KEY[..29]).is_none());
    }
}
