//! What flows in a call: two directions, the statistics of both legs, their reports. No socket, no clock.

use std::sync::Arc;

use crate::digit_listener::DigitListener;
use crate::direction::Direction;
use crate::discards::Discard;
use crate::formats::Formats;
use crate::leg_reports::{FEEDBACK_INTERVAL_S, INTERVAL_S, LegReports};
use crate::opus::Library;
use crate::outbound::{OutboundStream, Start};
use crate::outbox::{Outbox, Target};
use crate::player::Playing;
use crate::rtcp::Moment;
use crate::rtp::{Packet, is_rtcp};
use crate::sources::Sources;
use crate::tap::Tap;

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
#[cfg_attr(feature = "python", pyo3::pyclass(frozen, get_all))]
#[derive(Clone, Copy, Debug)]
pub struct LegNumbers {
    /// Packets received.
    pub received: u64,
    /// Packets sent.
    pub sent: u64,
    /// Packets that never came.
    pub lost: i64,
    /// Interarrival jitter.
    pub jitter_s: f64,
    /// To the far end and back, once it has told.
    pub round_trip_s: Option<f64>,
    /// Packets of ours that never came, by the far end's count.
    pub far_lost: Option<i32>,
    /// The far end's interarrival jitter.
    pub far_jitter_s: Option<f64>,
    /// When anything came last, RTP or RTCP.
    pub heard_at: Option<f64>,
}

/// What one side hears of the other; frames are of 20 ms, and known where audio is transcoded.
#[cfg_attr(feature = "python", pyo3::pyclass(frozen, get_all))]
#[derive(Clone, Copy, Debug)]
pub struct HeardNumbers {
    /// Frames that were played as they came.
    pub frames: u64,
    /// Frames that were made up.
    pub concealed: u64,
    /// Packets that came, and were not played.
    pub discarded: u64,
    /// How long audio is held back, just now or when it was played last.
    pub delay_s: f64,
    /// Whether there was ever more than silence, once that is known.
    pub audible: Option<bool>,
}

/// The numbers of a call.
#[cfg_attr(feature = "python", pyo3::pyclass(frozen, get_all))]
#[derive(Clone, Copy, Debug)]
pub struct Numbers {
    /// The Matrix leg.
    pub matrix: LegNumbers,
    /// The phone's leg.
    pub sip: LegNumbers,
    /// The phone, as the Matrix client hears it.
    pub heard_by_matrix: HeardNumbers,
    /// The other side, as the phone hears it.
    pub heard_by_sip: HeardNumbers,
    /// Whether audio was ever decoded and encoded on its way.
    pub transcoded: bool,
    /// Digits passed on.
    pub digits: u64,
}

/// Packets of either leg in, packets for the other out.
pub struct CallAudio {
    /// From the phone to the client.
    pub to_matrix: Direction,
    /// From the client to the phone.
    pub to_sip: Direction,
    matrix_sources: Sources,
    sip_sources: Sources,
    matrix_reports: LegReports,
    sip_reports: LegReports,
    matrix_clock: Option<u32>,
    sip_clock: Option<u32>,
    /// What is set aside of both sides while they are recorded.
    pub tap: Tap,
    sip: Option<Formats>,
    feed: Option<Formats>,
    listener: Option<DigitListener>,
}

impl CallAudio {
    /// A call in which nothing flows yet.
    pub fn new(beginning: Beginning) -> Self {
        let opus = beginning.opus;
        Self {
            to_matrix: Direction::new(OutboundStream::new(beginning.to_matrix), Target::Matrix, false, opus.clone()),
            to_sip: Direction::new(OutboundStream::new(beginning.to_sip), Target::Sip, beginning.signals_digits, opus),
            matrix_sources: Sources::default(),
            sip_sources: Sources::default(),
            matrix_reports: LegReports::new(
                beginning.to_matrix.ssrc,
                beginning.cname.clone(),
                beginning.now,
                FEEDBACK_INTERVAL_S,
            ),
            sip_reports: LegReports::new(beginning.to_sip.ssrc, beginning.cname, beginning.now, INTERVAL_S),
            matrix_clock: None,
            sip_clock: None,
            tap: Tap::default(),
            sip: None,
            feed: None,
            listener: None,
        }
    }

