//! AES in counter mode: the key stream of SRTP, and what its session keys are derived with (RFC 3711 §4.1.1, §4.3).

use aes::cipher::consts::U16;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use aes::{Aes128Enc, Aes256Enc};

/// Octets of a block.
pub const BLOCK: usize = 16;
/// Blocks that are made at once: as many as processors work on in parallel.
const BATCH: usize = 8;

/// The pseudo-random function and cipher of AES in counter mode.
#[expect(clippy::large_enum_variant, reason = "most are of the smaller one, and there are four to a call")]
pub enum Aes {
    /// A key of 128 bits.
    Short(Aes128Enc),
    /// One of 256.
    Long(Aes256Enc),
}

impl Aes {
    /// `None` when the key has another length.
    pub fn new(key: &[u8]) -> Option<Self> {
        match key.len() {
            16 => Aes128Enc::new_from_slice(key).ok().map(Self::Short),
            _ => Aes256Enc::new_from_slice(key).ok().map(Self::Long),
        }
    }

    fn encrypt(&self, blocks: &mut [Array<u8, U16>]) {
        match self {
            Self::Short(aes) => aes.encrypt_blocks(blocks),
            Self::Long(aes) => aes.encrypt_blocks(blocks),
        }
    }

    /// Exclusive-or with the key stream that begins at a counter block (RFC 3711 §4.1.1).
    pub fn counter_mode(&self, counter: u128, text: &mut [u8]) {
        let mut next = counter;
        for chunk in text.chunks_mut(BLOCK * BATCH) {
            let mut stream = [Array::from([0; BLOCK]); BATCH];
            let used = &mut stream[..chunk.len().div_ceil(BLOCK)];
            for block in used.iter_mut() {
                *block = Array::from(next.to_be_bytes());
                next = next.wrapping_add(1);
            }
            self.encrypt(used);
            for (part, block) in chunk.chunks_mut(BLOCK).zip(used.iter()) {
                part.iter_mut().zip(block.iter()).for_each(|(octet, key)| *octet ^= key);
            }
        }
    }

    /// The session key of a label (RFC 3711 §4.3.1; RFC 7714 §11: a shorter salt is filled up with zeros).
    pub fn derive(&self, salt: &[u8], label: u8, size: usize) -> Vec<u8> {
        let mut start = [0; BLOCK];
        start[..salt.len()].copy_from_slice(salt);
        start[7] ^= label;
        let mut key = vec![0; size];
        self.counter_mode(u128::from_be_bytes(start), &mut key);
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    /// RFC 3711 appendix B.2.
    #[test]
    fn the_key_stream_of_counter_mode() {
        let aes = Aes::new(&octets("2B7E151628AED2A6ABF7158809CF4F3C")).unwrap();
        let mut stream = vec![0; 0xFF02 * BLOCK];
        aes.counter_mode(0xF0F1F2F3F4F5F6F7F8F9FAFBFCFD0000, &mut stream);
        assert_eq!(stream[..32], octets("E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB"));
        assert_eq!(stream[0xFF00 * BLOCK..][..BLOCK], octets("362B7C3C6773516318A077D7FC5073AE"));
    }

    /// RFC 3711 appendix B.3.
    #[test]
    fn session_keys_come_from_the_master_key() {
        let master = Aes::new(&octets("E1F97A0D3E018BE0D64FA32C06DE4139")).unwrap();
        let derive = |label, size| master.derive(&octets("0EC675AD498AFEEBB6960B3AABE6"), label, size);
        assert_eq!(derive(0, 16), octets("C61E7A93744F39EE10734AFE3FF7A087"));
        assert_eq!(derive(2, 14), octets("30CBBC08863D8C85D49DB34A9AE1"));
        let authentication = "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4 8F0A0ACF3C34E2359E6CDBCE";
        assert_eq!(derive(1, 32), octets(authentication));
    }
}
