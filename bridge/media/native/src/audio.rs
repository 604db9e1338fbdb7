//! What flows in a call: two directions, the statistics of both legs, their reports. No socket, no clock.

use std::sync::Arc;

use crate::digit_listener::DigitListener;
use crate::direction::Direction;
use crate::formats::Formats;
use crate::opus::Library;
use crate::outbound::{OutboundStream, Start};
use crate::outbox::{Outbox, Target};
use crate::player::Playing;
use crate::reception::{Moment, REPORT_INTERVAL_S, Reception, read_sender_report, write_bye, write_report};
use crate::rtp::{Packet, is_rtcp};

/// With what a call's audio begins.
pub struct Beginning {
    /// The stream to the Matrix client.
    pub to_matrix: Start,
    /// The stream to the phone.
    pub to_sip: Start,
    /// Our name in RTCP.
    pub cname: String,
    /// Whether digits of the Matrix client go to signalling when the phone takes no events.
    pub signals_digits: bool,
    /// For calls that need Opus.
    pub opus: Option<Arc<Library>>,
    /// The moment, on the monotonic clock.
    pub now: f64,
}

/// The numbers of one leg.
#[derive(Clone, Copy, Default)]
pub struct LegNumbers {
    /// Packets received.
    pub received: u64,
    /// Packets sent.
    pub sent: u64,
    /// Packets that never came.
    pub lost: i64,
    /// Interarrival jitter.
    pub jitter_s: f64,
}

/// Packets of either leg in, packets for the other out.
pub struct CallAudio {
    /// From the phone to the client.
    pub to_matrix: Direction,
    /// From the client to the phone.
    pub to_sip: Direction,
    cname: String,
    from_matrix: Reception,
    from_sip: Reception,
    matrix_clock: Option<u32>,
    sip_clock: Option<u32>,
    report_due: f64,
    sip: Option<Formats>,
    listener: Option<DigitListener>,
}

impl CallAudio {
    /// A call in which nothing flows yet.
    pub fn new(beginning: Beginning) -> Self {
        let opus = beginning.opus;
        Self {
            to_matrix: Direction::new(OutboundStream::new(beginning.to_matrix), Target::Matrix, false, opus.clone()),
            to_sip: Direction::new(OutboundStream::new(beginning.to_sip), Target::Sip, beginning.signals_digits, opus),
            cname: beginning.cname,
            from_matrix: Reception::default(),
            from_sip: Reception::default(),
            matrix_clock: None,
            sip_clock: None,
            report_due: beginning.now + REPORT_INTERVAL_S,
            sip: None,
            listener: None,
        }
    }

    /// Take what the legs agreed on, and what feeds the phone: the Matrix leg, or another call's phone.
    pub fn configure(&mut self, matrix: Option<Formats>, sip: Option<Formats>, feed: Option<Formats>) {
        let clock_of = |formats: &Option<Formats>| formats.as_ref().map(|formats| formats.send.codec.clock_rate());
        (self.matrix_clock, self.sip_clock) = (clock_of(&matrix), clock_of(&sip));
        self.sip.clone_from(&sip);
        self.to_sip.configure(feed, sip.clone());
        self.to_matrix.configure(sip, matrix);
    }

    /// Which way audio may flow, and whether pauses towards the phone are filled.
    pub fn let_through(&mut self, to_sip: bool, filling: bool, to_matrix: bool) {
        self.to_sip.enable(to_sip);
        self.to_sip.filling = filling;
        self.to_matrix.enable(to_matrix);
    }

    /// Let one side, the phone or the Matrix client, hear this in the place of the other; `None` is the other again.
    pub fn play(&mut self, to_phone: bool, playing: Option<Playing>) {
        if to_phone { self.to_sip.play(playing) } else { self.to_matrix.play(playing) }
    }

    /// Tell of keys of the phone, or no longer.
    pub fn listen(&mut self, wanted: bool) {
        self.listener = wanted.then(DigitListener::default);
    }

    fn hear_digits(&mut self, packet: &Packet, out: &mut Outbox) {
        if let (Some(listener), Some(formats)) = (self.listener.as_mut(), &self.sip) {
            listener.hear(packet, formats, out);
        }
    }