    /// Take what the legs agreed on, and what feeds the phone: the Matrix leg, or another call's phone.
    pub fn configure(&mut self, matrix: Option<Formats>, sip: Option<Formats>, feed: Option<Formats>) {
        let clock_of = |formats: &Option<Formats>| formats.as_ref().map(|formats| formats.send.codec.clock_rate());
        (self.matrix_clock, self.sip_clock) = (clock_of(&matrix), clock_of(&sip));
        self.sip.clone_from(&sip);
        self.feed.clone_from(&feed);
        self.to_sip.configure(feed, sip.clone());
        self.to_matrix.configure(sip, matrix);
    }

    /// Which way audio may flow, and whether pauses towards the phone are filled.
    pub fn let_through(&mut self, to_sip: bool, filling: bool, to_matrix: bool) {
        self.to_sip.enable(to_sip);
        self.to_sip.filling = filling;
        self.to_matrix.enable(to_matrix);
    }

    /// The phone is another one, or elsewhere: open the path with a little silence, believe whoever comes next.
    pub fn expect_new_phone(&mut self) {
        self.sip_sources.expect_new();
        self.to_sip.prime();
    }

    /// Let one side, the phone or the Matrix client, hear this in the place of the other; `None` is the other again.
    pub fn play(&mut self, to_phone: bool, playing: Option<Playing>) {
        if to_phone { self.to_sip.play(playing) } else { self.to_matrix.play(playing) }
    }

    /// Tell of keys of the phone, of tones in its audio too, or no longer.
    pub fn listen(&mut self, wanted: bool, tones: bool) {
        self.listener = wanted.then(|| DigitListener::new(tones));
    }

    /// What the phone says, for those who listen or record beside whoever it talks to.
    fn overhear_phone(&mut self, packet: &Packet, now: f64, out: &mut Outbox) {
        self.tap.take(packet, self.sip.as_ref(), now, true);
        if let (Some(listener), Some(formats)) = (self.listener.as_mut(), &self.sip) {
            listener.hear(packet, formats, out);
        }
    }

    /// RTP or RTCP of the Matrix leg, decrypted.
    pub fn matrix_packet(&mut self, plain: &[u8], now: f64, out: &mut Outbox) -> Result<(), Discard> {
        if is_rtcp(plain) {
            let heard = self.matrix_reports.hear(plain, &self.to_matrix.outbound, self.matrix_clock, now);
            return if heard { Ok(()) } else { Err(Discard::Malformed) };
        }
        let packet = believed(&mut self.matrix_sources, plain)?;
        self.tap.take(&packet, self.feed.as_ref(), now, false);
        received(&mut self.to_sip, &mut self.matrix_reports, &packet, now, out);
        Ok(())
    }

    /// RTP of the phone.
    ///
    /// Some send their reports here although nobody agreed on that (RFC 5761 §5.1.1). Taken for audio each of them would
    /// be another source, which begins anew.
    pub fn sip_packet(&mut self, datagram: &[u8], now: f64, out: &mut Outbox) -> Result<(), Discard> {
        if is_rtcp(datagram) {
            return self.sip_report(datagram, now);
        }
        let packet = believed(&mut self.sip_sources, datagram)?;
        self.overhear_phone(&packet, now, out);
        received(&mut self.to_matrix, &mut self.sip_reports, &packet, now, out);
        Ok(())
    }

    /// RTP of the phone that is to go to another call: whether it may.
    pub fn for_partner(&mut self, datagram: &[u8]) -> Result<(), Discard> {
        believed(&mut self.sip_sources, datagram).map(|_| ())
    }

    /// RTP of another call's phone, for this one; the answer is its clock rate when it was audio.
    pub fn from_partner(&mut self, packet: &Packet, now: f64, out: &mut Outbox) -> Option<u32> {
        self.tap.take(packet, self.feed.as_ref(), now, false);
        self.to_sip.receive(packet, now, out)
    }

