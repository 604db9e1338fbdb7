//! One call: its audio, and the sockets of both legs.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, Weak};

use crate::audio::CallAudio;
use crate::discards::{Discard, Discards};
use crate::mailbox::{Mailbox, News, Returned};
use crate::outbox::{Outbox, Target};
use crate::path::{Path, receive};
use crate::phone::Phone;
use crate::rtcp::Moment;
use crate::rtp::{Packet, is_rtcp};
use crate::webrtc::{Sorted, WebRtc};

/// Which socket of a call: RTP and RTCP of the phone, then those of the Matrix leg.
pub const RTP: u32 = 0;
/// See [`RTP`].
pub const RTCP: u32 = 1;
/// See [`RTP`].
const FIRST_WEBRTC: u32 = 2;
/// Longer datagrams are cut off, and then no audio.
const ROOM: usize = 2048;

/// Memory that a thread uses again for every packet.
pub struct Workbench {
    datagram: Vec<u8>,
    packet: Vec<u8>,
    outbox: Outbox,
}

impl Default for Workbench {
    fn default() -> Self {
        Self { datagram: Vec::with_capacity(ROOM), packet: Vec::with_capacity(ROOM), outbox: Outbox::default() }
    }
}

/// One call.
pub struct Call {
    /// What flows.
    pub audio: CallAudio,
    /// The phone's leg, until the call is closed.
    pub phone: Option<Phone>,
    /// The Matrix leg, while it is connected.
    pub webrtc: Option<WebRtc>,
    /// The call to whose phone this one's talks, instead of to the Matrix side.
    pub partner: Option<Weak<Mutex<Call>>>,
    /// What was thrown away.
    pub discards: Discards,
    /// Where RTP came from first that was not announced, and what was: where the sound of a silent phone may have gone.
    pub unexpected: Option<(IpAddr, IpAddr)>,
    number: u32,
    next_socket: u32,
    /// Gone with the engine, whoever still asks for the numbers of a call.
    mailbox: Weak<Mailbox>,
}

impl Call {
    /// A call without a Matrix leg.
    pub fn new(number: u32, audio: CallAudio, phone: Phone, mailbox: &Arc<Mailbox>) -> Self {
        Self {
            audio,
            phone: Some(phone),
            webrtc: None,
            partner: None,
            discards: Discards::default(),
            unexpected: None,
            number,
            next_socket: FIRST_WEBRTC,
            mailbox: Arc::downgrade(mailbox),
        }
    }

    /// Every socket with its number.
    pub fn sockets(&self) -> Vec<(u32, BorrowedFd<'_>)> {
        let phone = self.phone.iter().flat_map(|phone| [(RTP, phone.rtp.as_fd()), (RTCP, phone.rtcp.as_fd())]);
        let webrtc = self.webrtc.iter().flat_map(|leg| &leg.paths).map(|path| (path.number, path.socket.as_fd()));
        phone.chain(webrtc).collect()
    }

    /// One more socket for the Matrix leg, or a relay; its number, or `None` when there is no such leg.
    pub fn add_socket(&mut self, socket: UdpSocket, named: Vec<u8>, relayed: bool) -> Option<u32> {
        let leg = self.webrtc.as_mut()?;
        let number = self.next_socket;
        self.next_socket += 1;
        leg.paths.push(Path::new(number, socket, named, relayed));
        Some(number)
    }

    /// Read one datagram of a socket and do what follows from it.
    ///
    /// `true` when it is RTP for the partner, left on the bench: two calls are never locked at once.
    pub fn readable(&mut self, socket: u32, now: f64, bench: &mut Workbench) -> bool {
        bench.datagram.resize(ROOM, 0);
        let received = match (socket, &self.phone, &self.webrtc) {
            (RTP, Some(phone), _) => receive(&phone.rtp, &mut bench.datagram),
            (RTCP, Some(phone), _) => receive(&phone.rtcp, &mut bench.datagram),
            (_, _, Some(leg)) => match leg.path(socket) {
                Some(path) => path.receive(&mut bench.datagram),
                None => return false,
            },
            _ => return false,
        };
        // Nothing to read after all, or that the other end was unreachable: neither ends a call.
        let Ok(source) = received else { return false };
        bench.outbox.clear();
        match socket {
            RTP if self.take_rtp(source, now, bench) => return true,
            RTP => {}
            RTCP => self.take_rtcp(source, now, bench),
            _ => self.take_webrtc(socket, source, now, bench),
        }
        self.send_out(bench);
        false
    }

