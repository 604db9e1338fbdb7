//! Which interface this library has: Trunkline may be of another day than what was built here.

/// What Python may ask, as it is written down for both sides.
const WRITTEN: &[u8] = include_bytes!("../trunkline_native.pyi");

/// The checksum of that (CRC-32, as Python's `zlib.crc32`).
pub const INTERFACE: u32 = crc32(WRITTEN);

const fn crc32(bytes: &[u8]) -> u32 {
    let (mut crc, mut at) = (u32::MAX, 0);
    while at < bytes.len() {
        crc ^= bytes[at] as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
            bit += 1;
        }
        at += 1;
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::crc32;

    #[test]
    fn the_checksum_is_the_common_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }
}
