//! What was thrown away, counted by reason until somebody asks.

/// Why a datagram went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discard {
    /// Lengths that do not add up, or no audio at all.
    Malformed,
    /// Of a source, or under numbers, that have yet to prove themselves.
    Unproven,
    /// More than one source may send.
    Rate,
    /// Not from the phone.
    Source,
    /// Forged, or under another key.
    Srtp,
    /// It came before.
    Replay,
    /// One stream too many.
    Streams,
    /// From an address that ICE has not validated.
    OffPath,
}

/// Every reason, with the name that metrics give it.
pub const REASONS: [(Discard, &str); 8] = [
    (Discard::Malformed, "malformed"),
    (Discard::Unproven, "unproven"),
    (Discard::Rate, "rate"),
    (Discard::Source, "source"),
    (Discard::Srtp, "srtp"),
    (Discard::Replay, "replay"),
    (Discard::Streams, "streams"),
    (Discard::OffPath, "off_path"),
];

/// A number for each reason.
#[derive(Default)]
pub struct Discards {
    counts: [u64; REASONS.len()],
    /// Datagrams of strangers on the Matrix leg, since the call began.
    pub off_path: u64,
}

impl Discards {
    /// One more.
    pub fn count(&mut self, reason: Discard) {
        self.counts[reason as usize] += 1;
        self.off_path += u64::from(reason == Discard::OffPath);
    }

    /// What came together since the last time.
    pub fn take(&mut self) -> Vec<(&'static str, u64)> {
        let counts = std::mem::take(&mut self.counts);
        REASONS.iter().zip(counts).filter(|(_, count)| *count > 0).map(|((_, name), count)| (*name, count)).collect()
    }
}