    fn take_rtp(&mut self, source: SocketAddr, now: f64, bench: &mut Workbench) -> bool {
        let Some(phone) = self.phone.as_mut() else { return false };
        let for_partner = self.partner.is_some() && !is_rtcp(&bench.datagram);
        let taken = phone.take_rtp(&mut bench.datagram, source, now).and_then(|()| match for_partner {
            true => self.audio.for_partner(&bench.datagram),
            false => self.audio.sip_packet(&bench.datagram, now, &mut bench.outbox),
        });
        let Err(reason) = taken else { return for_partner };
        self.discards.count(reason);
        let announced = phone.announced().filter(|announced| announced.ip() != source.ip());
        if let (Discard::Source, Some(announced)) = (reason, announced) {
            self.unexpected.get_or_insert((source.ip(), announced.ip()));
        }
        false
    }

    /// Take RTP that the partner's phone sent; the answer is its clock rate when it was audio.
    pub fn take_from_partner(&mut self, now: f64, bench: &mut Workbench) -> Option<u32> {
        bench.outbox.clear();
        let packet = Packet::parse(&bench.datagram)?;
        let clock_rate = self.audio.from_partner(&packet, now, &mut bench.outbox);
        self.send_out(bench);
        clock_rate
    }

    /// Count RTP that went to the partner.
    pub fn gave_to_partner(&mut self, now: f64, clock_rate: Option<u32>, bench: &mut Workbench) {
        bench.outbox.clear();
        match Packet::parse(&bench.datagram) {
            Some(packet) => self.audio.to_partner(&packet, now, clock_rate, &mut bench.outbox),
            None => self.discards.count(Discard::Malformed),
        }
        self.send_out(bench);
    }

    fn take_rtcp(&mut self, source: SocketAddr, now: f64, bench: &mut Workbench) {
        let Some(phone) = self.phone.as_mut() else { return };
        let taken = phone.take_rtcp(&mut bench.datagram, source, now);
        if let Err(reason) = taken.and_then(|()| self.audio.sip_report(&bench.datagram, now)) {
            self.discards.count(reason);
        }
    }

    fn take_webrtc(&mut self, socket: u32, source: SocketAddr, now: f64, bench: &mut Workbench) {
        let Some(leg) = self.webrtc.as_mut() else { return };
        match leg.take(socket, &mut bench.datagram, source, now) {
            Sorted::Audio => {
                if !std::mem::replace(&mut leg.heard, true) {
                    if let Some(mailbox) = self.mailbox.upgrade() {
                        mailbox.tell(self.number, News::Heard);
                    }
                }
                if let Err(reason) = self.audio.matrix_packet(&bench.datagram, now, &mut bench.outbox) {
                    self.discards.count(reason);
                }
            }
            Sorted::Signalling => {
                let (call, datagram) = (self.number, bench.datagram.clone());
                let returned = Returned { call, socket, datagram, source };
                if self.mailbox.upgrade().is_some_and(|mailbox| !mailbox.give_back(returned)) {
                    self.discards.count(Discard::Rate);
                }
            }
            Sorted::Discarded(reason) => self.discards.count(reason),
            Sorted::Nothing => {}
        }
    }

    /// Every 20 ms.
    pub fn tick(&mut self, now: f64, bench: &mut Workbench) {
        bench.outbox.clear();
        self.audio.tick(now, &mut bench.outbox);
        self.send_out(bench);
    }

    /// A few times a second.
    pub fn report(&mut self, moment: Moment, bench: &mut Workbench) {
        bench.outbox.clear();
        self.audio.report(moment, &mut bench.outbox);
        self.send_out(bench);
    }

    /// Tell both ends that our streams are over, while there still is a way to them.
    pub fn say_goodbye(&mut self) {
        let mut bench = Workbench::default();
        self.audio.say_goodbye(&mut bench.outbox);
        self.send_out(&mut bench);
    }

    /// Say goodbye and free codecs and sockets; the numbers stay.
    pub fn close(&mut self) {
        let mut bench = Workbench::default();
        self.audio.close(&mut bench.outbox);
        self.send_out(&mut bench);
        (self.phone, self.webrtc) = (None, None);
    }

    fn send_out(&mut self, bench: &mut Workbench) {
        for (target, parcel) in bench.outbox.parcels() {
            bench.packet.clear();
            bench.packet.extend_from_slice(parcel);
            match (target, self.webrtc.as_mut(), self.phone.as_mut()) {
                (Target::Matrix, Some(leg), _) => leg.send(&mut bench.packet),
                (Target::Sip, _, Some(phone)) => phone.send_rtp(&mut bench.packet),
                (Target::SipReports, _, Some(phone)) => phone.send_rtcp(&mut bench.packet),
                _ => {}
            }
        }
        for news in bench.outbox.news() {
            if let Some(mailbox) = self.mailbox.upgrade() {
                mailbox.tell(self.number, news);
            }
        }
    }
}
