//! Keys of the phone, for whoever asks what is pressed: a menu.

use crate::dtmf::DigitRelay;
use crate::formats::Formats;
use crate::outbox::Outbox;
use crate::rtp::Packet;

/// Hears the packets of the phone beside whatever becomes of them.
///
/// A key is told with the first of its packets that comes: it has been pressed whatever else is lost.
#[derive(Default)]
pub struct DigitListener {
    relay: DigitRelay,
}

impl DigitListener {
    /// Take a packet of any kind.
    pub fn hear(&mut self, packet: &Packet, formats: &Formats, out: &mut Outbox) {
        let Some(digits) = formats.received_digits(packet.payload_type) else { return };
        let relayed = self.relay.convert(packet, digits.clock_rate, digits.clock_rate, 0);
        out.phone_digits.extend(relayed.filter(|relayed| relayed.first).map(|relayed| relayed.event.event));
    }
}
