//! Keys of the phone, for whoever asks what is pressed: a menu.

use crate::dtmf::DigitRelay;
use crate::formats::{Codec, Formats};
use crate::g711;
use crate::outbox::Outbox;
use crate::rtp::{Packet, sequence_delta};
use crate::tone_detector::ToneDetector;

/// Hears the packets of the phone beside whatever becomes of them.
///
/// An event is told with the first of its packets that comes: it has been pressed whatever else is lost. Tones count where no
/// events were agreed on, and in G.711 alone: no key is ever told twice.
#[derive(Default)]
pub struct DigitListener {
    relay: DigitRelay,
    tones: Option<ToneDetector>,
    newest: Option<(u32, u16)>,
    samples: Vec<i16>,
}

impl DigitListener {
    /// With tones, or without.
    pub fn new(tones: bool) -> Self {
        Self { tones: tones.then(ToneDetector::default), ..Self::default() }
    }

    /// Take a packet of any kind.
    pub fn hear(&mut self, packet: &Packet, formats: &Formats, out: &mut Outbox) {
        if let Some(digits) = formats.received_digits(packet.payload_type) {
            let relayed = self.relay.convert(packet, digits.clock_rate, digits.clock_rate, 0);
            out.phone_digits.extend(relayed.filter(|relayed| relayed.first).map(|relayed| relayed.event.event));
            return;
        }
        let law =
            formats.received_codec(packet.payload_type).filter(|codec| matches!(codec, Codec::Pcmu | Codec::Pcma));
        let is_next = self.is_next(packet);
        if let (Some(tones), Some(law), true) = (self.tones.as_mut(), law, formats.receive_digits.is_empty() && is_next)
        {
            self.samples.clear();
            g711::decode(law, packet.payload, &mut self.samples);
            tones.hear(&self.samples, &mut out.phone_digits);
        }
    }

    /// Whether a packet comes after all others: one that is late or comes twice would cut a tone in two.
    fn is_next(&mut self, packet: &Packet) -> bool {
        let next =
            self.newest.is_none_or(|(ssrc, newest)| ssrc != packet.ssrc || sequence_delta(packet.sequence, newest) > 0);
        if next {
            self.newest = Some((packet.ssrc, packet.sequence));
        }
        next
    }
}
