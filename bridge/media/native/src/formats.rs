//! Which audio formats two ends agreed on.

use crate::opus::Wish;

/// Payload type of comfort noise (RFC 3389 §4): never offered, but some send it all the same.
pub const COMFORT_NOISE: u8 = 13;
/// Of G.711 and G.722: an octet is an eighth of a millisecond.
pub const OCTETS_PER_MS: usize = 8;
/// How much audio is usually heard, and sent, at a time.
pub const FRAME_MS: usize = 20;

/// The codecs of this engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Opus (RFC 7587).
    Opus,
    /// G.722.
    G722,
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
}

impl Codec {
    /// The codec with this encoding name, in upper case.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "OPUS" => Some(Self::Opus),
            "G722" => Some(Self::G722),
            "PCMU" => Some(Self::Pcmu),
            "PCMA" => Some(Self::Pcma),
            _ => None,
        }
    }

    /// Its encoding name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Opus => "OPUS",
            Self::G722 => "G722",
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }

    /// RTP clock: always 48 000 for Opus (RFC 7587 §4.1), 8 000 for the others, though G.722 samples at 16 kHz
    /// (RFC 3551 §4.5.2, §4.5.14).
    pub fn clock_rate(self) -> u32 {
        if self == Self::Opus { 48_000 } else { 8000 }
    }

    /// Whether it is one of the two laws of G.711.
    pub fn is_g711(self) -> bool {
        matches!(self, Self::Pcmu | Self::Pcma)
    }
}

/// A codec under a payload type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audio {
    /// Payload type.
    pub payload_type: u8,
    /// Codec.
    pub codec: Codec,
}

/// telephone-event (RFC 4733) under a payload type and clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digits {
    /// Payload type.
    pub payload_type: u8,
    /// Clock rate.
    pub clock_rate: u32,
}

/// How much audio the packets for one leg carry, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketTimes {
    /// What we make them of.
    pub made_ms: usize,
    /// Whether no other length is sent.
    pub exact: bool,
    /// What the far end can hold; 0 is anything.
    pub longest_ms: usize,
}

impl PacketTimes {
    /// Whether a payload of another leg can be sent as it is. Opus frames always are: none can be cut or joined.
    pub fn fit(&self, codec: Codec, payload: &[u8]) -> bool {
        if codec == Codec::Opus {
            return true;
        }
        let octets = payload.len();
        if self.exact && octets != OCTETS_PER_MS * self.made_ms {
            return false;
        }
        self.longest_ms == 0 || octets <= OCTETS_PER_MS * self.longest_ms
    }
}

/// What one leg may receive and what it sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Formats {
    /// Audio that may arrive.
    pub receive: Vec<Audio>,
    /// Events that may arrive.
    pub receive_digits: Vec<Digits>,
    /// Audio that is sent.
    pub send: Audio,
    /// Events that are sent.
    pub send_digits: Option<Digits>,
    /// How long its packets are.
    pub packets: PacketTimes,
    /// What is asked of Opus.
    pub opus: Wish,
}

impl Formats {
    /// The codec of an arriving packet, `None` for anything that is not negotiated audio.
    pub fn received_codec(&self, payload_type: u8) -> Option<Codec> {
        self.receive.iter().find(|audio| audio.payload_type == payload_type).map(|audio| audio.codec)
    }

    /// The event format of an arriving packet.
    pub fn received_digits(&self, payload_type: u8) -> Option<Digits> {
        self.receive_digits.iter().find(|digits| digits.payload_type == payload_type).copied()
    }
}
