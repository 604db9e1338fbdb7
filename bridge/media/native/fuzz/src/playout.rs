//! The playout buffer: every packet is played at most once and in order, and no more is kept, made up or asked for than
//! a call can bear.

use std::collections::HashSet;

use crate::Input;
use trunkline_native::playout::{Piece, PlayoutBuffer};

const FRAME: i64 = 160;
/// Frames for which a source that is back may be waited for.
const MOST_IDLE: usize = 12;
/// Frames in a buffer that is full of packets with the longest pauses between them, of 5 s.
const LONGEST: usize = 65 * 260;

/// The oracle for one input.
pub fn check(octets: &[u8]) {
    let (mut input, mut buffer, mut now) = (Input(octets), PlayoutBuffer::new(8000, false), 0.0);
    let (mut pushed, mut played, mut number) = (HashSet::new(), HashSet::new(), 0u32);
    let (mut sequence, mut timestamp) = (input.short(), input.word());
    while !input.is_empty() {
        let kind = input.octet();
        match kind % 8 {
            0..=2 => {
                (sequence, timestamp) = (sequence.wrapping_add(1), timestamp.wrapping_add(FRAME as u32));
            }
            3 => {
                sequence = sequence.wrapping_add(u16::from(input.octet()).wrapping_sub(128));
                timestamp = timestamp.wrapping_add(u32::from(input.short()).wrapping_sub(32_768));
            }
            4 => (sequence, timestamp) = (input.short(), input.word()),
            5 => buffer.reset(),
            _ => {
                now += 0.020;
                ask(&mut buffer, now, &pushed, &mut played);
                continue;
            }
        }
        number += 1;
        pushed.insert(number);
        now += f64::from(kind >> 3) / 1000.0;
        let payload = number.to_be_bytes();
        buffer.push(sequence, timestamp, (kind & 0x80 == 0).then_some(&payload[..]), now);
    }
    let (mut idle, mut frames) = (0, 0);
    while idle < MOST_IDLE {
        (now, frames) = (now + 0.020, frames + 1);
        let still = ask(&mut buffer, now, &pushed, &mut played);
        idle = if still { idle + 1 } else { 0 };
        assert!(frames < LONGEST, "a source that is gone is continued for ever");
    }
}

/// One frame's time of the clock; whether nothing was due.
fn ask(buffer: &mut PlayoutBuffer, now: f64, pushed: &HashSet<u32>, played: &mut HashSet<u32>) -> bool {
    let piece = buffer.next(now, 0.0);
    let idle = piece == Piece::Idle;
    match piece {
        Piece::Audio(payload) => {
            if let Ok(number) = <[u8; 4]>::try_from(&payload[..]) {
                let number = u32::from_be_bytes(number);
                assert!(pushed.contains(&number), "audio that nobody sent");
                assert!(played.insert(number), "audio was played twice");
            }
            buffer.played(FRAME);
        }
        Piece::Recover(ticks, _) | Piece::Conceal(ticks) | Piece::Silence(ticks) => {
            assert!((1..=FRAME).contains(&ticks), "more than a frame was asked for");
        }
        Piece::Idle => {}
    }
    assert!(buffer.delay_s.is_finite() && buffer.surplus_s.is_finite());
    assert!((played.len() as u64 + buffer.discarded) <= pushed.len() as u64, "more is accounted for than came");
    idle
}
