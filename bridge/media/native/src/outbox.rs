//! What is to be sent, gathered while a packet or a tick is worked on: no allocation once a call has settled.

use crate::mailbox::News;
use crate::rtp::Packet;

/// Where something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// To the Matrix client: RTP and RTCP share a port there (RFC 5761).
    Matrix,
    /// RTP to the phone.
    Sip,
    /// RTCP to the phone.
    SipReports,
}

/// A key that was pressed, for signalling to tell.
#[derive(Clone, Copy)]
pub struct Pressed {
    /// Which key, by its event code.
    pub event: u8,
    /// How long it was pressed.
    pub duration_ms: u32,
}

/// Packets in the order in which they leave, and keys for signalling.
#[derive(Default)]
pub struct Outbox {
    octets: Vec<u8>,
    parcels: Vec<(Target, usize)>,
    /// Keys that have ended.
    pub pressed: Vec<Pressed>,
    /// Keys of the phone that are listened for, by their event codes.
    pub phone_digits: Vec<u8>,
    /// Sounds that have been played to their end.
    pub played: Vec<u32>,
}

impl Outbox {
    /// Add an RTP packet.
    pub fn packet(&mut self, target: Target, packet: &Packet) {
        packet.write(&mut self.octets);
        self.parcels.push((target, self.octets.len()));
    }

    /// Add what `write` appends, if it says that there is anything.
    pub fn report(&mut self, target: Target, write: impl FnOnce(&mut Vec<u8>) -> bool) {
        if write(&mut self.octets) {
            self.parcels.push((target, self.octets.len()));
        }
    }

    /// Everything, in order.
    pub fn parcels(&self) -> impl Iterator<Item = (Target, &[u8])> {
        let mut start = 0;
        self.parcels.iter().map(move |(target, end)| {
            let parcel = &self.octets[start..*end];
            start = *end;
            (*target, parcel)
        })
    }

    /// What happened, one kind after the other.
    pub fn news(&self) -> impl Iterator<Item = News> {
        let pressed = self.pressed.iter().map(|pressed| News::Pressed(*pressed));
        let phone_digits = self.phone_digits.iter().map(|event| News::PhoneDigit(*event));
        pressed.chain(phone_digits).chain(self.played.iter().map(|number| News::Played(*number)))
    }

    /// Begin anew.
    pub fn clear(&mut self) {
        self.octets.clear();
        self.parcels.clear();
        self.pressed.clear();
        self.phone_digits.clear();
        self.played.clear();
    }
}
