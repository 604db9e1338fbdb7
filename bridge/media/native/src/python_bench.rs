//! Parts by themselves, for tests: SRTP, and a call without sockets and with time as an argument.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::audio::{Beginning, CallAudio, Numbers};
use crate::outbox::{Outbox, Target};
use crate::python_values::{PyFormats, PyNews, PyPlaying, PyStart, context, formats, library, news, playing, start};
use crate::rtcp::Moment;
use crate::srtp::Context;

/// One direction of SRTP, for tests that hold it against other implementations.
#[pyclass]
pub struct Srtp {
    context: Context,
}

#[pymethods]
impl Srtp {
    #[new]
    fn new(profile: String, key_and_salt: Vec<u8>) -> PyResult<Self> {
        Ok(Self { context: context((profile, key_and_salt))? })
    }

    /// Encrypt a packet; `None` when that is not possible.
    #[pyo3(signature = (packet, *, rtcp))]
    fn protect<'py>(&mut self, py: Python<'py>, packet: &[u8], rtcp: bool) -> Option<Bound<'py, PyBytes>> {
        let mut packet = packet.to_vec();
        let done = if rtcp { self.context.protect_rtcp(&mut packet) } else { self.context.protect(&mut packet) };
        done.then(|| PyBytes::new(py, &packet))
    }

    /// Check and decrypt a packet; `None` for one that is forged or was seen.
    #[pyo3(signature = (packet, *, rtcp))]
    fn unprotect<'py>(&mut self, py: Python<'py>, packet: &[u8], rtcp: bool) -> Option<Bound<'py, PyBytes>> {
        let mut packet = packet.to_vec();
        let done = if rtcp { self.context.unprotect_rtcp(&mut packet) } else { self.context.unprotect(&mut packet) };
        done.ok().map(|()| PyBytes::new(py, &packet))
    }
}

/// What flows in a call, without sockets and with time as an argument: for tests.
#[pyclass(unsendable)]
pub struct Bench {
    audio: CallAudio,
    out: Outbox,
}

#[pymethods]
impl Bench {
    #[new]
    #[pyo3(signature = (*, to_matrix, to_sip, cname, signals_digits, opus, now))]
    fn new(
        to_matrix: PyStart,
        to_sip: PyStart,
        cname: String,
        signals_digits: bool,
        opus: Option<&str>,
        now: f64,
    ) -> Self {
        let (to_matrix, to_sip) = (start(to_matrix), start(to_sip));
        let beginning = Beginning { to_matrix, to_sip, cname, signals_digits, opus: library(opus), now };
        Self { audio: CallAudio::new(beginning), out: Outbox::default() }
    }

    fn configure(&mut self, matrix: Option<PyFormats>, sip: Option<PyFormats>) -> PyResult<()> {
        let matrix = formats(matrix)?;
        self.audio.configure(matrix.clone(), formats(sip)?, matrix);
        Ok(())
    }

    #[pyo3(signature = (*, to_sip, filling, to_matrix))]
    fn let_through(&mut self, to_sip: bool, filling: bool, to_matrix: bool) {
        self.audio.let_through(to_sip, filling, to_matrix);
    }

    fn expect_new_phone(&mut self) {
        self.audio.expect_new_phone();
        self.audio.to_matrix.expect_new_source();
    }

    fn press(&mut self, events: Vec<u8>, duration_ms: u32) {
        self.audio.to_matrix.keypad.press(&events, duration_ms);
    }

    fn play(&mut self, to_phone: bool, given: Option<PyPlaying<'_>>) {
        self.audio.play(to_phone, playing(given));
    }

    fn listen(&mut self, wanted: bool, tones: bool) {
        self.audio.listen(wanted, tones);
    }

    fn matrix_packet(&mut self, plain: &[u8], now: f64) -> bool {
        self.audio.matrix_packet(plain, now, &mut self.out).is_ok()
    }

    fn sip_packet(&mut self, datagram: &[u8], now: f64) -> bool {
        self.audio.sip_packet(datagram, now, &mut self.out).is_ok()
    }

    fn sip_report(&mut self, datagram: &[u8], now: f64) -> bool {
        self.audio.sip_report(datagram, now).is_ok()
    }

    fn tick(&mut self, now: f64) {
        self.audio.tick(now, &mut self.out);
    }

    fn report(&mut self, now: f64, wall: f64) {
        self.audio.report(Moment { now, wall }, &mut self.out);
    }

    fn close(&mut self) {
        self.audio.close(&mut self.out);
    }

    /// Packets in the order in which they leave; what happened: keys for signalling, keys of the phone, ends of sounds.
    #[allow(clippy::type_complexity)]
    fn take<'py>(&mut self, py: Python<'py>) -> (Vec<(&'static str, Bound<'py, PyBytes>)>, Vec<PyNews>) {
        let parcels = self.out.parcels().map(|(target, octets)| (name(target), PyBytes::new(py, octets))).collect();
        let happened = self.out.news().map(|happened| news((0, happened))).collect();
        self.out.clear();
        (parcels, happened)
    }

    fn numbers(&self) -> Numbers {
        self.audio.numbers()
    }
}

fn name(target: Target) -> &'static str {
    match target {
        Target::Matrix => "matrix",
        Target::Sip => "sip",
        Target::SipReports => "sip_rtcp",
    }
}