    /// RTP or RTCP of the Matrix leg, decrypted; `false` when it was malformed.
    pub fn matrix_packet(&mut self, plain: &[u8], now: f64, out: &mut Outbox) -> bool {
        if is_rtcp(plain) {
            heard_report(&mut self.from_matrix, plain, now)
        } else {
            let Some(packet) = Packet::parse(plain) else { return false };
            received(&mut self.to_sip, &mut self.from_matrix, &packet, now, out);
            true
        }
    }

    /// RTP of the phone; `false` when it was malformed.
    pub fn sip_packet(&mut self, datagram: &[u8], now: f64, out: &mut Outbox) -> bool {
        let Some(packet) = Packet::parse(datagram) else { return false };
        self.hear_digits(&packet, out);
        received(&mut self.to_matrix, &mut self.from_sip, &packet, now, out);
        true
    }

    /// RTP of another call's phone, for this one; the answer is its clock rate when it was audio.
    pub fn from_partner(&mut self, packet: &Packet, now: f64, out: &mut Outbox) -> Option<u32> {
        self.to_sip.receive(packet, now, out)
    }

    /// RTP of the phone that went to another call.
    pub fn to_partner(&mut self, packet: &Packet, now: f64, clock_rate: Option<u32>, out: &mut Outbox) {
        self.hear_digits(packet, out);
        self.from_sip.receive(packet, now, clock_rate);
    }

    /// RTCP of the phone; `false` when it was malformed.
    pub fn sip_report(&mut self, datagram: &[u8], now: f64) -> bool {
        heard_report(&mut self.from_sip, datagram, now)
    }

    /// Every 20 ms.
    pub fn tick(&mut self, now: f64, out: &mut Outbox) {
        self.to_sip.tick(now, out);
        self.to_matrix.tick(now, out);
    }

    /// A few times a second: send RTCP on both legs when its interval is over.
    pub fn report(&mut self, moment: Moment, out: &mut Outbox) {
        if moment.now < self.report_due {
            return;
        }
        self.report_due = moment.now + REPORT_INTERVAL_S;
        let cname = &self.cname;
        if let Some(clock_rate) = self.sip_clock {
            let (outbound, reception) = (&self.to_sip.outbound, &mut self.from_sip);
            out.report(Target::SipReports, |octets| {
                write_report(outbound, reception, cname, clock_rate, moment, octets);
            });
        }
        if let Some(clock_rate) = self.matrix_clock {
            let (outbound, reception) = (&self.to_matrix.outbound, &mut self.from_matrix);
            out.report(Target::Matrix, |octets| {
                write_report(outbound, reception, cname, clock_rate, moment, octets);
            });
        }
    }

    /// Say goodbye to the phone's RTCP, free the codec states.
    pub fn close(&mut self, out: &mut Outbox) {
        if self.to_sip.outbound.packets > 0 {
            let (ssrc, cname) = (self.to_sip.outbound.ssrc, &self.cname);
            out.report(Target::SipReports, |octets| write_bye(ssrc, cname, octets));
        }
        self.to_sip.enable(false);
        self.to_matrix.enable(false);
    }

    /// The numbers of the Matrix leg and of the phone's.
    pub fn numbers(&self) -> (LegNumbers, LegNumbers) {
        (numbers(&self.from_matrix, &self.to_matrix), numbers(&self.from_sip, &self.to_sip))
    }
}

fn received(direction: &mut Direction, reception: &mut Reception, packet: &Packet, now: f64, out: &mut Outbox) {
    let clock_rate = direction.receive(packet, now, out);
    reception.receive(packet, now, clock_rate);
}

fn heard_report(reception: &mut Reception, datagram: &[u8], now: f64) -> bool {
    match read_sender_report(datagram) {
        Err(_) => return false,
        Ok(Some(middle_ntp)) => reception.heard_report(middle_ntp, now),
        Ok(None) => {}
    }
    true
}

fn numbers(reception: &Reception, direction: &Direction) -> LegNumbers {
    LegNumbers {
        received: reception.packets,
        sent: direction.outbound.packets,
        lost: reception.lost(),
        jitter_s: reception.jitter_s,
    }
}
