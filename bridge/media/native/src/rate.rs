//! How many packets one source may send: decrypting and decoding them costs the calls of others.

/// Two and a half times what a phone with 10 ms packets sends.
const PACKETS_PER_S: f64 = 250.0;
/// Two seconds of 20 ms packets, all at once after an outage.
const BURST: f64 = 100.0;

/// A token bucket.
pub struct PacketRate {
    tokens: f64,
    filled_at: f64,
}

impl PacketRate {
    /// A full bucket.
    pub fn new(now: f64) -> Self {
        Self { tokens: BURST, filled_at: now }
    }

    /// Whether one more packet is within the rate.
    pub fn admits(&mut self, now: f64) -> bool {
        self.tokens = (self.tokens + (now - self.filled_at) * PACKETS_PER_S).min(BURST);
        self.filled_at = now;
        let admitted = self.tokens >= 1.0;
        if admitted {
            self.tokens -= 1.0;
        }
        admitted
    }
}
