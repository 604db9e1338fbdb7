//! G.711: telephone audio in eight bits a sample (ITU-T G.711).

use crate::formats::Codec;

const ULAW_BIAS: i32 = 132;
const ULAW_CLIP: i32 = 32635;

const fn ulaw_expand(code: u8) -> i16 {
    let code = code ^ 0xFF;
    let magnitude = (((code as i32 & 0x0F) << 3) + ULAW_BIAS) << ((code >> 4) & 0x07);
    (if code & 0x80 != 0 { ULAW_BIAS - magnitude } else { magnitude - ULAW_BIAS }) as i16
}

const fn ulaw_compress(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let level = (sample as i32).abs();
    let magnitude = if level < ULAW_CLIP { level } else { ULAW_CLIP } + ULAW_BIAS;
    let exponent = 24 - magnitude.leading_zeros() as i32;
    (sign | (exponent << 4) as u8 | ((magnitude >> (exponent + 3)) & 0x0F) as u8) ^ 0xFF
}

const fn alaw_expand(code: u8) -> i16 {
    let code = code ^ 0x55;
    let (exponent, mantissa) = ((code >> 4) & 0x07, (code & 0x0F) as i32);
    let magnitude = if exponent == 0 { (mantissa << 4) + 8 } else { ((mantissa << 4) + 0x108) << (exponent - 1) };
    (if code & 0x80 != 0 { magnitude } else { -magnitude }) as i16
}

const fn alaw_compress(sample: i16) -> u8 {
    let sign = if sample >= 0 { 0x80 } else { 0 };
    let level = if sample >= 0 { sample as i32 } else { -(sample as i32) - 1 };
    let magnitude = (if level < 0x7FFF { level } else { 0x7FFF }) >> 4;
    let length = 32 - magnitude.leading_zeros() as i32;
    let exponent = if length > 4 { length - 4 } else { 0 };
    let mantissa = if exponent > 1 { magnitude >> (exponent - 1) } else { magnitude };
    (sign | (exponent << 4) as u8 | (mantissa & 0x0F) as u8) ^ 0x55
}

const fn table<const LAW: bool>() -> [i16; 256] {
    let mut made = [0; 256];
    let mut code = 0;
    while code < 256 {
        made[code] = if LAW { ulaw_expand(code as u8) } else { alaw_expand(code as u8) };
        code += 1;
    }
    made
}

const fn translation<const FROM_ULAW: bool>() -> [u8; 256] {
    let mut made = [0; 256];
    let mut code = 0;
    while code < 256 {
        made[code] = if FROM_ULAW { alaw_compress(ULAW[code]) } else { ulaw_compress(ALAW[code]) };
        code += 1;
    }
    made
}

static ULAW: [i16; 256] = table::<true>();
static ALAW: [i16; 256] = table::<false>();
static ULAW_TO_ALAW: [u8; 256] = translation::<true>();
static ALAW_TO_ULAW: [u8; 256] = translation::<false>();

/// Append the samples of a payload of either law.
pub fn decode(codec: Codec, payload: &[u8], out: &mut Vec<i16>) {
    let law = if codec == Codec::Pcma { &ALAW } else { &ULAW };
    out.extend(payload.iter().map(|code| law[usize::from(*code)]));
}

/// Append the payload of samples in either law.
pub fn encode(codec: Codec, samples: &[i16], out: &mut Vec<u8>) {
    let compress = if codec == Codec::Pcma { alaw_compress } else { ulaw_compress };
    out.extend(samples.iter().map(|sample| compress(*sample)));
}

/// Change a payload from one law to another, or leave it as it is; `None` when that takes a decoder.
pub fn translate(from: Codec, to: Codec, payload: &[u8], out: &mut Vec<u8>) -> Option<()> {
    out.clear();
    match (from, to) {
        (Codec::Pcmu, Codec::Pcma) => out.extend(payload.iter().map(|code| ULAW_TO_ALAW[usize::from(*code)])),
        (Codec::Pcma, Codec::Pcmu) => out.extend(payload.iter().map(|code| ALAW_TO_ULAW[usize::from(*code)])),
        _ if from == to => out.extend_from_slice(payload),
        _ => return None,
    }
    Some(())
}