    /// RTP of the phone that went to another call.
    pub fn to_partner(&mut self, packet: &Packet, now: f64, clock_rate: Option<u32>, out: &mut Outbox) {
        self.overhear_phone(packet, now, out);
        self.sip_reports.heard_at = Some(now);
        self.sip_reports.reception.receive(packet, now, clock_rate);
    }

    /// RTCP of the phone.
    pub fn sip_report(&mut self, datagram: &[u8], now: f64) -> Result<(), Discard> {
        let heard = self.sip_reports.hear(datagram, &self.to_sip.outbound, self.sip_clock, now);
        if heard { Ok(()) } else { Err(Discard::Malformed) }
    }

    /// Every 20 ms.
    pub fn tick(&mut self, now: f64, out: &mut Outbox) {
        self.to_sip.tick(now, out);
        self.to_matrix.tick(now, out);
    }

    /// A few times a second: send the RTCP that is due on either leg.
    pub fn report(&mut self, moment: Moment, out: &mut Outbox) {
        let (reports, outbound) = (&mut self.sip_reports, &self.to_sip.outbound);
        out.report(Target::SipReports, |octets| reports.due(outbound, self.sip_clock, moment, octets));
        let (reports, outbound) = (&mut self.matrix_reports, &self.to_matrix.outbound);
        out.report(Target::Matrix, |octets| reports.due(outbound, self.matrix_clock, moment, octets));
    }

    /// Tell both ends that our streams are over; again, there is nothing more to say.
    pub fn say_goodbye(&mut self, out: &mut Outbox) {
        out.report(Target::SipReports, |octets| self.sip_reports.goodbye(&self.to_sip.outbound, octets));
        out.report(Target::Matrix, |octets| self.matrix_reports.goodbye(&self.to_matrix.outbound, octets));
    }

    /// Say goodbye, free the codec states.
    pub fn close(&mut self, out: &mut Outbox) {
        self.say_goodbye(out);
        self.to_sip.enable(false);
        self.to_matrix.enable(false);
    }

    /// The numbers so far.
    pub fn numbers(&self) -> Numbers {
        Numbers {
            matrix: leg(&self.matrix_reports, &self.to_matrix),
            sip: leg(&self.sip_reports, &self.to_sip),
            heard_by_matrix: heard(&self.to_matrix),
            heard_by_sip: heard(&self.to_sip),
            transcoded: self.to_sip.transcoded || self.to_matrix.transcoded,
            digits: self.to_sip.digits + self.to_matrix.digits,
        }
    }
}

/// A packet of somebody who is believed.
fn believed<'a>(sources: &mut Sources, datagram: &'a [u8]) -> Result<Packet<'a>, Discard> {
    let packet = Packet::parse(datagram).ok_or(Discard::Malformed)?;
    if sources.believe(packet.ssrc, packet.sequence) { Ok(packet) } else { Err(Discard::Unproven) }
}

fn received(direction: &mut Direction, reports: &mut LegReports, packet: &Packet, now: f64, out: &mut Outbox) {
    reports.heard_at = Some(now);
    let clock_rate = direction.receive(packet, now, out);
    reports.reception.receive(packet, now, clock_rate);
}

fn leg(reports: &LegReports, direction: &Direction) -> LegNumbers {
    let (reception, far) = (&reports.reception, &reports.far);
    LegNumbers {
        received: reception.packets,
        sent: direction.outbound.packets,
        lost: reception.lost(),
        jitter_s: reception.jitter_s,
        round_trip_s: far.round_trip_s,
        far_lost: far.lost,
        far_jitter_s: far.jitter_s,
        heard_at: reports.heard_at,
    }
}

fn heard(direction: &Direction) -> HeardNumbers {
    let played = direction.played();
    HeardNumbers {
        frames: played.frames,
        concealed: played.concealed,
        discarded: played.discarded,
        delay_s: played.delay_s,
        audible: direction.audible(),
    }
}
