//! The ciphers of SRTP, and the session keys that they use (RFC 3711 §4, RFC 7714).

use aes::cipher::consts::U12;
use aes::cipher::{Array, KeyInit};
use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes128Gcm, Aes256Gcm, Nonce, Tag};
use hmac::{Hmac, Mac};
use sha1::Sha1;

use crate::aes_counter::{Aes, BLOCK};
use crate::rtp::RTCP_HEADER;

const GCM_TAG: usize = 16;
const INDEX: usize = 4;

/// How a direction is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// AES_CM_128_HMAC_SHA1_80 (RFC 3711).
    AesCm80,
    /// AES_CM_128_HMAC_SHA1_32 (RFC 3711): the tag of SRTCP is as long as with the other one (RFC 4568 §6.2).
    AesCm32,
    /// AEAD_AES_128_GCM (RFC 7714).
    Gcm128,
    /// AEAD_AES_256_GCM (RFC 7714).
    Gcm256,
}

impl Profile {
    /// The profile under its registered name (RFC 4568 §6.2, RFC 7714 §14).
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "AES_CM_128_HMAC_SHA1_80" => Some(Self::AesCm80),
            "AES_CM_128_HMAC_SHA1_32" => Some(Self::AesCm32),
            "AEAD_AES_128_GCM" => Some(Self::Gcm128),
            "AEAD_AES_256_GCM" => Some(Self::Gcm256),
            _ => None,
        }
    }

    fn key_size(self) -> usize {
        if self == Self::Gcm256 { 32 } else { 16 }
    }

    fn salt_size(self) -> usize {
        if matches!(self, Self::Gcm128 | Self::Gcm256) { 12 } else { 14 }
    }
}

/// The session keys of one of the two protocols.
enum Session {
    Counter { aes: Box<Aes>, salt: u128, mac: Box<Hmac<Sha1>>, tag: usize },
    Gcm128(Box<Aes128Gcm>, [u8; 12]),
    Gcm256(Box<Aes256Gcm>, [u8; 12]),
}

/// All session keys under a master key.
pub struct Keys {
    rtp: Session,
    rtcp: Session,
}

impl Keys {
    /// Derive them; `None` when key and salt are not as long as the profile's.
    pub fn derive(profile: Profile, key_and_salt: &[u8]) -> Option<Self> {
        if key_and_salt.len() != profile.key_size() + profile.salt_size() {
            return None;
        }
        let (key, salt) = key_and_salt.split_at(profile.key_size());
        let master = Aes::new(key)?;
        Some(Self {
            rtp: Session::derive(profile, &master, salt, 0)?,
            rtcp: Session::derive(profile, &master, salt, 3)?,
        })
    }

    /// Encrypt a packet and append its tag.
    pub fn protect_rtp(&self, packet: &mut Vec<u8>, header: usize, ssrc: u32, index: u64) -> Option<()> {
        match &self.rtp {
            Session::Counter { aes, salt, mac, tag } => {
                aes.counter_mode(counter(*salt, ssrc, index), &mut packet[header..]);
                let sum = sign(mac, &[packet, &rollover(index)]);
                packet.extend_from_slice(&sum[..*tag]);
            }
            session => {
                let (header, text) = packet.split_at_mut(header);
                let tag = session.seal(session.nonce(ssrc, index), header, text)?;
                packet.extend_from_slice(&tag);
            }
        }
        Some(())
    }

    /// Check and decrypt a packet, and take its tag off; `None` for a forgery.
    pub fn unprotect_rtp(&self, packet: &mut Vec<u8>, header: usize, ssrc: u32, index: u64) -> Option<()> {
        let end = packet.len().checked_sub(self.rtp.tag_size()).filter(|end| *end >= header)?;
        let (signed, tag) = packet.split_at_mut(end);
        match &self.rtp {
            Session::Counter { aes, salt, mac, .. } => {
                check(mac, &[signed, &rollover(index)], tag)?;
                aes.counter_mode(counter(*salt, ssrc, index), &mut signed[header..]);
            }
            session => {
                let (header, text) = signed.split_at_mut(header);
                session.open(session.nonce(ssrc, index), header, text, tag)?;
            }
        }
        packet.truncate(end);
        Some(())
    }

    /// Encrypt an RTCP packet, append the index word and the tag (RFC 3711 §3.4, RFC 7714 §9).
    pub fn protect_rtcp(&self, packet: &mut Vec<u8>, ssrc: u32, word: u32) -> Option<()> {
        let index = u64::from(word & !(1 << 31));
        match &self.rtcp {
            Session::Counter { aes, salt, mac, tag } => {
                aes.counter_mode(counter(*salt, ssrc, index), &mut packet[RTCP_HEADER..]);
                packet.extend_from_slice(&word.to_be_bytes());
                let sum = sign(mac, &[packet]);
                packet.extend_from_slice(&sum[..*tag]);
            }
            session => {
                let (header, text) = packet.split_at_mut(RTCP_HEADER);
                let tag = session.seal(session.nonce(ssrc, index), &associated(header, word), text)?;
                packet.extend_from_slice(&tag);
                packet.extend_from_slice(&word.to_be_bytes());
            }
        }
        Some(())
    }

