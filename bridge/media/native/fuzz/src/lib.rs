//! What packets may bring about, whatever is in them: one oracle for each target of libFuzzer.
//!
//! The oracles are a library, so that the seeds go through them in every `cargo test`, and `cargo fuzz` goes on from there.

pub mod call;
pub mod playout;
pub mod rtcp;
pub mod rtp;
pub mod srtp;
pub mod telephone_event;

use trunkline_native::audio::{Beginning, CallAudio};
use trunkline_native::formats::{Audio, Codec, Digits, Formats, PacketTimes};
use trunkline_native::opus::Wish;
use trunkline_native::outbound::Start;

/// Input that is taken off piece by piece; what is not there is zero.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next octet.
    pub fn octet(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    /// The next two octets.
    pub fn short(&mut self) -> u16 {
        u16::from_be_bytes([self.octet(), self.octet()])
    }

    /// The next four octets.
    pub fn word(&mut self) -> u32 {
        u32::from(self.short()) << 16 | u32::from(self.short())
    }

    /// So many octets, or as many as are left.
    pub fn take(&mut self, size: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(size.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A datagram behind its length.
    pub fn datagram(&mut self) -> &'a [u8] {
        let size = usize::from(self.short()) % 1500;
        self.take(size)
    }
}

/// A codec under its own number, with events under 101, in packets of so many milliseconds.
pub fn formats(codec: Codec, made_ms: usize) -> Formats {
    let payload_type = match codec {
        Codec::Pcmu => 0,
        Codec::Pcma => 8,
        Codec::G722 => 9,
        Codec::Opus => 111,
    };
    let packets = PacketTimes { made_ms, exact: made_ms != 20, longest_ms: 0 };
    let (audio, digits) = (Audio { payload_type, codec }, Digits { payload_type: 101, clock_rate: 8000 });
    let opus = Wish { bitrate: 6000 * made_ms as u32, dtx: made_ms > 20, ..Wish::default() };
    Formats {
        receive: vec![audio],
        receive_digits: vec![digits],
        send: audio,
        send_digits: Some(digits),
        packets,
        opus,
    }
}

/// A call in which audio flows both ways, the client in μ-law and the phone in the other one when it is `transcoded`.
pub fn begin(transcoded: bool) -> CallAudio {
    let start = |ssrc| Start { ssrc, timestamp: 77, sequence: 65_530 };
    let mut audio = CallAudio::new(Beginning {
        to_matrix: start(1),
        to_sip: start(2),
        cname: "name".into(),
        signals_digits: false,
        opus: None,
        now: 0.0,
    });
    let client = formats(Codec::Pcmu, 20);
    let phone = formats(if transcoded { Codec::Pcma } else { Codec::Pcmu }, 20);
    audio.configure(Some(client.clone()), Some(phone), Some(client));
    audio.let_through(true, true, true);
    audio
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    #[test]
    fn every_seed_passes_its_oracle() {
        let oracles: [(&str, fn(&[u8])); 6] = [
            ("call", crate::call::check),
            ("playout", crate::playout::check),
            ("rtcp", crate::rtcp::check),
            ("rtp", crate::rtp::check),
            ("srtp", crate::srtp::check),
            ("telephone_event", crate::telephone_event::check),
        ];
        for (name, check) in oracles {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
            let seeds: Vec<_> =
                fs::read_dir(folder).unwrap().map(|seed| fs::read(seed.unwrap().path()).unwrap()).collect();
            assert!(!seeds.is_empty());
            for seed in seeds {
                for end in 0..=seed.len() {
                    check(&seed[..end]);
                }
            }
        }
    }
}