    /// The index word of an RTCP packet; `None` when it is too short to have one.
    pub fn rtcp_index(&self, packet: &[u8]) -> Option<u32> {
        let behind = if matches!(self.rtcp, Session::Counter { .. }) { self.rtcp.tag_size() } else { 0 };
        if packet.len() < RTCP_HEADER + INDEX + self.rtcp.tag_size() {
            return None;
        }
        Some(crate::rtp::word(packet, packet.len() - behind - INDEX))
    }

    /// Check and decrypt an RTCP packet, and take index and tag off; `None` for a forgery.
    pub fn unprotect_rtcp(&self, packet: &mut Vec<u8>, ssrc: u32, word: u32) -> Option<()> {
        let end = packet.len().checked_sub(self.rtcp.tag_size() + INDEX).filter(|end| *end >= RTCP_HEADER)?;
        let (index, encrypted) = (u64::from(word & !(1 << 31)), word >> 31 == 1);
        match &self.rtcp {
            Session::Counter { aes, salt, mac, .. } => {
                let (signed, tag) = packet.split_at_mut(end + INDEX);
                check(mac, &[signed], tag)?;
                if encrypted {
                    aes.counter_mode(counter(*salt, ssrc, index), &mut signed[RTCP_HEADER..end]);
                }
            }
            session => {
                let (text, trailer) = packet.split_at_mut(end);
                let (header, text) = text.split_at_mut(RTCP_HEADER);
                let nonce = session.nonce(ssrc, index);
                if encrypted {
                    session.open(nonce, &associated(header, word), text, &trailer[..GCM_TAG])?;
                } else {
                    let all = [&*header, &*text, &word.to_be_bytes()].concat();
                    session.open(nonce, &all, &mut [], &trailer[..GCM_TAG])?;
                }
            }
        }
        packet.truncate(end);
        Some(())
    }
}

impl Session {
    /// The keys with this label and the two after it: cipher, authentication, salt.
    fn derive(profile: Profile, master: &Aes, salt: &[u8], label: u8) -> Option<Self> {
        let key = master.derive(salt, label, profile.key_size());
        let salt_size = profile.salt_size();
        let mut own = [0; BLOCK];
        own[..salt_size].copy_from_slice(&master.derive(salt, label + 2, salt_size));
        let nonce_salt = own[..12].try_into().ok()?;
        let tag = if profile == Profile::AesCm32 && label == 0 { 4 } else { 10 };
        Some(match profile {
            Profile::AesCm80 | Profile::AesCm32 => Self::Counter {
                aes: Box::new(Aes::new(&key)?),
                salt: u128::from_be_bytes(own),
                mac: Box::new(Hmac::new_from_slice(&master.derive(salt, label + 1, 20)).ok()?),
                tag,
            },
            Profile::Gcm128 => Self::Gcm128(Box::new(Aes128Gcm::new_from_slice(&key).ok()?), nonce_salt),
            Profile::Gcm256 => Self::Gcm256(Box::new(Aes256Gcm::new_from_slice(&key).ok()?), nonce_salt),
        })
    }

    fn tag_size(&self) -> usize {
        if let Self::Counter { tag, .. } = self { *tag } else { GCM_TAG }
    }

    /// RFC 7714 §8.1 and §9.1: the source and the index, exclusive-or the salt.
    fn nonce(&self, ssrc: u32, index: u64) -> Nonce<U12> {
        let mut nonce = match self {
            Self::Gcm128(_, salt) | Self::Gcm256(_, salt) => *salt,
            Self::Counter { .. } => [0; 12],
        };
        let place = u128::from(ssrc) << 48 | u128::from(index);
        nonce.iter_mut().zip(&place.to_be_bytes()[4..]).for_each(|(octet, other)| *octet ^= other);
        Array::from(nonce)
    }

    fn seal(&self, nonce: Nonce<U12>, associated: &[u8], text: &mut [u8]) -> Option<[u8; GCM_TAG]> {
        let sealed = match self {
            Self::Gcm128(aes, _) => aes.encrypt_inout_detached(&nonce, associated, text.into()),
            Self::Gcm256(aes, _) => aes.encrypt_inout_detached(&nonce, associated, text.into()),
            Self::Counter { .. } => return None,
        };
        sealed.ok().map(Into::into)
    }

    fn open(&self, nonce: Nonce<U12>, associated: &[u8], text: &mut [u8], tag: &[u8]) -> Option<()> {
        let tag = Tag::from(<[u8; GCM_TAG]>::try_from(tag).ok()?);
        match self {
            Self::Gcm128(aes, _) => aes.decrypt_inout_detached(&nonce, associated, text.into(), &tag).ok(),
            Self::Gcm256(aes, _) => aes.decrypt_inout_detached(&nonce, associated, text.into(), &tag).ok(),
            Self::Counter { .. } => None,
        }
    }
}

/// The first counter block of a packet (RFC 3711 §4.1.1).
fn counter(salt: u128, ssrc: u32, index: u64) -> u128 {
    salt ^ u128::from(ssrc) << 64 ^ u128::from(index) << 16
}

/// The rollover counter, which is signed with every RTP packet (RFC 3711 §4.2).
fn rollover(index: u64) -> [u8; 4] {
    ((index >> 16) as u32).to_be_bytes()
}

/// What GCM signs of RTCP besides the text (RFC 7714 §9.3).
fn associated(header: &[u8], word: u32) -> [u8; RTCP_HEADER + INDEX] {
    let mut all = [0; RTCP_HEADER + INDEX];
    all[..RTCP_HEADER].copy_from_slice(header);
    all[RTCP_HEADER..].copy_from_slice(&word.to_be_bytes());
    all
}

fn sum(mac: &Hmac<Sha1>, parts: &[&[u8]]) -> Hmac<Sha1> {
    let mut mac = mac.clone();
    parts.iter().for_each(|part| mac.update(part));
    mac
}

fn sign(mac: &Hmac<Sha1>, parts: &[&[u8]]) -> [u8; 20] {
    sum(mac, parts).finalize().into_bytes().into()
}

/// Compare in a time that tells nothing.
fn check(mac: &Hmac<Sha1>, parts: &[&[u8]], tag: &[u8]) -> Option<()> {
    sum(mac, parts).verify_truncated_left(tag).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    fn gcm(key: &str) -> Keys {
        let (key, salt) = (octets(key), octets("517569642070726f2071756f").try_into().unwrap());
        let session = || match key.len() {
            16 => Session::Gcm128(Box::new(Aes128Gcm::new_from_slice(&key).unwrap()), salt),
            _ => Session::Gcm256(Box::new(Aes256Gcm::new_from_slice(&key).unwrap()), salt),
        };
        Keys { rtp: session(), rtcp: session() }
    }

    const SHORT: &str = "000102030405060708090a0b0c0d0e0f";
    const LONG: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    /// RFC 7714 §16.1 and §16.2.
    #[test]
    fn rtp_under_gcm() {
        let header = "8040f17b 8041f8d3 5501a0b2";
        let text = "47616c6c69612065 7374206f6d6e6973 2064697669736120 696e207061727465 73207472 6573";
        let cases = [
            (
                SHORT,
                "f24de3a3fb34de6c acba861c9d7e4bca be633bd50d294e6f 42a5f47a51c7d19b 36de3adf8833899d 7f27beb16a9152cf 765ee4390cce",
            ),
            (
                LONG,
                "32b1de78a822fe12 ef9f78fa332e33aa b18012389a58e2f3 b50b2a0276ffae0f 1ba63799b87b7aa3 db36dfffd6b0f9bb 7878d7a76c13",
            ),
        ];
        for (key, sealed) in cases {
            let (keys, plain) = (gcm(key), [octets(header), octets(text)].concat());
            let mut packet = plain.clone();
            keys.protect_rtp(&mut packet, 12, 0x5501a0b2, 0xf17b).unwrap();
            assert_eq!(packet, [octets(header), octets(sealed)].concat());
            let mut forged = packet.clone();
            forged[20] ^= 1;
            assert!(keys.unprotect_rtp(&mut forged, 12, 0x5501a0b2, 0xf17b).is_none());
            keys.unprotect_rtp(&mut packet, 12, 0x5501a0b2, 0xf17b).unwrap();
            assert_eq!(packet, plain);
        }
    }

    /// RFC 7714 §17.1.
    #[test]
    fn rtcp_under_gcm() {
        let plain = octets(
            "81c8000d4d617273 4e5450314e545032 525450200000042a 0000e9304c756e61 deadbeefdeadbeef deadbeefdeadbeef deadbeef",
        );
        let sealed = octets(
            "81c8000d4d617273 63e94885dcdab67c a727d7662f6b7e99 7ff5c0f76c06f32d c676a5f1730d6fda 4ce09b4686303ded 0bb9275bc84aa458 96cf4d2fc5abf872 45d9eade800005d4",
        );
        let keys = gcm(SHORT);
        let mut packet = plain.clone();
        keys.protect_rtcp(&mut packet, 0x4d617273, 0x8000_05d4).unwrap();
        assert_eq!(packet, sealed);
        assert_eq!(keys.rtcp_index(&packet), Some(0x8000_05d4));
        keys.unprotect_rtcp(&mut packet, 0x4d617273, 0x8000_05d4).unwrap();
        assert_eq!(packet, plain);
    }
}
